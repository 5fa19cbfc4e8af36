"""Line set-up over HTTP: what is bound to a line, scans that change it, stencils with their limits, lots."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.line_setup import bindings, queries
from mes.line_setup.checks import api as checks
from mes.line_setup.loads.models import Load
from mes.line_setup.models import MaterialLot, SetUpKind, SolderPasteUsage, Tool, ToolKind
from mes.line_setup.set_up_lists import api as set_up_lists
from mes.line_setup.tools import api as tools
from mes.line_setup.tools import services as tool_services
from mes.line_setup.tools.models import MOST_HOURS
from mes.plant.models import Line
from mes.plant.reach import OfServedLines, check_serves_line, check_stands_on_line
from mes.platform import scans
from mes.platform.accounts.permissions import READS_SHARED, StationAccess, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.addresses import NAME
from mes.platform.http.master_data import FixedFieldsMixin, OptionalTextField, describe
from mes.platform.http.serializers import (
    CodeField,
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    ScannedField,
    StrictModelSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import CodeModelViewSet, ExactFilter, TextSearch
from mes.platform.inbound.sender import sender_of


class StencilScan(StrictSerializer):
    """A scanned stencil. With `replace`, what stands in the way is unbound."""

    stencilId = ScannedField(scans.TOOL)
    replace = serializers.BooleanField(required=False, default=False)


class LotScan(StrictSerializer):
    """A scanned lot. With `replace`, what stands in the way is unbound."""

    lotId = ScannedField(scans.LOT)
    replace = serializers.BooleanField(required=False, default=False)


class StencilRemoval(StrictSerializer):
    """The stencil to be taken off, scanned once more."""

    stencilId = ScannedField(scans.TOOL)


class LotRemoval(StrictSerializer):
    """The lot to be taken off, scanned once more."""

    lotId = ScannedField(scans.LOT)


class BindingAnswer(RowSerializer):
    """A stencil or lot on a line."""

    id = IdField()
    kind = serializers.ChoiceField(choices=SetUpKind.choices, source="slot")
    lineCode = serializers.CharField(source="line.code")
    stencilId = serializers.CharField(source="tool.tool_id", default=None, allow_null=True)
    lotId = serializers.CharField(source="lot.lot_id", default=None, allow_null=True)
    boundAt = OffsetDateTimeField(source="loaded_at")
    boundBy = serializers.CharField(source="opened_by.operator")
    unboundAt = OffsetDateTimeField(source="ended_at", allow_null=True)
    unboundBy = serializers.CharField(source="closed_by.operator", default="")

    class Meta:
        model = Load
        fields = ["id", "kind", "lineCode", "stencilId", "lotId", "boundAt", "boundBy", "unboundAt", "unboundBy"]


class ScanAnswer(BindingAnswer):
    """The binding after a scan, and what had to make room for it."""

    replaced = BindingAnswer(many=True)

    class Meta(BindingAnswer.Meta):
        fields = [*BindingAnswer.Meta.fields, "replaced"]


class SetUpAnswer(serializers.Serializer):
    """What is bound to a line now, and its latest bindings."""

    lineCode = serializers.CharField()
    stencil = BindingAnswer(allow_null=True)
    solderPaste = BindingAnswer(allow_null=True)
    history = BindingAnswer(many=True)


STENCIL = OpenApiExample("A scan", value={"stencilId": "ST-4711-T"}, request_only=True)
LOT = OpenApiExample("A scan", value={"lotId": "SP-2026-01-0042"}, request_only=True)
SCANNED = {201: ScanAnswer, 200: ScanAnswer}
BINDING = (
    "One stencil and one solder paste lot are bound to a line at a time, and each to one line. What stands in the way "
    "is refused (LINE_OCCUPIED, BOUND_ELSEWHERE), or unbound with `replace`. Scanning the same again changes nothing."
)
UNBINDING = "A lot that is in use goes out of use. What was taken off already stays so; anything else is NOT_BOUND."


class LineSetUpViewSet(GenericViewSet):
    """What a line is set up with."""

    queryset = Line.objects.all()
    serializer_class = BindingAnswer
    lookup_field = "code"
    lookup_value_regex = NAME
    capabilities = {"*": (Capability.BIND,)}
    station_access = {"*": StationAccess.OWN}

    @extend_schema(summary="Read the set-up of a line", responses=SetUpAnswer)
    @action(detail=True, methods=["get"], url_path="set-up")
    def set_up(self, request: Request, code: str) -> Response:
        """Return what is bound now and was bound lately."""
        line = _line(code)
        check_serves_line(sender_of(request), line)
        set_up = queries.get_set_up(line)
        answer = {
            "lineCode": set_up.line.code,
            "stencil": set_up.stencil,
            "solderPaste": set_up.solder_paste,
            "history": set_up.history,
        }
        return Response(SetUpAnswer(answer).data)

    @extend_schema(
        summary="Bind a stencil", description=BINDING, request=StencilScan, responses=SCANNED, examples=[STENCIL]
    )
    @action(detail=True, methods=["post"], url_path="stencil/bind")
    def bind_stencil(self, request: Request, code: str) -> Response:
        """Bind it."""
        body = read(StencilScan, request)
        return _bind(request, code, SetUpKind.STENCIL, body["stencil_id"], replace=body["replace"])

    @extend_schema(
        summary="Unbind a stencil",
        description=UNBINDING,
        request=StencilRemoval,
        responses=ScanAnswer,
        examples=[STENCIL],
    )
    @action(detail=True, methods=["post"], url_path="stencil/unbind")
    def unbind_stencil(self, request: Request, code: str) -> Response:
        """Take it off."""
        return _unbind(request, code, SetUpKind.STENCIL, read(StencilRemoval, request)["stencil_id"])

    @extend_schema(
        summary="Bind a solder paste lot", description=BINDING, request=LotScan, responses=SCANNED, examples=[LOT]
    )
    @action(detail=True, methods=["post"], url_path="solder-paste/bind")
    def bind_solder_paste(self, request: Request, code: str) -> Response:
        """Bind it."""
        body = read(LotScan, request)
        return _bind(request, code, SetUpKind.SOLDER_PASTE, body["lot_id"], replace=body["replace"])

    @extend_schema(
        summary="Unbind a solder paste lot",
        description=UNBINDING,
        request=LotRemoval,
        responses=ScanAnswer,
        examples=[LOT],
    )
    @action(detail=True, methods=["post"], url_path="solder-paste/unbind")
    def unbind_solder_paste(self, request: Request, code: str) -> Response:
        """Take it off."""
        return _unbind(request, code, SetUpKind.SOLDER_PASTE, read(LotRemoval, request)["lot_id"])


def _line(code: str) -> Line:
    return get_or_raise(Line.objects, errors.LineNotFound, code=code)


def _check_sender(request: Request, line_code: str) -> None:
    """Raise LineNotAllowed where the sender is limited to stations none of which stands on the line."""
    sender = sender_of(request)
    if sender.is_limited:
        check_stands_on_line(sender, _line(line_code))


def _bind(request: Request, line_code: str, kind: SetUpKind, code: str, *, replace: bool) -> Response:
    _check_sender(request, line_code)
    done = bindings.bind(line_code=line_code, kind=kind, code=code, by=operator_name(request), replace=replace)
    return _binding_answer(done, status=201 if done.changed else 200)


def _unbind(request: Request, line_code: str, kind: SetUpKind, code: str) -> Response:
    _check_sender(request, line_code)
    return _binding_answer(
        bindings.unbind(line_code=line_code, kind=kind, code=code, by=operator_name(request)), status=200
    )


def _binding_answer(done: bindings.Binding, *, status: int) -> Response:
    replaced = BindingAnswer(done.replaced, many=True).data
    return Response({**BindingAnswer(done.binding).data, "replaced": replaced}, status=status)


# --- stencils and lots --------------------------------------------------------------------------------------


class StencilSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A stencil. Its state is reported; its limits are kept here."""

    fixed = ("stencilId",)

    id = IdField()
    stencilId = CodeField(source="tool_id")
    version = OptionalTextField(max_length=100)
    tensionMin = serializers.FloatField(required=False, allow_null=True, min_value=0)
    maxUses = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=2**31 - 1)
    maxHoursSinceCleaning = serializers.IntegerField(
        source="max_hours_since_service", required=False, allow_null=True, min_value=0, max_value=MOST_HOURS
    )
    status = serializers.CharField(read_only=True)
    statusAt = OffsetDateTimeField(read_only=True, allow_null=True)
    tensionValue = serializers.FloatField(read_only=True, allow_null=True)
    lastCleanedAt = OffsetDateTimeField(source="serviced_at", read_only=True, allow_null=True)
    usageCount = serializers.IntegerField(source="uses_since_service", read_only=True)

    class Meta:
        model = Tool
        fields = (
            "id",
            "stencilId",
            "version",
            "tensionMin",
            "maxUses",
            "maxHoursSinceCleaning",
            "status",
            "statusAt",
            "tensionValue",
            "lastCleanedAt",
            "usageCount",
        )


