"""A time rule in one paragraph that people read: what must happen within which time, where, and what if not."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mes.platform.outbox.models import EventType
from mes.time_rules.choices import TimeRuleAction, TimeRuleScope
from mes.time_rules.rules import as_list


def describe_rule(rule: Any) -> str:
    """Return what a rule says: “A unit that passed REFLOW or AOI must enter WASH within 240 minutes; people are warned
    30 minutes before. On routes with WASH. It may be waived.” `rule` is a sound definition, saved or not.
    """
    parts = [
        _times(rule),
        _action(rule),
        _scope(rule),
        _routes(rule.route_operation_kinds),
        _("A new start begins the time anew.") if rule.restarts else "",
        _("It may be waived.") if rule.is_waivable else _("It may not be waived."),
        "" if rule.is_active else _("It is switched off."),
    ]
    return " ".join(part for part in parts if part)


def _times(rule: Any) -> str:
    said = {"start": _start(rule), "end": _end(rule), "warning": _warning(rule.warning_minutes)}
    if rule.min_minutes is None:
        text = _("%(start)s must %(end)s within %(duration)s%(warning)s.")
    elif rule.duration_minutes is None:
        text = _("%(start)s must not %(end)s before %(least)s are over.")
    else:
        text = _("%(start)s must %(end)s within %(duration)s%(warning)s, but not before %(least)s are over.")
    return text % {
        **said,
        "duration": _minutes(rule.duration_minutes or 0),
        "least": _minutes(rule.min_minutes or 0),
    }


def _action(rule: Any) -> str:
    said = {
        TimeRuleAction.BLOCK: _("Until then it is refused."),
        TimeRuleAction.HOLD: _("A unit that is not in time is held."),
    }
    return said.get(rule.action, "")


def either(names: Sequence[Any]) -> str:
    """Return names joined by commas and “or”."""
    texts = [str(name) for name in names]
    if len(texts) < 2:
        return "".join(texts)
    return _("%(first)s or %(last)s") % {"first": ", ".join(texts[:-1]), "last": texts[-1]}


def _start(rule: Any) -> str:
    condition = rule.start_condition
    if rule.start_event == EventType.SOLDER_PASTE_THAW:
        return _("A lot of solder paste that was thawed")
    if rule.start_event == EventType.SOLDER_PASTE_USAGE_CREATE:
        return _("A lot of solder paste that was taken into use%(where)s") % {"where": _line(condition)}
    if rule.start_event == EventType.SOLDER_PASTE_USAGE_UNBIND:
        return _("A lot of solder paste that was taken out of use%(where)s") % {"where": _line(condition)}
    verb = _("entered") if rule.start_event == EventType.TRACK_IN else _left(condition)
    return _("A unit that %(did)s %(where)s") % {"did": verb, "where": _step(condition)}


def _end(rule: Any) -> str:
    condition = rule.end_condition
    if rule.end_event == EventType.SOLDER_PASTE_THAW:
        return _("be thawed")
    if rule.end_event == EventType.SOLDER_PASTE_USAGE_CREATE:
        return _("be taken into use%(where)s") % {"where": _line(condition)}
    if rule.end_event == EventType.SOLDER_PASTE_USAGE_UNBIND:
        return _("be taken out of use%(where)s") % {"where": _line(condition)}
    verb = _("enter") if rule.end_event == EventType.TRACK_IN else _leave(condition)
    return _("%(do)s %(where)s") % {"do": verb, "where": _step(condition)}


def _left(condition: Mapping[str, Any]) -> str:
    said = {("PASS",): _("passed"), ("FAIL",): _("failed")}
    return said.get(tuple(as_list(condition.get("result", []))), _("left"))


def _leave(condition: Mapping[str, Any]) -> str:
    said = {("PASS",): _("pass"), ("FAIL",): _("fail")}
    return said.get(tuple(as_list(condition.get("result", []))), _("leave"))


def _step(condition: Mapping[str, Any]) -> str:
    """Return at which step: kinds and codes of operations, kinds of stations, attempts."""
    kinds, codes = as_list(condition.get("operationKind", [])), as_list(condition.get("operationCode", []))
    place = either(kinds) or (either(codes) if codes else _("any step"))
    if kinds and codes:
        place = _("%(kinds)s at operation %(codes)s") % {"kinds": place, "codes": either(codes)}
    if sources := as_list(condition.get("source", [])):
        place = _("%(place)s (tracked %(sources)s)") % {"place": place, "sources": either(sources)}
    if attempts := as_list(condition.get("attempt", [])):
        place = _("%(place)s in attempt %(attempts)s") % {"place": place, "attempts": either(attempts)}
    return place


def _line(condition: Mapping[str, Any]) -> str:
    codes = as_list(condition.get("lineCode", []))
    return _(" on line %(codes)s") % {"codes": either(codes)} if codes else ""


def _minutes(number: int) -> str:
    return ngettext("%(number)d minute", "%(number)d minutes", number) % {"number": number}


def _warning(number: int) -> str:
    return _("; people are warned %(minutes)s before") % {"minutes": _minutes(number)} if number else ""


def _scope(rule: Any) -> str:
    said = {
        TimeRuleScope.LINE: _("On line %(value)s."),
        TimeRuleScope.ROUTING: _("On route %(value)s."),
        TimeRuleScope.PRODUCT: _("For product %(value)s."),
    }
    return said[rule.scope] % {"value": rule.scope_value} if rule.scope in said else ""


def _routes(kinds: Sequence[str]) -> str:
    if not kinds:
        return ""
    if len(kinds) == 1:
        return _("On routes with %(kind)s.") % {"kind": kinds[0]}
    return _("On routes with %(kinds)s and %(last)s.") % {"kinds": ", ".join(kinds[:-1]), "last": kinds[-1]}
