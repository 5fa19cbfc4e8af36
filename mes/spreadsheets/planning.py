"""What a sheet would do, row by row: read only, and the same for the preview as for applying.

Each row is compared with what is there. Cells that are as an export writes them say nothing; the others are read, and
the interface's own serializer checks them. Every wrong row is named in one go.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
from django.db import models
from django.utils.translation import gettext as _
from rest_framework import serializers

from mes.errors import DomainError
from mes.platform.http.envelope import flatten
from mes.platform.http.pages import in_words
from mes.platform.http.parsing import WHOLE_BODY
from mes.platform.http.tables import unguarded
from mes.spreadsheets.catalogue import Key, Outcome, Problem, SheetCollection
from mes.spreadsheets.columns import (
    CellFault,
    Column,
    Fault,
    Kind,
    Source,
    flat,
    is_as_written,
    is_blank,
    read_cell,
    shown,
)
from mes.spreadsheets.reading import Row, Sheet
from mes.spreadsheets.rows import Known

MOST_ERRORS = 1000
MOST_UNKNOWN = 20  # fields of a row that are named; a nested object may have a million
INVALID = "VALIDATION_ERROR"


@dataclass
class Plan:
    """What a sheet would do. `states` are those of the rows that it names, by their keys (as JSON: two keys may be the
    same as one text), by which one knows that nobody changed them since.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)

    def count(self, action: str) -> int:
        """Return how many rows do this."""
        return sum(outcome.action == action for outcome in self.outcomes)

    @property
    def differences(self) -> list[dict[str, Any]]:
        """Return `{row, key, action, changes}` of each row that does something."""
        return [
            {
                "row": outcome.row,
                "key": key_text(outcome.key),
                "action": outcome.action,
                "changes": {
                    name: {"from": outcome.before.get(name), "to": value}
                    for name, value in outcome.after.items()
                    if not is_same(outcome.before.get(name), value)
                },
            }
            for outcome in self.outcomes
            if outcome.action
        ]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Return the first MOST_ERRORS problems, by rows."""
        return [asdict(problem) for problem in sorted(self.problems, key=lambda each: each.row)[:MOST_ERRORS]]


def key_text(key: Key) -> str:
    """Return by what a row is known, as one text."""
    return " / ".join(str(part) for part in key if part is not None)


def _place_of(key: Key) -> str:
    return json.dumps(key)


def place_text(place: str) -> str:
    """Return a key of `Plan.states` as one text."""
    return key_text(tuple(json.loads(place)))


def is_same(before: Any, after: Any) -> bool:
    """Whether two values are the same to people: nothing and an empty text are."""
    return bool((before is None or before == "") and (after is None or after == "")) or (
        before == after and isinstance(before, bool) == isinstance(after, bool)
    )


def make_plan(collection: SheetCollection, sheet: Sheet, *, is_locking: bool = False) -> Plan:
    """Return what a sheet would do; with `is_locking`, with all that it names locked (inside a transaction)."""
    return _Planner(collection, sheet).make(is_locking)


class _Planner:
    def __init__(self, collection: SheetCollection, sheet: Sheet) -> None:
        self.collection, self.sheet = collection, sheet
        self.columns = {column.name: column for column in collection.columns}
        self.plan = Plan()
        self.known: dict[str, Mapping[str, models.Model]] = {}
        self.serializer: Any = collection.serializer()
        self.faulty: dict[int, set[str]] = {}
        self.seen: dict[Key, int] = {}  # with the row

    def make(self, is_locking: bool) -> Plan:
        rows = [Row(row.number, self._by_columns(row)) for row in self.sheet.rows]
        if not self._check_heads():
            return self.plan
        self._check_marked()
        keys = {row.number: list(self._keys_of(row)) for row in rows}
        present = self._find(keys.values(), is_locking)
        self._look_up(rows)
        for row in rows:
            self._add(row, keys[row.number], present)
        self.plan.outcomes += self.collection.left_over(self.seen.keys())
        first_rows: dict[Any, int] = {}
        for key, number in self.seen.items():
            first_rows.setdefault(key[0], number)
        self.plan.problems += list(self.collection.judge(self.plan.outcomes, first_rows))
        self._leave_out_wrong(keys)
        return self.plan

    def _leave_out_wrong(self, keys: Mapping[int, list[Key]]) -> None:
        """Leave out what wrong rows would do, and what would go beside them: a mended row may well keep it."""
        bad = {problem.row for problem in self.plan.problems}
        unsure = {key[0] for number in bad for key in keys.get(number, ())}
        self.plan.outcomes = [
            outcome
            for outcome in self.plan.outcomes
            if (outcome.key[0] not in unsure if outcome.row is None else outcome.row not in bad)
        ]

    # --- heads and cells that are none ----------------------------------------------------------------------

    def _by_columns(self, row: Row) -> Mapping[str, Any]:
        """Return the cells by column; of an object, those of nested objects by their paths."""
        if self.sheet.source != Source.JSON:
            return {name: cell for name, cell in row.cells.items() if name in self.columns}
        cells, unknown = {}, []
        for path, value in self._paths(row.cells):
            if path in self.columns:
                cells[path] = value
            else:
                unknown.append(path)
        for path in unknown[:MOST_UNKNOWN]:
            self._note(row.number, path, Fault.UNKNOWN_COLUMN, self._unknown(path))
        return cells

    def _paths(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, value in row.items():
            inner = [column.name for column in self.columns.values() if column.name.startswith(f"{name}.")]
            if name in self.columns or not inner:
                yield name, value
            elif value is None:
                yield from ((path, None) for path in inner)
            elif isinstance(value, dict):
                yield from ((f"{name}.{key}", each) for key, each in value.items())
            else:
                yield name, value

    def _unknown(self, name: str) -> str:
        message = _("There is no column “%(name)s”; there are %(names)s.")
        return message % {"name": shown(name), "names": ", ".join(self.columns)}

    def _check_heads(self) -> bool:
        """Note what is wrong with the heads; return whether rows can be told apart by them."""
        if self.sheet.source == Source.JSON:
            return True
        heads = self.sheet.heads
        for index, head in enumerate(heads):
            if not head:
                continue
            if head not in self.columns:
                self._note(0, head, Fault.UNKNOWN_COLUMN, self._unknown(head))
            elif head in heads[:index]:
                self._note(0, head, Fault.DUPLICATE_COLUMN, _("Column “%(name)s” is there twice.") % {"name": head})
        missing = [name for name in self.collection.key if self.columns[name].is_needed and name not in heads]
        for name in missing:
            message = _("Column “%(name)s” is missing: rows are known by it.")
            self._note(0, name, Fault.MISSING_COLUMN, message % {"name": name})
        return not missing

    def _check_marked(self) -> None:
        messages = {
            Fault.FORMULA: _("The cell has a formula: paste its value instead."),
            Fault.FAULTY_CELL: _("The cell shows an error of the spreadsheet program."),
        }
        for row, head, what in self.sheet.faulty:
            fault = Fault(what)
            self._note(max(row, 0), head, fault, messages[fault])
        for row in self.sheet.extra:
            self._note(
                row, "", Fault.EXTRA_CELL, _("A cell of the row is in no column: look for a delimiter too many.")
            )

    def _note(self, row: int, name: str, code: str, message: str) -> None:
        place = shown(name)
        self.plan.problems.append(Problem(row, place, str(code), message))
        self.faulty.setdefault(row, set()).add(place)

    # --- what is there --------------------------------------------------------------------------------------

    def _keys_of(self, row: Row) -> Iterator[Key]:
        """Yield by what a row may be known: as it is written, then without the guard against formulas."""
        cells = {name: row.cells.get(name) for name in self.collection.key}
        readings = [self._plain(cells, is_guarded=True)] if self.sheet.source != Source.CSV else []
        if self.sheet.source != Source.JSON:
            readings.append(self._plain(cells, is_guarded=False))
        yield from dict.fromkeys(map(self.collection.identify, readings))

    def _plain(self, cells: Mapping[str, Any], *, is_guarded: bool) -> dict[str, Any]:
        found = {}
        for name, cell in cells.items():
            column = self.columns[name]
            if column.kind == Kind.WHOLE:
                found[name] = _whole(column, cell)
            else:
                text = cell if isinstance(cell, str) else None
                found[name] = text if is_guarded or text is None else unguarded(text)
        return found

    def _find(self, keys: Iterable[list[Key]], is_locking: bool) -> dict[Key, tuple[models.Model, dict[str, Any]]]:
        wanted = {key for each in keys for key in each}
        present = self._load(wanted)
        if is_locking:
            self.collection.lock([thing for thing, _row in present.values()], wanted)
            present = self._load(wanted)  # as it is now that nobody else changes it
        return present

    def _load(self, wanted: set[Key]) -> dict[Key, tuple[models.Model, dict[str, Any]]]:
        found: dict[Key, tuple[models.Model, dict[str, Any]]] = {}
        for thing in self.collection.named(wanted):
            row = flat(self.serializer.to_representation(thing), self.collection.columns)
            key = self.collection.identify(row)
            if key in wanted:
                found.setdefault(key, (thing, row))
        return found

    def _look_up(self, rows: Iterable[Row]) -> None:
        """Look up what rows refer to, once for each column."""
        rows = list(rows)
        for column in self.columns.values():
            if column.reference is None:
                continue
            model, _not_found = column.reference
            codes = {cell for row in rows if isinstance(cell := row.cells.get(column.name), str)}
            codes |= {unguarded(code) for code in codes}
            things = model._default_manager.filter(code__in=codes) if codes else ()
            known = {thing.code: thing for thing in things}  # type: ignore[attr-defined]
            self.known[column.name] = known
            self.serializer.fields[column.name].queryset = Known(model, known)

    # --- rows -----------------------------------------------------------------------------------------------

    def _add(self, row: Row, keys: list[Key], present: Mapping[Key, tuple[models.Model, dict[str, Any]]]) -> None:
        if self._is_header(row):
            self._note(row.number, "", Fault.SECOND_HEADER, _("The row repeats the heads."))
            return
        key = next((key for key in keys if key in present), keys[-1])
        is_known = not any(name in self.faulty.get(row.number, ()) for name in self.collection.key)
        if is_known and self._is_whole(key):
            if key in self.seen:
                message = _("An earlier row has “%(key)s” already.") % {"key": shown(key_text(key))}
                self._note(row.number, self.collection.key[0], Fault.DUPLICATE_KEY, message)
                return
            self.seen[key] = row.number
        thing, before = present.get(key, (None, {}))
        self.plan.states[_place_of(key)] = self._state_of(thing, before)
        self._compare(row, key, thing, before)

    def _is_header(self, row: Row) -> bool:
        if self.sheet.source == Source.JSON:
            return False
        texts = {name: cell for name, cell in row.cells.items() if not is_blank(cell)}
        return bool(texts) and all(str(cell).strip().casefold() == name.casefold() for name, cell in texts.items())

    def _is_whole(self, key: Key) -> bool:
        """Whether a key has all parts that it must have."""
        needed = [self.columns[name].is_needed for name in self.collection.key]
        return not any(part is None and is_needed for part, is_needed in zip(key, needed, strict=True))

    def _state_of(self, thing: models.Model | None, before: Mapping[str, Any]) -> str:
        if thing is None:
            return ""
        left_out = self.collection.volatile - set(self.sheet.heads)
        told = {name: value for name, value in before.items() if name not in left_out}
        return hashlib.sha256(msgspec.json.encode([thing.pk, told])).hexdigest()[:20]

    def _compare(self, row: Row, key: Key, thing: models.Model | None, before: Mapping[str, Any]) -> None:
        data = dict(self._read(row, thing, before))
        checked = None
        if data or thing is None:
            checked = self._check(row.number, data, thing, before)
        if self.faulty.get(row.number):
            return
        outcome = Outcome(row.number, key, thing, None, before, before)
        if checked is not None:
            after = flat(self.serializer.to_representation(checked), self.collection.columns)
            changed = (*_changed(thing, checked), *self.collection.changed_besides(thing, checked))
            if thing is None or (changed and not all(is_same(before[name], after[name]) for name in after)):
                outcome = Outcome(row.number, key, thing, checked, before, after, changed)
        self.plan.outcomes.append(outcome)

    def _read(self, row: Row, thing: models.Model | None, before: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield what the cells say that say anything new; note what is wrong with the others."""
        source = self.sheet.source
        for name, cell in row.cells.items():
            column = self.columns[name]
            if name in self.faulty.get(row.number, ()):
                continue
            if is_blank(cell) if thing is None else is_as_written(column, cell, before[name], source):
                if thing is None and column.is_needed:
                    self._note(row.number, name, Fault.EMPTY, _("Must not be empty."))
                continue
            try:
                value = read_cell(column, cell, source)
            except CellFault as found:
                self._note(row.number, name, found.fault.value, str(found))
                continue
            if column.reference is not None and isinstance(value, str) and value not in self.known[name]:
                refusal = column.reference[1](code=shown(value))
                self._note(row.number, name, refusal.code, str(refusal))
                continue
            yield name, value

    def _check(
        self, row: int, data: Mapping[str, Any], thing: models.Model | None, before: Mapping[str, Any]
    ) -> models.Model | None:
        """Have the serializer check what is new; return what would be saved, or note what is wrong."""
        self.serializer.instance, self.serializer.partial = thing, thing is not None
        self.serializer.candidate = None
        try:
            self.serializer.run_validation(self._nested(data, before))
        except serializers.ValidationError as error:
            self._note_refused(row, flatten(error.detail))
        except DomainError as refusal:
            self._note(row, "", refusal.code, in_words(refusal))
        candidate: models.Model | None = self.serializer.candidate
        return candidate

    def _nested(self, data: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object of the interface. A nested one is sent whole: of what is not in the sheet, as it is."""
        parts = {name.partition(".")[0] for name in data if "." in name}
        whole = {name: value for name, value in before.items() if "." in name and name.partition(".")[0] in parts}
        document: dict[str, Any] = {}
        for name, value in {**whole, **data}.items():
            part, _dot, inner = name.partition(".")
            if inner:
                document.setdefault(part, {})[inner] = value
            else:
                document[name] = value
        return document

    def _note_refused(self, row: int, found: Mapping[str, str]) -> None:
        """Note what the serializer refuses, at the columns; what is missing because its cell is wrong is told there."""
        wrong = set(self.faulty.get(row, ()))
        for path, message in found.items():
            place = "" if path == WHOLE_BODY else path
            while place and place not in self.columns:
                place = place.rpartition(".")[0]
            if place not in wrong:
                self._note(row, place, INVALID, message)


def _whole(column: Column, cell: Any) -> Any:
    try:
        return None if is_blank(cell) else int(read_cell(column, cell, Source.XLSX))
    except CellFault:
        return None


def _changed(thing: models.Model | None, candidate: models.Model) -> tuple[str, ...]:
    """Return the names of the columns that would be written."""
    if thing is None:
        return ()
    fields = candidate._meta.concrete_fields
    return tuple(each.name for each in fields if getattr(thing, each.attname) != getattr(candidate, each.attname))
