"""What is wrong with a time rule as it is typed: one place for the HTTP interface and the admin site."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mes.plant.models import Line, Operation, OperationKind, StationType
from mes.platform.outbox.models import EventType
from mes.platform.validators import validate_name
from mes.routing.models import Routing
from mes.time_rules.choices import ENTITY_OF_EVENT, EntityType, TimeRuleAction, TimeRuleScope
from mes.time_rules.rules import as_list

RESULTS = ("PASS", "FAIL")
MOST_VALUES = 100

Problem = tuple[str, str]
Test = Callable[[Any], str]  # returns what is wrong with a value, or nothing


def _one_of(*choices: str) -> Test:
    return lambda value: "" if value in choices else _("must be one of %(known)s") % {"known": ", ".join(choices)}


def _is_code(value: Any) -> str:
    try:
        validate_name(value) if isinstance(value, str) else validate_name("")
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def _is_attempt(value: Any) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**15
    return "" if is_number else _("must be a whole number from 1")


_TRACK: dict[str, Test] = {
    "operationKind": _one_of(*OperationKind.values),
    "operationCode": _is_code,
    "source": _one_of(*StationType.values),
    "attempt": _is_attempt,
}
_USAGE: dict[str, Test] = {"lineCode": _is_code}
FIELDS: dict[str, dict[str, Test]] = {
    EventType.TRACK_IN: _TRACK,
    EventType.TRACK_OUT: {**_TRACK, "result": _one_of(*RESULTS)},
    EventType.SOLDER_PASTE_THAW: {},
    EventType.SOLDER_PASTE_USAGE_CREATE: _USAGE,
    EventType.SOLDER_PASTE_USAGE_UNBIND: _USAGE,
}


class Definition(Protocol):
    """A time rule as it is typed; any of it may be of a wrong type."""

    scope: Any
    scope_value: Any
    duration_minutes: Any
    warning_minutes: Any
    min_minutes: Any
    action: Any
    start_event: Any
    start_condition: Any
    end_event: Any
    end_condition: Any
    route_operation_kinds: Any
    notified_roles: Any


def find_problems(definition: Definition) -> dict[str, list[str]]:
    """Return messages by field for what contradicts itself or names what does not exist; empty when all is sound."""
    problems: dict[str, list[str]] = {}
    for name, message in _all_problems(definition):
        problems.setdefault(name, []).append(message)
    return problems


def _all_problems(rule: Definition) -> Iterator[Problem]:
    yield from _problems_of_durations(rule)
    yield from _problems_of_minimum(rule)
    yield from _problems_of_scope(rule)
    yield from _problems_of_condition("start_condition", rule.start_event, rule.start_condition)
    yield from _problems_of_condition("end_condition", rule.end_event, rule.end_condition)
    start, end = ENTITY_OF_EVENT.get(rule.start_event), ENTITY_OF_EVENT.get(rule.end_event)
    if start and end and start != end:
        yield "end_event", _("Must tell of the same as the start event: of a unit, or of a solder paste lot.")
    if (rule.start_event, rule.start_condition) == (rule.end_event, rule.end_condition):
        yield "end_condition", _("The same event cannot be the start and the end.")
    if rule.route_operation_kinds and len(set(rule.route_operation_kinds)) != len(rule.route_operation_kinds):
        yield "route_operation_kinds", _("Name each kind once.")
    if rule.notified_roles and len(set(rule.notified_roles)) != len(rule.notified_roles):
        yield "notified_roles", _("Name each role once.")


def _problems_of_durations(rule: Definition) -> Iterator[Problem]:
    duration, warning = rule.duration_minutes, rule.warning_minutes
    if duration is None and rule.min_minutes is None:
        yield "duration_minutes", _("Give most minutes, least minutes, or both.")
    if duration is None and warning:
        yield "warning_minutes", _("Nobody can be warned of a time that never runs out.")
    if isinstance(duration, int) and duration < 1:
        yield "duration_minutes", _("Must be at least one minute.")
    elif isinstance(duration, int) and isinstance(warning, int) and warning >= duration:
        yield "warning_minutes", _("Must be shorter than the duration; 0 for no warning.")


def _problems_of_minimum(rule: Definition) -> Iterator[Problem]:
    least, most = rule.min_minutes, rule.duration_minutes
    if isinstance(least, int) and least < 1:
        yield "min_minutes", _("Must be at least one minute.")
    elif isinstance(least, int) and isinstance(most, int) and least >= most:
        yield "min_minutes", _("Must be shorter than the most minutes.")
    if rule.action == TimeRuleAction.NOTIFY:
        return
    if ENTITY_OF_EVENT.get(rule.start_event) == EntityType.SOLDER_PASTE_LOT:
        yield "action", _("Only units are refused or held; of a lot, people are told.")
    elif rule.action == TimeRuleAction.BLOCK and (least is None or rule.end_event != EventType.TRACK_IN):
        yield "action", _("Refused is only what enters a step before its least minutes.")


def _problems_of_scope(rule: Definition) -> Iterator[Problem]:
    value = rule.scope_value
    if rule.scope == TimeRuleScope.GLOBAL:
        if value:
            yield "scope_value", _("A rule for everywhere has no scope value.")
        return
    if not value:
        yield "scope_value", _("Give the code of the line, route or product.")
        return
    problem = _is_code(value)
    if problem:
        yield "scope_value", problem
    elif rule.scope == TimeRuleScope.LINE and not Line.objects.filter(code=value).exists():
        yield "scope_value", _("There is no line “%(code)s”.") % {"code": value}
    elif rule.scope == TimeRuleScope.ROUTING and not Routing.objects.filter(code=value).exists():
        yield "scope_value", _("There is no route “%(code)s”.") % {"code": value}


def _problems_of_condition(place: str, event: str, condition: Any) -> Iterator[Problem]:
    fields = FIELDS.get(event)
    if fields is None:
        return  # the event itself is refused
    if not isinstance(condition, Mapping):
        yield place, _('Must be an object, for example {"operationKind": ["REFLOW"], "result": ["PASS"]}.')
        return
    for name, values in condition.items():
        if name not in fields:
            yield (
                place,
                _("This event has no field “%(name)s”; it has %(known)s.")
                % {
                    "name": name,
                    "known": ", ".join(fields),
                },
            )
            continue
        yield from ((place, f"{name}: {message}") for message in _problems_of_values(values, fields[name]))
    codes = [code for code in as_list(condition.get("operationCode", [])) if isinstance(code, str)]
    missing = set(codes) - set(Operation.objects.filter(code__in=codes).values_list("code", flat=True))
    for code in sorted(missing):
        yield place, _("There is no operation “%(code)s”.") % {"code": code}


def _problems_of_values(values: Any, test: Test) -> Iterator[str]:
    listed = as_list(values)
    if not listed or len(listed) > MOST_VALUES:
        yield _("give from 1 to %(most)d values") % {"most": MOST_VALUES}
        return
    for value in listed:
        problem = test(value) if isinstance(value, str | int) else _("must be a text or a number")
        if problem:
            yield f"“{str(value)[:100]}” {problem}"
