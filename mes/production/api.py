"""Work orders and runs over HTTP."""

from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.plant.reach import OfServedLines
from mes.platform.accounts.permissions import READS_OWN, StationAccess, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.addresses import NAME
from mes.platform.http.serializers import (
    CodeField,
    ObjectSerializer,
    OffsetDateTimeField,
    RowSerializer,
    StrictSerializer,
    WithChangeReason,
    read,
)
from mes.platform.http.viewsets import ExactFilter, OnlyKnownFilter, TextSearch
from mes.production import holds, orders, runs
from mes.production.fields import SerialNumberField
from mes.production.history_api import HasHistory
from mes.production.models import Run, RunKind, RunStatus, Unit, UnitStatus, WorkOrder
from mes.production.order_acts_api import OrderActs, receive_order
from mes.production.order_answers import WorkOrderAnswer, WorkOrderDetail, WorkOrderRequest, in_detail, with_quantities
from mes.production.queries import count_units
from mes.production.run_acts_api import LARGEST_QUANTITY, WHO_RESUMES, HoldAnswer, RunActs, StatusAnswer

LARGEST_REGISTRATION = 10_000


class LineRequest(WithChangeReason, StrictSerializer):
    """Where an order goes."""

    lineCode = CodeField()


class RunRequest(WithChangeReason, StrictSerializer):
    """A run to be created."""

    lineCode = CodeField()
    planQty = serializers.IntegerField(min_value=1, max_value=LARGEST_QUANTITY)
    runNo = CodeField(required=False, allow_null=True)
    shiftCode = CodeField(required=False, allow_null=True)
    kind = serializers.ChoiceField(choices=RunKind.choices, required=False, help_text="That of its order by default.")


class RouteIdentity(ObjectSerializer):
    """Which route a run executes."""

    code = serializers.CharField()
    sourceSystem = serializers.CharField()


class VersionIdentity(ObjectSerializer):
    """Which frozen version a run is bound to."""

    id = serializers.CharField(source="pk")
    versionNo = serializers.IntegerField()


class RunAnswer(RowSerializer):
    """A run, bound to its route version."""

    runNo = serializers.CharField()
    woNo = serializers.CharField(source="work_order.wo_no")
    productCode = serializers.CharField(source="work_order.product_code")
    lineCode = serializers.CharField(source="line.code")
    planQty = serializers.IntegerField()
    shiftCode = serializers.CharField(allow_blank=True)
    route = RouteIdentity(source="route_version.routing")
    routeVersion = VersionIdentity()
    createdAt = OffsetDateTimeField()
    authorizedAt = OffsetDateTimeField(allow_null=True)
    startedAt = OffsetDateTimeField(allow_null=True)
    endedAt = OffsetDateTimeField(allow_null=True)
    heldFrom = serializers.CharField(
        source="held_from", allow_blank=True, help_text="Of a held run, the status in which it goes on."
    )

    class Meta:
        model = Run
        fields = [
            "runNo",
            "status",
            "woNo",
            "productCode",
            "lineCode",
            "planQty",
            "shiftCode",
            "route",
            "routeVersion",
            "createdAt",
            "authorizedAt",
            "startedAt",
            "endedAt",
            "kind",
            "heldFrom",
        ]


class RunDetail(RunAnswer):
    """A run with its units by status, and what holds it."""

    unitCounts = serializers.SerializerMethodField()
    holds = serializers.SerializerMethodField()

    class Meta(RunAnswer.Meta):
        fields = [*RunAnswer.Meta.fields, "unitCounts", "holds"]

    def get_unitCounts(self, run: Run) -> dict[str, int]:
        """The number of units in each status."""
        return count_units([run])[run.pk]

    @extend_schema_field(HoldAnswer(many=True))
    def get_holds(self, run: Run) -> list[dict[str, Any]]:
        """What holds it, the oldest first."""
        if run.status != RunStatus.ON_HOLD:
            return []
        return [dict(each) for each in HoldAnswer(holds.list_open(run=run), many=True).data]


class UnitsRequest(StrictSerializer):
    """Serial numbers to register."""

    sns = serializers.ListField(child=SerialNumberField(), min_length=1, max_length=LARGEST_REGISTRATION)