@describe(
    "stencil",
    "stencils",
    example={"stencilId": "ST-4711-T", "tensionMin": 30, "maxUses": 500, "maxHoursSinceCleaning": 24},
    change={"tensionMin": 32},
    note="Stencils exist from their first mention, too. Tension is in N/cm.",
)
class StencilViewSet(CodeModelViewSet):
    """Stencils: the limits they are used within, and what was reported of them."""

    queryset = Tool.objects.filter(kind=ToolKind.STENCIL)
    serializer_class = StencilSerializer
    lookup_field = "tool_id"
    lookup_url_kwarg = "stencil_id"
    not_found = errors.StencilNotFound
    capabilities = {"*": (Capability.MASTER_DATA,)}
    station_access = READS_SHARED
    filters = {"status": "status"}
    search_fields = ("tool_id",)

    def perform_update(self, serializer: serializers.BaseSerializer) -> None:
        """Save only what is typed here: reports come in meanwhile."""
        stencil: Any = serializer.instance
        serializer.instance = tool_services.change(stencil.tool_id, dict(serializer.validated_data))


class UsageItem(RowSerializer):
    """One use of a lot."""

    id = IdField()
    lotId = serializers.CharField(source="lot.lot_id")
    lineCode = serializers.CharField(source="line.code", default=None, allow_null=True)
    runNo = serializers.CharField(source="run.run_no", default=None, allow_null=True)
    receivedAt = OffsetDateTimeField(allow_null=True)
    thawedAt = OffsetDateTimeField(allow_null=True)
    issuedAt = OffsetDateTimeField()
    returnedAt = OffsetDateTimeField(allow_null=True)

    class Meta:
        model = SolderPasteUsage
        fields = ["id", "lotId", "lineCode", "runNo", "receivedAt", "thawedAt", "issuedAt", "returnedAt"]


