"""Undoing a scrap: one person asks, another one approves. Every rule is asked both times, under the same locks."""

from dataclasses import dataclass
from typing import cast

from django.utils.translation import gettext as _

from execution import dispositions
from execution.transfers import locks, rules
from execution.transfers.locks import check_open, find_named, lock_runs
from execution.transfers.rules import StepRule
from execution.transfers.services import put_into
from mes import errors
from mes.labels import Action, Entity
from mes.platform.accounts.roles import Capability
from mes.production import approvals, locking, runs, transitions, unit_moves
from mes.production.approvals import ApprovalKind
from mes.production.decision_models import Approval, ApprovalType, UnitMoveAct
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus, Unit, UnitStatus
from mes.production.names import get_unit


@dataclass(frozen=True)
class ScrappedUnit:
    """A locked unit with its run, and the run that it shall go into, where one is named; both locked."""

    unit: Unit
    run: Run | None
    target: Run | None


def request_undoing(
    *, sn: str, reason: str, by: str, to_run_no: str | None = None, to_step_no: int | None = None
) -> Approval:
    """Ask for the scrap of a unit to be undone. Raises UnitNotFound, RunNotFound, and what stands against it.

    That is: InvalidTransition of a unit that is not scrapped, or whose run is; of one whose run is open
    RunQuantityExceeded where its place is taken; of one whose run ended before it was done RunClosed, unless another
    run is named.
    """
    unit = get_unit(sn, Unit.objects.select_related("run"))
    arguments = {"toRunNo": to_run_no, "toStepNo": to_step_no}
    given = {name: value for name, value in arguments.items() if value is not None}
    return approvals.request(type=ApprovalType.UNSCRAP, unit=unit, run=unit.run, reason=reason, by=by, arguments=given)


def _lock(approval: Approval) -> ScrappedUnit:
    """Lock what an undoing is about: runs, then the unit."""
    unit_id = cast(Unit, approval.unit).pk
    run_id = Unit.objects.values_list("run_id", flat=True).get(pk=unit_id)
    to_run_no = approval.arguments.get("toRunNo")
    locked = lock_runs(numbers=[] if to_run_no is None else [to_run_no], ids=[] if run_id is None else [run_id])
    target = None if to_run_no is None else find_named(locked, to_run_no)
    unit = locking.lock_units(Unit.objects.filter(pk=unit_id))[0]
    if unit.run_id != run_id:
        raise locking.Outdated
    return ScrappedUnit(unit, None if run_id is None else locked[run_id], target)


def _check(approval: Approval, scrapped: ScrappedUnit) -> None:
    """Raise what stands against undoing a scrap."""
    unit, run, target = scrapped.unit, scrapped.run, scrapped.target
    transitions.UNIT.next_state(Action.UNDO_SCRAP, unit.status)
    if run is not None and run.status == RunStatus.SCRAPPED:
        raise errors.InvalidTransition(action=Action.UNDO_SCRAP, entity=Entity.RUN, state=RunStatus.SCRAPPED)
    if not _must_leave(scrapped):
        if target is not None:
            raise errors.ValidationFailed({"toRunNo": _("The unit stays in its run: name none.")})
        if approval.arguments.get("toStepNo") is not None:
            raise errors.ValidationFailed({"toStepNo": _("The unit stays at its step: name none.")})
        if run is not None and run.status in OPEN_RUN_STATUSES:
            runs.check_lot_moves(run)
            runs.check_quantity(run, more=1)
        return
    assert run is not None
    if target is None:
        raise errors.RunClosed(run=run.run_no)
    check_open(target)
    rules.check_product(unit, run.work_order.product_code, target)
    unit_moves.check_not_made(unit, target, unit_moves.find_made([unit], target))
    _choose_step(approval, scrapped)
    runs.check_quantity(target, more=1)


def _must_leave(scrapped: ScrappedUnit) -> bool:
    """Whether a unit cannot go on in its run: that ended, and the unit was not done."""
    run = scrapped.run
    if run is None or run.status in OPEN_RUN_STATUSES:
        return False
    return dispositions.find_scrapping(scrapped.unit)[0] != UnitStatus.DONE


def _choose_step(approval: Approval, scrapped: ScrappedUnit) -> int:
    """Return the step at which a unit goes on in the run it goes into. Raises StepRequired, StepMismatch."""
    unit, run, target = scrapped.unit, scrapped.run, scrapped.target
    assert run is not None and target is not None
    to_step_no = approval.arguments.get("toStepNo")
    rule = StepRule(runs.snapshot_of(run), runs.snapshot_of(target), to_step_no)
    if to_step_no is not None:
        rule.check_named(unit, locks.find_last_results([unit])[unit.pk])
        return int(to_step_no)
    if not rule.stays(unit.current_step_no):
        raise errors.StepRequired(run=target.run_no)
    return unit.current_step_no or 0


def _apply(approval: Approval, scrapped: ScrappedUnit) -> None:
    """Undo the scrap: the unit is held, from what it was scrapped from. One that leaves its run counts there still."""
    unit, target = scrapped.unit, scrapped.target
    scrapped_from, scrapped_at = dispositions.find_scrapping(unit)
    reason, by = approval.reason, approval.requested_by
    if target is not None:
        steps, ended_at = {unit.pk: _choose_step(approval, scrapped)}, {unit.pk: scrapped_at}
        put_into(target, [unit], steps, act=UnitMoveAct.MOVE, ended_at=ended_at, reason=reason, by=by)
        unit.run, unit.work_order_id, unit.current_step_no = target, target.work_order_id, steps[unit.pk]
    elif scrapped.run is not None:
        _put_on_route(unit, scrapped.run)
    dispositions.undo_scrap(unit, scrapped_from=scrapped_from, reason=reason, by=by, approved_by=approval.decided_by)


def _put_on_route(unit: Unit, run: Run) -> None:
    """Put a unit at the first step of its run, if that has taken another version of its route since the scrap: scrapped
    units stayed behind, and none was begun.
    """
    route = runs.snapshot_of(run)
    if not unit.tracks.exists() or route.step(unit.current_step_no) is None:
        unit.current_step_no = route.first_step_no


def _describe(approval: Approval) -> str:
    """Say in words what is asked for."""
    sn = cast(Unit, approval.unit).sn
    to_run_no = approval.arguments.get("toRunNo")
    if to_run_no is None:
        return _("Undo the scrap of unit %(sn)s") % {"sn": sn}
    return _("Undo the scrap of unit %(sn)s, which goes on in run %(run)s") % {"sn": sn, "run": to_run_no}


KIND = ApprovalKind(
    type=ApprovalType.UNSCRAP,
    asks=(Capability.DISPOSITION,),
    approves=(Capability.RELEASE,),
    lock=_lock,
    check=_check,
    apply=_apply,
    describe=_describe,
)
