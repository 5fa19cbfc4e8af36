"""Differences between versions of a route in words, such as `Step 40: Peak Temperature, upper limit 255 → 250 °C`."""

import json
from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

LONGEST = 120
MEASURED = ("limits.lsl", "limits.usl", "limits.target", "alarm.min", "alarm.max")
FIELDS: Mapping[tuple[str, str], str | Promise] = {
    ("ROUTE", "code"): gettext_lazy("code"),
    ("ROUTE", "digest"): gettext_lazy("how it was frozen"),
    ("ROUTE", "errors"): gettext_lazy("order of the errors"),
    ("ROUTE", "name"): gettext_lazy("name"),
    ("ROUTE", "productCode"): gettext_lazy("product"),
    ("ROUTE", "reentryLimit"): gettext_lazy("re-entry limit where no config says one"),
    ("ROUTE", "schema"): gettext_lazy("form of the document"),
    ("ROUTE", "snMasks"): gettext_lazy("masks of serial numbers"),
    ("ROUTE", "sourceSystem"): gettext_lazy("source"),
    ("STEP", "operation.code"): gettext_lazy("operation"),
    ("STEP", "operation.kind"): gettext_lazy("kind of the operation"),
    ("STEP", "operation.name"): gettext_lazy("name of the operation"),
    ("STEP", "order"): gettext_lazy("order of the steps"),
    ("STEP", "sourceStepKey"): gettext_lazy("source step key"),
    ("CONFIG", "allowedStationCodes"): gettext_lazy("allowed stations"),
    ("CONFIG", "isOptional"): gettext_lazy("optional"),
    ("CONFIG", "reentryLimit"): gettext_lazy("re-entry limit"),
    ("CONFIG", "requiresFAI"): gettext_lazy("first article"),
    ("CONFIG", "requiresQualification"): gettext_lazy("qualification"),
    ("CONFIG", "retestLimit"): gettext_lazy("retest limit"),
    ("CONFIG", "stationGroupCode"): gettext_lazy("station group"),
    ("CONFIG", "stationType"): gettext_lazy("station type"),
    ("CONFIG", "workInstructions"): gettext_lazy("work instructions"),
    ("SPEC", "alarm.action"): gettext_lazy("alarm action"),
    ("SPEC", "alarm.max"): gettext_lazy("alarm above"),
    ("SPEC", "alarm.min"): gettext_lazy("alarm below"),
    ("SPEC", "dataType"): gettext_lazy("data type"),
    ("SPEC", "isRequired"): gettext_lazy("required"),
    ("SPEC", "itemType"): gettext_lazy("item type"),
    ("SPEC", "limits.lsl"): gettext_lazy("lower limit"),
    ("SPEC", "limits.target"): gettext_lazy("target"),
    ("SPEC", "limits.unit"): gettext_lazy("unit"),
    ("SPEC", "limits.usl"): gettext_lazy("upper limit"),
    ("SPEC", "method"): gettext_lazy("method"),
    ("SPEC", "name"): gettext_lazy("spec renamed"),
    ("SPEC", "order"): gettext_lazy("order of the specs"),
    ("SPEC", "triggerType"): gettext_lazy("trigger"),
    ("FAI_ITEM", "itemSpec"): gettext_lazy("should be"),
    ("FAI_ITEM", "stepNo"): gettext_lazy("step"),
    ("FAI_ITEM", "specName"): gettext_lazy("spec that is read"),
    ("FAI_ITEM", "lsl"): gettext_lazy("lower limit"),
    ("FAI_ITEM", "usl"): gettext_lazy("upper limit"),
    ("FAI_ITEM", "unit"): gettext_lazy("unit of measure"),
    ("FAI_ITEM", "order"): gettext_lazy("order of the items"),
}


