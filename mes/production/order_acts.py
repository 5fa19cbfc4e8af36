"""What people decide about an order: complete, cancel, reopen. Each locks the order's runs, then the order."""

from collections.abc import Sequence

from mes.errors import OrderMade, OrderRunsOpen, WorkOrderNotFound
from mes.labels import Action
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.production import locking, orders, run_closing, steering_notices, transitions
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus, WorkOrder
from mes.production.quantities import quantities_of_order

MOST_NAMED = 20


@locking.atomically
def complete(*, wo_no: str, by: str, reason: str) -> WorkOrder:
    """Complete an order, however much was made. Raises WorkOrderNotFound, InvalidTransition, OrderRunsOpen."""
    give_reason(reason)
    order, runs = orders.lock_with_runs(wo_no=wo_no)
    transitions.WORK_ORDER.next_state(Action.COMPLETE, order.status)
    _check_closed([run for run in runs if run.status in OPEN_RUN_STATUSES])
    orders.decide(order, Action.COMPLETE, by=by, reason=reason)
    return order


@locking.atomically
def cancel(*, wo_no: str, by: str, reason: str) -> WorkOrder:
    """Cancel an order of which nothing was made, and close its open runs that have no track.

    Raises WorkOrderNotFound, InvalidTransition, OrderMade, OrderRunsOpen.
    """
    give_reason(reason)
    runs = orders.lock_runs(wo_no=wo_no)
    _check_may_cancel(get_or_raise(WorkOrder.objects, WorkOrderNotFound, wo_no=wo_no))
    ended = _end_untouched([run for run in runs if run.status in OPEN_RUN_STATUSES], by=by, reason=reason)
    # The order comes last, after the units of its runs, so what it said before its lock is asked again.
    order = orders.lock_after_runs(wo_no=wo_no, runs=runs)
    _check_may_cancel(order)
    decision = orders.decide(order, Action.CANCEL, by=by, reason=reason)
    steering_notices.tell_cancelled(order, ended, decision)
    return order


@locking.atomically
def reopen(*, wo_no: str, by: str, reason: str) -> WorkOrder:
    """Open an ended order again. Raises WorkOrderNotFound, InvalidTransition."""
    give_reason(reason)
    order, _runs = orders.lock_with_runs(wo_no=wo_no)
    orders.reopen_locked(order, by=by, reason=reason)
    return order


def _check_may_cancel(order: WorkOrder) -> None:
    transitions.WORK_ORDER.next_state(Action.CANCEL, order.status)
    if made := quantities_of_order(order).made:
        raise OrderMade(order=order.wo_no, count=made)


def _end_untouched(runs: Sequence[Run], *, by: str, reason: str) -> Sequence[Run]:
    """End locked, open runs in which no track was made. Raises OrderRunsOpen for the others; then none is ended."""
    run_closing.lock_units(runs)
    closings = {run: run_closing.examine(run) for run in runs}
    _check_closed([run for run, each in closings.items() if each.refusals or each.leads_to != RunStatus.CANCELLED])
    for run in runs:
        run_closing.end(run, RunStatus.CANCELLED, by=by, reason=reason)
    return runs


def _check_closed(open_runs: Sequence[Run]) -> None:
    """Raise OrderRunsOpen for runs of an order that must be closed first."""
    if open_runs:
        names = [run.run_no for run in open_runs[:MOST_NAMED]]
        raise OrderRunsOpen(order=open_runs[0].work_order.wo_no, count=len(open_runs), runs=names)
