"""Whether what is in the slots is what a list wants, and fit for use: looked at now, or kept for runs that are on.

It is kept of each station that the list of a run names, from the moment when the run is authorized until it ends. Rows
are locked before what decides is read, and after lots and tools: whoever changes a load, a lot or a tool looks again.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from mes.labels import SetUpFault
from mes.line_setup import limits
from mes.line_setup.loads import book
from mes.line_setup.loads.hooks import Change
from mes.line_setup.loads.locks import lock_owners, owner_of
from mes.line_setup.loads.models import PASTE_SLOT, STENCIL_SLOT, Load, LoadState, SlotLock, Verify
from mes.line_setup.lots.clocks import read_clocks
from mes.line_setup.lots.floor_life import Clock
from mes.line_setup.lots.models import MaterialLot
from mes.line_setup.lots.queries import rest_of
from mes.line_setup.lots.rules import find_faults as find_lot_faults
from mes.line_setup.models import Tool
from mes.line_setup.set_up_lists import queries
from mes.line_setup.set_up_lists.models import RunStationSetUp, SetUpItem, SetUpItemKind
from mes.line_setup.set_up_lists.rules import Place
from mes.line_setup.tools.rules import find_faults as find_tool_faults
from mes.plant.models import Station
from mes.production.models import Run

OF_LINES = (STENCIL_SLOT, PASTE_SLOT)
OK = "OK"
CHANGES = ("KEEP", "CHANGE", "LOAD")
LOADED = ("lot__material", "tool", "station", "line")


class Expiry(NamedTuple):
    """What will be wrong from a time on, though nobody does anything."""

    code: str
    at: datetime


@dataclass(frozen=True)
class SlotSetUp:
    """A slot of a list: what it wants, and what is there, that in use first."""

    item: SetUpItem
    place: Place
    loads: Sequence[Load]
    faults: Sequence[str]
    expiries: Sequence[Expiry]

    @property
    def state(self) -> str:
        """OK, or the weightiest fault."""
        return self.faults[0] if self.faults else OK

    @property
    def remaining(self) -> Decimal | None:
        """How much is in the lots that are there, by their latest counts; None without one, or where nobody said."""
        rests = [rest_of(load.lot) for load in self.loads if load.lot is not None]
        known = [rest for rest in rests if rest is not None]
        return sum(known, Decimal()) if known and len(known) == len(rests) else None

    @property
    def change(self) -> str:
        """What is to be done: KEEP, CHANGE or LOAD."""
        keep, change, load = CHANGES
        if not self.loads:
            return load
        return change if self.faults else keep


@dataclass(frozen=True)
class StationSetUp:
    """What a list wants at a station, slot by slot, and what is there that it does not name."""

    station: Station
    slots: Sequence[SlotSetUp]
    remove: Sequence[Load]

    @property
    def faults(self) -> list[dict[str, str]]:
        """What is wrong: `{slot, code}`."""
        return [{"slot": slot.item.slot, "code": str(code)} for slot in self.slots for code in slot.faults]

    @property
    def expiries(self) -> list[dict[str, str]]:
        """What will be wrong, the first first: `{slot, code, at}`."""
        found = [(expiry.at, slot.item.slot, expiry.code) for slot in self.slots for expiry in slot.expiries]
        return [{"slot": slot, "code": str(code), "at": at.isoformat()} for at, slot, code in sorted(found)]

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def good_until(self) -> datetime | None:
        """When it ceases to be good by time alone; None: never."""
        return min((expiry.at for slot in self.slots for expiry in slot.expiries), default=None)


@dataclass(frozen=True)
class RunSetUp:
    """How a run is set up: without a list, nobody knows."""

    run: Run
    revision: int | None
    stations: Sequence[StationSetUp]

    @property
    def is_good(self) -> bool:
        """Whether there is a list, and nothing is wrong."""
        return self.revision is not None and all(station.is_good for station in self.stations)

    @property
    def good_until(self) -> datetime | None:
        """When it ceases to be good by time alone; None: never."""
        return min((station.good_until for station in self.stations if station.good_until), default=None)


# --- looking ------------------------------------------------------------------------------------------------


def look(
    lists: Collection[int], *, stations: Collection[int] | None = None, at: datetime, is_locking: bool = False
) -> Mapping[tuple[int, int], StationSetUp]:
    """Return what is at the stations of lists, by list and station, by default at all that a list names.

    With `is_locking` (inside a transaction, under the lock of the set-up) lots and tools stay as they are. A fixed
    number of statements, however many slots.
    """
    items = SetUpItem.objects.filter(set_up_list__in=lists).select_related("station", "material")
    if stations is not None:
        items = items.filter(station__in=stations)
    by_place: dict[tuple[int, int], list[SetUpItem]] = defaultdict(list)
    for item in items.prefetch_related("alternates", "tools").order_by("station__code", "slot"):
        by_place[item.set_up_list_id, item.station_id].append(item)
    named = {item.station for of_place in by_place.values() for item in of_place}
    loads = _list_loads(named)
    if is_locking:
        _lock_things(loads)
        loads = _list_loads(named)
    locked = set(SlotLock.objects.filter(station__in=named).exclude(locked_at=None).values_list("station_id", "slot"))
    judged = _judge(loads, at)
    return {
        (list_id, station_id): _look_at(of_place[0].station, of_place, loads, locked, judged)
        for (list_id, station_id), of_place in by_place.items()
    }


def look_at_run(run: Run, *, at: datetime, is_locking: bool = False) -> RunSetUp:
    """Return how a run is set up, by the stations of its list. With `is_locking` as `look` does."""
    binding = queries.binding_of(run)
    if binding is None:
        return RunSetUp(run, None, ())
    found = look([binding.set_up_list_id], at=at, is_locking=is_locking)
    return RunSetUp(run, binding.set_up_list.revision, list(found.values()))


def _list_loads(stations: Iterable[Station]) -> list[Load]:
    """What is in the slots of stations, and in those of their lines."""
    stations = list(stations)
    lines = {station.line_id for station in stations} - {None}
    there = Q(station__in=stations) | Q(line__in=lines, slot__in=OF_LINES)
    loads = Load.objects.filter(there, ended_at=None).select_related(*LOADED)
    return sorted(loads, key=lambda load: (load.slot, load.state != LoadState.ACTIVE, load.loaded_at, load.pk))


def _lock_things(loads: Iterable[Load]) -> None:
    loads = list(loads)
    lots = MaterialLot.objects.filter(pk__in=[load.lot_id for load in loads if load.lot_id])
    list(lots.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    tools = Tool.objects.filter(pk__in=[load.tool_id for load in loads if load.tool_id])
    list(tools.select_for_update(no_key=True).order_by("pk").values_list("pk"))


def _is_at(load: Load, station: Station) -> bool:
    if load.station_id is not None:
        return load.station_id == station.pk
    return load.line_id == station.line_id


def _look_at(
    station: Station,
    items: Sequence[SetUpItem],
    loads: Sequence[Load],
    locked: Collection[tuple[int, str]],
    judged: Mapping[int, "Judged"],
) -> StationSetUp:
    here = [load for load in loads if _is_at(load, station)]
    named = {item.slot for item in items}
    slots = [
        _look_into(item, [load for load in here if load.slot == item.slot], (station.pk, item.slot) in locked, judged)
        for item in items
    ]
    # What a line has serves every station of it: it is no surplus of this one.
    remove = [load for load in here if load.slot not in named and load.station_id is not None]
    return StationSetUp(station, slots, remove)


def _look_into(item: SetUpItem, loads: Sequence[Load], is_locked: bool, judged: Mapping[int, "Judged"]) -> SlotSetUp:
    place = queries.place_of(item)
    faults: list[str] = [] if loads else [SetUpFault.SLOT_EMPTY]
    for load in loads:
        fits = place.compare(
            material=load.lot.material_id if load.lot else None, tool=load.tool_id, program=load.program
        )
        if fits == Verify.WRONG_PART:
            faults.append(SetUpFault.WRONG_PROGRAM if item.kind == SetUpItemKind.PROGRAM else SetUpFault.WRONG_PART)
    for load in loads:
        # Once another is spliced behind, the one before may run out.
        is_followed = load.state == LoadState.ACTIVE and len(loads) > 1
        faults += [code for code in judged[load.pk].faults if not (is_followed and code == SetUpFault.LOT_USED_UP)]
    if is_locked:
        faults.append(SetUpFault.SLOT_LOCKED)
    expiries = [expiry for load in loads for expiry in judged[load.pk].expiries]
    return SlotSetUp(item, place, loads, list(dict.fromkeys(faults)), expiries)


# --- what is wrong with what is there -----------------------------------------------------------------------


class Judged(NamedTuple):
    """What is wrong with what is loaded, and what will be."""

    faults: Sequence[str]
    expiries: Sequence[Expiry]


def _judge(loads: Sequence[Load], at: datetime) -> dict[int, Judged]:
    """Return what is wrong with what is loaded, by load. What was told a little ahead of the clock counts: nobody looks
    again when its time comes.
    """
    clocks = read_clocks([load.lot for load in loads if load.lot], at, ahead=settings.MES_CLOCK_SKEW)
    judged = {}
    for load in loads:
        if load.lot is not None:
            judged[load.pk] = _judge_lot(load.lot, clocks[load.lot.pk], at)
        else:
            judged[load.pk] = Judged((), ()) if load.tool is None else _judge_tool(load.tool, at)
    return judged


def _judge_lot(lot: MaterialLot, clock: Clock, at: datetime) -> Judged:
    ends = ((SetUpFault.LOT_EXPIRED, lot.expires_at), (SetUpFault.MSD_EXPIRED, clock.good_until))
    expiries = [Expiry(code, end) for code, end in ends if end is not None and end > at]
    return Judged(find_lot_faults(lot, at, clock), expiries)


def _judge_tool(tool: Tool, at: datetime) -> Judged:
    end = limits.cleaning_due_at(tool)
    expiries = [] if end is None or end <= at else [Expiry(SetUpFault.TOOL_WORN, end)]
    return Judged(find_tool_faults(tool, at), expiries)


# --- kept ---------------------------------------------------------------------------------------------------


def keep(run: Run) -> None:
    """Keep from now on what is so at the stations that a locked run's list names (under the lock of their set-up)."""
    at = timezone.now()
    binding = queries.binding_of(run)
    found = {} if binding is None else look([binding.set_up_list_id], at=at, is_locking=True)
    RunStationSetUp.objects.filter(run=run).delete()
    RunStationSetUp.objects.bulk_create(
        RunStationSetUp(
            run=run,
            station=of_station.station,
            set_up_list_id=list_id,
            faults=of_station.faults,
            expiries=of_station.expiries,
            good_until=of_station.good_until,
            looked_at=at,
        )
        for (list_id, _station_id), of_station in found.items()
    )


