"""Loading and unloading slots: what people scan is checked, and what was scanned is kept, done or refused.

A refusal leaves nothing but its scan and, of a wrong part, the count that locks the slot.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from mes import errors
from mes.line_setup import usages
from mes.line_setup.loads import book, hooks, locks
from mes.line_setup.loads.book import Shelf, Shelves, Touch
from mes.line_setup.loads.faults import check_thing
from mes.line_setup.loads.models import Load, LoadMark, LoadScan, MarkKind, MarkSource, SlotLock, Verify
from mes.line_setup.loads.queries import SHOWN, there
from mes.line_setup.loads.rules import OPENING, Place, Slot, Thing
from mes.line_setup.lots.labels import read_label
from mes.line_setup.lots.models import LotEventKind, MaterialLot
from mes.line_setup.lots.services import Who, find_or_make
from mes.line_setup.lots.services import record as record_event
from mes.line_setup.set_up_lists.queries import find_slot, find_slots
from mes.line_setup.tools.models import Tool
from mes.plant.models import Line, Station
from mes.plant.scans import ScanKind, check_kind
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.platform.inbound.times import check_bounds
from mes.platform.outbox.emit import NewEvent, emit
from mes.platform.outbox.models import EventType
from mes.production import locking
from mes.production.models import Run

T = TypeVar("T")

LOAD, REPLACE, SPLICE = ACTIONS = ("LOAD", "REPLACE", "SPLICE")
UNLOAD = "UNLOAD"
MOST_WRONG_PARTS = 3  # in a row: then the slot is locked
_LONGEST_TEXT = LoadScan._meta.get_field("text").max_length


@dataclass(frozen=True)
class Scanned:
    """What somebody asks for at a slot: one of a lot, a tool, a program and a label. `by` is who is signed in."""

    station_code: str
    by: str
    slot: str = ""
    lot_id: str = ""
    tool_id: str = ""
    program: str = ""
    label: str = ""
    action: str = LOAD
    run_no: str | None = None
    feeder_id: str = ""
    at: datetime | None = None
    move: bool = False
    quantity: Decimal | None = None

    @property
    def text(self) -> str:
        """What was scanned."""
        return self.lot_id or self.tool_id or self.program or self.label


@dataclass(frozen=True)
class Loaded:
    """A load after a scan, and whether the scan changed anything."""

    load: Load
    changed: bool


def load(scanned: Scanned) -> Loaded:
    """Load a lot, a tool or a program into a slot of a station. The same in its slot again changes nothing.

    The first failure decides: StationNotFound, EventTimeInFuture, EventTooOld, LotNotFound, ToolNotFound,
    ScanTypeMismatch, what a label raises (`lots.services.find_or_make`), what `faults.check_thing` raises, SlotLocked,
    RunNotFound, RunClosed, StationLineMismatch, SetUpRunAmbiguous, SlotUnknown, WrongPart (its detail `locked` says
    whether the slot is locked by it), LoadedElsewhere without `move`, SlotOccupied, SlotEmpty. Its scan is kept.
    """
    return _keeping_scan(scanned, lambda: _load(scanned))


def unload(scanned: Scanned) -> list[Load]:
    """Take out of a station what is in a slot, or a lot from wherever in the station it is; return the loads that
    ended. `quantity` is what was counted in it.

    Raises StationNotFound, EventTimeInFuture, EventTooOld, LotNotFound, ScanTypeMismatch, SlotEmpty, ValidationFailed.
    Its scan is kept.
    """
    return _keeping_scan(scanned, lambda: _unload(scanned))


@locking.atomically
def unlock(station_code: str, slot: str, *, reason: str, by: str) -> SlotLock:
    """Let a slot be loaded again that wrong parts locked; one that is not locked any more stays as it is.

    Raises StationNotFound, NotFound for a slot at which nothing wrong was scanned.
    """
    give_reason(reason)
    station = find_station(station_code)
    locks.lock_owners([_owner(station)])
    kept = SlotLock.objects.select_for_update(no_key=True).filter(station=station)
    lock = get_or_raise(kept, errors.NotFound, slot=slot)
    if lock.locked_at is None:
        return lock
    lock.wrong_parts, lock.locked_at = 0, None
    lock.unlocked_at, lock.unlocked_by, lock.unlock_reason = timezone.now(), by, reason
    lock.save()
    hooks.tell(hooks.Change(lock.unlocked_at, stations=[station.pk]))
    return lock


# --- scans that load ----------------------------------------------------------------------------------------


@locking.atomically
def _load(scanned: Scanned) -> Loaded:
    asked_at = timezone.now()
    station = find_station(scanned.station_code)
    check_bounds(scanned.at or asked_at, now=asked_at)
    item = None if scanned.label else _find_item(scanned)
    feeder = _find_tool(scanned.feeder_id) if scanned.feeder_id else None
    slot, since = Slot(Place("station", station.pk), scanned.slot), scanned.at or asked_at
    if item is None:
        item, shelves = _lock_labelled(scanned.label, station, slot, since)
    else:
        item, shelves = lock_and_read([Touch(slot, as_thing(item), since)], [station], item)
    thing = as_thing(item)
    at = scanned.at or timezone.now()
    check_thing(item, at)
    slot_lock = _check_lock(station, scanned.slot)
    run, verify = _compare(scanned, station, item)
    mark = LoadMark(
        station=station,
        slot=scanned.slot,
        kind=MarkKind.SPLICE if scanned.action == SPLICE else MarkKind.LOAD,
        at=at,
        feeder=feeder,
        run=run,
        verify=verify,
        source=MarkSource.SCAN,
        operator=scanned.by,
        recorded_by=scanned.by,
        **columns_of(item),
    )
    present = _find_present(shelves[slot], thing, scanned.action, at)
    if present is None:
        _check_place(scanned, station, shelves, slot, item, at)
    else:  # it changes nothing, but counts where it turns out that the thing had been away
        mark.kind = MarkKind.LOAD if present == shelves[slot].list_there(at)[0].pk else MarkKind.SPLICE
    record(shelves, [mark])
    if slot_lock is not None and slot_lock.wrong_parts:
        SlotLock.objects.filter(pk=slot_lock.pk).update(wrong_parts=0)
    rows = Load.objects.select_related(*SHOWN).filter(there(at), station=station, slot=scanned.slot, **columns_of(item))
    loaded = rows.first()
    if loaded is None:  # something else was loaded at the same instant
        raise errors.SlotOccupied(slot=scanned.slot, station=station.code, loaded=code_of(item))
    _keep_scan(scanned, station, load=loaded)
    return Loaded(loaded, changed=present is None)


def _lock_labelled(text: str, station: Station, slot: Slot, since: datetime) -> tuple[MaterialLot, Shelves]:
    """Return the lot of a label, made where it is not known, and the slots, all locked.

    Raises LabelUnreadable, MaterialNotFound, LotMaterialMismatch, ScanTypeMismatch.
    """
    known = MaterialLot.objects.filter(lot_id=read_label(text).lot_id).first()
    thing = None if known is None else as_thing(known)
    _lot, shelves = lock_and_read([Touch(slot, thing, since)], [station], known)
    lot = find_or_make(text)
    if known is None and Load.objects.filter(lot=lot).exists():
        raise locking.Outdated  # somebody made and loaded it meanwhile
    return lot, shelves


def _find_present(shelf: Shelf, thing: Thing, action: str, at: datetime) -> int | None:
    """Return the load that a scan tells of again: what is there, unless it is to replace what it is spliced behind."""
    rows = shelf.list_there(at)
    found = next((row for row in rows if row.load.thing == thing), None)
    if found is None or (action == REPLACE and found is not rows[0]):
        return None
    return found.pk


def _check_place(
    scanned: Scanned, station: Station, shelves: Shelves, slot: Slot, item: MaterialLot | Tool | str, at: datetime
) -> None:
    """Raise what keeps a thing from a slot: that it is elsewhere, or that something else is there."""
    thing = as_thing(item)
    if not scanned.move:
        for other, shelf in shelves.items():
            if other != slot and any(row.load.thing == thing and not row.is_shared for row in shelf.list_there(at)):
                raise errors.LoadedElsewhere(code=code_of(item), slot=other.name, place=_name_of(other.place))
    others = [row for row in shelves[slot].list_there(at) if row.load.thing != thing]
    if others and scanned.action == LOAD:
        raise errors.SlotOccupied(slot=slot.name, station=station.code, loaded=_code_of(others[0].load.thing))
    if not others and scanned.action == SPLICE:
        raise errors.SlotEmpty(slot=slot.name, station=station.code)


def _compare(scanned: Scanned, station: Station, item: MaterialLot | Tool | str) -> tuple[Run | None, Verify]:
    """Return how something compares with the list that counts, and whose that is.

    Raises RunNotFound, RunClosed, StationLineMismatch, SetUpRunAmbiguous, SlotUnknown, WrongPart.
    """
    expected = find_slot(station, scanned.slot, scanned.run_no)
    if expected is None:
        return None, Verify.NO_LIST
    verify = expected.compare(**_compared(item))
    if verify == Verify.WRONG_PART:
        wanted = expected.place.names
        raise errors.WrongPart(loaded=code_of(item), slot=scanned.slot, station=station.code, expected=wanted)
    return expected.run, verify


def _compared(item: MaterialLot | Tool | str) -> dict[str, Any]:
    if isinstance(item, MaterialLot):
        return {"material": item.material_id}
    return {"tool": item.pk} if isinstance(item, Tool) else {"program": item}


def _check_lock(station: Station, slot: str) -> SlotLock | None:
    """Return the lock of a slot, if there ever was one. Raises SlotLocked."""
    lock = SlotLock.objects.filter(station=station, slot=slot).first()
    if lock is not None and lock.locked_at is not None:
        raise errors.SlotLocked(slot=slot, station=station.code, wrong=lock.wrong_parts)
    return lock


# --- scans that unload --------------------------------------------------------------------------------------


@locking.atomically
def _unload(scanned: Scanned) -> list[Load]:
    asked_at = timezone.now()
    station = find_station(scanned.station_code)
    check_bounds(scanned.at or asked_at, now=asked_at)
    item = find_lot(scanned.lot_id) if scanned.lot_id else None
    thing = None if item is None else as_thing(item)
    wherever = Slot(Place("station", station.pk), scanned.slot)
    item, shelves = lock_and_read([Touch(wherever, thing, scanned.at or asked_at)], [station], item)
    at = scanned.at or timezone.now()
    found = [
        (slot, row)
        for slot, shelf in shelves.items()
        for row in shelf.list_there(at)
        if slot.place == wherever.place
        and scanned.slot in ("", slot.name)
        and (thing is None or row.load.thing == thing)
    ]
    if not found:
        raise errors.SlotEmpty(slot=scanned.slot, station=station.code)
    if scanned.quantity is not None:
        lot = _lot_of([row.load.thing for _slot, row in found])
        record_event(lot, LotEventKind.COUNTED, who=Who(scanned.by, scanned.by), at=at, quantity=scanned.quantity)
    marks = [
        LoadMark(
            station=station,
            slot=slot.name,
            kind=MarkKind.UNLOAD,
            at=at,
            quantity=scanned.quantity,
            source=MarkSource.SCAN,
            operator=scanned.by,
            recorded_by=scanned.by,
            **({} if item is None else columns_of(item)),
        )
        for slot in dict.fromkeys(slot for slot, _row in found)
    ]
    record(shelves, marks)
    ids = [row.pk for _slot, row in found]
    loads = list(Load.objects.select_related(*SHOWN).filter(pk__in=ids).order_by("slot", "loaded_at", "id"))
    _keep_scan(scanned, station, load=loads[0] if loads else None)
    return loads


def _lot_of(things: Sequence[Thing]) -> MaterialLot:
    """Return the one lot that was counted, locked. Raises ValidationFailed for several or none."""
    lots = [thing for thing in things if thing.kind == "lot"]
    if len(lots) != 1:
        raise errors.ValidationFailed({"lotId": _("Name the lot that was counted.")})
    return LOTS.get(pk=lots[0].key)


# --- scans are kept -----------------------------------------------------------------------------------------


def _keeping_scan(scanned: Scanned, act: Callable[[], T]) -> T:
    """Do what was scanned; of a refusal, keep its scan in a transaction of its own."""
    try:
        return act()
    except errors.DomainError as refusal:
        station = Station.objects.filter(code=scanned.station_code).first()
        if station is None:
            raise
        raise _keep_refusal(scanned, station, refusal) from None


@locking.atomically
def _keep_refusal(scanned: Scanned, station: Station, refusal: errors.DomainError) -> errors.DomainError:
    """Keep the scan of a refusal, and count a wrong part; return the refusal, which then says whether that locked it.

    A wrong part is counted under the lock of the set-up, as a slot is loaded: what is kept of runs is looked at after.
    """
    if isinstance(refusal, errors.WrongPart):
        locks.lock_owners([_owner(station)])
        refusal = refusal.with_details(locked=_count_wrong_part(station, scanned.slot))
    _keep_scan(scanned, station, refusal=refusal)
    return refusal


def _keep_scan(
    scanned: Scanned, station: Station, *, load: Load | None = None, refusal: errors.DomainError | None = None
) -> None:
    LoadScan.objects.create(
        station=station,
        slot=scanned.slot,
        text=scanned.text[:_LONGEST_TEXT],
        action=scanned.action,
        outcome=refusal.code if refusal else "",
        details=refusal.details if refusal else {},
        load=load,
        operator=scanned.by,
        recorded_by=scanned.by,
    )


COUNT_WRONG_PART = f"""
    INSERT INTO mes_slotlock AS l (station_id, slot, wrong_parts, unlocked_by, unlock_reason)
    VALUES (%(station)s, %(slot)s, 1, '', '')
    ON CONFLICT (station_id, slot) DO UPDATE
       SET wrong_parts = least(l.wrong_parts + 1, 32767),
           locked_at = CASE WHEN l.wrong_parts + 1 >= {MOST_WRONG_PARTS} THEN coalesce(l.locked_at, now()) END
    RETURNING locked_at IS NOT NULL
