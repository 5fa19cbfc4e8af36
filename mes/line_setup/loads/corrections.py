"""Putting right what was said of a slot: marks are voided with a reason, and others take their place."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from mes import errors
from mes.line_setup.loads import book, hooks
from mes.line_setup.loads.book import Touch, slot_of, thing_of
from mes.line_setup.loads.models import Load, LoadMark
from mes.line_setup.loads.queries import SHOWN
from mes.line_setup.loads.rules import OPENING, Slot
from mes.line_setup.loads.services import as_thing, compare_marks, find_lot, lock_and_read, tell_change
from mes.line_setup.lots.models import MaterialLot
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.platform.inbound.times import check_bounds
from mes.platform.outbox.emit import NewEvent, emit
from mes.platform.outbox.models import EventType
from mes.production import locking


@dataclass(frozen=True)
class Corrected:
    """The load as it is right, none where it was void, and of how many units something else is told now."""

    load: Load | None
    gained: int | None
    lost: int | None


@locking.atomically
def correct(
    load_id: int,
    *,
    reason: str,
    by: str,
    is_void: bool = False,
    lot_id: str | None = None,
    slot: str | None = None,
    since: datetime | None = None,
) -> Corrected:
    """Void a load, or put its lot, its slot or its beginning right.

    Raises LoadNotFound, LotNotFound, ScanTypeMismatch, EventTimeInFuture, EventTooOld, ValidationFailed where it would
    begin after its end, SlotOccupied where something else was loaded there at that instant.
    """
    give_reason(reason)
    if since is not None:
        check_bounds(since, now=timezone.now())
    wrong = _find(load_id)
    if lot_id is not None and wrong.lot is None:
        raise errors.ValidationFailed({"lotId": _("What was loaded is no lot.")})
    lot = find_lot(lot_id) if lot_id is not None else wrong.lot
    earliest = min(filter(None, (wrong.loaded_at, since)))
    old, right = slot_of(wrong), Slot(slot_of(wrong).place, slot or wrong.slot)
    touches = [Touch(old, thing_of(wrong), earliest)]
    touches += [Touch(right, as_thing(lot) if lot else thing_of(wrong), earliest)]
    place: Any = wrong.station or wrong.line
    _lot, shelves = lock_and_read(touches, [place], lot or wrong.tool)
    wrong = _find(load_id)  # as it is under the lock
    if since is not None and wrong.ended_at is not None and since >= wrong.ended_at:
        raise errors.ValidationFailed({"from": _("It ended before that.")})
    count = _watch(wrong, lot, earliest)
    marks = _list_marks(wrong)
    made = [] if is_void else [_instead(mark, wrong, lot, right.name, since, by=by) for mark in marks]
    if wrong.station is not None and (lot, right) != (wrong.lot, old):
        compare_marks(wrong.station, made)
    for mark in marks:
        mark.voided_at, mark.voided_by, mark.void_reason = timezone.now(), by, reason
    LoadMark.objects.bulk_update(marks, ["voided_at", "voided_by", "void_reason"])
    _kept, change = book.write(shelves, made)
    if change is not None:
        tell_change(marks, change)
    gained, lost = count()
    load = Load.objects.select_related(*SHOWN).filter(opened_by__in=made).first() if made else None
    if made and load is None:
        raise errors.SlotOccupied(slot=right.name, station=place.code, loaded=wrong.code)
    emit(_event(wrong, load, marks, reason=reason, by=by))
    return Corrected(load, gained, lost)


def _find(load_id: int) -> Load:
    return get_or_raise(Load.objects.select_related(*SHOWN), errors.LoadNotFound, pk=load_id)


def _list_marks(load: Load) -> list[LoadMark]:
    """Return the marks that tell of a load: its beginning, what repeated it, and its end, where that names it."""
    until = Q() if load.ended_at is None else Q(at__lte=load.ended_at)
    of_slot = {"station": load.station, "line": load.line, "slot": load.slot, "lot": load.lot, "tool": load.tool}
    marks = LoadMark.objects.filter(
        until, at__gte=load.loaded_at, program=load.program, voided_at=None, **of_slot
    ).select_related("run", "station", "line")
    return [mark for mark in marks.order_by("at", "id") if mark.kind in OPENING or mark.pk == load.closed_by_id]


def _instead(
    mark: LoadMark, load: Load, lot: MaterialLot | None, slot: str, since: datetime | None, *, by: str
) -> LoadMark:
    """Return the mark that takes the place of one."""
    at = since if since is not None and mark.pk == load.opened_by_id else mark.at
    return LoadMark(
        station=mark.station,
        line=mark.line,
        slot=slot,
        lot=lot,
        tool_id=mark.tool_id,
        program=mark.program,
        feeder_id=mark.feeder_id,
        kind=mark.kind,
        at=at,
        quantity=mark.quantity,
        run=mark.run,
        verify=mark.verify,
        source=mark.source,
        operator=by,
        recorded_by=by,
        event_id=mark.event_id,
        corrects=mark,
    )


def _watch(load: Load, lot: MaterialLot | None, since: datetime) -> Any:
    """Return a function that tells what a correction changed of units."""
    lots = sorted({each.pk for each in (load.lot, lot) if each is not None})
    tools = [load.tool_id] if load.tool_id else []
    counts = [watch(lots, tools, since) for watch in hooks.correction_watchers]

    def tell() -> tuple[int | None, int | None]:
        told = [count() for count in counts]
        return (sum(gained for gained, _ in told), sum(lost for _, lost in told)) if told else (None, None)

    return tell


def _event(load: Load, right: Load | None, marks: Sequence[LoadMark], *, reason: str, by: str) -> NewEvent:
    return NewEvent(
        event_type=EventType.MATERIAL_CORRECTED,
        key=f"material-corrected:{load.pk}:{marks[0].pk}",
        entity_type="STATION" if load.station else "LINE",
        entity_id=load.station.code if load.station else load.line.code if load.line else "",
        occurred_at=timezone.now(),
        payload={
            "loadId": load.pk,
            "newLoadId": right.pk if right else None,
            "lotId": load.lot_id,
            "newLotId": right.lot_id if right else None,
            "verify": right.verify if right else None,
            "reason": reason,
            "by": by,
        },
    )
