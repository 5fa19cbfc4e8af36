"""Units entering and leaving stations by hand. Machines come by `ingest`; both move by `execution.moves`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from execution import moves, rules, unit_state
from execution.models import Track, TrackResult, TrackSource
from execution.moves_sql import write
from execution.quality.defects import ReportedDefect
from execution.quality.first_article import trial_units
from execution.unit_state import StationState, UnitState, find_earlier
from mes import errors
from mes.plant.models import Station
from mes.plant.scans import ScanKind, check_kind
from mes.platform.database.lookup import get_or_raise
from mes.production import locking, runs
from mes.production.active_runs import Moment, find_active_run
from mes.production.models import Run, Unit, UnitStatus
from mes.production.names import Names, under_present_sn
from mes.production.serial_numbers import no_such_unit
from mes.routing import judging

# By how much the time of an entry may be wrong: a browser tells it by the server's clock, as it learns it from answers.
ENTRY_SKEW = timedelta(seconds=5)

__all__ = ["Departure", "ReportedDefect", "create_on_the_fly", "get_run", "get_station", "track_in", "track_out"]


@dataclass(frozen=True)
class Departure:
    """A closed track and where it led. `problems` are the values that a failing one was closed without, in words."""

    track: Track
    unit: Unit
    next_step_no: int | None
    problems: Sequence[str] = ()


def get_station(code: str) -> Station:
    """Return a station with its line and group. Raises StationNotFound."""
    return get_or_raise(Station.objects.select_related("line", "group"), errors.StationNotFound, code=code)


def get_run(run_no: str) -> Run:
    """Return a run with its order, line and route version. Raises RunNotFound."""
    runs_ = Run.objects.select_related("work_order", "line", "route_version").defer("route_version__snapshot")
    return get_or_raise(runs_, errors.RunNotFound, run_no=run_no)


@under_present_sn
@locking.atomically
def track_in(
    *,
    sn: str,
    station_code: str,
    run_no: str | None = None,
    operator: str = "",
    by: str = "",
    wo_no: str | None = None,
    at: datetime | None = None,
    may_be_late: bool = False,
) -> tuple[Track, Unit, bool]:
    """Put a unit into a station by hand; return (track, unit, created). A repeated scan there changes nothing.

    What `may_be_late` is about the attempt that there was at its time: where the unit has left the station since, or
    elsewhere the step at which it stands, it begins no other, and finds none (EventTimeOutOfOrder).

    Without `run_no` it is the unit's run, of a unit in none the run that was active here then.
    `operator` is who is said to do it, `by` who is signed in.
    Raises ScanTypeMismatch for what is no unit and known as something else, and the first refusal of the entering
    guards (`execution.entering`), in their order.
    """
    at = at or timezone.now()
    moment = Moment(station_code, at)
    locked = locking.lock([sn], run_no=run_no, moment=moment)
    station_state, run, state = _find(run_no=run_no, sn=sn, moment=moment, locked=locked)
    rules.check_work_order(run, wo_no)
    if state is None or is_to_be_made(state, run):
        create_on_the_fly(run, sn=sn, station=station_state.station, by_machine=False, locked=locked)
        station_state, run, state = _find(run_no=run.run_no, sn=sn, moment=moment, locked=None)
    assert state is not None
    if may_be_late:
        _check_not_overtaken(at, state.last_attempt_out(station_state.station.pk))
    track = state.open_track
    if track and (track.station_id, track.run_id) == (station_state.station.pk, run.pk):
        return track, state.unit, False
    move = moves.enter(state, station_state, run=run, source=TrackSource.MANUAL, at=at, operator=operator, by=by)
    write([move], now=timezone.now())
    return move.track, move.unit, True


def _check_not_overtaken(at: datetime, previous: datetime | None) -> None:
    """Raise EventTimeOutOfOrder for an entry that came late, after what it knew nothing of.

    What lies ahead of now was told by a clock that is: an entry that comes at once is not late for it.
    """
    if previous is not None:
        rules.check_order(at, previous=min(previous, timezone.now()), skew=ENTRY_SKEW)


def _find(
    *, run_no: str | None, sn: str, moment: Moment, locked: locking.Locked | None
) -> tuple[StationState, Run, UnitState | None]:
    """Read station, run and where the unit stands. Raises Relabelled, StationNotFound, RunNotFound, SnIsReference,
    UnitNotFound where no run is named and none was active that could take the unit, ScanTypeMismatch.
    """
    states = unit_state.load_states([sn], stations=[moment.station_code], locked=locked)
    states.names.check_present()
    station_state, state = states.station_states.get(moment.station_code), states.unit_states.get(sn)
    if station_state is None:
        raise errors.StationNotFound(code=moment.station_code)
    if state is None:
        check_kind(sn, ScanKind.UNIT)
    return station_state, find_run(state, states.names, run_no=run_no, sn=sn, moment=moment), state


def find_run(state: UnitState | None, names: Names, *, run_no: str | None, sn: str, moment: Moment) -> Run:
    """Return the run in which a unit is meant: the named one, else its own, of a unit in none the one that was active.

    Raises RunNotFound, SnIsReference, UnitNotFound where no run is named and none was active that could take it.
    """
    if state is not None and state.run is not None and run_no in (None, state.run.run_no):
        return state.run
    run = find_active_run(moment) if run_no is None else get_run(run_no)
    names.check_no_reference([sn])
    if run is None:
        raise no_such_unit(sn)
    return run


def is_to_be_made(state: UnitState, run: Run) -> bool:
    """Whether a run takes in a known unit that is in none, as it makes new ones."""
    return state.unit.run_id is None and not run.units_registered


def create_on_the_fly(run: Run, *, sn: str, station: Station, by_machine: bool, locked: locking.Locked) -> None:
    """Create a unit at its first track-in at the first step, in a run without registered units, within the plan.

    The run must be held exclusively. Raises what the run's status forbids, UnitNotFound, RunQuantityExceeded,
    UnitRunMismatch, SnUnreadable, SnMaskMismatch.
    """
    for refusal in list_refusals_to_make(run, sn=sn, station=station, by_machine=by_machine, locked=locked):
        raise refusal
    runs.add_units(run, [sn], held=locked.units)


def list_refusals_to_make(
    run: Run, *, sn: str, station: Station, by_machine: bool, locked: locking.Locked | None
) -> Iterator[errors.DomainError]:
    """Yield why a unit cannot be made on the fly here, but for what is wrong with its serial number.

    Raises Outdated where its run is not locked as it must be to make it; without `locked` it is only asked about.
    """
    yield from trial_units.list_refusals_of_run(run, None, by_machine=by_machine)
    if run.units_registered or not rules.station_may_run(station, runs.snapshot_of(run).steps[0]):
        yield no_such_unit(sn, run)
        return
    if locked is not None and run.pk not in locked.changing:
        raise locking.Outdated
    try:
        runs.check_quantity(run, more=1)
    except errors.DomainError as refusal:
        yield refusal


@under_present_sn
@locking.atomically
def track_out(
    *,
    sn: str,
    station_code: str,
    result: TrackResult | str,
    run_no: str | None = None,
    operator: str = "",
    by: str = "",
    at: datetime | None = None,
    readings: Sequence[judging.Reading] = (),
    defects: Sequence[ReportedDefect] = (),
    track_id: str | None = None,
    may_be_late: bool = False,
) -> Departure:
    """Take a unit out of a station by hand, with its result, typed values and what is wrong with it.

    Without `run_no` it is the run of the track. With a `track_id` that one is closed and no other; without it, what
    `may_be_late` closes none that began after its time (EventTimeOutOfOrder): it is about an earlier one.
    `operator` is who is said to do it, `by` who is signed in.
    Raises UnitNotInStation, UnitOnHold, DefectCodeNotFound, ResultContradictsDefect, RequiredDataMissing,
    DataSpecNotFound, SpecNotBound, DataTypeMismatch, EventTimeInFuture, EventTimeOutOfOrder.
    """
    at = at or timezone.now()
    locked = locking.lock([sn])
    station_state, run, state = _find(run_no=run_no, sn=sn, moment=Moment(station_code, at), locked=locked)
    if state is None:
        raise no_such_unit(sn, run)
    track, unit = state.open_track, state.unit
    is_meant = track is not None and track_id in (None, str(track.pk))
    if track is None or not is_meant or track.station_id != station_state.station.pk:
        raise errors.UnitNotInStation(sn=sn, station=station_code)
    if run_no is not None and track.run_id != run.pk:
        raise errors.UnitRunMismatch(sn=sn, run=run_no)
    if may_be_late and track_id is None:
        _check_not_overtaken(at, track.in_at)
    if unit.status == UnitStatus.ON_HOLD:
        raise errors.UnitOnHold(sn=sn, reason=unit.hold_reason)
    move = moves.of_open_track(state, find_earlier([state])[track.pk])
    moves.leave(
        move,
        claimed_result=result,
        at=at,
        operator=operator,
        by=by,
        readings=readings,
        defects=defects,
    )
    write([move], now=timezone.now())
    return Departure(move.track, move.unit, move.next_step_no, [misfit.problem for misfit in move.misfits])