"""


def _count_wrong_part(station: Station, slot: str) -> bool:
    """Count a wrong part at a slot; return whether it is locked now. Those of two scans at once both count."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_WRONG_PART, {"station": station.pk, "slot": slot})
        is_locked = bool(cursor.fetchone()[0])
    if is_locked:
        hooks.tell(hooks.Change(timezone.now(), stations=[station.pk]))
    return is_locked


# --- what all ways in share ---------------------------------------------------------------------------------


def find_station(code: str) -> Station:
    """Return a station with its line. Raises StationNotFound."""
    return get_or_raise(Station.objects.select_related("line"), errors.StationNotFound, code=code)


def lock_and_read(touches: Sequence[Touch], places: Iterable[Station | Line], item: Any) -> tuple[Any, Shelves]:
    """Lock the set-up of these places and of those where a thing is, then what is loaded and the thing; return it as it
    is now, with the slots. Raises Outdated where a thing went to yet another line meanwhile.
    """
    is_lot, is_tool = isinstance(item, MaterialLot), isinstance(item, Tool)
    lots, tools, shelves = lock_all(
        touches, places, lots=[item.pk] if is_lot else [], tools=[item.pk] if is_tool else []
    )
    return lots[item.pk] if is_lot else tools[item.pk] if is_tool else item, shelves