@extend_schema_view(list=extend_schema(summary="List the usages of solder paste lots"))
class UsageViewSet(OfServedLines, mixins.ListModelMixin, GenericViewSet):
    """When which lot was in use."""

    queryset = SolderPasteUsage.objects.select_related("lot", "line", "run")
    serializer_class = UsageItem
    station_access = {"list": StationAccess.OWN}
    filter_backends = [ExactFilter]
    filters = {"lotId": "lot__lot_id", "lineCode": "line__code", "runNo": "run__run_no"}


class LotItem(RowSerializer):
    """A container of solder paste as it was reported."""

    id = IdField()
    lotId = serializers.CharField()
    status = serializers.CharField(source="paste_status")
    statusAt = OffsetDateTimeField(allow_null=True)
    expiresAt = OffsetDateTimeField(allow_null=True)
    thawedAt = OffsetDateTimeField(allow_null=True)
    stirredAt = OffsetDateTimeField(allow_null=True)

    class Meta:
        model = MaterialLot
        fields = ["id", "lotId", "status", "statusAt", "expiresAt", "thawedAt", "stirredAt"]


@extend_schema_view(list=extend_schema(summary="List solder paste lots"))
class LotViewSet(mixins.ListModelMixin, GenericViewSet):
    """Containers of solder paste."""

    queryset = MaterialLot.objects.filter(is_solder_paste=True)
    serializer_class = LotItem
    station_access = {"list": StationAccess.SHARED}
    filter_backends = [ExactFilter, TextSearch]
    filters = {"lotId": "lot_id", "status": "paste_status"}
    search_fields = ("lot_id",)


def register(router: BaseRouter) -> None:
    """Add the addresses of line set-up."""
    tools.register(router)
    checks.register(router)
    router.register("integration/lines", LineSetUpViewSet, basename="line-set-up")
    router.register("stencils", StencilViewSet, basename="stencil")
    router.register("solder-paste-lots", LotViewSet, basename="solder-paste-lot")
    router.register("solder-paste-usages", UsageViewSet, basename="solder-paste-usage")
    set_up_lists.register(router)