def describe(
    *,
    kind: str,
    step_no: int | None,
    subject: str,
    name: str | None,
    field: str | None,
    before: Any,
    after: Any,
    measures: tuple[str, str],
) -> str:
    """Return one difference in words, with its place and the units of measure."""
    if kind == "MOVED":
        return _("Step %(after)s: %(name)s, before step %(before)s") % {"after": after, "name": name, "before": before}
    place = _place(step_no, subject)
    if field == "error":
        return f"{place}: {_error(kind, after if kind == 'ADDED' else before)}"
    if subject == "MAPPING":
        return f"{place}: {_mapping(kind, field, before, after)}"
    if kind != "CHANGED":
        return f"{place}: {_come_or_gone(kind, subject, name, after if kind == 'ADDED' else before)}"
    label = str(FIELDS.get((subject, field or ""), field))
    if (subject, field) == ("CONFIG", "reentryLimit"):  # where no config says one, the route's counts
        before, after = (_("not set") if each is None else each for each in (before, after))
    if (subject, field) == ("CONFIG", "workInstructions"):
        before, after = (_titles(each) for each in (before, after))
    change = _change(before, after, measures if field in MEASURED else ("", ""))
    return f"{place}: {', '.join(part for part in (name if subject != 'STEP' else None, f'{label} {change}') if part)}"


def _titles(instructions: Any) -> str:
    """Name instructions with where they are: two of one title must look different."""
    said = (f"{each.get('title')} ({each.get('url') or '#' + each.get('fileId', '')})" for each in instructions or ())
    return ", ".join(said)


def _place(step_no: int | None, subject: str) -> str:
    if step_no is not None:
        return _("Step %(number)s") % {"number": step_no}
    return _("First article") if subject == "FAI_ITEM" else _("Route")


def _error(kind: str, message: Any) -> str:
    text = _("no longer wrong: %(message)s") if kind == "REMOVED" else _("cannot be used: %(message)s")
    return text % {"message": message}


def _mapping(kind: str, path: str | None, before: Any, after: Any) -> str:
    if path is None:
        texts = {"ADDED": _("mapping added"), "REMOVED": _("mapping removed"), "CHANGED": _("mapping made anew")}
        return texts[kind]
    if kind == "ADDED":
        return _("mapping, %(path)s added: %(value)s") % {"path": path, "value": say(after)}
    if kind == "REMOVED":
        return _("mapping, %(path)s removed: %(value)s") % {"path": path, "value": say(before)}
    return _("mapping, %(path)s %(change)s") % {"path": path, "change": _change(before, after, ("", ""))}


def _come_or_gone(kind: str, subject: str, name: str | None, value: Any) -> str:
    if subject == "SPEC" and kind == "ADDED":
        return _("%(name)s is collected: %(band)s") % {"name": name, "band": _band(value)}
    if subject == "SPEC":
        return _("%(name)s is no longer collected") % {"name": name}
    return (_("%(name)s added") if kind == "ADDED" else _("%(name)s removed")) % {"name": name}


def _band(spec: Any) -> str:
    limits = spec.get("limits") or {}
    if limits.get("lsl") is None and limits.get("usl") is None:
        return _("no limits")
    return f"{say(limits.get('lsl'), '-')} … {say(limits.get('usl'), '-')} {limits.get('unit') or ''}".rstrip()


def _change(before: Any, after: Any, measures: tuple[str, str]) -> str:
    first, second = say(before), say(after)
    if measures[0] != measures[1]:
        first, second = f"{first} {measures[0]}".rstrip(), f"{second} {measures[1]}".rstrip()
        return f"{first} → {second}"
    return f"{first} → {second} {measures[1]}".rstrip()


def say(value: Any, nothing: str = "") -> str:
    """Return a JSON value as people read it. Numbers are told whole: what differs must look different."""
    if value is None or value == "":
        return nothing or _("none")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, str | int):
        return _shorten(str(value))
    if isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value):
        return _shorten(", ".join(say(item) for item in value)) or _("an empty list")
    return _shorten(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