def lock_all(
    touches: Sequence[Touch], places: Iterable[Station | Line], *, lots: Collection[int], tools: Collection[int]
) -> tuple[dict[int, MaterialLot], dict[int, Tool], Shelves]:
    """Lock as `lock_and_read`, of any number of things; return the lots and tools by their ids, and the slots."""
    found = book.read(touches)
    owners = {_owner(place) for place in places} | {_owner_of(shelf) for shelf in found.values()}
    locks.lock_owners(owners)
    wanted, wanted_tools = _ids_in(found, "lot") | set(lots), _ids_in(found, "tool") | set(tools)
    locked = {lot.pk: lot for lot in LOTS.filter(pk__in=wanted)} if wanted else {}
    locked_tools = {tool.pk: tool for tool in TOOLS.filter(pk__in=wanted_tools)} if wanted_tools else {}
    shelves = book.read(touches)  # after all locks: what it waited for is seen
    is_all_locked = locked.keys() >= _ids_in(shelves, "lot") and locked_tools.keys() >= _ids_in(shelves, "tool")
    if not (owners.issuperset(map(_owner_of, shelves.values())) and is_all_locked):
        raise locking.Outdated
    return locked, locked_tools, shelves


def _ids_in(shelves: Shelves, kind: str) -> set[int]:
    """Return the keys of the lots, or the tools, in slots."""
    rows = (row for shelf in shelves.values() for row in shelf.rows)
    return {int(row.load.thing.key) for row in rows if row.load.thing.kind == kind}


