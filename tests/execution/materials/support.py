"""Loads, lists and passes as rows, and what they mean told slowly: every pass beside every load."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from execution.materials.models import InstalledSerial, MaterialUse
from execution.models import Track
from mes.line_setup.loads.models import Load, LoadMark
from mes.line_setup.lots.models import MaterialLot
from mes.line_setup.set_up_lists.models import RunSetUpList, SetUpItem, SetUpList
from mes.plant.models import Operation

NOW = timezone.now().replace(microsecond=0)
TOLERANCE, WINDOW = timedelta(seconds=10), timedelta(seconds=120)
EVER, NEVER = NOW - timedelta(days=9999), NOW + timedelta(days=9999)
numbers = count(1)

Row = tuple[int, str, str, str]  # unit, slot, thing, certainty


def at(minutes: float) -> datetime:
    """Return a time so many minutes after the day before yesterday."""
    return NOW - timedelta(days=2) + timedelta(minutes=minutes)


def make_lot(lot_id: str = "", **fields: Any) -> MaterialLot:
    return MaterialLot.objects.create(lot_id=lot_id or f"LOT-{next(numbers)}", **fields)


def make_load(since: datetime, until: datetime | None = None, *, slot: str = "1", **fields: Any) -> Load:
    """Make a load with the mark that it began with."""
    place = {name: fields[name] for name in ("station", "line", "lot", "tool", "program", "feeder") if name in fields}
    mark = LoadMark.objects.create(kind="LOAD", at=since, source="SCAN", slot=slot, **place)
    return Load.objects.create(slot=slot, loaded_at=since, ended_at=until, opened_by=mark, **fields)


def make_track(
    unit: Any, station: Any, since: datetime, until: datetime | None, step_no: int = 20, **fields: Any
) -> Track:
    return Track.objects.create(
        **{
            "unit": unit,
            "run": unit.run,
            "station": station,
            "step_no": step_no,
            "operation_code": "REFLOW",
            "source": "AUTO",
            "in_at": since,
            "out_at": until,
            "result": "" if until is None else "PASS",
            **fields,
        }
    )


def bind_list(run: Any, slots: dict[Any, list[str]], when: datetime, material: Any) -> SetUpList:
    """Bind a released list to a run that wants a material in the slots of stations."""
    made = SetUpList.objects.create(
        route=run.route_version.routing,
        line=run.line,
        revision=next(numbers),
    )
    for station, names in slots.items():
        for name in names:
            SetUpItem.objects.create(set_up_list=made, station=station, slot=name, material=material, ref_des=["R1"])
    SetUpList.objects.filter(pk=made.pk).update(status="RELEASED", released_at=when)
    RunSetUpList.objects.create(run=run, set_up_list=made, bound_at=when)
    return made


def use(track: Track, lot: Any, **fields: Any) -> MaterialUse:
    return MaterialUse.objects.create(
        **{
            "received_at": timezone.now(),
            "unit": track.unit,
            "run": track.run,
            "track_id": track.pk,
            "station": track.station,
            "lot": lot,
            "material": lot.material,
            "used_at": track.in_at,
            **fields,
        }
    )


# --- told slowly -------------------------------------------------------------------------------------------------


def tell_all() -> set[Row]:
    """Return what is in every unit, those in inner units too: (unit, slot, thing, certainty)."""
    own = set(_derived()) | set(_reported())
    parents = [
        (row.child_id, row.unit_id) for row in InstalledSerial.objects.filter(removed_at=None, child__isnull=False)
    ]
    found = set(own)
    while more := {(outer, *row[1:]) for row in found for child, outer in parents if row[0] == child} - found:
        found |= more
    return found


def _derived() -> Iterator[Row]:
    loads = list(Load.objects.select_related("lot"))
    for track in Track.objects.select_related("run"):
        since, until = window_of(track)
        there = [load for load in loads if _counts(load, track, since, until)]
        for load in there:
            things = {thing_of(other) for other in there if _place(other) == _place(load)}
            if not any(_replaces(use, load) for use in MaterialUse.objects.filter(track_id=track.pk, is_removed=False)):
                yield track.unit_id, load.slot, thing_of(load), "SINGLE" if len(things) == 1 else "POSSIBLE"


def window_of(track: Track) -> tuple[datetime, datetime]:
    """Return when loads count for a pass."""
    since = track.in_at
    if track.is_entry_inferred or track.is_time_doubtful:
        since = (track.out_at or track.in_at) - WINDOW
    return since - TOLERANCE, max(track.out_at or timezone.now(), since) + TOLERANCE


def _counts(load: Load, track: Track, since: datetime, until: datetime) -> bool:
    if load.ended_at == load.loaded_at or not (load.loaded_at <= until and (load.ended_at or NEVER) > since):
        return False
    if load.line_id is not None:
        kind = Operation.objects.get(code=track.operation_code).kind
        return load.line_id == track.run.line_id and kind == "PRINT" and load.slot in ("STENCIL", "SOLDER_PASTE")
    return load.station_id == track.station_id and _is_listed(load, track, since, until)


def _is_listed(load: Load, track: Track, since: datetime, until: datetime) -> bool:
    bound = list(RunSetUpList.objects.filter(run=track.run).order_by("bound_at", "id"))
    if not bound:
        return True
    for number, each in enumerate(bound):
        begins = EVER if number == 0 else each.bound_at
        ends = bound[number + 1].bound_at if number + 1 < len(bound) else NEVER
        if begins < ends and begins <= until and ends > since:
            items = SetUpItem.objects.filter(set_up_list=each.set_up_list_id, station=load.station_id, slot=load.slot)
            if items.exists():
                return True
    return False


def _place(load: Load) -> tuple[Any, ...]:
    return load.station_id, load.line_id, load.slot


def thing_of(row: Any) -> str:
    """Return what a load or a report names."""
    return f"lot {row.lot_id}" if row.lot_id else f"tool {row.tool_id}" if row.tool_id else f"program {row.program}"


def _replaces(use: MaterialUse, load: Load) -> bool:
    if use.slot:
        return use.slot == load.slot
    return load.lot is not None and use.material_id is not None and load.lot.material_id == use.material_id


def _reported() -> Iterator[Row]:
    for each in MaterialUse.objects.filter(is_removed=False):
        gone = MaterialUse.objects.filter(
            unit=each.unit_id, is_removed=True, used_at__gte=each.used_at, lot=each.lot_id, tool=each.tool_id
        )
        if not gone.filter(slot__in=["", each.slot], ref_des__in=["", each.ref_des]).exists():
            yield each.unit_id, each.slot, thing_of(each), "REPORTED"
    for part in InstalledSerial.objects.filter(removed_at=None):
        yield part.unit_id, "", f"serial {part.serial}", "REPORTED"
