"""Deviations asked for, approved, ended, and closed when their time or their run is over.

Each locks the run exclusively, which units share as they move, and then the deviation: once it is answered, all moves
that come after know it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from execution.deviations.models import Deviation, DeviationStatus, DeviationType
from execution.deviations.skipping import settle
from execution.dispositions import hold_done
from mes import errors
from mes.labels import Action, Entity
from mes.plant.models import Station
from mes.platform.accounts.roles import Capability
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.whole_numbers import whole_number
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep
from mes.production import approvals, decisions, locking, runs
from mes.production.approvals import ApprovalKind
from mes.production.decision_models import Approval, ApprovalType
from mes.production.models import OPEN_RUN_STATUSES, Run, Unit, UnitStatus
from mes.production.names import find_present, find_units
from mes.production.serial_numbers import no_such_unit
from mes.routing.snapshots import StepSnapshot

LONGEST = timedelta(days=30)
# So long after its end a deviation is still known to units that moved before that, and are reported late.
GRACE = timedelta(days=1)
MOST_UNITS = 1000
SYSTEM = "system"


@dataclass(frozen=True)
class Covered:
    """What a request is about, locked: the run, and the units that it names or, of a skip, that wait at its step."""

    run: Run
    units: Sequence[Unit]


# --- asking ------------------------------------------------------------------------------------------------


@locking.atomically
def request(
    *,
    run_no: str,
    type: str,
    step_no: int,
    expires_at: datetime,
    reason: str,
    by: str,
    station_codes: Sequence[str] = (),
    sns: Sequence[str] | None = None,
) -> Deviation:
    """Ask for a deviation of a run, for all of its units or those that are named; it waits for another person.

    Raises RunNotFound, RunClosed, StepNotFound, StationNotFound, UnitNotFound, UnitRunMismatch, ValidationFailed.
    """
    run = runs.lock(run_no=run_no)
    sns = None if sns is None else _present_sns(sns)
    stations = list(dict.fromkeys(station_codes))
    arguments = {
        "type": type,
        "stepNo": step_no,
        "stationCodes": stations,
        "sns": sns,
        "expiresAt": expires_at.isoformat(),
    }
    _check_shape(type, stations, expires_at)
    approval = approvals.request(type=ApprovalType.DEVIATION, run=run, reason=reason, by=by, arguments=arguments)
    named = None if sns is None else list(Unit.objects.filter(sn__in=sns).order_by("pk").values_list("pk", flat=True))
    return Deviation.objects.create(
        approval=approval,
        run=run,
        type=type,
        step_no=step_no,
        operation_code=_step_of(run, step_no).operation_code,
        station_codes=stations,
        unit_ids=named,
        expires_at=expires_at,
        reason=reason,
        requested_by=by,
        requested_at=approval.requested_at,
    )


def _present_sns(sns: Sequence[str]) -> list[str]:
    """Return the present serial numbers of named units, each once. Raises UnitNotFound, SnUnreadable, SnIsReference."""
    found = find_units(sns)
    return list(dict.fromkeys(found[sn].sn if sn in found else find_present(sn) for sn in sns))


def _check_shape(type: str, station_codes: Sequence[str], expires_at: datetime) -> None:
    """Raise ValidationFailed for what no deviation can say."""
    now = timezone.now()
    if not now < expires_at <= now + LONGEST:
        raise errors.ValidationFailed({"expiresAt": _("Must lie ahead, by at most 30 days.")})
    if type == DeviationType.STATION and not station_codes:
        raise errors.ValidationFailed({"stationCodes": _("Name the stations that may run the step.")})
    if type == DeviationType.SKIP and station_codes:
        raise errors.ValidationFailed({"stationCodes": _("Who skips a step names no stations.")})


def _step_of(run: Run, step_no: int) -> StepSnapshot:
    step = runs.snapshot_of(run).step(step_no)
    if step is None:
        raise errors.StepNotFound(code=step_no, run=run.run_no)
    return step


# --- what another person approves --------------------------------------------------------------------------


def _lock(approval: Approval) -> Covered:
    assert approval.run is not None  # each is of one
    run = runs.lock(run_no=approval.run.run_no)
    return Covered(run, locking.lock_units(_list_units(approval, run)))


def _list_units(approval: Approval, run: Run) -> QuerySet[Unit]:
    """Return the units that a request names, else those that would go past its step at once."""
    if (sns := approval.arguments["sns"]) is not None:
        known = Deviation.objects.filter(approval=approval.pk).values_list("unit_ids", flat=True).first()
        return Unit.objects.filter(sn__in=sns) if known is None else Unit.objects.filter(pk__in=known)
    waits = Q(status=UnitStatus.QUEUED) | Q(status=UnitStatus.ON_HOLD, held_from=UnitStatus.QUEUED)
    here = Unit.objects.filter(waits, run=run, current_step_no=approval.arguments["stepNo"])
    return here if approval.arguments["type"] == DeviationType.SKIP else here.none()


def _check(approval: Approval, covered: Covered) -> None:
    run, arguments = covered.run, approval.arguments
    if run.status not in OPEN_RUN_STATUSES:
        raise errors.RunClosed(run=run.run_no)
    step = _step_of(run, arguments["stepNo"])
    if arguments["type"] == DeviationType.SKIP and step.step_no == runs.snapshot_of(run).first_step_no:
        raise errors.ValidationFailed({"stepNo": _("The first step cannot be skipped.")})
    _check_stations(arguments["stationCodes"])
    _check_units(arguments["sns"], covered)
    deviation = Deviation.objects.filter(approval=approval.pk).first() if approval.pk else None
    if deviation is None:
        return
    if deviation.operation_code != step.operation_code:  # the run took another version meanwhile
        raise errors.StepNotFound(code=step.step_no, run=run.run_no)
    if deviation.expires_at <= timezone.now():
        raise errors.InvalidTransition(action=Action.APPROVE, entity=Entity.DEVIATION, state=DeviationStatus.EXPIRED)


def _check_stations(codes: Sequence[str]) -> None:
    known = set(Station.objects.filter(code__in=codes).values_list("code", flat=True)) if codes else set()
    for code in codes:
        if code not in known:
            raise errors.StationNotFound(code=code)


def _check_units(sns: Sequence[str] | None, covered: Covered) -> None:
    if sns is None:
        return
    if len(covered.units) < len(sns):
        known = {unit.sn for unit in covered.units}
        raise no_such_unit(next(sn for sn in sns if sn not in known))
    for unit in covered.units:
        if unit.run_id != covered.run.pk:
            raise errors.UnitRunMismatch(sn=unit.sn, run=covered.run.run_no)


def _apply(approval: Approval, covered: Covered) -> None:
    """Put a deviation in force; the units that wait at a skipped step go past it."""
    deviation = Deviation.objects.select_for_update(no_key=True, of=("self",)).get(approval=approval)
    deviation.status = DeviationStatus.IN_FORCE
    deviation.approved_by, deviation.approved_at = approval.decided_by, timezone.now()
    deviation.save(update_fields=["status", "approved_by", "approved_at"])
    Run.objects.filter(pk=covered.run.pk).update(has_deviations=True)
    decisions.record(
        covered.run,
        Action.DEVIATE,
        by=approval.requested_by,
        approved_by=approval.decided_by,
        reason=approval.reason,
        changes={"deviation": [None, deviation.deviation_no]},
    )
    if deviation.type == DeviationType.SKIP:
        waiting = [unit for unit in covered.units if unit.current_step_no == deviation.step_no]
        waiting = [unit for unit in waiting if unit.standing == UnitStatus.QUEUED]
        settle(waiting)
        hold_done(waiting)


def _drop(approval: Approval) -> None:
    """Close a deviation that nobody allowed as its request was closed."""
    Deviation.objects.filter(approval=approval, status=DeviationStatus.REQUESTED).update(
        status=approval.status,
        ended_by=approval.decided_by,
        ended_at=approval.decided_at,
        end_reason=approval.decision_reason,
    )


def _describe(approval: Approval) -> str:
    arguments, run_no = approval.arguments, approval.run.run_no if approval.run else ""
    sns = arguments["sns"]
    units = _("all units") if sns is None else ", ".join(sns[:5]) + (f" … ({len(sns)})" if len(sns) > 5 else "")
    told = {
        "run": run_no,
        "step": arguments["stepNo"],
        "units": units,
        "stations": ", ".join(arguments["stationCodes"]),
        "until": date_format(timezone.localtime(datetime.fromisoformat(arguments["expiresAt"])), "j M Y H:i"),
    }
    if arguments["type"] == DeviationType.SKIP:
        return _("Skip step %(step)s of run %(run)s until %(until)s: %(units)s") % told
    return _("Run step %(step)s of run %(run)s at %(stations)s until %(until)s: %(units)s") % told


KIND = ApprovalKind(
    ApprovalType.DEVIATION,
    asks=(Capability.DISPOSITION, Capability.ROUTES),
    approves=(Capability.RELEASE,),
    lock=_lock,
    check=_check,
    apply=_apply,
    describe=_describe,
    drop=_drop,
)


# --- its end -----------------------------------------------------------------------------------------------


def find(deviation_no: str) -> Deviation:
    """Return a deviation with its run. Raises DeviationNotFound."""
    prefix, _dash, number = deviation_no.partition("-")
    pk = whole_number(number) if prefix == "DEV" else None
    if pk is None:
        raise errors.DeviationNotFound(code=deviation_no)
    found = Deviation.objects.select_related("run").filter(pk=pk).first()
    if found is None or found.deviation_no != deviation_no:
        raise errors.DeviationNotFound(code=deviation_no)
    return found


@transaction.atomic
def end(*, deviation_no: str, reason: str, by: str) -> Deviation:
    """End a deviation that is in force. Raises DeviationNotFound, InvalidTransition."""
    run = runs.lock(run_no=find(deviation_no).run.run_no)
    deviation = _lock_row(find(deviation_no).pk)
    if deviation.standing != DeviationStatus.IN_FORCE:
        state = DeviationStatus(deviation.standing)
        raise errors.InvalidTransition(action=Action.END, entity=Entity.DEVIATION, state=state)
    _close(deviation, DeviationStatus.ENDED, by=by, reason=reason)
    _mark(run)
    decisions.record(
        run, Action.END_DEVIATION, by=by, reason=reason, changes={"deviation": [deviation.deviation_no, None]}
    )
    return deviation


def _lock_row(pk: int) -> Deviation:
    rows = Deviation.objects.select_related("run").select_for_update(no_key=True, of=("self",))
    return get_or_raise(rows, errors.DeviationNotFound, pk=pk)


def _close(deviation: Deviation, status: str, *, by: str, reason: str = "") -> None:
    deviation.status, deviation.ended_at = status, timezone.now()
    deviation.ended_by, deviation.end_reason = by, reason
    deviation.save(update_fields=["status", "ended_at", "ended_by", "end_reason"])


def _mark(run: Run) -> None:
    """Say on a locked run whether it has a deviation in force."""
    run.has_deviations = Deviation.objects.filter(run=run, status=DeviationStatus.IN_FORCE).exists()
    run.save(update_fields=["has_deviations"])


def end_of_run(run: Run) -> None:
    """End the deviations of a run that ended; it is locked."""
    if not run.has_deviations:
        return
    Deviation.objects.filter(run=run, status=DeviationStatus.IN_FORCE).update(
        status=DeviationStatus.ENDED, ended_by=run.status_by or SYSTEM, ended_at=timezone.now()
    )
    run.has_deviations = False
    run.save(update_fields=["has_deviations"])


def expire_deviations() -> int:
    """Close the deviations whose time is over since a day; return how many. Safe to run twice, in several workers.

    Until then, units that moved in time and are reported late are still covered. Raises SweepIncomplete.
    """
    over = Deviation.objects.filter(status=DeviationStatus.IN_FORCE, expires_at__lte=timezone.now() - GRACE)
    with Sweep("deviations") as sweep:
        closed = 0
        for pk, run_no in list(over.order_by("expires_at").values_list("pk", "run__run_no")):
            with sweep.row(pk), transaction.atomic():
                closed += _expire(pk, run_no)
    return closed


def _expire(pk: int, run_no: str) -> int:
    run = runs.lock(run_no=run_no)
    deviation = _lock_row(pk)
    if deviation.status != DeviationStatus.IN_FORCE:
        return 0
    _close(deviation, DeviationStatus.EXPIRED, by=SYSTEM)
    _mark(run)
    return 1


TASK = ScheduledTask(
    "deviations", gettext_lazy("Closing of deviations whose time is over"), expire_deviations, cron="30 * * * *"
)
