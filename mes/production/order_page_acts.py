"""What may be done with an order on its page: the acts of the interface, by its serializers and capabilities."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from rest_framework import serializers

from mes.labels import Action
from mes.plant.models import Line
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http import acts
from mes.platform.http.acts import Act, Field, FieldKind
from mes.platform.http.serializers import CHANGE_REASON, is_reason_needed
from mes.production import order_acts, orders, transitions
from mes.production.api import LineRequest, WorkOrderViewSet
from mes.production.models import OPEN_ORDER_STATUSES, WorkOrder, WorkOrderStatus
from mes.production.order_acts_api import WorkOrderChangeRequest
from mes.production.order_board import OrderDetail
from mes.production.run_acts_api import DecisionRequest
from mes.routing.models import Routing

MOST_SUGGESTED = 500
EMPTIED: Mapping[str, str] = {"dueDate": "due_date", "routingCode": "routing_code"}  # what may be taken away


@dataclass(frozen=True)
class OrderAct:
    """An act: the interface's action whose capabilities are asked for, when it is possible, its button, and what it
    does: it returns what is said then.
    """

    view_action: str
    is_possible: Callable[[OrderDetail], bool]
    build: Callable[[str, OrderDetail], Act]
    do: Callable[[HttpRequest, OrderDetail, Sequence[Field]], str]

    @property
    def capabilities(self) -> tuple[Capability, ...]:
        """Of which one is needed, by the interface."""
        needed: tuple[Capability, ...] = WorkOrderViewSet.capabilities[self.view_action]
        return needed

    def is_allowed(self, request: HttpRequest) -> bool:
        """Whether the person may do it."""
        return may(request, self.capabilities)


def may(request: HttpRequest, needed: Sequence[Capability]) -> bool:
    """Whether a person has one of these capabilities."""
    return not role_capabilities(request.user).isdisjoint(needed)


def list_offered(request: HttpRequest, detail: OrderDetail) -> Iterator[Act]:
    """Yield the acts that the order's state allows and the person may do."""
    for name, act in ORDER_ACTS.items():
        if act.is_possible(detail) and act.is_allowed(request):
            yield act.build(name, detail)


def line_codes() -> list[str]:
    """Return the codes of lines to choose from."""
    return list(Line.objects.order_by("code").values_list("code", flat=True)[:MOST_SUGGESTED])


def route_choices() -> list[tuple[str, str]]:
    """Return the routes to choose from, with what each makes; first that the order names none."""
    routes = Routing.objects.filter(is_active=True).order_by("code").values_list("code", "product_code")
    named = [(code, f"{code} · {product}" if product else code) for code, product in routes[:MOST_SUGGESTED]]
    return [("", _("the route of its product")), *named]


def change_reason(serializer: type[serializers.Serializer]) -> Sequence[Field]:
    """Return the field of a reason where the plant wants one of every change, and the interface takes one here."""
    if not is_reason_needed() or CHANGE_REASON not in serializer().fields:
        return ()
    return (Field(CHANGE_REASON, _("Reason"), FieldKind.LONG, is_required=True, most=500),)


def _address(name: str, order: WorkOrder) -> str:
    return reverse("order-act", args=[name, order.wo_no])


def _allows(action: Action) -> Callable[[OrderDetail], bool]:
    """Return the condition that the order's state allows an action."""
    return lambda detail: detail.order.status in transitions.WORK_ORDER.table[action]


# --- release -----------------------------------------------------------------------------------------------------


def _may_be_released(detail: OrderDetail) -> bool:
    return _allows(Action.RELEASE)(detail) and not detail.runs


def _release_act(name: str, detail: OrderDetail) -> Act:
    order = detail.order
    is_first = order.status == WorkOrderStatus.RECEIVED
    line = Field(
        "lineCode",
        _("Line"),
        FieldKind.CHOICE,
        value=order.line.code if order.line else "",
        choices=[(code, code) for code in line_codes()],
        is_required=True,
    )
    return Act(
        name,
        _("Release to a line") if is_first else _("Release to another line"),
        _address(name, order),
        button=_("Release the order"),
        about=_("Runs of it may be made from then on. Until the first, it may be released to another line."),
        is_main=is_first,
        fields=(line, *change_reason(LineRequest)),
        at={"LINE_NOT_FOUND": "lineCode"},
    )


def _release(request: HttpRequest, detail: OrderDetail, fields: Sequence[Field]) -> str:
    body = acts.read_form(LineRequest, request, fields)
    order = orders.release(wo_no=detail.order.wo_no, line_code=body["line_code"], by=request.user.get_username())
    return _("The order is released to %(line)s.") % {"line": order.line.code if order.line else ""}


# --- change ------------------------------------------------------------------------------------------------------


