"""Units entering and leaving stations: the one way, for operators and machines alike.

`track_in` and `track_out` own the transaction. `enter` and `leave` do the work inside one, on locked rows; every
other path that moves units calls these two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from execution import collecting, moves, rules, values
from execution.happenings import alarm_event, alarm_reason, track_event
from execution.holding import hold
from execution.models import CarrierTrackUnit, ResultOverride, Track, TrackResult, TrackSource
from mes import errors
from mes.events.models import EventType
from mes.events.outbox import emit
from mes.plant.models import Equipment, Station
from mes.production import runs, transitions
from mes.production.models import Run, Unit, UnitStatus
from mes.routing.snapshots import RouteSnapshot, StepSnapshot


@dataclass(frozen=True)
class Defect:
    """What a person saw wrong at a failing track-out."""

    code: str = ""
    location: str = ""
    remark: str = ""


NO_DEFECT = Defect()


@dataclass(frozen=True)
class Departure:
    """A closed track and where it led."""

    track: Track
    unit: Unit
    next_step_no: int | None


def get_station(code: str) -> Station:
    """Return a station with its line and group. Raises StationNotFound."""
    station = Station.objects.select_related("line", "group").filter(code=code).first()
    if station is None:
        raise errors.StationNotFound(code=code)
    return station


def get_run(run_no: str) -> Run:
    """Return a run with its order, line and route version. Raises RunNotFound."""
    run = Run.objects.select_related("work_order", "line", "route_version").filter(run_no=run_no).first()
    if run is None:
        raise errors.RunNotFound(code=run_no)
    return run


def lock_unit(sn: str) -> Unit | None:
    """Return the unit with its row locked, or None (inside a transaction; a run is locked before its units)."""
    return Unit.objects.select_for_update(no_key=True, of=("self",)).filter(sn=sn).first()


def get_open_track(unit: Unit) -> Track | None:
    """Return the track that the unit has not left yet."""
    return Track.objects.select_related("station", "run__route_version").filter(unit=unit, out_at=None).first()


# --- entering ----------------------------------------------------------------------------------------------


@transaction.atomic
def track_in(
    *,
    run_no: str,
    sn: str,
    station_code: str,
    operator: str = "",
    wo_no: str | None = None,
    at: datetime | None = None,
) -> tuple[Track, Unit, bool]:
    """Put a unit into a station by hand; return (track, unit, created). A repeated scan there changes nothing.

    Raises the first refusal of the entering guards (`execution.rules`), in their order.
    """
    station = get_station(station_code)
    run = get_run(run_no)
    rules.check_work_order(run, wo_no)
    run, unit = lock_for_entry(run, sn=sn, station=station)
    open_track = get_open_track(unit) if unit.status in (UnitStatus.IN_STATION, UnitStatus.ON_HOLD) else None
    if open_track and open_track.station_id == station.pk and open_track.run_id == run.pk:
        return open_track, unit, False
    track = enter(
        unit=unit,
        run=run,
        station=station,
        source=TrackSource.MANUAL,
        at=at or timezone.now(),
        operator=operator,
        open_track=open_track,
    )
    return track, unit, True


def lock_for_entry(run: Run, *, sn: str, station: Station) -> tuple[Run, Unit]:
    """Lock the run, then the unit, which is created when the run allows it. Raises UnitNotFound and what forbids it."""
    is_new = not run.units_registered and not Unit.objects.filter(sn=sn, run__isnull=False).exists()
    run = runs.lock_for_entry(run, exclusive=is_new)
    unit = lock_unit(sn)
    if unit is None or (unit.run_id is None and is_new):
        unit = create_on_the_fly(run, sn=sn, station=station, by_machine=False)
    return run, unit


def create_on_the_fly(run: Run, *, sn: str, station: Station, by_machine: bool) -> Unit:
    """Create a unit at its first track-in at the first step, in a run without registered units, within the plan.

    The run is locked for it. Raises what the run's status forbids, UnitNotFound, RunQuantityExceeded, UnitRunMismatch.
    """
    rules.check_run_accepts(run, by_machine=by_machine)
    if run.units_registered or not rules.station_may_run(station, runs.snapshot_of(run).steps[0]):
        raise errors.UnitNotFound(code=sn)
    runs.check_quantity(run, more=1)
    runs.add_units(run, [sn])
    unit = lock_unit(sn)
    assert unit is not None  # just created
    return unit


def enter(
    *,
    unit: Unit,
    run: Run,
    station: Station,
    source: TrackSource,
    at: datetime,
    operator: str = "",
    open_track: Track | None = None,
    is_entry_inferred: bool = False,
) -> Track:
    """Open a track on a locked unit of a locked run. Raises the first refusal of the entering guards."""
    step = check_may_enter(
        unit=unit, run=run, station=station, by_machine=source != TrackSource.MANUAL, open_track=open_track
    )
    previous = Track.objects.filter(unit=unit).order_by("-id").first()
    doubtful = rules.check_time(
        at, now=timezone.now(), previous=previous.out_at if previous else None, skew=settings.MES_CLOCK_SKEW
    )
    attempts = Track.objects.filter(unit=unit, run=run, step_no=step.step_no).count()
    track = Track.objects.create(
        unit=unit,
        run=run,
        step_no=step.step_no,
        operation_code=step.operation_code,
        station=station,
        source=source,
        attempt=attempts + 1,
        rework_no=unit.rework_no,
        in_at=at,
        operator_in=operator,
        is_time_doubtful=doubtful,
        is_entry_inferred=is_entry_inferred,
    )
    unit.status = transitions.next_state(transitions.UNIT, action="enter", state=unit.status, entity="unit")
    unit.save(update_fields=["status", "updated_at"])
    runs.start(run, at=at)
    emit(track_event(EventType.TRACK_IN, track, unit=unit, run=run, step=step))
    moves.announce(unit.pk)
    return track


def check_may_enter(
    *, unit: Unit, run: Run, station: Station, by_machine: bool, open_track: Track | None
) -> StepSnapshot:
    """Return the unit's current step, or raise the first reason why it may not enter it here."""
    rules.check_run_accepts(run, by_machine=by_machine)
    rules.check_membership(unit, run)
    rules.check_unit_may_enter(unit, station_of_open_track=open_track.station.code if open_track else "")
    step = runs.snapshot_of(run).step(unit.current_step_no)
    if step is None:
        raise errors.StepMismatch(current=unit.current_step_no, step_no=unit.current_step_no)
    rules.check_station(station, step)
    rules.check_line(station, step, run)
    rules.check_equipment(station, Equipment.objects.filter(station=station))
    return step


