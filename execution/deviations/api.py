"""Deviations over HTTP: asked for, listed, ended. They are approved with all else (`mes.production.approvals_api`)."""

from collections.abc import Sequence
from typing import Any, cast

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution.deviations import services
from execution.deviations.models import Deviation, DeviationStatus, DeviationType
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import (
    CodeField,
    DecisionReasonField,
    OffsetDateTimeField,
    RowSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import OnlyKnownFilter
from mes.production.fields import SerialNumberField
from mes.production.models import Unit

LARGEST_STEP_NO = 2**31 - 1
MOST_STATIONS = 100


class DeviationRequest(StrictSerializer):
    """What is asked for, for how long, and why."""

    type = serializers.ChoiceField(choices=DeviationType.choices)
    stepNo = serializers.IntegerField(min_value=0, max_value=LARGEST_STEP_NO)
    stationCodes = serializers.ListField(
        child=CodeField(), min_length=1, max_length=MOST_STATIONS, required=False, allow_null=True
    )
    sns = serializers.ListField(
        child=SerialNumberField(),
        min_length=1,
        max_length=services.MOST_UNITS,
        required=False,
        allow_null=True,
        help_text="The units that it covers; without, all of the run.",
    )
    expiresAt = OffsetDateTimeField(help_text="At most 30 days ahead.")
    reason = DecisionReasonField()


class DeviationEndRequest(StrictSerializer):
    """Why a deviation ends."""

    reason = DecisionReasonField()


class DeviationRequested(serializers.Serializer):
    """What was asked for, and waits for another person."""

    deviationNo = serializers.CharField()
    approvalId = serializers.CharField()


class _WithUnits(serializers.ListSerializer):
    """A page of deviations: the serial numbers of all of them are read at once."""

    def to_representation(self, data: Any) -> Any:
        """Read the units first."""
        rows = list(data)
        cast(dict[str, Any], self.context)["sns"] = find_sns(rows)
        return super().to_representation(rows)


def find_sns(deviations: Sequence[Deviation]) -> dict[int, str]:
    """Return the serial numbers of the units that deviations name, by id."""
    named = {pk for deviation in deviations for pk in deviation.unit_ids or ()}
    return dict(Unit.objects.filter(pk__in=named).values_list("pk", "sn")) if named else {}


class DeviationAnswer(RowSerializer):
    """A deviation. `sns` null: all units of the run."""

    deviationNo = serializers.CharField()
    approvalId = serializers.CharField(source="approval_id")
    runNo = serializers.CharField(source="run.run_no")
    status = serializers.ChoiceField(source="standing", choices=DeviationStatus.choices)
    stepNo = serializers.IntegerField()
    operationCode = serializers.CharField()
    stationCodes = serializers.ListField(child=serializers.CharField())
    sns = serializers.SerializerMethodField()
    expiresAt = OffsetDateTimeField()
    requestedBy = serializers.CharField()
    requestedAt = OffsetDateTimeField()
    approvedBy = serializers.CharField(allow_blank=True)
    approvedAt = OffsetDateTimeField(allow_null=True)
    endedBy = serializers.CharField(allow_blank=True)
    endedAt = OffsetDateTimeField(allow_null=True)
    endReason = serializers.CharField(allow_blank=True)

    class Meta:
        model = Deviation
        list_serializer_class = _WithUnits
        fields = (
            "deviationNo",
            "approvalId",
            "runNo",
            "type",
            "status",
            "stepNo",
            "operationCode",
            "stationCodes",
            "sns",
            "expiresAt",
            "reason",
            "requestedBy",
            "requestedAt",
            "approvedBy",
            "approvedAt",
            "endedBy",
            "endedAt",
            "endReason",
        )

    def get_sns(self, deviation: Deviation) -> list[str] | None:
        """The units that it covers; null: all of the run."""
        if deviation.unit_ids is None:
            return None
        sns = self.context.get("sns")
        sns = find_sns([deviation]) if sns is None else sns
        return sorted(sns[pk] for pk in deviation.unit_ids if pk in sns)


@extend_schema_view(
    list=extend_schema(summary="List deviations, newest first", description="Other query parameters are refused.")
)
class DeviationViewSet(mixins.ListModelMixin, GenericViewSet):
    """Deviations of runs."""

    queryset = Deviation.objects.select_related("run")
    serializer_class = DeviationAnswer
    filter_backends = [OnlyKnownFilter]
    filters = {"runNo": "run__run_no"}
    capabilities = {
        "ask": services.KIND.asks,
        "end": (Capability.DISPOSITION, Capability.ROUTES, Capability.RELEASE),
    }

    @extend_schema(
        summary="Ask for a deviation of a run",
        description="SKIP: units that come to the step, or wait at it, go past it. STATION: the named stations, of any "
        "type, may run it. It counts once somebody of Quality approved it.",
        request=DeviationRequest,
        responses={202: DeviationRequested},
        examples=[
            OpenApiExample(
                "The X-ray is broken",
                value={
                    "type": "SKIP",
                    "stepNo": 20,
                    "expiresAt": "2026-12-01T06:00:00Z",
                    "reason": "X-ray down until tomorrow; boards are inspected by hand.",
                },
                request_only=True,
            )
        ],
    )
    def ask(self, request: Request, run_no: str) -> Response:
        """Ask for it."""
        body = read(DeviationRequest, request)
        deviation = services.request(
            run_no=run_no,
            type=body["type"],
            step_no=body["step_no"],
            station_codes=body.get("station_codes") or (),
            sns=body.get("sns"),
            expires_at=body["expires_at"],
            reason=body["reason"],
            by=operator_name(request),
        )
        answer = {"deviationNo": deviation.deviation_no, "approvalId": str(deviation.approval_id)}
        return Response(answer, status=202)

    @extend_schema(
        summary="End a deviation",
        request=DeviationEndRequest,
        responses=DeviationAnswer,
        examples=[OpenApiExample("Why", value={"reason": "The X-ray works again."}, request_only=True)],
    )
    def end(self, request: Request, no: str) -> Response:
        """End it."""
        body = read(DeviationEndRequest, request)
        deviation = services.end(deviation_no=no, reason=body["reason"], by=operator_name(request))
        return Response(DeviationAnswer(deviation).data)