def refresh(*, stations: Collection[int] = (), lines: Collection[int] = ()) -> None:
    """Look again at these stations, and those of lines, for the runs of which it is kept (inside the transaction that
    changed a load, a lot or a tool there). A fixed number of statements.
    """
    kept = RunStationSetUp.objects.filter(Q(station__in=stations) | Q(station__line__in=lines))
    rows = list(kept.select_for_update(no_key=True, of=("self",)).order_by("pk"))
    if not rows:
        return
    at = timezone.now()
    found = look({row.set_up_list_id for row in rows}, stations={row.station_id for row in rows}, at=at)
    for row in rows:
        of_station = found[row.set_up_list_id, row.station_id]
        row.faults, row.expiries, row.looked_at = of_station.faults, of_station.expiries, at
        row.good_until = of_station.good_until
    RunStationSetUp.objects.bulk_update(rows, ["faults", "expiries", "good_until", "looked_at"])


def refresh_of_change(change: Change) -> None:
    """Look again at the stations whose loads changed, and at those of lines."""
    refresh(stations=change.stations, lines=change.lines)


def refresh_of_lots(lot_ids: Collection[int]) -> None:
    """Look again at where these lots are."""
    _refresh_of(Load.objects.filter(lot__in=lot_ids, ended_at=None))


