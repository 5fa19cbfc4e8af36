"""What people decide about a line: which run is active on it, and whether it is stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from psycopg.errors import ExclusionViolation

from mes import errors
from mes.labels import Action, Entity, State
from mes.plant.models import Line, Station
from mes.plant.scans import ScanKind, scanned_as
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.platform.inbound.times import check_bounds
from mes.platform.signatures.services import Signing
from mes.production import decisions, holds, locking, runs, steering_notices, stops
from mes.production.decision_models import RunActivation
from mes.production.hold_models import Hold, HoldRule, HoldSource
from mes.production.models import OPEN_RUN_STATUSES, Run


@dataclass(frozen=True)
class LineStatus:
    """What a line is at: what holds it, its active run, those of its stations by code, and its open runs."""

    hold: Hold | None
    active_run: str | None
    station_runs: dict[str, str]
    open_runs: Sequence[str]


def read_status(line: Line) -> LineStatus:
    """Return what a line is at, in three queries; of several holds the oldest.

    Stations shared by all lines are told of where a run of this line is active at them.
    """
    present = RunActivation.objects.filter(active_to=None).order_by("station__code")
    of_line = Q(line=line) | Q(station__line=line) | Q(station__line=None, run__line=line, line=None)
    rows = list(present.filter(of_line).values_list("station__code", "run__run_no"))
    open_runs = Run.objects.filter(line=line, status__in=OPEN_RUN_STATUSES).order_by("id")
    return LineStatus(
        hold=next(iter(holds.list_open(line=line)), None),
        active_run=next((run_no for station, run_no in rows if station is None), None),
        station_runs={station: run_no for station, run_no in rows if station is not None},
        open_runs=list(open_runs.values_list("run_no", flat=True)),
    )


# --- the active run ----------------------------------------------------------------------------------------


@locking.atomically
def set_active_run(
    *, line_code: str, run_no: str | None, by: str, station_code: str | None = None, at: datetime | None = None
) -> Line:
    """Make a run the active one of a line, or of one of its stations alone, from a time on; None: none is any more.

    The same again changes nothing. A time ahead by no more than clocks may differ means now.
    Raises LineNotFound, StationNotFound, RunNotFound, ScanTypeMismatch, RunClosed, StationLineMismatch,
    EventTimeInFuture, ActivationOutOfOrder.
    """
    line = lock(line_code)
    station = None if station_code is None else _find_station(line, station_code)
    with scanned_as(ScanKind.RUN):
        run = None if run_no is None else runs.lock(run_no=run_no)
    if run is not None:
        _check_may_be_active(run, line, station)
    now = timezone.now()
    if at is not None:
        check_bounds(at, now=now)
        at = min(at, now)
    place: dict[str, Line | Station] = {"line": line} if station is None else {"station": station}
    last = RunActivation.objects.filter(**place).select_for_update(no_key=True).order_by("-active_from", "-id").first()
    present = last if last is not None and last.active_to is None else None
    if (None if present is None else present.run_id) == (None if run is None else run.pk):
        return line
    _change(place, last, run, by=by, at=_begin_at(last, at, now=now))
    old = None if present is None else Run.objects.values_list("run_no", flat=True).get(pk=present.run_id)
    name = "activeRun" if station is None else f"stationRuns.{station.code}"
    decisions.record(line, Action.ACTIVATE, by=by, changes={name: [old, run_no]})
    return line


def lock(line_code: str) -> Line:
    """Return a line, locked (inside a transaction). Raises LineNotFound."""
    return get_or_raise(Line.objects.select_for_update(no_key=True), errors.LineNotFound, code=line_code)


def _find_station(line: Line, code: str) -> Station:
    station = get_or_raise(Station.objects.select_related("line"), errors.StationNotFound, code=code)
    if station.line_id not in (None, line.pk):
        assert station.line is not None
        raise errors.StationLineMismatch(station=code, line=station.line.code, run_line=line.code)
    return station


def _check_may_be_active(run: Run, line: Line, station: Station | None) -> None:
    """Raise RunClosed or StationLineMismatch unless the run is open and is of the line, or may be at the station."""
    if run.status not in OPEN_RUN_STATUSES:
        raise errors.RunClosed(run=run.run_no)
    if run.line_id == line.pk:
        return
    if station is None or (station.line_id is not None and not _names(run, station)):
        place = line.code if station is None else station.code
        raise errors.StationLineMismatch(station=place, line=line.code, run_line=run.line.code)


def _names(run: Run, station: Station) -> bool:
    """Whether a step of the run's route names a station: then the run may be there, though it is of another line."""
    return any(station.code in (step.allowed_stations or ()) for step in runs.snapshot_of(run).steps)


def _begin_at(last: RunActivation | None, at: datetime | None, *, now: datetime) -> datetime:
    """Return from when a change counts: by default from now. Raises ActivationOutOfOrder for a time before the present
    activation began, or the last one ended.
    """
    if last is None:
        return at or now
    earliest = last.active_from if last.active_to is None else last.active_to
    if at is not None and at < earliest:
        raise errors.ActivationOutOfOrder(at=at.isoformat(), previous=earliest.isoformat())
    return max(at or now, earliest)


def _change(
    place: dict[str, Line | Station], last: RunActivation | None, run: Run | None, *, by: str, at: datetime
) -> None:
    """End the present activation of a place and begin the next. Raises Outdated where another began meanwhile."""
    if last is not None and last.active_to is None:
        last.active_to, last.ended_by = at, by
        last.save(update_fields=["active_to", "ended_by"])
    if run is None:
        return
    try:
        with transaction.atomic():
            RunActivation.objects.create(**place, run=run, active_from=at, set_by=by)
    except IntegrityError as error:
        if isinstance(error.__cause__, ExclusionViolation):  # a run that was authorized at this moment
            raise locking.Outdated from error
        raise


# --- stop and go on ----------------------------------------------------------------------------------------


@locking.atomically
def hold(
    *,
    line_code: str,
    reason: str,
    by: str,
    source: HoldSource = HoldSource.PERSON,
    rule: HoldRule | None = None,
    owner: str = "",
) -> tuple[Hold, bool]:
    """Stop a line: once this is answered, nothing enters its stations, nor a unit of its runs elsewhere (`stops`).
    Return (hold, whether it is new).

    Stopped again by the same source, it stays as it is. Its followers are told. `rule` is the one by which the system
    stops it. Raises LineNotFound.
    """
    give_reason(reason)
    line = lock(line_code)
    opened, is_new = holds.open_hold(line=line, source=source, reason=reason, by=by, rule=rule, owner=owner)
    if is_new:
        decisions.record(line, Action.HOLD, by=by, reason=reason)
        steering_notices.tell_line_held(line, opened)
    stops.wait_for_entries(line)
    return opened, is_new


@locking.atomically
def resume(
    *, line_code: str, reason: str = "", by: str, source: HoldSource = HoldSource.PERSON, signing: Signing | None = None
) -> Line:
    """End what one source stops of a line. It goes on once nothing else stops it; what machines reported meanwhile is
    tried again after that.

    Raises LineNotFound, InvalidTransition.
    """
    give_reason(reason)
    line = lock(line_code)
    if not any(hold.source == source for hold in holds.list_open(line=line)):
        raise errors.InvalidTransition(action=Action.RESUME, entity=Entity.LINE, state=State.RUNNING)
    holds.end_hold(line=line, source=source, by=by, reason=reason, signing=signing)
    decisions.record(line, Action.RESUME, by=by, reason=reason)
    return line
