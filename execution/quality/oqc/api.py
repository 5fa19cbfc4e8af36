"""Outgoing inspections over HTTP."""

from typing import Any

from django.db.models import Prefetch
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from execution.quality.inspection_fields import InspectedItemAnswer, InspectedItemRequest, said_of
from execution.quality.oqc import drawing, sampling, services
from execution.quality.oqc.models import OqcInspection, OqcItem, OqcResult, OqcSample, SamplingState
from execution.quality.oqc.plan import LARGEST_LOT
from execution.quality.record_types import OQC_ITEM
from mes import errors
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.database.lookup import get_or_raise
from mes.platform.files.queries import attach
from mes.platform.http.addresses import NAME
from mes.platform.http.serializers import (
    DecisionReasonField,
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import ExactFilter
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.signatures import queries as signature_queries
from mes.platform.signatures import services as signatures
from mes.platform.signatures.serializers import EXAMPLE, SignatureBrief, SignatureRequest
from mes.routing.fai_api import ItemsField


def _remark(**kwargs: Any) -> serializers.CharField:
    return serializers.CharField(
        **{"max_length": 500, "required": False, "allow_null": True, "allow_blank": True, **kwargs}
    )


class OqcRequest(StrictSerializer):
    """An outgoing inspection to be."""

    sampleQty = serializers.IntegerField(
        min_value=1,
        max_value=LARGEST_LOT,
        required=False,
        allow_null=True,
        help_text="Where no sampling rule asks for an inspection; by default every unit.",
    )
    remark = _remark()


class OqcCancelRequest(StrictSerializer):
    """Why it is given up."""

    reason = DecisionReasonField()


class OqcItemRequest(InspectedItemRequest):
    """What was seen on a sampled unit."""

    result = serializers.ChoiceField(
        choices=OqcResult.choices, required=False, allow_null=True, help_text="Needed where the system does not judge."
    )
    defectCode = _remark(max_length=100)
    location = _remark(max_length=100)


class OqcDecisionRequest(StrictSerializer):
    """The decision. It is computed; one that is sent must be the same."""

    decision = serializers.ChoiceField(choices=OqcResult.choices, required=False, allow_null=True)
    remark = _remark()
    signature = SignatureRequest(required=False, allow_null=True)


class OqcItemAnswer(InspectedItemAnswer):
    """What was seen on a sampled unit."""

    defectCode = serializers.CharField()

    class Meta:
        model = OqcItem
        fields = (
            "id",
            "unitSn",
            "itemName",
            "itemSpec",
            "actualValue",
            "actualNumber",
            "result",
            "claimedResult",
            "defectCode",
            "location",
            "remark",
            "recordedBy",
            "recordedAt",
            "files",
        )


class OqcAnswer(RowSerializer):
    """An outgoing inspection."""

    id = IdField()
    runNo = serializers.CharField(source="run.run_no")
    ruleCode = serializers.CharField(source="rule.code", allow_null=True, default=None)
    usedLetter = serializers.CharField()
    lotSize = serializers.IntegerField()
    sampleQty = serializers.IntegerField()
    sampleSns = serializers.SerializerMethodField()
    nonconforming = serializers.SerializerMethodField(help_text="Units with a failed item, so far.")
    createdBy = serializers.CharField()
    createdAt = OffsetDateTimeField()
    startedBy = serializers.CharField()
    startedAt = OffsetDateTimeField(allow_null=True)
    completedBy = serializers.CharField()
    completedAt = OffsetDateTimeField(allow_null=True)
    decisionRemark = serializers.CharField()

    class Meta:
        model = OqcInspection
        fields: tuple[str, ...] = (
            "id",
            "runNo",
            "status",
            "ruleCode",
            "scheme",
            "level",
            "aql",
            "state",
            "letter",
            "usedLetter",
            "lotSize",
            "sampleQty",
            "sampleSns",
            "ac",
            "re",
            "nonconforming",
            "remark",
            "createdBy",
            "createdAt",
            "startedBy",
            "startedAt",
            "completedBy",
            "completedAt",
            "decisionRemark",
        )

    def get_sampleSns(self, inspection: OqcInspection) -> list[str]:
        """The sampled units."""
        return [sample.unit.sn for sample in inspection.samples.all()]

    def get_nonconforming(self, inspection: OqcInspection) -> int:
        """How many of them have a failed item."""
        if inspection.nonconforming is not None:
            return inspection.nonconforming
        latest = {(item.unit_id, item.item_name): item.result for item in inspection.items.all()}
        return len({unit_id for (unit_id, _name), result in latest.items() if result == OqcResult.FAIL})


class OqcDetail(OqcAnswer):
    """An outgoing inspection with what is looked at, and what was seen."""

    itemsAsked = ItemsField(help_text="What is looked at on each sampled unit; none: anything.")
    items = OqcItemAnswer(many=True)
    signed = serializers.SerializerMethodField()
    signature = SignatureBrief(allow_null=True, default=None)

    class Meta(OqcAnswer.Meta):
        fields = (*OqcAnswer.Meta.fields, "itemsAsked", "items", "signed", "signature")

    def get_signed(self, inspection: OqcInspection) -> bool:
        """Whether its decision is signed."""
        return getattr(inspection, "signature", None) is not None


def _rows() -> Any:
    return (
        OqcInspection.objects.select_related("run", "rule")
        .defer("lot_unit_ids")
        .prefetch_related(
            Prefetch("samples", OqcSample.objects.select_related("unit").order_by("id")),
            Prefetch("items", OqcItem.objects.select_related("unit").order_by("id")),
        )
    )


@extend_schema_view(list=extend_schema(summary="List outgoing inspections, newest first"))
class OqcViewSet(mixins.ListModelMixin, GenericViewSet):
    """Outgoing inspections of runs."""

    queryset = _rows()
    serializer_class = OqcAnswer
    lookup_value_regex = "[^/]+"
    filter_backends = [ExactFilter]
    filters = {"runNo": "run__run_no", "status": "status", "lineCode": "run__line__code"}
    capabilities = {"*": (Capability.OQC,)}

    @extend_schema(summary="Read an outgoing inspection with its items", responses=OqcDetail)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Return one."""
        inspection = get_or_raise(self.get_queryset(), errors.OqcNotFound, pk=str(_number(pk)))
        self.check_object_permissions(request, inspection)
        return self._show(inspection.pk)

    @extend_schema(
        summary="Draw the sample of a run",
        description="It is drawn by itself when all units that a run will have are done or scrapped; by hand when no "
        "unit of the run is unfinished (UNITS_NOT_FINISHED). From then on the run stands still (RUN_IN_OQC) until the "
        "inspection is decided or cancelled.",
        request=OqcRequest,
        responses={201: OqcDetail},
        examples=[OpenApiExample("Now", value={"remark": "Short lot"}, request_only=True)],
    )
    @action(detail=False, methods=["post"], url_path=f"run/(?P<run_no>{NAME})")
    def of_run(self, request: Request, run_no: str) -> Response:
        """Draw it."""
        body = read(OqcRequest, request)
        inspection = drawing.create(
            run_no=run_no,
            by=operator_name(request),
            remark=body.get("remark") or "",
            sample_qty=body.get("sample_qty"),
        )
        return self._show(inspection.pk, status=201)

    @extend_schema(summary="Start to inspect", request=None, responses=OqcDetail)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        """Start it."""
        return self._show(services.start(inspection_id=_number(pk), by=operator_name(request)).pk)

    @extend_schema(
        summary="Record an item of a sampled unit",
        description="Of several with one name on a unit, the latest counts; all are kept. Where the item has a limit, "
        "`actualNumber` is judged by the system, bounds in; where it names a spec, its value is read from the "
        "unit's pass. Another `result` is kept as `claimedResult`.",
        request=OqcItemRequest,
        responses={201: OqcItemAnswer},
        examples=[
            OpenApiExample(
                "A cold joint",
                value={"unitSn": "SN-1", "itemName": "Solder joints", "result": "FAIL", "location": "X1"},
                request_only=True,
            )
        ],
    )
    @action(detail=True, methods=["post"])
    def items(self, request: Request, pk: str) -> Response:
        """Record it."""
        body = read(OqcItemRequest, request)
        seen = {name: body.get(name) or "" for name in ("defect_code", "location", "remark")}
        item = services.record_item(
            inspection_id=_number(pk),
            unit_sn=body["unit_sn"],
            item_name=body["item_name"],
            item_spec=body.get("item_spec"),
            said=said_of(body),
            by=operator_name(request),
            **seen,
        )
        return Response(OqcItemAnswer(item).data, status=201)

    @extend_schema(
        summary="Decide about the lot",
        description="The decision is computed: FAIL from `re` nonconforming units on; PASS with up to `ac` once every "
        "sampled unit has every item asked for, or one where none is; before that it is refused (OQC_ITEMS_OPEN). "
        "Nonconforming units are held either way; a lot that failed puts its run ON_HOLD until the MRB decides. Who is "
        "signed in signs with name and password.",
        request=OqcDecisionRequest,
        responses=OqcDetail,
        examples=[OpenApiExample("Passed", value={"decision": "PASS", "signature": EXAMPLE}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, pk: str) -> Response:
        """Decide."""
        body = read(OqcDecisionRequest, request)
        signing = signatures.verify(request, body.get("signature"), Capability.OQC)
        inspection = services.complete(
            inspection_id=_number(pk),
            decision=body.get("decision"),
            remark=body.get("remark") or "",
            by=operator_name(request),
            signing=signing,
        )
        return self._show(inspection.pk)

    @extend_schema(
        summary="Give an outgoing inspection up",
        description="Its run goes on; units with a failed item are held. One is drawn again with the next unit that is "
        "done, or by hand.",
        request=OqcCancelRequest,
        responses=OqcDetail,
        examples=[
            OpenApiExample("Why", value={"reason": "Two boards of the lot go back to touch-up"}, request_only=True)
        ],
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Cancel it."""
        reason = read(OqcCancelRequest, request)["reason"]
        return self._show(services.cancel(inspection_id=_number(pk), reason=reason, by=operator_name(request)).pk)

    def _show(self, inspection_id: int, *, status: int = 200) -> Response:
        inspection = get_or_raise(_rows(), errors.OqcNotFound, pk=str(inspection_id))
        signature_queries.attach(services.RECORD_TYPE, [inspection])
        attach(OQC_ITEM, inspection.items.all())
        return Response(OqcDetail(inspection).data, status=status)


class SamplingStateAnswer(RowSerializer):
    """Where sampling stands by a rule for a product."""

    id = IdField()
    ruleCode = serializers.CharField(source="rule.code")
    productCode = serializers.CharField()
    acceptedInRow = serializers.IntegerField(help_text="In tightened inspection: five lead back to normal.")
    notAccepted = serializers.IntegerField(help_text="In tightened inspection: five discontinue it.")
    changedAt = OffsetDateTimeField()

    class Meta:
        model = SamplingState
        fields = ("id", "ruleCode", "productCode", "state", "score", "acceptedInRow", "notAccepted", "changedAt")


class ResumeSamplingRequest(StrictSerializer):
    """Why it goes on."""

    reason = DecisionReasonField()
    signature = SignatureRequest(required=False, allow_null=True)


@extend_schema_view(list=extend_schema(summary="List where sampling stands, newest first"))
class SamplingStateViewSet(mixins.ListModelMixin, GenericViewSet):
    """Normal, tightened, reduced or discontinued: by rule and product."""

    queryset = SamplingState.objects.select_related("rule")
    serializer_class = SamplingStateAnswer
    lookup_value_regex = "[^/]+"
    filter_backends = [ExactFilter]
    filters = {"ruleCode": "rule__code", "productCode": "product_code", "state": "state"}
    capabilities = {"resume": (Capability.OQC,)}

    @extend_schema(
        summary="Go on with sampling that is discontinued",
        description="It goes on tightened, with nothing counted. Runs that waited get their inspection within a "
        "minute. Who is signed in signs with name and password.",
        request=ResumeSamplingRequest,
        responses=SamplingStateAnswer,
        examples=[
            OpenApiExample(
                "Why",
                value={"reason": "Oven profile corrected, 20 boards checked", "signature": EXAMPLE},
                request_only=True,
            )
        ],
    )
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Resume it."""
        body = read(ResumeSamplingRequest, request)
        signing = signatures.verify(request, body.get("signature"), Capability.OQC)
        state = sampling.resume(
            state_id=id_or_raise(pk, errors.SamplingStateNotFound),
            reason=body["reason"],
            by=operator_name(request),
            signing=signing,
        )
        return Response(SamplingStateAnswer(state).data)


def _number(pk: str) -> int:
    return id_or_raise(pk, errors.OqcNotFound)


def register(router: BaseRouter) -> None:
    """Add the addresses of outgoing inspections, after those of what lies below them."""
    router.register("oqc/sampling-states", SamplingStateViewSet, basename="sampling-state")
    router.register("oqc", OqcViewSet, basename="oqc")