LOTS = MaterialLot.objects.select_for_update(no_key=True, of=("self",)).select_related("material").order_by("pk")
TOOLS = Tool.objects.select_for_update(no_key=True, of=("self",)).order_by("pk")


def compare_marks(station: Station, marks: Iterable[LoadMark]) -> None:
    """Say of what is loaded by marks how it compares with the list that counts, and whose that is; whatever it is."""
    opening = [mark for mark in marks if mark.kind in OPENING]
    expected = find_slots(station, {mark.slot for mark in opening}) if opening else {}
    for mark in opening:
        wanted = expected.get(mark.slot)
        material = mark.lot.material_id if mark.lot else None
        mark.run, mark.verify = None, Verify.NO_LIST
        if wanted is not None:
            mark.run = wanted.run
            mark.verify = wanted.compare(material=material, tool=mark.tool_id, program=mark.program)


def record(shelves: Shelves, marks: Sequence[LoadMark]) -> None:
    """Keep marks of slots that were read under the locks, and tell what changed, if anything."""
    kept, change = book.write(shelves, marks)
    if change is not None:
        tell_change(kept, change)


def tell_change(marks: Sequence[LoadMark], change: hooks.Change) -> None:
    """Tell what marks changed, after all was written."""
    _end_usages(change.lots)
    emit(_event(marks, change))
    hooks.tell(change)


