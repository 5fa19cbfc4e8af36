"""Binding stencils and solder paste lots to lines by scanning them: they are loads of the line's own slots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from django.utils import timezone

from mes import errors
from mes.line_setup.get_or_create import Item, lock_item
from mes.line_setup.loads.book import Shelves, Touch
from mes.line_setup.loads.models import Load, LoadMark, MarkKind, MarkSource, Verify
from mes.line_setup.loads.queries import SHOWN
from mes.line_setup.loads.rules import Place, Slot
from mes.line_setup.loads.services import as_thing, columns_of, lock_and_read, record
from mes.line_setup.models import MaterialLot, SetUpKind, Tool
from mes.plant.models import Line
from mes.plant.scans import ScanKind, check_kind
from mes.platform.database.lookup import get_or_raise
from mes.production import locking

CODES = {SetUpKind.STENCIL: "tool__tool_id", SetUpKind.SOLDER_PASTE: "lot__lot_id"}
SCANNED = {SetUpKind.STENCIL: ScanKind.STENCIL, SetUpKind.SOLDER_PASTE: ScanKind.PASTE_LOT}
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Binding:
    """A binding after a scan: whether the scan changed anything, and what had to make room."""

    binding: Load
    changed: bool
    replaced: Sequence[Load] = field(default=())


@locking.atomically
def bind(*, line_code: str, kind: SetUpKind, code: str, by: str, replace: bool = False) -> Binding:
    """Bind a stencil or lot, which exists from its first mention, to a line. Scanning it again changes nothing.

    A conflicting binding (of another one to the line, or of this one elsewhere) is ended with `replace`, and a
    reason to refuse without. What is known as another thing is neither. Raises LineNotFound, LineOccupied,
    BoundElsewhere, LoadedElsewhere, ScanTypeMismatch.
    """
    line = get_or_raise(Line.objects, errors.LineNotFound, code=line_code)
    slot, item = Slot(Place("line", line.pk), kind.value), _find(kind, code)
    shelves = _lock_and_read(line, slot, item)
    conflicting = _find_conflicting(shelves, slot, item)
    for current in conflicting:
        if current.line_id == line.pk and current.slot == slot.name and current.code == code:
            return Binding(current, changed=False)
    check_kind(code, SCANNED[kind])
    if conflicting and not replace:
        raise _refusal(conflicting, line=line, slot=slot, code=code)
    made = lock_item(kind, code)  # what is in the way is locked already
    if item is None and Load.objects.filter(ended_at=None, **{CODES[kind]: code}).exists():
        raise locking.Outdated  # somebody made and bound it meanwhile
    mark = _mark(line, kind, MarkKind.LOAD, made, by=by)
    if any(load.loaded_at >= mark.at for load in conflicting):  # by a clock that is ahead
        mark.at = max(load.loaded_at for load in conflicting) + _MOMENT
    record(shelves, [mark])
    loads = Load.objects.select_related(*SHOWN)
    replaced = loads.filter(pk__in=[load.pk for load in conflicting]).order_by("-id") if conflicting else ()
    return Binding(loads.get(opened_by=mark), changed=True, replaced=list(replaced))


@locking.atomically
def unbind(*, line_code: str, kind: SetUpKind, code: str, by: str) -> Binding:
    """Take a stencil or lot off a line. What was taken off already stays so.

    A lot that is in use goes out of use. Raises LineNotFound, NotBound.
    """
    line = get_or_raise(Line.objects, errors.LineNotFound, code=line_code)
    slot, item = Slot(Place("line", line.pk), kind.value), _find(kind, code)
    shelves = _lock_and_read(line, slot, item)
    loads = Load.objects.select_related(*SHOWN).filter(line=line, slot=kind).order_by("-loaded_at", "-id")
    latest = get_or_raise(loads, partial(errors.NotBound, line=line.code), **{CODES[kind]: code})
    if latest.ended_at is not None:
        if Load.objects.filter(ended_at=None, **{CODES[kind]: code}).exists():
            raise errors.NotBound(code=code, line=line.code)
        return Binding(latest, changed=False)
    mark = _mark(line, kind, MarkKind.UNLOAD, lock_item(kind, code), by=by)
    mark.at = max(mark.at, latest.loaded_at + _MOMENT)
    record(shelves, [mark])
    return Binding(loads.get(pk=latest.pk), changed=True)


def _find(kind: SetUpKind, code: str) -> Item | None:
    if kind == SetUpKind.STENCIL:
        return Tool.objects.filter(tool_id=code).first()
    return MaterialLot.objects.filter(lot_id=code).first()


def _lock_and_read(line: Line, slot: Slot, item: Item | None) -> Shelves:
    thing = None if item is None else as_thing(item)
    _item, shelves = lock_and_read([Touch(slot, thing, timezone.now())], [line], item)
    return shelves


def _find_conflicting(shelves: Shelves, slot: Slot, item: Item | None) -> list[Load]:
    """Return what is in the slot, and where else the thing is, by keys."""
    now = timezone.now()
    keys = [
        row.pk
        for found, shelf in shelves.items()
        for row in shelf.list_there(now)
        if found == slot or (item is not None and row.load.thing == as_thing(item) and not row.is_shared)
    ]
    return list(Load.objects.select_related(*SHOWN).filter(pk__in=keys).order_by("-id")) if keys else []


def _mark(line: Line, kind: SetUpKind, done: MarkKind, item: Item, *, by: str) -> LoadMark:
    given: Mapping[str, Any] = columns_of(item)
    verify = Verify.NO_LIST if done == MarkKind.LOAD else ""
    return LoadMark(
        line=line,
        slot=kind.value,
        kind=done,
        at=timezone.now(),
        verify=verify,
        source=MarkSource.SCAN,
        operator=by,
        recorded_by=by,
        **given,
    )


def _refusal(conflicting: Sequence[Load], *, line: Line, slot: Slot, code: str) -> errors.DomainError:
    in_slot = next((load for load in conflicting if load.line_id == line.pk and load.slot == slot.name), None)
    if in_slot is not None:
        return errors.LineOccupied(line=line.code, bound=in_slot.code)
    elsewhere = conflicting[0]
    if elsewhere.line is not None:
        return errors.BoundElsewhere(code=code, line=elsewhere.line.code)
    return errors.LoadedElsewhere(code=code, slot=elsewhere.slot, place=elsewhere.station.code)  # type: ignore[union-attr]