class UnitOfRunAnswer(RowSerializer):
    """A unit of a run, and where it stands."""

    sn = serializers.CharField()
    stepNo = serializers.IntegerField(source="current_step_no", allow_null=True)
    heldFrom = serializers.CharField(allow_blank=True)
    holdReason = serializers.CharField(allow_blank=True)
    scrapReason = serializers.CharField(allow_blank=True)
    reworkNo = serializers.IntegerField()

    class Meta:
        model = Unit
        fields = ["sn", "status", "stepNo", "heldFrom", "holdReason", "scrapReason", "reworkNo"]


class UnitsAnswer(serializers.Serializer):
    """What a registration did."""

    runNo = serializers.CharField()
    registered = serializers.ListField(child=serializers.CharField())
    total = serializers.IntegerField()


class AuthorizationRequest(StrictSerializer):
    """Authorize a run, or take its authorization back."""

    action = serializers.ChoiceField(choices=["AUTHORIZE", "REVOKE"])
    reason = serializers.CharField(max_length=500, required=False, allow_null=True)


class IncomingWorkOrderViewSet(GenericViewSet):
    """Work orders sent by the ERP."""

    queryset = WorkOrder.objects.none()
    serializer_class = WorkOrderAnswer
    capabilities = {"create": (Capability.ORDERS,)}

    @extend_schema(
        summary="Receive a work order",
        description="Sent again, it updates what may change: quantity, overrun and due date until the order is "
        "completed, product and route until it has a run. It is not lowered below what is made and under way "
        "(ORDER_QTY_TOO_LOW).",
        request=WorkOrderRequest,
        responses={201: WorkOrderAnswer, 200: WorkOrderAnswer},
        examples=[
            OpenApiExample(
                "An order",
                value={"woNo": "WO-4711", "productCode": "CTRL-100", "plannedQty": 40, "dueDate": "2026-12-01"},
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Create or update the order."""
        order, created = receive_order(request, read(WorkOrderRequest, request), is_from_erp=True)
        return Response(WorkOrderAnswer(order).data, status=201 if created else 200)


@extend_schema_view(list=extend_schema(summary="List work orders"), retrieve=extend_schema(summary="Read a work order"))
class WorkOrderViewSet(
    OrderActs, HasHistory, OfServedLines, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet
):
    """Work orders: list, read, make, change, release to a line, create runs, complete, cancel, reopen."""

    queryset = WorkOrder.objects.select_related("routing", "line")
    serializer_class = WorkOrderDetail
    lookup_field = "wo_no"
    lookup_value_regex = NAME
    filter_backends = [ExactFilter, TextSearch]
    filters = {"status": "status", "productCode": "product_code", "lineCode": "line__code"}
    search_fields = ["wo_no", "product_code"]
    capabilities = {
        **dict.fromkeys(("create", "partial_update", "release", "runs", "complete", "reopen"), (Capability.RUNS,)),
        "cancel": (Capability.RUNS, Capability.ORDERS),
    }
    station_access = READS_OWN | {"history": StationAccess.OWN}

    def get_object(self) -> WorkOrder:
        """Return the order the address names."""
        order = get_or_raise(self.get_queryset(), errors.WorkOrderNotFound, wo_no=self.kwargs["wo_no"])
        self.check_object_permissions(self.request, order)
        return order

    def paginate_queryset(self, queryset: Any) -> Any:
        """Return a page with the quantities of its orders."""
        page = super().paginate_queryset(queryset)
        return page if page is None or self.action != "list" else with_quantities(page)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one order with its quantities."""
        return Response(in_detail(self.get_object()))

    @extend_schema(
        summary="Release an order to a line",
        request=LineRequest,
        responses=WorkOrderAnswer,
        examples=[OpenApiExample("To a line", value={"lineCode": "SMT-A"}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def release(self, request: Request, wo_no: str) -> Response:
        """Release the order."""
        body = read(LineRequest, request)
        order = orders.release(wo_no=wo_no, line_code=body["line_code"], by=operator_name(request))
        return Response(WorkOrderAnswer(order).data)

    @extend_schema(
        summary="Create a run",
        description="The run is bound to the route version that applies now, and keeps it from its first track or "
        "first article. The runs of an order are for no more units than it allows (ORDER_QTY_EXCEEDED).",
        request=RunRequest,
        responses={201: RunAnswer},
        examples=[OpenApiExample("A run", value={"lineCode": "SMT-A", "planQty": 40}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def runs(self, request: Request, wo_no: str) -> Response:
        """Create a run of the order."""
        body = read(RunRequest, request)
        run = runs.create(
            wo_no=wo_no,
            line_code=body["line_code"],
            plan_qty=body["plan_qty"],
            run_no=body.get("run_no"),
            shift_code=body.get("shift_code"),
            kind=body.get("kind"),
        )
        return Response(RunAnswer(run).data, status=201)


@extend_schema_view(list=extend_schema(summary="List runs"))
class RunViewSet(RunActs, HasHistory, OfServedLines, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """Runs: list, read, change, register units, authorize, hold, resume, close, reopen."""

    queryset = Run.objects.select_related("work_order", "line", "route_version__routing").defer(
        "route_version__snapshot"
    )
    serializer_class = RunAnswer
    lookup_field = "run_no"
    lookup_value_regex = NAME
    filter_backends = [ExactFilter, TextSearch]
    filters = {"status": "status", "woNo": "work_order__wo_no", "lineCode": "line__code"}
    search_fields = ["run_no", "work_order__wo_no"]
    capabilities = {
        "units": (Capability.UNITS,),
        "authorize": (Capability.AUTHORIZE,),
        "hold": (Capability.DISPOSITION, Capability.RELEASE),
        "resume": WHO_RESUMES,
        "close": (Capability.CLOSE,),
        "reopen": (Capability.CLOSE,),
        "partial_update": (Capability.AUTHORIZE, Capability.ROUTES),
    }
    station_access = READS_OWN | dict.fromkeys(("history", "list_units", "close_check"), StationAccess.OWN)

    def get_object(self) -> Run:
        """Return the run the address names."""
        run = get_or_raise(self.get_queryset(), errors.RunNotFound, run_no=self.kwargs["run_no"])
        self.check_object_permissions(self.request, run)
        return run

    @extend_schema(summary="Read a run with its unit counts", responses=RunDetail)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one run."""
        return Response(RunDetail(self.get_object()).data)

    @extend_schema(
        summary="Register units",
        description="Registering again changes nothing. A run with registered units creates none on the fly.",
        request=UnitsRequest,
        responses={201: UnitsAnswer, 200: UnitsAnswer},
        examples=[OpenApiExample("Two boards", value={"sns": ["SN-0001", "SN-0002"]}, request_only=True)],
    )
    @action(detail=True, methods=["post"], filter_backends=[OnlyKnownFilter], filters={"status": "status"})
    def units(self, request: Request, run_no: str) -> Response:
        """Register the serial numbers."""
        body = read(UnitsRequest, request)
        run, new_sns = runs.register_units(run_no=run_no, sns=body["sns"])
        answer = {"runNo": run.run_no, "registered": new_sns, "total": run.units.count()}
        return Response(answer, status=201 if new_sns else 200)

    @extend_schema(
        summary="List the units of a run, newest first",
        description="Those that are in it now. Other query parameters are refused.",
        request=None,
        responses=UnitOfRunAnswer(many=True),
        parameters=[OpenApiParameter("status", enum=UnitStatus.values)],
    )
    @units.mapping.get
    def list_units(self, request: Request, run_no: str) -> Response:
        """Return a page of them."""
        rows = OnlyKnownFilter().filter_queryset(request, Unit.objects.filter(run=self.get_object()), self)
        return self.get_paginated_response(UnitOfRunAnswer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(
        summary="Authorize a run, or revoke its authorization",
        request=AuthorizationRequest,
        responses=StatusAnswer,
        examples=[OpenApiExample("Authorize", value={"action": "AUTHORIZE"}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def authorize(self, request: Request, run_no: str) -> Response:
        """Change the authorization."""
        body = read(AuthorizationRequest, request)
        run = runs.set_authorization(
            run_no=run_no, action=body["action"], by=operator_name(request), reason=body.get("reason") or ""
        )
        return Response({"runNo": run.run_no, "status": run.status})


def register(router: SimpleRouter) -> None:
    """Add the addresses of this subject."""
    router.register("integration/work-orders", IncomingWorkOrderViewSet, "incoming-work-order")
    router.register("work-orders", WorkOrderViewSet, "work-order")
    router.register("runs", RunViewSet, "run")
