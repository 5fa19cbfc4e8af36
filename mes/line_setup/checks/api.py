"""Checks over HTTP: forms, records of what was seen, their verification, and what is due."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.line_setup.checks import queries, services
from mes.line_setup.checks.models import CheckForm, CheckRecord, OnFail, OnPass, SubjectType
from mes.line_setup.models import ToolKind
from mes.plant.models import Line
from mes.platform.accounts.permissions import READS_SHARED, StationAccess, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.master_data import FixedFieldsMixin, OptionalChoiceField, OptionalTextField, describe
from mes.platform.http.serializers import (
    CodeField,
    FiniteField,
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    StrictModelSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import CodeModelViewSet, ExactFilter
from mes.platform.http.whole_numbers import id_or_raise
from mes.routing.judging import Reading

LARGEST = 2**31 - 1
MOST_CODES, MOST_VALUES = 1000, 100


def _interval() -> serializers.IntegerField:
    return serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=LARGEST)


class CheckFormSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A form. `fields` are `{name, dataType, itemType, limits: {lsl, usl, target, unit}, isRequired}`."""

    fixed = ("code", "subjectType")

    id = IdField()
    code = CodeField()
    subjectType = serializers.ChoiceField(choices=SubjectType.choices)
    toolKind = OptionalChoiceField(choices=ToolKind.choices)
    subjectCodes = serializers.ListField(child=CodeField(), required=False, max_length=MOST_CODES)
    everyHours = _interval()
    everyShift = serializers.BooleanField(required=False)
    everyUses = _interval()
    needsVerifier = serializers.BooleanField(required=False)
    onPass = serializers.ChoiceField(choices=OnPass.choices, required=False)
    onFail = serializers.ChoiceField(choices=OnFail.choices, required=False)
    isActive = serializers.BooleanField(required=False)

    class Meta:
        model = CheckForm
        fields = (
            "id",
            "code",
            "name",
            "subjectType",
            "toolKind",
            "subjectCodes",
            "fields",
            "everyHours",
            "everyShift",
            "everyUses",
            "needsVerifier",
            "onPass",
            "onFail",
            "isActive",
        )

    def get_fields(self) -> dict[str, Any]:
        """Have the field that is called as this property."""
        field = serializers.ListField(child=serializers.DictField(), max_length=MOST_VALUES)
        return {**super().get_fields(), "fields": field}


class CheckValue(StrictSerializer):
    """What was seen of a field: exactly one of the values."""

    name = serializers.CharField(max_length=100)
    valueNumber = FiniteField(required=False, allow_null=True)
    valueText = serializers.CharField(max_length=500, required=False, allow_null=True)
    valueBoolean = serializers.BooleanField(required=False, allow_null=True)


class CheckRecordRequest(StrictSerializer):
    """A check of a thing."""

    formCode = CodeField()
    subjectCode = CodeField(help_text="Of the line, station, machine, tool or store.")
    values = CheckValue(many=True)
    at = OffsetDateTimeField(required=False, allow_null=True, help_text="When it was done; by default now.")
    operatorId = OptionalTextField(max_length=150, help_text="Who looked, where a machine or terminal sends it.")


class KeptValue(serializers.Serializer):
    """A value with the limits that it was judged by."""

    name = serializers.CharField()
    value = serializers.JSONField()
    judge = serializers.CharField(required=False)
    lsl = serializers.FloatField(required=False)
    usl = serializers.FloatField(required=False)
    unit = serializers.CharField(required=False)


class CheckRecordAnswer(RowSerializer):
    """What was seen. `values` keep the limits that they were judged by."""

    id = IdField()
    formCode = serializers.CharField(source="form.code")
    subjectType = serializers.CharField()
    subjectCode = serializers.CharField()
    values = KeptValue(many=True)
    verdict = serializers.CharField()
    at = OffsetDateTimeField()
    operatorId = serializers.CharField(source="operator")
    recordedBy = serializers.CharField()
    needsVerifier = serializers.BooleanField()
    verifiedBy = serializers.CharField(allow_blank=True)
    verifiedAt = OffsetDateTimeField(allow_null=True)

    class Meta:
        model = CheckRecord
        fields = (
            "id",
            "formCode",
            "subjectType",
            "subjectCode",
            "values",
            "verdict",
            "at",
            "operatorId",
            "recordedBy",
            "needsVerifier",
            "verifiedBy",
            "verifiedAt",
        )


class RecordedAnswer(CheckRecordAnswer):
    """The record, and when the next is due."""

    dueAt = OffsetDateTimeField(source="due_at", allow_null=True)

    class Meta(CheckRecordAnswer.Meta):
        fields: tuple[str, ...] = (*CheckRecordAnswer.Meta.fields, "dueAt")  # type: ignore[assignment]


class DueAnswer(serializers.Serializer):
    """A check of a thing, and how it stands."""

    formCode = serializers.CharField(source="form.code")
    formName = serializers.CharField(source="form.name")
    subjectType = serializers.CharField(source="form.subject_type")
    subjectCode = serializers.CharField(source="subject_code")
    state = serializers.ChoiceField(choices=queries.DueState.choices)
    dueAt = OffsetDateTimeField(source="due_at", allow_null=True)
    usesLeft = serializers.IntegerField(source="uses_left", allow_null=True)
    lastId = serializers.CharField(source="last.pk", allow_null=True, default=None)
    lastAt = OffsetDateTimeField(source="last.at", allow_null=True, default=None)
    lastVerdict = serializers.CharField(source="last.verdict", allow_null=True, default=None)


