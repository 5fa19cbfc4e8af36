"""The guards: one set for operators and machines alike, pure, in the order that decides the code of a refusal.

*Entering* asks for everything. *Leaving is a fact*: equipment, line, membership and run status are not asked again.
"""

from collections.abc import Iterable, Set
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from mes import errors
from mes.labels import Action
from mes.plant.models import EQUIPMENT_NORMAL, Equipment, Line, Station
from mes.platform.inbound.times import check_bounds
from mes.production.models import Run, RunStatus, Unit, UnitStatus
from mes.routing.snapshots import StepSnapshot
from mes.specs.models import TriggerType


def check_run_accepts(run: Run, *, by_machine: bool) -> None:
    """Raise unless units of the run may enter stations."""
    if run.status in (RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS):
        return
    if run.status == RunStatus.PREP:
        raise errors.RunInPrep(run=run.run_no) if by_machine else errors.RunNotAuthorized(run=run.run_no)
    if run.status == RunStatus.ON_HOLD:
        raise errors.RunOnHold(run=run.run_no)
    raise errors.RunClosed(run=run.run_no)


def check_first_article(run: Run, *, is_sample: bool) -> None:
    """Raise FaiNotPassed for a run whose first article failed, but for a sample of one that is inspecting."""
    if run.is_first_article_failed and not is_sample:
        reason = _("the latest one failed. Its units run again when another one passed and is signed.")
        raise errors.FaiNotPassed(run=run.run_no, reason=reason)


def check_work_order(run: Run, wo_no: str | None) -> None:
    """Raise RunWorkOrderMismatch when another order is named than the run's."""
    if wo_no and run.work_order.wo_no != wo_no:
        raise errors.RunWorkOrderMismatch(run=run.run_no, expected=run.work_order.wo_no, work_order=wo_no)


def check_membership(unit: Unit, run: Run) -> None:
    """Raise UnitRunMismatch when the unit belongs to another run, or to none."""
    if unit.run_id != run.pk:
        raise errors.UnitRunMismatch(sn=unit.sn, run=run.run_no)


def check_unit_may_enter(unit: Unit, *, by_machine: bool, station_of_open_track: str) -> None:
    """Raise the refusal that the unit's state calls for, unless it is queued.

    A machine that reports a held unit has it already: behind the hold it moves as it would without.
    """
    status = unit.standing if by_machine else unit.status
    if status == UnitStatus.QUEUED:
        return
    refusals: dict[str, errors.DomainError] = {
        UnitStatus.IN_STATION: errors.UnitAlreadyInStation(sn=unit.sn, station=station_of_open_track),
        UnitStatus.DONE: errors.UnitAlreadyDone(sn=unit.sn),
        UnitStatus.OUT_FAILED: errors.UnitOutFailed(sn=unit.sn),
        UnitStatus.ON_HOLD: errors.UnitOnHold(sn=unit.sn, reason=unit.hold_reason),
        UnitStatus.SCRAPPED: errors.UnitScrapped(sn=unit.sn),
    }
    raise refusals[status]


def station_may_run(station: Station, step: StepSnapshot) -> bool:
    """Whether a station is of the step's type, in its group and on its list, as far as the step names them."""
    if station.station_type != step.station_type:
        return False
    if step.allowed_stations is not None and station.code not in step.allowed_stations:
        return False
    return step.station_group is None or (station.group is not None and station.group.code == step.station_group)


def check_station(station: Station, step: StepSnapshot) -> None:
    """Raise StationMismatch unless the station may run the step."""
    if not station_may_run(station, step):
        raise errors.StationMismatch(station=station.code, step_no=step.step_no, operation=step.operation_code)


def line_fits(station: Station, step: StepSnapshot, run: Run) -> bool:
    """Whether a station is of the run's line or shared by all, or named by the step."""
    return station.line_id in (None, run.line_id) or station.code in (step.allowed_stations or ())


def check_line(station: Station, step: StepSnapshot, run: Run) -> None:
    """Raise StationLineMismatch for a station of another line, unless the step names it."""
    if line_fits(station, step, run):
        return
    assert station.line is not None  # its id is not
    raise errors.StationLineMismatch(station=station.code, line=station.line.code, run_line=run.line.code)


def check_equipment(station: Station, equipment: Iterable[Equipment]) -> None:
    """Raise EquipmentUnavailable when a machine of the station is not normal."""
    for machine in equipment:
        if machine.status != EQUIPMENT_NORMAL:
            raise errors.EquipmentUnavailable(
                equipment=machine.code, station=station.code, equipment_status=machine.status
            )


def check_line_runs(line: Line | None, stop: str | None) -> None:
    """Raise LineOnHold for a line that is stopped, with why."""
    if line is not None and stop is not None:
        raise errors.LineOnHold(line=line.code, reason=stop)


def check_time(
    at: datetime, *, now: datetime, previous: datetime | None, skew: timedelta, since: datetime | None = None
) -> bool:
    """Return whether a time is doubtful: before the previous move, but by no more than the skew of clocks, or before
    `since`, when the run was made.

    Raises EventTimeInFuture, EventTooOld, EventTimeOutOfOrder.
    """
    check_bounds(at, now=now)
    if previous is not None and previous - at > skew:
        raise errors.EventTimeOutOfOrder(at=at.isoformat(), previous=previous.isoformat())
    return any(earliest is not None and at < earliest for earliest in (previous, since))


def check_required(step: StepSnapshot, *, on_track: Set[int], on_carrier: Set[int]) -> None:
    """Raise RequiredDataMissing when a bound required spec has no value where its trigger asks for one.

    EACH_UNIT and EVENT specs want it on the track, EACH_CARRIER on the carrier's pass or, of a unit that came without
    a carrier, on the track. TIME specs never block.
    """
    missing = [
        spec.name
        for spec in step.specs
        if spec.is_required
        and spec.trigger_type != TriggerType.TIME
        and spec.id not in on_track
        and not (spec.trigger_type == TriggerType.EACH_CARRIER and spec.id in on_carrier)
    ]
    if missing:
        raise errors.RequiredDataMissing(names=missing)


def leads_to(*, result: str, next_step_no: int | None, failures: int, retest_limit: int) -> Action:
    """Return the action of the unit's state machine that a result calls for.

    `failures` counts the failed passes of this step since the last rework, this one included.
    """
    if result == "PASS":
        return Action.FINISH if next_step_no is None else Action.QUEUE
    return Action.QUEUE if failures <= retest_limit else Action.FAIL
