"""First article inspections over HTTP."""

from typing import Any

from django.db.models import Prefetch
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import GenericViewSet

from execution.quality.first_article import services
from execution.quality.first_article.models import (
    FaiResult,
    FirstArticle,
    FirstArticleItem,
    FirstArticleSample,
)
from execution.quality.inspection_fields import InspectedItemAnswer, InspectedItemRequest, said_of
from execution.quality.record_types import FAI_ITEM
from mes import errors
from mes.plant.reach import OfServedLines
from mes.platform.accounts.permissions import READS_OWN, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.database.lookup import get_or_raise
from mes.platform.files.queries import attach
from mes.platform.http.addresses import NAME
from mes.platform.http.serializers import (
    OffsetDateTimeField,
    RowSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import ExactFilter
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.signatures import queries as signature_queries
from mes.platform.signatures import services as signatures
from mes.platform.signatures.serializers import EXAMPLE as SIGNATURE_EXAMPLE
from mes.platform.signatures.serializers import SignatureBrief, SignatureRequest
from mes.production.fields import SerialNumberField
from mes.production.runs import snapshot_of
from mes.routing.snapshots import item_to_document

LARGEST_SAMPLE = 1000


class FaiRequest(StrictSerializer):
    """A first article inspection to be."""

    sampleQty = serializers.IntegerField(min_value=1, max_value=LARGEST_SAMPLE)
    remark = serializers.CharField(max_length=500, required=False, allow_null=True, allow_blank=True)


class FaiRemarkRequest(StrictSerializer):
    """Something to remark."""

    remark = serializers.CharField(max_length=500, required=False, allow_null=True, allow_blank=True)


class FaiSignRequest(FaiRemarkRequest):
    """A signature, with a remark if there is one. A token may sign without, unless `MES_SIGNATURES` is STRICT."""

    signature = SignatureRequest(required=False, allow_null=True)


class FaiDecisionRequest(FaiRemarkRequest):
    """The decision."""

    decision = serializers.ChoiceField(choices=FaiResult.choices)


class FaiSampleRequest(StrictSerializer):
    """A unit that is to be a sample."""

    unitSn = SerialNumberField()


class FaiItemRequest(InspectedItemRequest):
    """What was seen on a unit."""

    result = serializers.ChoiceField(
        choices=FaiResult.choices,
        required=False,
        allow_null=True,
        help_text="Needed where the system judges neither a number nor a value.",
    )


class FaiItemAnswer(InspectedItemAnswer):
    """What was seen on a unit."""

    class Meta:
        model = FirstArticleItem
        fields = (
            "id",
            "unitSn",
            "itemName",
            "itemSpec",
            "actualValue",
            "actualNumber",
            "result",
            "claimedResult",
            "remark",
            "recordedBy",
            "recordedAt",
            "files",
        )


class FaiAnswer(RowSerializer):
    """A first article inspection."""

    id = serializers.CharField(source="pk")
    runNo = serializers.CharField(source="run.run_no")
    sampleQty = serializers.IntegerField()
    createdBy = serializers.CharField()
    createdAt = OffsetDateTimeField()
    startedBy = serializers.CharField()
    startedAt = OffsetDateTimeField(allow_null=True)
    completedBy = serializers.CharField()
    completedAt = OffsetDateTimeField(allow_null=True)
    decisionRemark = serializers.CharField()
    isSigned = serializers.SerializerMethodField()
    signedBy = serializers.CharField()
    signedAt = OffsetDateTimeField(allow_null=True)
    signRemark = serializers.CharField()
    signed = serializers.BooleanField(help_text="By a person's password, or before that was asked for.")
    signature = SignatureBrief(allow_null=True)

    class Meta:
        model = FirstArticle
        fields: tuple[str, ...] = (
            "id",
            "runNo",
            "status",
            "sampleQty",
            "remark",
            "createdBy",
            "createdAt",
            "startedBy",
            "startedAt",
            "completedBy",
            "completedAt",
            "decisionRemark",
            "isSigned",
            "signedBy",
            "signedAt",
            "signRemark",
            "signed",
            "signature",
        )

    def get_isSigned(self, fai: FirstArticle) -> bool:
        """Whether somebody signed it."""
        return fai.signed_at is not None


class FaiTemplateItem(serializers.Serializer):
    """What the route says to look at. What it does not say is left out."""

    itemName = serializers.CharField()
    itemSpec = serializers.CharField()
    stepNo = serializers.IntegerField(required=False)
    specName = serializers.CharField(required=False)
    lsl = serializers.FloatField(required=False)
    usl = serializers.FloatField(required=False)
    unit = serializers.CharField(required=False)


class FaiDetail(FaiAnswer):
    """An inspection with its sample units, what is to be looked at, and what was seen."""

    sampleSns = serializers.SerializerMethodField()
    template = serializers.SerializerMethodField()
    items = FaiItemAnswer(many=True)

    class Meta(FaiAnswer.Meta):
        fields = (*FaiAnswer.Meta.fields, "sampleSns", "template", "items")

    def get_sampleSns(self, fai: FirstArticle) -> list[str]:
        """The sample units in the order they came."""
        return [sample.unit.sn for sample in fai.samples.all()]

    @extend_schema_field(FaiTemplateItem(many=True))
    def get_template(self, fai: FirstArticle) -> Any:
        """What the run's frozen route says to look at."""
        return [item_to_document(item) for item in snapshot_of(fai.run).fai_items]


@extend_schema_view(list=extend_schema(summary="List first article inspections, newest first"))
class FirstArticleViewSet(OfServedLines, mixins.ListModelMixin, GenericViewSet):
    """First article inspections of runs."""

    queryset = FirstArticle.objects.select_related("run")
    serializer_class = FaiAnswer
    lookup_value_regex = "[^/]+"
    filter_backends = [ExactFilter]
    filters = {"status": "status", "runNo": "run__run_no", "lineCode": "run__line__code"}
    capabilities = {"*": (Capability.FAI,)}
    station_access = READS_OWN
    line_lookup = "run__line"

    def paginate_queryset(self, queryset: Any) -> Any:
        """Return the rows of a page, with their signatures."""
        rows = list(super().paginate_queryset(queryset) or ())
        signature_queries.attach(services.RECORD_TYPE, rows)
        return rows

    @extend_schema(summary="Read a first article inspection with its items", responses=FaiDetail)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Return one."""
        fai = get_or_raise(self.get_queryset(), errors.FaiNotFound, pk=_number(pk))
        self.check_object_permissions(request, fai)
        return self._show(fai.pk)

    @extend_schema(
        summary="Create a first article inspection of a run",
        request=FaiRequest,
        responses={201: FaiDetail},
        examples=[OpenApiExample("Two boards", value={"sampleQty": 2}, request_only=True)],
    )
    @action(detail=False, methods=["post"], url_path=f"run/(?P<run_no>{NAME})")
    def of_run(self, request: Request, run_no: str) -> Response:
        """Create it."""
        body = read(FaiRequest, request)
        fai = services.create(
            run_no=run_no,
            sample_qty=body["sample_qty"],
            by=operator_name(request),
            remark=body.get("remark") or "",
        )
        return self._show(fai.pk, status=201)

    @extend_schema(
        summary="Start to inspect",
        description="From now on sample units, first come, may run through the steps while everything else is ready.",
        request=None,
        responses=FaiDetail,
    )
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        """Start it."""
        return self._show(services.start(fai_id=_number(pk), by=operator_name(request)).pk)

    @extend_schema(
        summary="Name a sample unit",
        description="Units become samples by entering their first station; this names one before. Again: no change.",
        request=FaiSampleRequest,
        responses=FaiDetail,
        examples=[OpenApiExample("A board", value={"unitSn": "SN-1"}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def samples(self, request: Request, pk: str) -> Response:
        """Name it."""
        sample = services.name_sample(fai_id=_number(pk), unit_sn=read(FaiSampleRequest, request)["unit_sn"])
        return self._show(sample.first_article_id)

    @extend_schema(
        summary="Record an item",
        description="Of several with one name on a unit, the latest counts; all are kept. An item of the template "
        "with limits needs `actualNumber`, and is judged by it, bounds in; of one with `specName` the value is read "
        "from the unit's latest pass of its step, with its judgement. Another `result` that was said is kept as "
        "`claimedResult`. Items of a step (and those judged by the system, which without one are of the last) need "
        "that step passed.",
        request=FaiItemRequest,
        responses={201: FaiItemAnswer},
        examples=[
            OpenApiExample(
                "Paste height",
                value={"unitSn": "SN-1", "itemName": "Paste height", "actualValue": "118 µm", "result": "PASS"},
                request_only=True,
            ),
            OpenApiExample(
                "Measured, and judged by its limits",
                value={"unitSn": "SN-1", "itemName": "Paste height", "actualNumber": 118.5},
                request_only=True,
            ),
        ],
    )
    @action(detail=True, methods=["post"])
    def items(self, request: Request, pk: str) -> Response:
        """Record it."""
        body = read(FaiItemRequest, request)
        item = services.record_item(
            fai_id=_number(pk),
            unit_sn=body["unit_sn"],
            item_name=body["item_name"],
            item_spec=body.get("item_spec"),
            said=said_of(body),
            remark=body.get("remark") or "",
            by=operator_name(request),
        )
        return Response(FaiItemAnswer(item).data, status=201)

    @extend_schema(
        summary="Decide",
        description="PASS needs every item of the route's template passed on every sample unit, and no failed item. "
        "FAIL holds the samples and every unit that an item was recorded of, and no unit of the run enters a station "
        "(FAI_NOT_PASSED) until another one passed and is signed, but samples of one that is inspecting.",
        request=FaiDecisionRequest,
        responses=FaiDetail,
        examples=[OpenApiExample("Passed", value={"decision": "PASS"}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, pk: str) -> Response:
        """Decide."""
        body = read(FaiDecisionRequest, request)
        fai = services.complete(
            fai_id=_number(pk),
            decision=body["decision"],
            remark=body.get("remark") or "",
            by=operator_name(request),
        )
        return self._show(fai.pk)

    @extend_schema(
        summary="Sign a first article that passed",
        description="By another person than those who inspected. Who is signed in signs with name and password; with "
        "a token, anybody may whose role inspects first articles.",
        request=FaiSignRequest,
        responses=FaiDetail,
        examples=[
            OpenApiExample(
                "Signed", value={"signature": SIGNATURE_EXAMPLE, "remark": "Reworked at R22"}, request_only=True
            )
        ],
    )
    @action(detail=True, methods=["post"])
    def sign(self, request: Request, pk: str) -> Response:
        """Sign it."""
        body = read(FaiSignRequest, request)
        signing = signatures.verify(request, body.get("signature"), Capability.FAI)
        fai = services.sign(
            fai_id=_number(pk), by=operator_name(request), remark=body.get("remark") or "", signing=signing
        )
        return self._show(fai.pk)

    def _show(self, fai_id: int, *, status: int = 200) -> Response:
        rows = FirstArticle.objects.select_related("run__route_version").defer("run__route_version__snapshot")
        fai = rows.prefetch_related(
            Prefetch("items", FirstArticleItem.objects.select_related("unit")),
            Prefetch("samples", FirstArticleSample.objects.select_related("unit")),
        )
        shown = get_or_raise(fai, errors.FaiNotFound, pk=str(fai_id))
        signature_queries.attach(services.RECORD_TYPE, [shown])
        attach(FAI_ITEM, shown.items.all())
        return Response(FaiDetail(shown).data, status=status)


def _number(pk: str) -> int:
    return id_or_raise(pk, errors.FaiNotFound)


def register(router: SimpleRouter) -> None:
    """Add the addresses of first articles."""
    router.register("fai", FirstArticleViewSet, "first-article")
