"""Work orders in bodies: as they are sent, and as they are answered."""

from collections.abc import Iterable
from typing import Any

from rest_framework import serializers

from mes.platform.http.serializers import (
    CodeField,
    ObjectSerializer,
    OffsetDateTimeField,
    RowSerializer,
    StrictSerializer,
)
from mes.production.models import MOST_OVERRUN, WorkOrder
from mes.production.quantities import quantities_of

LARGEST_QUANTITY = 1_000_000


class WorkOrderRequest(StrictSerializer):
    """A work order as the ERP sends it."""

    woNo = CodeField()
    productCode = CodeField()
    plannedQty = serializers.IntegerField(min_value=1, max_value=LARGEST_QUANTITY)
    overrunPercent = serializers.IntegerField(
        min_value=0, max_value=MOST_OVERRUN, required=False, help_text="By how much its runs may exceed `plannedQty`."
    )
    routingCode = CodeField(required=False, allow_null=True)
    dueDate = serializers.DateField(required=False, allow_null=True)


class WorkOrderAnswer(RowSerializer):
    """A work order."""

    woNo = serializers.CharField()
    productCode = serializers.CharField()
    plannedQty = serializers.IntegerField()
    overrunPercent = serializers.IntegerField()
    allowedQty = serializers.IntegerField(help_text="How many units its runs may be for, the overrun included.")
    routingCode = serializers.CharField(source="routing.code", allow_null=True, default=None)
    lineCode = serializers.CharField(source="line.code", allow_null=True, default=None)
    dueDate = serializers.DateField(allow_null=True)
    receivedAt = OffsetDateTimeField()

    class Meta:
        model = WorkOrder
        fields = [
            "woNo",
            "productCode",
            "plannedQty",
            "overrunPercent",
            "allowedQty",
            "routingCode",
            "lineCode",
            "dueDate",
            "status",
            "receivedAt",
            "kind",
        ]


class RunOfOrderAnswer(ObjectSerializer):
    """A run of an order."""

    runNo = serializers.CharField()
    kind = serializers.CharField()
    status = serializers.CharField()
    lineCode = serializers.CharField()
    planQty = serializers.IntegerField()
    made = serializers.IntegerField(help_text="Units that were done in it, those that left it since included.")


class WorkOrderDetail(WorkOrderAnswer):
    """A work order with what its runs use up of it."""

    made = serializers.IntegerField(source="quantities.made", help_text="Units done in runs of its kind.")
    committed = serializers.IntegerField(
        source="quantities.committed",
        help_text="What its runs of its kind are for: the plan of open ones, what ended ones made.",
    )
    allowed = serializers.IntegerField(source="quantities.allowed", help_text="As `allowedQty`.")
    overPlanned = serializers.IntegerField(
        source="quantities.over_planned", help_text="By how much `committed` exceeds `allowed`."
    )
    runs = RunOfOrderAnswer(source="quantities.runs", many=True, help_text="All its runs, the oldest first.")

    class Meta(WorkOrderAnswer.Meta):
        fields = [*WorkOrderAnswer.Meta.fields, "made", "committed", "allowed", "overPlanned", "runs"]


def with_quantities(orders: Iterable[WorkOrder]) -> list[WorkOrder]:
    """Return orders with what `WorkOrderDetail` shows of their quantities: two queries for any number of them."""
    found = list(orders)
    quantities = quantities_of(found)
    for order in found:
        order.quantities = quantities[order.pk]  # type: ignore[attr-defined]
    return found


def in_detail(order: WorkOrder) -> dict[str, Any]:
    """Return the answer of one order."""
    return dict(WorkOrderDetail(with_quantities([order])[0]).data)