def _end_usages(lot_ids: Iterable[int]) -> None:
    """Solder paste that leaves its place goes out of use."""
    for lot in MaterialLot.objects.filter(pk__in=lot_ids, is_solder_paste=True).order_by("pk"):
        usages.refresh(lot)


def _event(marks: Sequence[LoadMark], change: hooks.Change) -> NewEvent:
    latest = marks[-1]
    return NewEvent(
        event_type=EventType.LOAD_CHANGED,
        key=f"load-changed:{latest.pk}{':voided' if latest.voided_at else ''}",
        entity_type="STATION" if latest.station_id else "LINE",
        entity_id=latest.station.code if latest.station else latest.line.code if latest.line else "",
        occurred_at=latest.at,
        payload={
            "stationIds": list(change.stations),
            "lineIds": list(change.lines),
            "lotIds": list(change.lots),
            "toolIds": list(change.tools),
            "loadIds": list(change.loads),
        },
    )


def _owner(place: Station | Line) -> Place:
    if isinstance(place, Line):
        return locks.owner_of(line_id=place.pk, station_id=None)
    return locks.owner_of(line_id=place.line_id, station_id=place.pk)


def _owner_of(shelf: Shelf) -> Place:
    station_id = shelf.slot.place.pk if shelf.slot.place.of == "station" else None
    return locks.owner_of(line_id=shelf.line_id, station_id=station_id)


def _find_item(scanned: Scanned) -> MaterialLot | Tool | str:
    if scanned.lot_id:
        return find_lot(scanned.lot_id)
    return _find_tool(scanned.tool_id) if scanned.tool_id else scanned.program


def find_lot(lot_id: str) -> MaterialLot:
    """Return a lot. Raises LotNotFound, ScanTypeMismatch."""
    return _find(MaterialLot.objects, errors.LotNotFound, "lot_id", lot_id, ScanKind.LOT)


def _find_tool(tool_id: str) -> Tool:
    return _find(Tool.objects, errors.ToolNotFound, "tool_id", tool_id, ScanKind.TOOL)


def _find(rows: Any, missing: type[errors.NotFound], field: str, code: str, kind: ScanKind) -> Any:
    """Return what has a code; what is known as another kind of thing raises ScanTypeMismatch."""
    found = rows.filter(**{field: code}).first()
    if found is not None:
        return found
    check_kind(code, kind)
    raise missing(code=code)


def as_thing(item: MaterialLot | Tool | str) -> Thing:
    """Return what a load of this is of; a program is told by its name."""
    if isinstance(item, MaterialLot):
        return Thing("lot", item.pk)
    return Thing("tool", item.pk) if isinstance(item, Tool) else Thing("program", item)


def code_of(item: MaterialLot | Tool | str) -> str:
    """Return what it is called: a lot by its id, whatever its label says besides."""
    if isinstance(item, MaterialLot):
        return item.lot_id
    return item.tool_id if isinstance(item, Tool) else item


def columns_of(item: MaterialLot | Tool | str) -> dict[str, Any]:
    """Return the columns by which a load or a mark names it."""
    if isinstance(item, MaterialLot):
        return {"lot": item}
    return {"tool": item} if isinstance(item, Tool) else {"program": item}


def _name_of(place: Place) -> str:
    rows: Any = Station.objects if place.of == "station" else Line.objects
    return str(rows.values_list("code", flat=True).get(pk=place.pk))


def _code_of(thing: Thing) -> str:
    if thing.kind == "lot":
        return MaterialLot.objects.values_list("lot_id", flat=True).get(pk=thing.key)
    if thing.kind == "tool":
        return Tool.objects.values_list("tool_id", flat=True).get(pk=thing.key)
    return str(thing.key)
