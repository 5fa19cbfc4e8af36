"""Work orders: received from the ERP, released to a line."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Q, Sum

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
from mes.platform.database.lookup import get_or_raise
from mes.platform.validators import check_new_code
from mes.production import transitions
from mes.production.models import OPEN_RUN_STATUSES, Unit, UnitStatus, WorkOrder, WorkOrderStatus
from mes.production.queries import units_with_tracks
from mes.routing.models import Routing


def receive(
    *, wo_no: str, product_code: str, planned_qty: int, optional: Mapping[str, Any] | None = None
) -> tuple[WorkOrder, bool]:
    """Create a work order, or update what may change of a known one; return (order, created).

    `optional` may hold `routing_code`, `due_date` and `overrun_percent`; what it does not name stays as it is, None
    takes it away.
    Quantity, overrun and due date may change until the order is completed; product and route until it has a run.
    Raises RouteNotFound, InvalidTransition, OrderQuantityTooLow, ValidationFailed.
    """
    wanted: dict[str, Any] = {"product_code": product_code, "planned_qty": planned_qty, **(optional or {})}
    if "routing_code" in wanted:
        wanted["routing"] = _find_routing(wanted.pop("routing_code"))
    with transaction.atomic():
        order, created = WorkOrder.objects.get_or_create(wo_no=wo_no, defaults=wanted)
        if created:
            check_new_code("woNo", wo_no)
            _check_product(product_code)
        else:
            order = WorkOrder.objects.select_for_update(no_key=True).get(pk=order.pk)
            _update(order, wanted)
            complete_if_made(order)
        return order, created


def _check_product(code: str) -> None:
    """Raise ValidationFailed for what no product may be called, unless a route makes one of that name."""
    check_new_code("productCode", code, unless=Routing.objects.filter(product_code=code).exists)


def _find_routing(code: str | None) -> Routing | None:
    return None if code is None else get_or_raise(Routing.objects, RouteNotFound, code=code)


def _update(order: WorkOrder, wanted: dict[str, object]) -> None:
    changed = {name for name, value in wanted.items() if getattr(order, name) != value}
    if not changed:
        return
    if order.status == WorkOrderStatus.COMPLETED:
        raise InvalidTransition(action=Action.CHANGE, entity=Entity.WORK_ORDER, state=WorkOrderStatus(order.status))
    if changed & {"product_code", "routing"} and order.runs.exists():
        raise InvalidTransition(
            action=Action.CHANGE_PRODUCT_OR_ROUTE, entity=Entity.WORK_ORDER, state=State.IN_PRODUCTION
        )
    allowed_before = order.allowed_qty
    for name in changed:
        setattr(order, name, wanted[name])
    if order.allowed_qty < allowed_before:
        _check_not_too_low(order)
    if "product_code" in changed:
        _check_product(order.product_code)
    order.save(update_fields=[*changed, "updated_at"])


def release(*, wo_no: str, line_code: str) -> WorkOrder:
    """Release an order to a line. Again before its first run: to another line. Raises …NotFound, InvalidTransition."""
    line = get_or_raise(Line.objects, LineNotFound, code=line_code)
    with transaction.atomic():
        order = lock(wo_no=wo_no)
        order.status = transitions.WORK_ORDER.next_state(Action.RELEASE, order.status)
        if order.line_id not in (None, line.pk) and order.runs.exists():
            raise InvalidTransition(
                action=Action.RELEASE_TO_ANOTHER_LINE, entity=Entity.WORK_ORDER, state=State.IN_PRODUCTION
            )
        order.line = line
        order.save(update_fields=["status", "line", "updated_at"])
        return order


def lock(*, wo_no: str) -> WorkOrder:
    """Return the locked order (inside a transaction). Raises WorkOrderNotFound."""
    return get_or_raise(WorkOrder.objects.select_for_update(no_key=True), WorkOrderNotFound, wo_no=wo_no)


def check_may_commit(order: WorkOrder, *, more: int) -> None:
    """Raise OrderQuantityExceeded when a locked order does not allow another run of `more` units."""
    committed = count_committed(order)
    if committed + more > order.allowed_qty:
        raise OrderQuantityExceeded(order=order.wo_no, allowed=order.allowed_qty, committed=committed, count=more)


def count_committed(order: WorkOrder) -> int:
    """Return for how many units the runs of an order are: an open run for its plan, an ended one for what it made."""
    open_runs = order.runs.filter(status__in=OPEN_RUN_STATUSES)
    return (open_runs.aggregate(plan=Sum("plan_qty"))["plan"] or 0) + _count_made_in_ended_runs(order)


def _count_made_in_ended_runs(order: WorkOrder) -> int:
    ended = Unit.objects.filter(work_order=order, run__isnull=False).exclude(run__status__in=OPEN_RUN_STATUSES)
    return ended.filter(Q(status=UnitStatus.DONE) | Q(held_from=UnitStatus.DONE)).count()


def _check_not_too_low(order: WorkOrder) -> None:
    """Raise OrderQuantityTooLow when a locked order would allow fewer units than are made or under way."""
    in_open_runs = Unit.objects.filter(work_order=order, run__status__in=OPEN_RUN_STATUSES)
    under_way = units_with_tracks(in_open_runs.exclude(status=UnitStatus.SCRAPPED)).count()
    count = _count_made_in_ended_runs(order) + under_way
    if order.allowed_qty < count:
        raise OrderQuantityTooLow(order=order.wo_no, allowed=order.allowed_qty, count=count)


def start(order_id: int) -> None:
    """Note that the first unit of an order is on its way."""
    WorkOrder.objects.filter(pk=order_id, status=WorkOrderStatus.RELEASED).update(status=WorkOrderStatus.IN_PROGRESS)


def complete_if_made(order: WorkOrder) -> None:
    """Complete a locked order when no run of it is open and its quantity is made."""
    if order.status != WorkOrderStatus.IN_PROGRESS or order.runs.filter(status__in=OPEN_RUN_STATUSES).exists():
        return
    if Unit.objects.filter(work_order=order, status=UnitStatus.DONE).count() >= order.planned_qty:
        order.status = WorkOrderStatus.COMPLETED
        order.save(update_fields=["status", "updated_at"])
