"""The fields of a check form: what is wrong with them, and the specs by which their values are judged. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mes.routing.snapshots import SpecSnapshot
from mes.specs.models import DataCollectionSpec, DataType, ItemType, Method, TriggerType
from mes.specs.rules import find_limit_problems

MOST_FIELDS = 100
LONGEST_NAME = 100
_KNOWN = {"name", "dataType", "itemType", "limits", "isRequired"}
_LIMITS = {"lsl", "usl", "target", "unit"}

Problems = dict[str, str | Promise]


def find_field_problems(fields: Any) -> Problems:
    """Return messages by the place of what is wrong: `0.name`, or `fields` itself as ``."""
    if not isinstance(fields, list) or not 1 <= len(fields) <= MOST_FIELDS:
        return {"": _("Must be a list of 1 to 100 fields.")}
    problems: Problems = {}
    names: set[str] = set()
    for index, field in enumerate(fields):
        for place, message in _problems_of(field, names).items():
            problems[f"{index}.{place}" if place else str(index)] = message
    return problems


def _problems_of(field: Any, names: set[str]) -> Problems:
    if not isinstance(field, Mapping):
        return {"": _("Must be an object.")}
    if unknown := sorted(str(name) for name in field.keys() - _KNOWN):
        return {unknown[0][:LONGEST_NAME]: _("Unknown field.")}
    problems = _problems_of_name(field.get("name"), names)
    if field.get("dataType", DataType.BOOLEAN) not in (DataType.NUMBER, DataType.TEXT, DataType.BOOLEAN):
        problems["dataType"] = _("Must be NUMBER, TEXT or BOOLEAN.")
    if field.get("itemType", ItemType.KEY) not in ItemType.values:
        problems["itemType"] = _("Must be KEY or OBSERVATION.")
    if not isinstance(field.get("isRequired", True), bool):
        problems["isRequired"] = _("Must be true or false.")
    return problems or _problems_of_limits(field)


def _problems_of_name(name: Any, names: set[str]) -> Problems:
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= LONGEST_NAME or not name.isprintable():
        return {"name": _("Must be a text of 1 to 100 characters.")}
    if name in names:
        return {"name": _("Named more than once.")}
    names.add(name)
    return {}


def _problems_of_limits(field: Mapping[str, Any]) -> Problems:
    limits = field.get("limits") or {}
    if not isinstance(limits, Mapping) or limits.keys() - _LIMITS:
        return {"limits": _("Must be an object of lsl, usl, target and unit.")}
    if not isinstance(limits.get("unit") or "", str) or len(limits.get("unit") or "") > 20:
        return {"limits.unit": _("Must be a text of at most 20 characters.")}
    for name in ("lsl", "usl", "target"):
        value = limits.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and abs(value) <= 1e15):
            return {f"limits.{name}": _("Must be a finite number.")}
    numbers = {name: limits.get(name) for name in ("lsl", "usl", "target")}
    limited = DataCollectionSpec(data_type=field.get("dataType", DataType.BOOLEAN), **numbers)
    return {f"limits.{name}": message for name, message in find_limit_problems(limited).items()}


def spec_of_field(number: int, field: Mapping[str, Any]) -> SpecSnapshot:
    """Return a field as a spec, by which its values are judged as all values are."""
    limits = field.get("limits") or {}
    return SpecSnapshot(
        id=number,
        name=field["name"],
        item_type=field.get("itemType", ItemType.KEY),
        data_type=field.get("dataType", DataType.BOOLEAN),
        method=Method.MANUAL,
        trigger_type=next(iter(TriggerType.values)),
        is_required=field.get("isRequired", True),
        lsl=limits.get("lsl"),
        usl=limits.get("usl"),
        target=limits.get("target"),
        unit=limits.get("unit") or "",
    )


def specs_of(fields: Sequence[Mapping[str, Any]]) -> list[SpecSnapshot]:
    """Return the specs of all fields of a form."""
    return [spec_of_field(number, field) for number, field in enumerate(fields, start=1)]
