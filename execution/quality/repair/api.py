"""The bench over HTTP: what waits for repair, what was done, and its end."""

from typing import Any

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from execution.quality.defect_codes.api import known_codes
from execution.quality.models import Defect
from execution.quality.repair import services
from execution.quality.repair.models import RepairAction, RepairRecord, RepairResult, ReworkTask
from mes import errors
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.serializers import (
    CodeField,
    DecisionReasonField,
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import OnlyKnownFilter
from mes.platform.http.whole_numbers import id_or_raise

LONGEST_REMARK = 500
MOST_PARTS = 50


class ReplacedPart(StrictSerializer):
    """A part that was put in."""

    materialCode = CodeField()
    lotNo = CodeField(required=False, allow_null=True)
    location = CodeField(help_text="The designator.")


class RepairRecordRequest(StrictSerializer):
    """What was done about a defect."""

    defectId = serializers.CharField(max_length=19)
    action = serializers.ChoiceField(choices=RepairAction.choices)
    result = serializers.ChoiceField(choices=RepairResult.choices)
    replaced = serializers.ListField(child=ReplacedPart(), required=False, max_length=MOST_PARTS)
    remark = serializers.CharField(max_length=LONGEST_REMARK, required=False, allow_null=True)


class RepairCancelRequest(StrictSerializer):
    """Why a unit goes on without its repair."""

    reason = DecisionReasonField()


class TaskDefect(RowSerializer):
    """A defect, as its unit's decisions and its bench know it."""

    id = IdField()
    unitSn = serializers.CharField(source="unit.sn")
    runNo = serializers.CharField(source="run.run_no")
    stepNo = serializers.IntegerField()
    stationCode = serializers.CharField(source="station.code", allow_null=True, default=None)
    reportedCode = serializers.CharField()
    category = serializers.SerializerMethodField()

    class Meta:
        model = Defect
        fields: tuple[str, ...] = (
            *("id", "unitSn", "runNo", "stepNo", "stationCode", "code", "reportedCode"),
            *("category", "location", "quantity", "remark", "source", "status"),
        )

    def get_category(self, defect: Defect) -> str | None:
        """That of its code, or of one above it."""
        return known_codes(self.context).category_of(defect.code) or None


class RepairRecordAnswer(RowSerializer):
    """What was done about a defect; of several the latest counts."""

    id = IdField()
    defectId = serializers.CharField(source="defect_id")
    replaced = serializers.SerializerMethodField()
    recordedBy = serializers.CharField()
    recordedAt = OffsetDateTimeField()

    class Meta:
        model = RepairRecord
        fields = ("id", "defectId", "action", "result", "replaced", "remark", "recordedBy", "recordedAt")

    @extend_schema_field(ReplacedPart(many=True))
    def get_replaced(self, record: RepairRecord) -> list[dict[str, str]]:
        """The parts that were put in."""
        return list(record.replaced)


class ReworkTaskAnswer(RowSerializer):
    """A unit that is to be repaired before it enters its step, or was."""

    id = IdField()
    unitSn = serializers.CharField(source="unit.sn")
    runNo = serializers.CharField(source="run.run_no")
    toStepNo = serializers.IntegerField()
    defects = TaskDefect(many=True)
    records = RepairRecordAnswer(many=True)
    createdBy = serializers.CharField()
    createdAt = OffsetDateTimeField()
    endedBy = serializers.CharField(allow_blank=True)
    endedAt = OffsetDateTimeField(allow_null=True)
    endReason = serializers.CharField(allow_blank=True)

    class Meta:
        model = ReworkTask
        fields = (
            *("id", "unitSn", "runNo", "toStepNo", "status", "reason", "defects", "records"),
            *("createdBy", "createdAt", "endedBy", "endedAt", "endReason"),
        )


def select_tasks() -> QuerySet[ReworkTask]:
    """Return tasks with all that is shown of them, in three statements."""
    defects = Defect.objects.select_related("unit", "run", "station").order_by("id")
    return ReworkTask.objects.select_related("unit", "run").prefetch_related(
        Prefetch("defects", defects), Prefetch("records", RepairRecord.objects.order_by("id"))
    )


@extend_schema_view(
    list=extend_schema(summary="List what is or was to be repaired, newest first"),
    retrieve=extend_schema(summary="Read what is to be repaired of a unit"),
)
class ReworkTaskViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """Tasks of the bench."""

    queryset = ReworkTask.objects.all()
    serializer_class = ReworkTaskAnswer
    lookup_value_regex = "[^/]+"
    filter_backends = [OnlyKnownFilter]
    filters = {"status": "status", "unitSn": "unit__sn", "runNo": "run__run_no"}
    capabilities = {
        "repair_record": (Capability.DEFECT,),
        "complete": (Capability.DEFECT,),
        "cancel": (Capability.DISPOSITION, Capability.RELEASE),
    }

    def get_queryset(self) -> QuerySet[ReworkTask]:
        """With defects and records."""
        return select_tasks()

    def get_object(self) -> ReworkTask:
        """Return the task that the address names."""
        return get_or_raise(self.get_queryset(), errors.ReworkTaskNotFound, pk=self._task_id)

    @property
    def _task_id(self) -> int:
        return id_or_raise(self.kwargs["pk"], errors.ReworkTaskNotFound)

    @extend_schema(
        summary="Record what was done about a defect",
        description="Of several records of a defect the latest counts.",
        request=RepairRecordRequest,
        responses={201: RepairRecordAnswer},
        examples=[
            OpenApiExample(
                "A capacitor replaced",
                value={
                    "defectId": "17",
                    "action": "REPLACED",
                    "result": "FIXED",
                    "replaced": [{"materialCode": "CAP-100N", "lotNo": "L-2231", "location": "C14"}],
                },
                request_only=True,
            )
        ],
    )
    @action(detail=True, methods=["post"], url_path="repair-record")
    def repair_record(self, request: Request, pk: str) -> Response:
        """Record it."""
        body = read(RepairRecordRequest, request)
        record = services.record(task_id=self._task_id, by=operator_name(request), **as_record(body))
        return Response(RepairRecordAnswer(record).data, status=201)

    @extend_schema(
        summary="End a repair",
        description="Wants a record for each open defect. FIXED makes it REPAIRED, NO_FAULT_FOUND that; one that is "
        "NOT_FIXED holds the unit.",
        request=None,
        responses=ReworkTaskAnswer,
    )
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, pk: str) -> Response:
        """End it."""
        services.complete(task_id=self._task_id, by=operator_name(request))
        return Response(ReworkTaskAnswer(self.get_object()).data)

    @extend_schema(
        summary="Let a unit go on without its repair",
        description="Its defects stay open, and are settled when it passes their steps again.",
        request=RepairCancelRequest,
        responses=ReworkTaskAnswer,
        examples=[OpenApiExample("Why", value={"reason": "Retest first"}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Cancel it."""
        reason = read(RepairCancelRequest, request)["reason"]
        services.cancel(task_id=self._task_id, reason=reason, by=operator_name(request))
        return Response(ReworkTaskAnswer(self.get_object()).data)


def as_record(body: dict[str, Any]) -> dict[str, Any]:
    """Return what a body says of a repair, as the service takes it. Raises DefectNotFound for what is no id."""
    parts = [
        {
            "materialCode": part["material_code"],
            "location": part["location"].upper(),
            **({"lotNo": part["lot_no"]} if part.get("lot_no") else {}),
        }
        for part in body.get("replaced") or ()
    ]
    return {
        "defect_id": id_or_raise(body["defect_id"], errors.DefectNotFound),
        "action": body["action"],
        "result": body["result"],
        "replaced": parts,
        "remark": body.get("remark") or "",
    }


def register(router: BaseRouter) -> None:
    """Add the addresses of this subject."""
    router.register("rework-tasks", ReworkTaskViewSet, basename="rework-task")