def refresh_of_tools(tool_ids: Collection[int]) -> None:
    """Look again at where these tools are."""
    _refresh_of(Load.objects.filter(tool__in=tool_ids, ended_at=None))


def refresh_of_materials(material_ids: Collection[int]) -> None:
    """Look again at where lots of these materials are, as their floor life, and whether they may be in several places,
    is that of their material. No lot is locked: what is kept meanwhile waits for the lock of the set-up.
    """
    loads = Load.objects.filter(lot__material__in=material_ids, ended_at=None)
    places = loads.values_list("station_id", "line_id", "station__line_id")
    lock_owners(owner_of(line_id=line or of_station, station_id=station) for station, line, of_station in places)
    book.note_shared(material_ids)
    _refresh_of(loads)


def _refresh_of(loads: QuerySet[Load]) -> None:
    places = list(loads.values_list("station_id", "line_id"))
    stations = {station_id for station_id, _line_id in places if station_id is not None}
    lines = {line_id for _station_id, line_id in places if line_id is not None}
    if places:
        refresh(stations=stations, lines=lines)


def find_faults(run: Run, station_id: int, *, at: datetime) -> list[dict[str, str]]:
    """Return what is wrong with a station for a run of which nothing is kept, looked at now: `{slot, code}`."""
    binding = queries.binding_of(run)
    if binding is None:
        return []
    found = look([binding.set_up_list_id], stations=[station_id], at=at)
    return [fault for of_station in found.values() for fault in of_station.faults]


def forget(run: Run) -> None:
    """Keep nothing of a run that ended."""
    RunStationSetUp.objects.filter(run=run).delete()
