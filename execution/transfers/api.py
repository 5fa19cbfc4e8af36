"""Units that go from run to run, over HTTP."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution.transfers import scrap_undoing, services, splits
from execution.transfers.services import LARGEST_TRANSFER, Moved
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import CodeField, DecisionReasonField, StrictSerializer, read
from mes.production.api import LARGEST_QUANTITY, RunAnswer
from mes.production.fields import SerialNumberField
from mes.production.models import Run

_LARGEST_STEP_NO = 2**31 - 1


class StepField(serializers.IntegerField):
    """The number of a step of the run that units go into."""

    def __init__(self, **kwargs: Any) -> None:
        given = {"min_value": 0, "max_value": _LARGEST_STEP_NO, "required": False, "allow_null": True, **kwargs}
        super().__init__(**given)


def _sns(**kwargs: Any) -> serializers.ListField:
    return serializers.ListField(child=SerialNumberField(), min_length=1, max_length=LARGEST_TRANSFER, **kwargs)


class MoveUnitsRequest(StrictSerializer):
    """Which units go into which run; into none: they are taken back."""

    sns = _sns()
    toRunNo = CodeField(allow_null=True, help_text="Null: units that were not begun are taken out of the run.")
    toStepNo = StepField(help_text="Where the units go on, if the routes differ before their step.")
    reason = DecisionReasonField()


class ReturnUnitsRequest(StrictSerializer):
    """Which finished units come back into this run."""

    sns = _sns()
    toStepNo = StepField(help_text="Where they begin; by default at the first step.")
    reason = DecisionReasonField()


class MovedUnit(serializers.Serializer):
    """Where a unit goes on."""

    sn = serializers.CharField()
    stepNo = serializers.IntegerField(allow_null=True)


class MovedAnswer(serializers.Serializer):
    """The units that went, in the order in which they were named."""

    moved = MovedUnit(many=True)


class SplitRequest(StrictSerializer):
    """What becomes a run of its own."""

    planQty = serializers.IntegerField(
        min_value=1, max_value=LARGEST_QUANTITY, help_text="How many of the plan the new run gets."
    )
    lineCode = CodeField(required=False, allow_null=True, help_text="By default the line of the run.")
    sns = _sns(
        required=False, allow_null=True, help_text="By default the last untouched ones that the rest has no room for."
    )
    runNo = CodeField(required=False, allow_null=True, help_text="By default the next of the order.")
    reason = DecisionReasonField()


class UndoScrapRequest(StrictSerializer):
    """Why a scrap is to be undone, and where the unit goes on."""

    reason = DecisionReasonField()
    toRunNo = CodeField(
        required=False, allow_null=True, help_text="For a unit that was not done in a run that has ended since."
    )
    toStepNo = StepField(help_text="There, if the routes differ before the unit's step.")


class RequestedAnswer(serializers.Serializer):
    """What waits for another person."""

    approvalId = serializers.CharField()


class TransferViewSet(GenericViewSet):
    """Units between runs."""

    queryset = Run.objects.none()
    serializer_class = MovedAnswer
    capabilities = {
        "move": (Capability.UNITS,),
        "come_back": (Capability.UNITS,),
        "split": (Capability.RUNS,),
        "unscrap": (Capability.DISPOSITION,),
    }

    @extend_schema(
        summary="Move units to another run, or take them back",
        description="All or none. Into another open run of the same product go units that wait, failed, or are held "
        "from one of these; their holds and clocks go along. They go on at their step where the steps before it "
        "agree, else at `toStepNo` (STEP_REQUIRED), which never lies past the first step whose operation the unit did "
        "not pass last. With `toRunNo` null, units without a track in the run are taken out of it. What keeps units "
        "is told of each (UNITS_NOT_MOVABLE).",
        request=MoveUnitsRequest,
        responses=MovedAnswer,
        examples=[
            OpenApiExample(
                "To the run on the other line",
                value={"sns": ["SN-0001", "SN-0002"], "toRunNo": "WO-4711-02", "reason": "The oven of line A is down"},
                request_only=True,
            )
        ],
    )
    def move(self, request: Request, run_no: str) -> Response:
        """Move the units."""
        body = read(MoveUnitsRequest, request)
        told = {"run_no": run_no, "sns": body["sns"], "reason": body["reason"], "by": operator_name(request)}
        if body["to_run_no"] is None:
            return _moved(services.take_back(**told))
        return _moved(services.move_units(**told, to_run_no=body["to_run_no"], to_step_no=body.get("to_step_no")))

    @extend_schema(
        summary="Return finished units into a run",
        description="Into an open run, out of runs that have ended: of a rework run units of its product, of a run of "
        "production units that are a part of its product by the BOM, of an engineering run any. All or none. They "
        "count where they were made; a hold goes along.",
        request=ReturnUnitsRequest,
        responses=MovedAnswer,
        examples=[
            OpenApiExample(
                "For rework", value={"sns": ["SN-0001"], "reason": "Complaint 4711: connector loose"}, request_only=True
            )
        ],
    )
    def come_back(self, request: Request, run_no: str) -> Response:
        """Return the units."""
        body = read(ReturnUnitsRequest, request)
        moved = services.return_units(
            run_no=run_no,
            sns=body["sns"],
            to_step_no=body.get("to_step_no"),
            reason=body["reason"],
            by=operator_name(request),
        )
        return _moved(moved)

    @extend_schema(
        summary="Split a run",
        description="A part of its plan becomes a new run in preparation, of the same order, kind and route version. "
        "The rest keeps at least one, and as many as it keeps units (RUN_QTY_TOO_LOW).",
        request=SplitRequest,
        responses={201: RunAnswer},
        examples=[
            OpenApiExample(
                "Half of it on line B",
                value={"planQty": 20, "lineCode": "SMT-B", "reason": "Due on Friday"},
                request_only=True,
            )
        ],
    )
    def split(self, request: Request, run_no: str) -> Response:
        """Split the run."""
        body = read(SplitRequest, request)
        run = splits.split_run(
            run_no=run_no,
            plan_qty=body["plan_qty"],
            line_code=body.get("line_code"),
            sns=body.get("sns"),
            new_run_no=body.get("run_no"),
            reason=body["reason"],
            by=operator_name(request),
        )
        return Response(RunAnswer(run).data, status=201)

    @extend_schema(
        summary="Ask for a scrap to be undone",
        description="Another person approves it (`/api/approvals/{id}/approve`); then the unit is on hold, held from "
        "what it was scrapped from. Its run needs room for it; where that has ended before the unit was done, it goes "
        "on in `toRunNo`.",
        request=UndoScrapRequest,
        responses={202: RequestedAnswer},
        examples=[OpenApiExample("The wrong board", value={"reason": "Scanned the wrong board"}, request_only=True)],
    )
    def unscrap(self, request: Request, sn: str) -> Response:
        """Ask for it."""
        body = read(UndoScrapRequest, request)
        approval = scrap_undoing.request_undoing(
            sn=sn,
            reason=body["reason"],
            by=operator_name(request),
            to_run_no=body.get("to_run_no"),
            to_step_no=body.get("to_step_no"),
        )
        return Response({"approvalId": str(approval.pk)}, status=202)


def _moved(moved: Sequence[Moved]) -> Response:
    return Response({"moved": [{"sn": unit.sn, "stepNo": unit.step_no} for unit in moved]})
