"""What people decide about an order, over HTTP: make one by hand, change, complete, cancel, reopen."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from mes.platform.accounts.permissions import operator_name
from mes.platform.http.serializers import CodeField, DecisionReasonField, StrictSerializer, read
from mes.production import order_acts, orders
from mes.production.models import MOST_OVERRUN, RunKind, WorkOrder
from mes.production.order_answers import LARGEST_QUANTITY, WorkOrderDetail, WorkOrderRequest, in_detail
from mes.production.run_acts_api import DecisionRequest

OPTIONAL = ("routing_code", "due_date", "overrun_percent", "kind")


def receive_order(request: Request, body: Mapping[str, Any], *, is_from_erp: bool) -> tuple[WorkOrder, bool]:
    """Create or update the order that a body describes; return (order, created). Raises as `orders.receive` does."""
    return orders.receive(
        wo_no=body["wo_no"],
        product_code=body["product_code"],
        planned_qty=body["planned_qty"],
        optional={name: body[name] for name in OPTIONAL if name in body},
        by=operator_name(request),
        is_from_erp=is_from_erp,
    )


class NewWorkOrderRequest(WorkOrderRequest):
    """A work order as the ERP sends it, and what it is made for."""

    kind = serializers.ChoiceField(
        choices=RunKind.choices, required=False, help_text="PRODUCTION by default; that of its runs, by default."
    )


class WorkOrderChangeRequest(StrictSerializer):
    """What is to be changed of an order, and why."""

    plannedQty = serializers.IntegerField(min_value=1, max_value=LARGEST_QUANTITY, required=False)
    overrunPercent = serializers.IntegerField(min_value=0, max_value=MOST_OVERRUN, required=False)
    routingCode = CodeField(required=False, allow_null=True)
    dueDate = serializers.DateField(required=False, allow_null=True)
    reason = DecisionReasonField()


WHY = OpenApiExample("Why", value={"reason": "The customer needs no more"}, request_only=True)


class OrderActs:
    """Acts on an order, as a mixin of its viewset."""

    @extend_schema(
        summary="Make a work order by hand",
        description="By the rules of one that the ERP sends: sent again, it updates what may change. It reopens no "
        "order.",
        request=NewWorkOrderRequest,
        responses={201: WorkOrderDetail, 200: WorkOrderDetail},
        examples=[
            OpenApiExample(
                "Trial boards",
                value={"woNo": "ENG-12", "productCode": "CTRL-100", "plannedQty": 5, "kind": "ENGINEERING"},
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Create or update the order."""
        order, created = receive_order(request, read(NewWorkOrderRequest, request), is_from_erp=False)
        return Response(in_detail(order), status=201 if created else 200)

    @extend_schema(
        summary="Change a work order",
        description="Quantity, overrun and due date until it has ended, the route until it has a run. Not below what "
        "is made and under way (ORDER_QTY_TOO_LOW); where its runs are planned for more than it allows then, "
        "`overPlanned` says by how many units.",
        request=WorkOrderChangeRequest,
        responses=WorkOrderDetail,
        examples=[
            OpenApiExample("Fewer", value={"plannedQty": 75, "reason": "The customer cut it"}, request_only=True)
        ],
    )
    def partial_update(self, request: Request, wo_no: str) -> Response:
        """Change what differs."""
        body = read(WorkOrderChangeRequest, request)
        reason = body.pop("reason")
        return Response(in_detail(orders.change(wo_no=wo_no, wanted=body, by=operator_name(request), reason=reason)))

    @extend_schema(
        summary="Complete a work order",
        description="However much was made. Its runs are closed before (ORDER_RUNS_OPEN).",
        request=DecisionRequest,
        responses=WorkOrderDetail,
        examples=[WHY],
    )
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, wo_no: str) -> Response:
        """Complete it."""
        return self._decide(order_acts.complete, request, wo_no)

    @extend_schema(
        summary="Cancel a work order",
        description="Only while nothing of it is made (ORDER_MADE). Open runs without a track are closed with it; "
        "others are closed before (ORDER_RUNS_OPEN).",
        request=DecisionRequest,
        responses=WorkOrderDetail,
        examples=[WHY],
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, wo_no: str) -> Response:
        """Cancel it."""
        return self._decide(order_acts.cancel, request, wo_no)

    @extend_schema(
        summary="Open an ended work order again",
        description="It is in progress again if a run of it ever started, else as it was before.",
        request=DecisionRequest,
        responses=WorkOrderDetail,
        examples=[WHY],
    )
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, wo_no: str) -> Response:
        """Open it again."""
        return self._decide(order_acts.reopen, request, wo_no)

    def _decide(self, act: Any, request: Request, wo_no: str) -> Response:
        body = read(DecisionRequest, request)
        order: WorkOrder = act(wo_no=wo_no, by=operator_name(request), reason=body["reason"])
        return Response(in_detail(order))