def _change_fields(detail: OrderDetail) -> list[Field]:
    """Return what may be changed, as it is now. The route stays once the order has a run."""
    order = detail.order
    due = order.due_date.isoformat() if order.due_date else ""
    fields = [
        Field("plannedQty", _("Quantity"), FieldKind.NUMBER, value=str(order.planned_qty), is_required=True),
        Field("overrunPercent", _("Overrun %"), FieldKind.NUMBER, value=str(order.overrun_percent), is_required=True),
        Field("dueDate", _("Due"), FieldKind.DATE, value=due),
    ]
    if not detail.runs:
        value = order.routing.code if order.routing else ""
        fields.append(Field("routingCode", _("Route"), FieldKind.CHOICE, value=value, choices=route_choices()))
    return fields


def _change_act(name: str, detail: OrderDetail) -> Act:
    return Act(
        name,
        _("Change"),
        _address(name, detail.order),
        button=_("Change the order"),
        symbol="rework",
        about=_("Its runs stay as they are: where they are for more than it allows then, that is shown."),
        fields=(*acts.with_shown(_change_fields(detail)), acts.reason_field()),
        at={"ORDER_QTY_TOO_LOW": "plannedQty", "ROUTE_NOT_FOUND": "routingCode"},
    )


def _change(request: HttpRequest, detail: OrderDetail, fields: Sequence[Field]) -> str:
    changed = acts.list_changed(request, fields)
    reason = next(each for each in fields if each.name == "reason")
    wanted = acts.read_form(WorkOrderChangeRequest, request, (*changed, reason))
    why = wanted.pop("reason")
    emptied = {each.name for each in changed if not acts.typed(request, each.name)}
    wanted |= {column: None for name, column in EMPTIED.items() if name in emptied}
    orders.change(wo_no=detail.order.wo_no, wanted=wanted, by=request.user.get_username(), reason=why)
    return _("The order is changed.")


# --- complete, cancel, reopen ------------------------------------------------------------------------------------


def _complete_act(name: str, detail: OrderDetail) -> Act:
    made, planned = detail.quantities.made, detail.order.planned_qty
    fields: list[Field] = [acts.reason_field()]
    if made < planned:
        told = _("Only %(made)d of %(planned)d are made.") % {"made": made, "planned": planned}
        fields.append(acts.confirmation(told))
    return Act(
        name,
        _("Complete"),
        _address(name, detail.order),
        button=_("Complete the order"),
        symbol="pass",
        about=_("It ends with what is made, and takes no more runs. It can be reopened."),
        fields=fields,
        ways={"ORDER_RUNS_OPEN": [(_("See its open runs"), "#runs")]},
    )


def _may_be_cancelled(detail: OrderDetail) -> bool:
    return _allows(Action.CANCEL)(detail) and not detail.quantities.made


def _cancel_act(name: str, detail: OrderDetail) -> Act:
    count = detail.row.open_runs
    closed = ngettext(
        "Nothing of it will be made, and its open run is closed with it.",
        "Nothing of it will be made, and its %(count)d open runs are closed with it.",
        count,
    ) % {"count": count}
    return Act(
        name,
        _("Cancel the order"),
        _address(name, detail.order),
        button=_("Cancel the order"),
        symbol="scrap",
        tone="bad",
        is_harmful=True,
        about=_("Only while nothing of it is made. It can be reopened by hand."),
        fields=(acts.reason_field(), acts.confirmation(closed if count else _("Nothing of it will be made."))),
        ways={
            "ORDER_RUNS_OPEN": [(_("See its open runs"), "#runs")],
            "ORDER_MADE": [(_("Complete it instead"), "#act-complete")],
        },
    )


def _reopen_act(name: str, detail: OrderDetail) -> Act:
    return Act(
        name,
        _("Reopen"),
        _address(name, detail.order),
        button=_("Reopen the order"),
        symbol="rework",
        about=_("It goes on where it was, and may have runs again."),
        fields=(acts.reason_field(),),
    )


def _decide(
    service: Callable[..., WorkOrder],
    said: Callable[[], str],
    request: HttpRequest,
    detail: OrderDetail,
    fields: Sequence[Field],
) -> str:
    body: Any = acts.read_form(DecisionRequest, request, fields)
    service(wo_no=detail.order.wo_no, by=request.user.get_username(), reason=body["reason"])
    return said()


ORDER_ACTS: Mapping[str, OrderAct] = {
    "release": OrderAct("release", _may_be_released, _release_act, _release),
    "change": OrderAct(
        "partial_update", lambda detail: detail.order.status in OPEN_ORDER_STATUSES, _change_act, _change
    ),
    "complete": OrderAct(
        "complete",
        _allows(Action.COMPLETE),
        _complete_act,
        partial(_decide, order_acts.complete, lambda: _("The order is completed.")),
    ),
    "reopen": OrderAct(
        "reopen",
        _allows(Action.REOPEN),
        _reopen_act,
        partial(_decide, order_acts.reopen, lambda: _("The order is open again.")),
    ),
    "cancel": OrderAct(
        "cancel",
        _may_be_cancelled,
        _cancel_act,
        partial(_decide, order_acts.cancel, lambda: _("The order is cancelled.")),
    ),
}
