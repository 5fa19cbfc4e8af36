"""What people decide about a run: hold, resume, close, reopen. Each holds the run's row exclusively."""

from django.db import transaction
from django.utils.translation import gettext as _

from mes.errors import InvalidTransition, RunOnHold, RunQuantityTooLow, ValidationFailed
from mes.labels import Action, Entity
from mes.platform.database.authorship import give_reason
from mes.platform.signatures.services import Signing
from mes.production import decisions, holds, hooks, locking, orders, run_closing, runs, steering_notices, transitions
from mes.production.hold_models import Hold, HoldSource
from mes.production.models import Run, RunStatus, WorkOrder, WorkOrderStatus
from mes.production.quantities import count_in_plan, count_made
from mes.production.run_counts import counts_changed


@transaction.atomic
def hold(
    *, run_no: str, by: str, reason: str, source: HoldSource = HoldSource.PERSON, owner: str = ""
) -> tuple[Hold, bool]:
    """Hold an open run; return (hold, whether it is new). Held again by the same source, nothing changes.

    Once it is answered no unit enters a station for it: who enters holds the run's row shared.
    Raises RunNotFound, InvalidTransition.
    """
    give_reason(reason)
    run = runs.lock(run_no=run_no)
    before, status = run.status, transitions.RUN.next_state(Action.HOLD, run.status)
    opened, is_new = holds.open_hold(run=run, source=source, reason=reason, by=by, owner=owner)
    if not is_new:
        return opened, False
    if before != status:
        run.status, run.held_from = status, before
        run.save(update_fields=["status", "held_from"])
    decisions.record(run, Action.HOLD, by=by, reason=reason, from_status=before, to_status=status)
    steering_notices.tell_run_held(run, opened)
    return opened, True


@transaction.atomic
def resume(
    *, run_no: str, by: str, reason: str = "", source: HoldSource = HoldSource.PERSON, signing: Signing | None = None
) -> Run:
    """End what one source holds of a run; it goes on where it was held from once nothing else holds it.

    Readiness is not asked again. Raises RunNotFound, InvalidTransition, RunOnHold where only others hold it.
    """
    give_reason(reason)
    run = runs.lock(run_no=run_no)
    transitions.RUN.next_state(Action.RESUME, run.status)
    open_ones = holds.list_open(run=run)
    if open_ones and all(each.source != source for each in open_ones):
        raise RunOnHold(run=run_no)
    before = run.status
    if not holds.end_hold(run=run, source=source, by=by, reason=reason, signing=signing):
        run.status, run.held_from = run.held_from, ""
        run.save(update_fields=["status", "held_from"])
    decisions.record(run, Action.RESUME, by=by, reason=reason, from_status=before, to_status=run.status)
    return run


@locking.atomically
def close(*, run_no: str, by: str, reason: str = "") -> tuple[Run, list[str]]:
    """Complete a run, or cancel it where no track was made in it; return (run, SNs never made, which left it).

    Raises RunNotFound, InvalidTransition, RunOnHold, UnitsNotFinished; ValidationFailed without a reason where less
    was made than planned.
    """
    give_reason(reason)
    run = runs.lock(run_no=run_no)
    run_closing.lock_units([run])
    closing = run_closing.examine(run)
    for refusal in closing.refusals:
        raise refusal
    if closing.is_short and not reason:
        raise ValidationFailed({"reason": _("Less was made than planned: say why it is closed.")})
    assert closing.leads_to is not None
    not_made = run_closing.end(run, closing.leads_to, by=by, reason=reason)
    orders.complete_if_made(orders.lock(wo_no=run.work_order.wo_no), by=by)
    return run, not_made


@locking.atomically
def reopen(*, run_no: str, by: str, reason: str, plan_qty: int | None = None) -> Run:
    """Open an ended run again, for another quantity if one is given, and its order where that is completed.

    Raises RunNotFound, InvalidTransition, RunQuantityTooLow, OrderQuantityExceeded.
    """
    give_reason(reason)
    run = runs.lock(run_no=run_no)
    before, status = run.status, transitions.RUN.next_state(Action.REOPEN, run.status)
    if run.started_at is None:
        status = RunStatus.PREP
    plan = run.plan_qty if plan_qty is None else plan_qty
    check_plan_not_too_low(run, plan)
    order = orders.lock(wo_no=run.work_order.wo_no)
    _check_takes_runs(order)
    orders.check_may_commit(order, kind=run.kind, more=plan - count_made([run.pk])[run.pk])
    if order.status == WorkOrderStatus.COMPLETED:
        orders.reopen_locked(order, by=by, reason=reason)
    changes = {} if plan == run.plan_qty else {"planQty": [run.plan_qty, plan]}
    run.status, run.plan_qty, run.ended_at = status, plan, None
    if status == RunStatus.PREP:
        run.authorized_at, run.authorized_by = None, ""
    run.status_by, run.status_reason = by, reason
    run.save(
        update_fields=["status", "plan_qty", "ended_at", "authorized_at", "authorized_by", "status_by", "status_reason"]
    )
    decisions.record(run, Action.REOPEN, by=by, reason=reason, from_status=before, to_status=status, changes=changes)
    for listener in hooks.run_reopened:
        listener(run)
    counts_changed([run.pk], reason=reason, by=by)
    return run


def _check_takes_runs(order: WorkOrder) -> None:
    """Raise InvalidTransition for an order that must be reopened by itself before a run of it can be."""
    if order.status == WorkOrderStatus.CANCELLED:
        raise InvalidTransition(action=Action.REOPEN, entity=Entity.WORK_ORDER, state=WorkOrderStatus(order.status))


def check_plan_not_too_low(run: Run, plan_qty: int) -> None:
    """Raise RunQuantityTooLow for fewer units than a locked run has or made; scrapped ones do not use it up."""
    count = count_in_plan(run)
    if plan_qty < count:
        raise RunQuantityTooLow(run=run.run_no, plan=plan_qty, count=count)
