"""What is decided about a defect, over HTTP."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution.quality import defect_decisions
from execution.quality.defect_decisions import Decided
from execution.quality.models import Defect
from execution.quality.repair.api import TaskDefect
from execution.quality.repair.overrides import LimitOverride, read_override, tell_signature
from execution.quality.repair.reentries import Override
from mes import errors
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import DecisionReasonField, StrictSerializer, read
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.signatures.serializers import SignatureBrief

REWORK, SCRAP, HOLD, FALSE_CALL = "REWORK", "SCRAP", "HOLD", "FALSE_CALL"
DECIDES = (Capability.DISPOSITION, Capability.RELEASE)
_OF_REWORK = ("toStepNo", "repair", "overrideLimit", "signature")


class DefectDispositionRequest(LimitOverride):
    """What is decided about a defect."""

    type = serializers.ChoiceField(choices=[REWORK, SCRAP, HOLD, FALSE_CALL])
    reason = DecisionReasonField()
    toStepNo = serializers.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        required=False,
        allow_null=True,
        help_text="Of REWORK: the step to go back to; by default the one that failed.",
    )
    repair = serializers.BooleanField(default=True, help_text="Of REWORK: to the bench first.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what only rework takes."""
        if attrs["type"] != REWORK:
            unfit = [name for name in _OF_REWORK if self.initial_data.get(name) not in (None, False)]
            if unfit:
                raise serializers.ValidationError({name: ["Only of REWORK."] for name in unfit})
        return attrs


class DefectReleaseRequest(StrictSerializer):
    """Why a defect is accepted."""

    reason = DecisionReasonField()


class DecidedDefect(TaskDefect):
    """A defect after a decision, with where its unit is now."""

    unitStatus = serializers.SerializerMethodField()
    currentStepNo = serializers.SerializerMethodField()
    reworkTaskId = serializers.SerializerMethodField(help_text="The task of the bench that the unit waits for.")
    signed = serializers.SerializerMethodField()
    signature = serializers.SerializerMethodField(help_text="Over rework beyond the limit of re-entries.")

    class Meta(TaskDefect.Meta):
        fields = (*TaskDefect.Meta.fields, "unitStatus", "currentStepNo", "reworkTaskId", "signed", "signature")

    def get_unitStatus(self, _defect: Defect) -> str:
        """What the unit is now."""
        return str(self.context["decided"].unit.status)

    def get_currentStepNo(self, _defect: Defect) -> int | None:
        """Where the unit is now."""
        step_no: int | None = self.context["decided"].unit.current_step_no
        return step_no

    def get_reworkTaskId(self, _defect: Defect) -> str | None:
        """The open task of its unit."""
        task = self.context["decided"].task
        return None if task is None else str(task.pk)

    def get_signed(self, _defect: Defect) -> bool:
        """Whether somebody signed."""
        return bool(tell_signature(self.context["override"])["signed"])

    @extend_schema_field(SignatureBrief(allow_null=True))
    def get_signature(self, _defect: Defect) -> dict[str, Any] | None:
        """Who signed, if somebody did."""
        told: dict[str, Any] | None = tell_signature(self.context["override"])["signature"]
        return told


class DefectDecisionViewSet(GenericViewSet):
    """Decisions about single defects."""

    queryset = Defect.objects.none()
    serializer_class = DecidedDefect
    capabilities = {"disposition": DECIDES, "release": DECIDES}

    @extend_schema(
        summary="Decide about a defect",
        description="REWORK sends its unit back, by default over the bench, and takes all its open defects along; "
        "SCRAP scraps it with all of them. HOLD opens a case for it. FALSE_CALL settles this defect alone: was it the "
        "last open one of a failed pass without failed KEY value, the pass becomes a PASS (`resultOverride` REVIEW), "
        "and the unit goes where that leads.",
        request=DefectDispositionRequest,
        responses=DecidedDefect,
        examples=[
            OpenApiExample(
                "To the bench, then again through AOI",
                value={"type": "REWORK", "reason": "Bridge at U4", "toStepNo": 30},
                request_only=True,
            ),
            OpenApiExample("No defect", value={"type": "FALSE_CALL", "reason": "Flux residue"}, request_only=True),
        ],
    )
    def disposition(self, request: Request, pk: str) -> Response:
        """Decide."""
        body = read(DefectDispositionRequest, request)
        override = read_override(request, body)
        by = operator_name(request) if override is None else override.decided_by(operator_name(request))
        told = {"defect_id": _number(pk), "reason": body["reason"], "by": by}
        if body["type"] == REWORK:
            decided = defect_decisions.rework(
                **told,
                to_step_no=body.get("to_step_no"),
                repair=body["repair"],
                override=override,
            )
        else:
            decide = {SCRAP: defect_decisions.scrap, HOLD: defect_decisions.hold}
            decided = decide.get(body["type"], defect_decisions.call_false)(**told)
        return _answer(decided, override)

    @extend_schema(
        summary="Accept a defect that its unit is held for",
        description="Ends the case that was opened for the defect; what else holds the unit stays.",
        request=DefectReleaseRequest,
        responses=DecidedDefect,
        examples=[OpenApiExample("Why", value={"reason": "Within IPC-A-610 class 2"}, request_only=True)],
    )
    def release(self, request: Request, pk: str) -> Response:
        """Accept it."""
        body = read(DefectReleaseRequest, request)
        return _answer(
            defect_decisions.release(defect_id=_number(pk), reason=body["reason"], by=operator_name(request))
        )


def _answer(decided: Decided, override: Override | None = None) -> Response:
    return Response(DecidedDefect(decided.defect, context={"decided": decided, "override": override}).data)


def _number(pk: str) -> int:
    return id_or_raise(pk, errors.DefectNotFound)