# --- leaving -----------------------------------------------------------------------------------------------


@transaction.atomic
def track_out(
    *,
    run_no: str,
    sn: str,
    station_code: str,
    result: TrackResult | str,
    operator: str = "",
    at: datetime | None = None,
    readings: Sequence[collecting.Reading] = (),
    defect: Defect = NO_DEFECT,
) -> Departure:
    """Take a unit out of a station by hand, with its result and typed values.

    Raises UnitNotInStation, UnitOnHold, RequiredDataMissing, DataSpecNotFound, SpecNotBound, DataTypeMismatch,
    EventTimeInFuture, EventTimeOutOfOrder.
    """
    station = get_station(station_code)
    run = get_run(run_no)
    unit = lock_unit(sn)
    if unit is None:
        raise errors.UnitNotFound(code=sn)
    track = get_open_track(unit)
    if track is None or track.station_id != station.pk:
        raise errors.UnitNotInStation(sn=sn, station=station.code)
    if track.run_id != run.pk:
        raise errors.UnitRunMismatch(sn=sn, run=run_no)
    if unit.status == UnitStatus.ON_HOLD:
        raise errors.UnitOnHold(sn=sn, reason=unit.hold_reason)
    return leave(
        track=track,
        unit=unit,
        claimed_result=result,
        at=at or timezone.now(),
        operator=operator,
        readings=readings,
        defect=defect,
    )


