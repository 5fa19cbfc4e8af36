"""The guards: one set for operators and machines alike, pure, in the order that decides the code of a refusal.

*Entering* asks for everything. *Leaving is a fact*: equipment, line, membership and run status are not asked again.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from mes import errors
from mes.labels import Action
from mes.plant.models import EQUIPMENT_NORMAL, Equipment, Line, Station
from mes.platform.inbound.times import check_bounds
from mes.production.models import Run, RunStatus, Unit, UnitStatus
from mes.routing.snapshots import StepSnapshot
from mes.specs.models import TriggerType


def refuse_run(run: Run, *, by_machine: bool) -> errors.DomainError | None:
    """Return why no unit of a run may enter a station by the run's status; None where they may."""
    if run.status in (RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS):
        return None
    if run.status == RunStatus.PREP:
        return errors.RunInPrep(run=run.run_no) if by_machine else errors.RunNotAuthorized(run=run.run_no)
    if run.status == RunStatus.ON_HOLD:
        return errors.RunOnHold(run=run.run_no)
    return errors.RunClosed(run=run.run_no)


def first_article_failed(run: Run) -> errors.FaiNotPassed:
    """Return the refusal of a run whose first article failed."""
    reason = _("the latest one failed. Its units run again when another one passed and is signed.")
    return errors.FaiNotPassed(run=run.run_no, reason=reason)


def check_work_order(run: Run, wo_no: str | None) -> None:
    """Raise RunWorkOrderMismatch when another order is named than the run's."""
    if wo_no and run.work_order.wo_no != wo_no:
        raise errors.RunWorkOrderMismatch(run=run.run_no, expected=run.work_order.wo_no, work_order=wo_no)


def is_of_run(unit: Unit, run: Run) -> bool:
    """Whether a unit belongs to a run."""
    return unit.run_id == run.pk


def list_refusals_of_unit(
    unit: Unit, *, is_report: bool, station_of_open_track: str, has_open_repair: bool
) -> Iterator[errors.DomainError]:
    """Yield the refusals that the unit's state calls for, unless it is queued and not to be repaired first.

    With `is_report`, it was there already: a held unit moves behind the hold as it would without. Of one that is asked
    about, both are told: the hold, and what stands in the way when that ends.
    """
    if not is_report:
        yield from list_refusals_to_stay(unit)
    standing = unit.standing
    if standing == UnitStatus.QUEUED:
        if has_open_repair:
            yield errors.RepairOpen(sn=unit.sn, step_no=unit.current_step_no)
    elif standing == UnitStatus.IN_STATION:
        yield errors.UnitAlreadyInStation(sn=unit.sn, station=station_of_open_track)
    elif standing in _ENDS:
        yield _ENDS[standing](sn=unit.sn)


def list_refusals_to_stay(unit: Unit) -> Iterator[errors.DomainError]:
    """Yield why nobody is to work on a unit, wherever it is: something holds it."""
    if unit.status == UnitStatus.ON_HOLD:
        yield errors.UnitOnHold(sn=unit.sn, reason=unit.hold_reason)


_ENDS: Mapping[str, type[errors.DomainError]] = {
    UnitStatus.DONE: errors.UnitAlreadyDone,
    UnitStatus.OUT_FAILED: errors.UnitOutFailed,
    UnitStatus.SCRAPPED: errors.UnitScrapped,
}


def station_may_run(station: Station, step: StepSnapshot) -> bool:
    """Whether a station is of the step's type, in its group and on its list, as far as the step names them."""
    if station.station_type != step.station_type:
        return False
    if step.allowed_stations is not None and station.code not in step.allowed_stations:
        return False
    return step.station_group is None or (station.group is not None and station.group.code == step.station_group)


def line_fits(station: Station, step: StepSnapshot, run: Run) -> bool:
    """Whether a station is of the run's line or shared by all, or named by the step."""
    return station.line_id in (None, run.line_id) or station.code in (step.allowed_stations or ())


def list_refusals_of_place(station: Station, step: StepSnapshot, run: Run) -> Iterator[errors.DomainError]:
    """Yield why a station may not run a step of a run: StationMismatch, StationLineMismatch."""
    if not station_may_run(station, step):
        yield errors.StationMismatch(station=station.code, step_no=step.step_no, operation=step.operation_code)
    if not line_fits(station, step, run):
        yield _of_another_line(station, run)


def check_line(station: Station, step: StepSnapshot, run: Run) -> None:
    """Raise StationLineMismatch for a station of another line, unless the step names it."""
    if not line_fits(station, step, run):
        raise _of_another_line(station, run)


def _of_another_line(station: Station, run: Run) -> errors.StationLineMismatch:
    assert station.line is not None  # else it fits every line
    return errors.StationLineMismatch(station=station.code, line=station.line.code, run_line=run.line.code)


def list_refusals_of_equipment(station: Station, equipment: Iterable[Equipment]) -> Iterator[errors.DomainError]:
    """Yield EquipmentUnavailable for each machine of the station that is not normal or failed a check."""
    for machine in equipment:
        if machine.status != EQUIPMENT_NORMAL:
            yield errors.EquipmentUnavailable(
                equipment=machine.code, station=station.code, equipment_status=machine.status
            )
        elif machine.failed_check:
            status = _("failed check %(forms)s") % {"forms": machine.failed_check}
            yield errors.EquipmentUnavailable(equipment=machine.code, station=station.code, equipment_status=status)


def list_refusals_of_lines(stops: Mapping[Line | None, str | None]) -> Iterator[errors.DomainError]:
    """Yield LineOnHold for each line that is stopped, with why."""
    for line, reason in stops.items():
        if line is not None and reason is not None:
            yield errors.LineOnHold(line=line.code, reason=reason)


def check_time(
    at: datetime, *, now: datetime, previous: datetime | None, skew: timedelta, since: datetime | None = None
) -> bool:
    """Return whether a time is doubtful: before the previous move, but by no more than the skew of clocks, or before
    `since`, when the run was made.

    Raises EventTimeInFuture, EventTooOld, EventTimeOutOfOrder.
    """
    check_bounds(at, now=now)
    if previous is not None:
        check_order(at, previous=previous, skew=skew)
    return any(earliest is not None and at < earliest for earliest in (previous, since))


def check_order(at: datetime, *, previous: datetime, skew: timedelta) -> None:
    """Raise EventTimeOutOfOrder for a time that lies before another by more than clocks may be off."""
    if previous - at > skew:
        raise errors.EventTimeOutOfOrder(at=at.isoformat(), previous=previous.isoformat())


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