class DueListAnswer(serializers.Serializer):
    """What is to be checked, what needs somebody first."""

    items = DueAnswer(many=True)


@describe(
    "check form",
    "check forms",
    example={
        "code": "STENCIL_CLEAN",
        "name": "Stencil: clean and tight",
        "subjectType": "TOOL",
        "toolKind": "STENCIL",
        "fields": [
            {"name": "Apertures clean", "dataType": "BOOLEAN", "itemType": "KEY", "isRequired": True},
            {"name": "Tension", "dataType": "NUMBER", "itemType": "KEY", "limits": {"lsl": 30, "unit": "N/cm"}},
        ],
        "everyUses": 500,
        "onPass": "SERVICED",
        "onFail": "BLOCK",
    },
    change={"everyUses": 400},
    note="At most one of everyHours, everyShift and everyUses. `subjectCodes` and `toolKind` narrow what it is about.",
)
class CheckFormViewSet(CodeModelViewSet):
    """What is looked at, of what, and how often."""

    queryset = CheckForm.objects.all()
    serializer_class = CheckFormSerializer
    not_found = errors.CheckFormNotFound
    capabilities = {"*": (Capability.RULES,)}
    station_access = READS_SHARED
    filters = {"subjectType": "subject_type", "isActive": "is_active"}
    search_fields = ("code", "name")

    def perform_update(self, serializer: serializers.BaseSerializer) -> None:
        """Change it; what it blocks follows."""
        super().perform_update(serializer)
        services.settle(serializer.instance)  # type: ignore[arg-type]


RECORD = OpenApiExample(
    "A stencil",
    value={
        "formCode": "STENCIL_CLEAN",
        "subjectCode": "ST-4711-T",
        "values": [{"name": "Apertures clean", "valueBoolean": True}, {"name": "Tension", "valueNumber": 34.5}],
    },
    request_only=True,
)


@extend_schema_view(
    list=extend_schema(summary="List checks that were made"), retrieve=extend_schema(summary="Read a check")
)
class CheckRecordViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """What was seen at checks."""

    queryset = CheckRecord.objects.select_related("form")
    serializer_class = CheckRecordAnswer
    lookup_value_regex = "[^/]+"
    filter_backends = [ExactFilter]
    filters = {
        "formCode": "form__code",
        "subjectType": "subject_type",
        "subjectCode": "subject_code",
        "verdict": "verdict",
    }
    capabilities = {"create": (Capability.BIND,), "verify": (Capability.BIND,)}
    station_access = {"list": StationAccess.SHARED, "retrieve": StationAccess.SHARED, "due": StationAccess.SHARED}

    def get_object(self) -> CheckRecord:
        """Return the record that the address names."""
        pk = id_or_raise(self.kwargs["pk"], errors.CheckRecordNotFound)
        return get_or_raise(self.get_queryset(), errors.CheckRecordNotFound, pk=pk)

    @extend_schema(
        summary="Record a check",
        description="Its values are judged by the limits of the form; a BOOLEAN is as it should be where it is true. "
        "The latest record of a thing by `at` decides: one that fails may block a tool or machine until one passes.",
        request=CheckRecordRequest,
        responses={201: RecordedAnswer},
        examples=[RECORD],
    )
    def create(self, request: Request) -> Response:
        """Record it."""
        body = read(CheckRecordRequest, request)
        made = services.record(
            form_code=body["form_code"],
            subject_code=body["subject_code"],
            readings=[reading_of(value) for value in body["values"]],
            at=body.get("at"),
            by=operator_name(request),
            operator=body.get("operator_id") or "",
        )
        return Response(_recorded(made), status=201)

    @extend_schema(
        summary="Verify a check",
        description="By another person than who made it. A PASS of a form that is verified counts from then on.",
        request=None,
        responses=RecordedAnswer,
    )
    @action(detail=True, methods=["post"])
    def verify(self, request: Request, pk: str) -> Response:
        """Confirm it."""
        record_id = id_or_raise(pk, errors.CheckRecordNotFound)
        return Response(_recorded(services.verify(record_id=record_id, by=operator_name(request))))

    @extend_schema(
        summary="List checks that are due",
        description="Of what is on a line and of stores; what needs somebody comes first.",
        parameters=[OpenApiParameter("lineCode", str, required=False)],
        responses=DueListAnswer,
    )
    @action(detail=False, methods=["get"], filter_backends=[], pagination_class=None)
    def due(self, request: Request) -> Response:
        """List them."""
        code = request.query_params.get("lineCode", "")
        line = get_or_raise(Line.objects, errors.LineNotFound, code=code) if code else None
        found = queries.list_due(line, now=timezone.now())
        return Response(DueListAnswer({"items": found}).data)


def reading_of(value: dict[str, Any]) -> Reading:
    """Return a value as it is judged."""
    return Reading(
        spec_name=value["name"],
        value_number=value.get("value_number"),
        value_text=value.get("value_text"),
        value_boolean=value.get("value_boolean"),
    )


def _recorded(made: CheckRecord) -> dict[str, Any]:
    line = None
    if made.subject_type in (SubjectType.LINE, SubjectType.STATION, SubjectType.EQUIPMENT):
        line = queries.line_of(made.subject_type, made.subject_code)
    answer: dict[str, Any] = dict(CheckRecordAnswer(made).data)
    due_at = queries.next_due(made.form, made, line)
    return {**answer, "dueAt": OffsetDateTimeField().to_representation(due_at)}


def register(router: BaseRouter) -> None:
    """Add the addresses of checks."""
    router.register("check-forms", CheckFormViewSet, basename="check-form")
    router.register("check-records", CheckRecordViewSet, basename="check-record")