def leave(
    *,
    track: Track,
    unit: Unit,
    claimed_result: TrackResult | str,
    at: datetime,
    source: str = TrackSource.MANUAL,
    operator: str = "",
    readings: Sequence[collecting.Reading] = (),
    defect: Defect = NO_DEFECT,
) -> Departure:
    """Close the open track of a locked unit, store its values and move the unit where the result leads.

    `source` is AUTO for what a machine reports: then only AUTO specs take values. A KEY failure of the carrier's pass
    fails the unit too.
    """
    now = timezone.now()
    snapshot = runs.snapshot_of(track.run)
    step = snapshot.step(track.step_no)
    assert step is not None  # a track is made for a step of its run's frozen route
    carrier_track_id = CarrierTrackUnit.objects.filter(track=track).values_list("carrier_track_id", flat=True).first()
    judged = _collect(
        track, step, claimed_result, readings, carrier_track_id=carrier_track_id, source=source, default_time=at
    )
    if rules.check_time(at, now=now, previous=track.in_at, skew=settings.MES_CLOCK_SKEW):
        track.is_time_doubtful = True
    values.store(judged, owner=owner_of(track), received_at=now, source=source, operator=operator)
    failed = values.is_failed_by_data(track, carrier_track_id=carrier_track_id)
    _close(track, claimed_result=str(claimed_result), failed=failed, at=at, operator=operator, defect=defect)
    next_step_no = _move(unit, track, step, snapshot)
    run = track.run
    alarms = [
        alarm_event(value, key=f"track-out:{track.pk}:{index}", track_id=track.pk, sn=unit.sn, run_id=run.pk)
        for index, value in enumerate(judged)
        if value.alarmed
    ]
    emit(track_event(EventType.TRACK_OUT, track, unit=unit, run=run, step=step), *alarms)
    moves.announce(unit.pk)
    holding = [value.spec.name for value in judged if value.holds]
    if holding:
        hold(unit, reason=alarm_reason(holding))
    return Departure(track, unit, next_step_no)


def _collect(
    track: Track,
    step: StepSnapshot,
    claimed_result: TrackResult | str,
    readings: Sequence[collecting.Reading],
    *,
    carrier_track_id: int | None,
    source: str,
    default_time: datetime,
) -> list[collecting.JudgedValue]:
    """Check required data first, then types: the order decides the code of a refusal."""
    if claimed_result == TrackResult.PASS and any(spec.is_required for spec in step.specs):
        given = {spec.id for reading in readings for spec in step.specs if reading.spec_name == spec.name}
        since = values.since(track)
        on_track = values.list_spec_ids(received_since=since, track_id=track.pk) | given
        on_carrier = (
            values.list_spec_ids(received_since=since, carrier_track_id=carrier_track_id) if carrier_track_id else set()
        )
        rules.check_required(step, on_track=on_track, on_carrier=on_carrier)
    return collecting.collect(readings, step, source=source, default_time=default_time)


def owner_of(track: Track) -> values.Owner:
    """Return what the values of a track belong to."""
    return values.Owner(
        unit_id=track.unit_id,
        run_id=track.run_id,
        track_id=track.pk,
        carrier_track_id=None,
        station_id=track.station_id,
        step_no=track.step_no,
        operation_code=track.operation_code,
    )


def _close(track: Track, *, claimed_result: str, failed: bool, at: datetime, operator: str, defect: Defect) -> None:
    """Set the result of a track. A `failed` KEY value forces FAIL."""
    track.result = track.claimed_result = claimed_result
    if claimed_result == TrackResult.PASS and failed:
        track.result, track.result_override = TrackResult.FAIL, ResultOverride.DATA
    track.out_at = at
    track.operator_out = operator
    track.defect_code, track.defect_location, track.defect_remark = defect.code, defect.location, defect.remark
    track.save(
        update_fields=[
            "result",
            "claimed_result",
            "result_override",
            "out_at",
            "operator_out",
            "is_time_doubtful",
            "defect_code",
            "defect_location",
            "defect_remark",
        ]
    )


def _move(unit: Unit, track: Track, step: StepSnapshot, snapshot: RouteSnapshot) -> int | None:
    """Move the unit where the result leads; return the next step. A held unit stays held; its release goes there."""
    following = snapshot.next_step_no(track.step_no)
    failures = Track.objects.filter(
        unit=unit, run_id=track.run_id, step_no=track.step_no, rework_no=track.rework_no, result=TrackResult.FAIL
    ).count()
    action = rules.leads_to(
        result=track.result, next_step_no=following, failures=failures, retest_limit=step.retest_limit
    )
    status = transitions.next_state(transitions.UNIT, action=action, state=UnitStatus.IN_STATION, entity="unit")
    if unit.status == UnitStatus.ON_HOLD:
        unit.held_from = status
    else:
        unit.status = status
    if track.result == TrackResult.PASS:
        unit.current_step_no = following if following is not None else track.step_no
    unit.save(update_fields=["status", "held_from", "current_step_no", "updated_at"])
    return unit.current_step_no if status == UnitStatus.QUEUED else None
