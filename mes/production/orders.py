"""Work orders: received from the ERP or made by hand, released to a line, used up by their runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mes.errors import (
    InvalidTransition,
    LineNotFound,
    OrderQuantityExceeded,
    OrderQuantityTooLow,
    RouteNotFound,
    WorkOrderNotFound,
)
from mes.labels import Action, Entity, State
from mes.plant.models import Line
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.envelope import camel_case
from mes.platform.validators import check_new_code
from mes.production import decisions, locking, steering_notices, transitions
from mes.production.decision_models import Decision
from mes.production.models import OPEN_RUN_STATUSES, Run, WorkOrder, WorkOrderStatus
from mes.production.quantities import count_finished_now, count_under_way, quantities_of_order
from mes.routing.models import Routing

ENDED = (WorkOrderStatus.COMPLETED, WorkOrderStatus.CANCELLED)
SYSTEM = "system"


@locking.atomically
def receive(
    *,
    wo_no: str,
    product_code: str,
    planned_qty: int,
    optional: Mapping[str, Any] | None = None,
    by: str = SYSTEM,
    is_from_erp: bool = True,
) -> tuple[WorkOrder, bool]:
    """Create a work order, or update what may change of a known one; return (order, created).

    `optional` may hold `routing_code`, `due_date`, `overrun_percent` and `kind`; what it does not name stays as it is,
    None takes it away.
    Quantity, overrun and due date may change until the order has ended; product, route and kind until it has a run.
    A completed order is reopened where the ERP raises its quantity above what is made.
    Raises RouteNotFound, InvalidTransition, OrderQuantityTooLow, ValidationFailed.
    """
    wanted: dict[str, Any] = {"product_code": product_code, "planned_qty": planned_qty, **(optional or {})}
    if "routing_code" in wanted:
        wanted["routing"] = _find_routing(wanted.pop("routing_code"))
    order, created = WorkOrder.objects.get_or_create(wo_no=wo_no, defaults=wanted)
    if created:
        check_new_code("woNo", wo_no)
        _check_product(product_code)
        return order, True
    change = Change(wanted, by=by, may_reopen=is_from_erp)
    return update(wo_no=wo_no, change=change), False


@dataclass(frozen=True)
class Change:
    """What is to be changed of an order, by whom and why."""

    wanted: Mapping[str, Any]
    by: str
    reason: str = ""
    may_reopen: bool = False  # where the quantity is raised above what is made


def update(*, wo_no: str, change: Change) -> WorkOrder:
    """Change what differs of an order (inside a transaction that restarts). What is as it should be changes nothing.

    Raises WorkOrderNotFound, InvalidTransition, OrderQuantityTooLow, ValidationFailed.
    """
    give_reason(change.reason)
    order, _runs = lock_with_runs(wo_no=wo_no)
    changed = {name: value for name, value in change.wanted.items() if getattr(order, name) != value}
    if not changed:
        return order
    if order.status in ENDED:
        _reopen_by_quantity(order, changed, change)
    _check_may_change(order, changed)
    allowed_before = order.allowed_qty
    told = {_name_of(name): [_told(getattr(order, name)), _told(value)] for name, value in changed.items()}
    for name, value in changed.items():
        setattr(order, name, value)
    if order.allowed_qty < allowed_before:
        _check_not_too_low(order)
    if "product_code" in changed:
        _check_product(order.product_code)
    order.save(update_fields=[*changed, "updated_at"])
    decision = decisions.record(order, Action.CHANGE, by=change.by, reason=change.reason, changes=told)
    if order.allowed_qty < allowed_before:
        steering_notices.tell_over_planned(order, decision)
    if "planned_qty" in changed:  # what a person reopened stays open, whatever else changes
        complete_if_made(order, by=change.by)
    return order


def _reopen_by_quantity(order: WorkOrder, changed: Mapping[str, Any], change: Change) -> None:
    """Reopen a completed order whose quantity the ERP raises above what is made; refuse every other change of it."""
    quantity = changed.get("planned_qty", 0)
    is_raised = quantity > order.planned_qty and quantity > quantities_of_order(order).made
    if order.status != WorkOrderStatus.COMPLETED or not change.may_reopen or not is_raised:
        raise InvalidTransition(action=Action.CHANGE, entity=Entity.WORK_ORDER, state=WorkOrderStatus(order.status))
    reopen_locked(order, by=change.by, reason=change.reason)


def _check_may_change(order: WorkOrder, changed: Mapping[str, Any]) -> None:
    """Raise InvalidTransition for what stays as it is once an order has a run."""
    action = Action.CHANGE_PRODUCT_OR_ROUTE if changed.keys() & {"product_code", "routing"} else Action.CHANGE
    if changed.keys() & {"product_code", "routing", "kind"} and order.runs.exists():
        raise InvalidTransition(action=action, entity=Entity.WORK_ORDER, state=State.IN_PRODUCTION)


def _name_of(field_name: str) -> str:
    return "routingCode" if field_name == "routing" else camel_case(field_name)


def _told(value: Any) -> Any:
    """Return a value of an order as it stands in its history."""
    if isinstance(value, Routing):
        return value.code
    return value if value is None or isinstance(value, int | str) else value.isoformat()


def _check_product(code: str) -> None:
    """Raise ValidationFailed for what no product may be called, unless a route makes one of that name."""
    check_new_code("productCode", code, unless=Routing.objects.filter(product_code=code).exists)


def _find_routing(code: str | None) -> Routing | None:
    return None if code is None else get_or_raise(Routing.objects, RouteNotFound, code=code)


@locking.atomically
def change(*, wo_no: str, wanted: Mapping[str, Any], by: str, reason: str) -> WorkOrder:
    """Change quantity, overrun, due date or route of an order by hand; `wanted` is as `optional` of `receive`.

    Raises WorkOrderNotFound, RouteNotFound, InvalidTransition, OrderQuantityTooLow.
    """
    fields = dict(wanted)
    if "routing_code" in fields:
        fields["routing"] = _find_routing(fields.pop("routing_code"))
    return update(wo_no=wo_no, change=Change(fields, by=by, reason=reason))


@locking.atomically
def release(*, wo_no: str, line_code: str, by: str = SYSTEM) -> WorkOrder:
    """Release an order to a line. Again before its first run: to another line. Raises …NotFound, InvalidTransition."""
    line = get_or_raise(Line.objects, LineNotFound, code=line_code)
    order = lock(wo_no=wo_no)
    before, line_before = order.status, order.line
    order.status = transitions.WORK_ORDER.next_state(Action.RELEASE, before)
    if order.line_id not in (None, line.pk) and order.runs.exists():
        raise InvalidTransition(
            action=Action.RELEASE_TO_ANOTHER_LINE, entity=Entity.WORK_ORDER, state=State.IN_PRODUCTION
        )
    order.line = line
    order.save(update_fields=["status", "line", "updated_at"])
    if line_before != line:
        changes = {"lineCode": [None if line_before is None else line_before.code, line.code]}
        decisions.record(order, Action.RELEASE, by=by, from_status=before, to_status=order.status, changes=changes)
    return order


# --- locks --------------------------------------------------------------------------------------------------


def lock(*, wo_no: str) -> WorkOrder:
    """Return the locked order (inside a transaction). Raises WorkOrderNotFound.

    Whoever needs its runs or their units as well has locked them before, or calls `lock_with_runs`.
    """
    return get_or_raise(WorkOrder.objects.select_for_update(no_key=True), WorkOrderNotFound, wo_no=wo_no)


def lock_runs(*, wo_no: str) -> list[Run]:
    """Return the runs of an order, locked by their ids, none for an order that there is not (inside a transaction)."""
    runs = Run.objects.select_for_update(of=("self",), no_key=True).select_related("line", "work_order")
    return list(runs.filter(work_order__wo_no=wo_no).order_by("pk"))


def lock_after_runs(*, wo_no: str, runs: list[Run]) -> WorkOrder:
    """Return the order, locked after its runs. Raises Outdated when it has got another one, WorkOrderNotFound."""
    order = lock(wo_no=wo_no)
    if set(order.runs.values_list("pk", flat=True)) != {run.pk for run in runs}:
        raise locking.Outdated
    for run in runs:
        run.work_order = order
    return order


def lock_with_runs(*, wo_no: str) -> tuple[WorkOrder, list[Run]]:
    """Return an order and its runs, all locked (inside a transaction that restarts). Raises WorkOrderNotFound."""
    runs = lock_runs(wo_no=wo_no)
    return lock_after_runs(wo_no=wo_no, runs=runs), runs


# --- quantities ---------------------------------------------------------------------------------------------


def check_may_commit(order: WorkOrder, *, kind: str, more: int) -> None:
    """Raise OrderQuantityExceeded when a locked order does not allow its runs of this kind `more` units than now."""
    if kind != order.kind:
        return
    committed = quantities_of_order(order).committed
    if committed + more > order.allowed_qty:
        raise OrderQuantityExceeded(order=order.wo_no, allowed=order.allowed_qty, committed=committed, count=more)


def _check_not_too_low(order: WorkOrder) -> None:
    """Raise OrderQuantityTooLow when a locked order would allow fewer units than are made or under way."""
    count = quantities_of_order(order).made + count_under_way(order)
    if order.allowed_qty < count:
        raise OrderQuantityTooLow(order=order.wo_no, allowed=order.allowed_qty, count=count)


# --- its states ---------------------------------------------------------------------------------------------


def start(order_id: int) -> None:
    """Note that the first unit of an order is on its way."""
    WorkOrder.objects.filter(pk=order_id, status=WorkOrderStatus.RELEASED).update(status=WorkOrderStatus.IN_PROGRESS)


def complete_if_made(order: WorkOrder, *, by: str) -> None:
    """Complete a locked order when no run of it is open and its quantity is made."""
    if order.status != WorkOrderStatus.IN_PROGRESS or order.runs.filter(status__in=OPEN_RUN_STATUSES).exists():
        return
    if count_finished_now(order) >= order.planned_qty:
        _enter(order, WorkOrderStatus.COMPLETED, Action.COMPLETE, by=by, reason="")


def decide(order: WorkOrder, action: Action, *, by: str, reason: str) -> Decision:
    """Take a locked order where an action leads; return the decision that is kept. Raises InvalidTransition."""
    status = transitions.WORK_ORDER.next_state(action, order.status)
    return _enter(order, status, action, by=by, reason=reason)


def reopen_locked(order: WorkOrder, *, by: str, reason: str) -> None:
    """Reopen a locked order: in progress if a run of it ever started, else as it was. Raises InvalidTransition."""
    transitions.WORK_ORDER.next_state(Action.REOPEN, order.status)
    if order.runs.filter(started_at__isnull=False).exists():
        status = WorkOrderStatus.IN_PROGRESS
    else:
        status = WorkOrderStatus.RECEIVED if order.line_id is None else WorkOrderStatus.RELEASED
    _enter(order, status, Action.REOPEN, by=by, reason=reason)


def _enter(order: WorkOrder, status: str, action: Action, *, by: str, reason: str) -> Decision:
    before, order.status = order.status, status
    order.save(update_fields=["status", "updated_at"])
    return decisions.record(order, action, by=by, reason=reason, from_status=before, to_status=status)
