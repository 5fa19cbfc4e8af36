"""Changes in the words of people: fields as forms call them, values with their units, times of the plant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import models
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from mes.platform.audit import entries
from mes.platform.audit.entries import Change
from mes.platform.audit.models import AuditAction, AuditEntry
from mes.platform.database.tracking import Tracked

LONGEST_VALUE = 120  # characters of a value on a page; files have all of it
NOTHING = "–"


@dataclass(frozen=True)
class Field:
    """A value of a change, in words. The unit stands once, behind both."""

    label: str
    before: str
    after: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.label} {self.before} → {self.after}{self.unit_behind}"

    @property
    def unit_behind(self) -> str:
        """The unit with the blank before it; empty where there is none, or no value of it."""
        is_said = self.unit and not {self.before, self.after} <= {NOTHING}
        return f" {self.unit}" if is_said else ""


def describe(changes: Sequence[Change]) -> Iterator[tuple[Change, list[Field]]]:
    """Yield changes with their fields in words."""
    units = _units_of(changes)
    for change in changes:
        of_row = units.get((change.entry.entity, change.entry.row_id), {})
        yield change, list(_fields(change, of_row))


def tell(change: Change, fields: Sequence[Field], *, is_whole: bool) -> str:
    """Return who did what to a thing and when, as one sentence. Of the thing itself, `is_whole`, it says “this”."""
    entry = change.entry
    told = {
        "who": who(entry),
        "what": _("this") if is_whole else name_of(change),
        "when": moment(entry.at),
        "fields": "; ".join(map(str, fields)),
    }
    if entry.action == AuditAction.CREATE:
        sentence = _("%(who)s added %(what)s at %(when)s") % told
    elif entry.action == AuditAction.DELETE:
        sentence = _("%(who)s deleted %(what)s at %(when)s") % told
    else:
        sentence = _("%(who)s changed %(what)s at %(when)s: %(fields)s") % told
    return f"{sentence} – {entry.reason}" if entry.reason else sentence


def who(entry: AuditEntry) -> str:
    """Return who made a change; of the system and the like, what it is."""
    return entry.actor or entry.get_actor_kind_display()


def name_of(change: Change) -> str:
    """Return what a changed thing is called, with its kind."""
    kind = change.collection.shown if change.collection else change.entry.entity
    return f"{kind} {entries.called(change)}"


def moment(at: datetime) -> str:
    """Return a time of the plant: the time of today, else with its day."""
    local, today = timezone.localtime(at), timezone.localdate()
    if local.date() == today:
        return date_format(local, "H:i")
    return date_format(local, "j M H:i" if local.year == today.year else "j M Y H:i")


# --- values -------------------------------------------------------------------------------------------------


def in_text(value: Any) -> str:
    """Return a value as people read it."""
    if value is None or value == "" or value == [] or value == {}:
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, str):
        text = _time(value) or value
    elif isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        text = ", ".join(map(in_text, value))
    else:
        text = msgspec.json.encode(value).decode() if isinstance(value, list | dict) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _time(text: str) -> str:
    """Return a time in the plant's zone; empty for a text that is none."""
    if len(text) < 19 or text[4:5] != "-" or text[10:11] != "T":
        return ""
    try:
        at = parse_datetime(text)
        return date_format(timezone.localtime(at), "j M Y H:i:s") if at and at.tzinfo else ""
    except (ValueError, OverflowError):  # no such time, or before the year 1 or after 9999 in the plant's zone
        return ""


def _fields(change: Change, units: Mapping[str, str]) -> Iterator[Field]:
    thing, columns = change.collection, _fields_by_column(change.collection)
    for name, (before, after) in change.fields.items():
        column = entries.column_of(change.entry.entity, name)
        labels = dict(columns[column].flatchoices) if column in columns else {}
        yield Field(
            entries.label_of(change.entry.entity, name),
            _value(before, labels),
            _value(after, labels),
            units.get(thing.units.get(column, ""), thing.units.get(column, "")) if thing and column else "",
        )


def _value(value: Any, labels: Mapping[Any, Any]) -> str:
    return str(labels[value]) if isinstance(value, str) and value in labels and value else in_text(value)


def _fields_by_column(thing: Tracked | None) -> dict[str, models.Field]:
    if thing is None:
        return {}
    return {str(field.column): field for field in entries.model_of(thing.table)._meta.local_concrete_fields}


def _units_of(changes: Sequence[Change]) -> dict[tuple[str, int], dict[str, str]]:
    """Return the units of rows by their columns: those that the change itself says, else those of now."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    wanted: dict[str, set[int]] = {}
    for change in changes:
        if columns := _unit_columns(change.collection):
            entry = change.entry
            said = {**(entry.before or {}), **(entry.after or {})}
            found[entry.entity, entry.row_id] = {name: str(said.get(name) or "") for name in columns}
            if not columns <= said.keys():
                wanted.setdefault(entry.entity, set()).add(entry.row_id)
    for entity, rows in wanted.items():
        thing = entries.collections()[entity]
        names = sorted(_unit_columns(thing))
        known = entries.model_of(thing.table)._base_manager.filter(pk__in=rows).values_list("pk", *names)
        for pk, *values in known:
            of_row = found[entity, pk]
            found[entity, pk] = {name: of_row[name] or str(now or "") for name, now in zip(names, values, strict=True)}
    return found


def _unit_columns(thing: Tracked | None) -> set[str]:
    """Return the columns that hold units; where none is named so, the text is the unit itself."""
    return set(thing.units.values()) & _fields_by_column(thing).keys() if thing else set()
