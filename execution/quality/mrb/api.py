"""The decision of a material review board over HTTP."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution.quality.mrb import services
from execution.quality.mrb.services import FULL_PREP, RELEASE, REUSE_PREP, REWORK, SCRAP
from mes.errors import ValidationFailed
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http.serializers import DecisionReasonField, StrictSerializer, read
from mes.platform.signatures import services as signatures
from mes.platform.signatures.serializers import EXAMPLE, SignatureRequest
from mes.production.api import RunAnswer
from mes.production.models import Run

SHORTEST_REASON = 4


class MrbRequest(StrictSerializer):
    """What the board decides."""

    decision = serializers.ChoiceField(choices=[RELEASE, REWORK, SCRAP])
    reason = DecisionReasonField(min_length=SHORTEST_REASON)
    reworkType = serializers.ChoiceField(
        choices=[FULL_PREP, REUSE_PREP],
        required=False,
        allow_null=True,
        help_text="Needed for REWORK. REUSE_PREP takes confirmed preparations over and asks the gate at once.",
    )
    faiWaiver = serializers.BooleanField(
        required=False, default=False, help_text="No first article for the rework run: with REUSE_PREP only."
    )
    faiWaiverReason = DecisionReasonField(required=False, allow_null=True, allow_blank=True)
    signature = SignatureRequest(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """What belongs to another decision is refused."""
        problems: dict[str, str] = {}
        is_rework, rework_type = attrs["decision"] == REWORK, attrs.get("rework_type")
        if is_rework and not rework_type:
            problems["reworkType"] = _("Needed for REWORK.")
        if not is_rework and rework_type:
            problems["reworkType"] = _("Of REWORK only.")
        waives, why = attrs.get("fai_waiver"), attrs.get("fai_waiver_reason")
        if (waives or why) and rework_type != REUSE_PREP:
            problems["faiWaiver"] = _("With REUSE_PREP only.")
        if bool(waives) != bool(why):
            problems["faiWaiverReason"] = _("Say why the first article is waived.") if waives else _("Of a waiver.")
        if problems:
            raise serializers.ValidationError(problems)
        return attrs


class MrbRefusal(serializers.Serializer):
    """Why the rework run could not be authorized at once."""

    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField()


class MrbAnswer(serializers.Serializer):
    """What the decision led to."""

    run = RunAnswer()
    reworkRun = RunAnswer(allow_null=True)
    refusal = MrbRefusal(allow_null=True)


class MrbViewSet(GenericViewSet):
    """Runs that their outgoing inspection holds."""

    queryset = Run.objects.none()
    serializer_class = MrbAnswer
    capabilities = {"decide": (Capability.MRB,)}

    @extend_schema(
        summary="Decide about a run that failed its outgoing inspection",
        description="RELEASE completes the run and ends what the inspection holds its units for; what anything else "
        "holds stays held. SCRAP scraps all units. REWORK closes the run and moves the units that are not scrapped "
        "into a new rework run, where they wait at the first step; with FULL_PREP it is in preparation, with "
        "REUSE_PREP it takes over what is confirmed and is authorized at once if it is ready, else `refusal` says why "
        "not. A run that no outgoing inspection holds is refused (INVALID_TRANSITION). Who is signed in signs with "
        "name and password.",
        request=MrbRequest,
        responses=MrbAnswer,
        examples=[
            OpenApiExample(
                "Rework with the preparations as they are",
                value={
                    "decision": REWORK,
                    "reason": "Touch up pin 3 of X1 on all boards",
                    "reworkType": REUSE_PREP,
                    "signature": EXAMPLE,
                },
                request_only=True,
            )
        ],
    )
    def decide(self, request: Request, run_no: str) -> Response:
        """Carry it out."""
        body = read(MrbRequest, request)
        check_may_waive(request, body)
        signing = signatures.verify(request, body.get("signature"), Capability.MRB)
        outcome = services.decide(run_no=run_no, by=operator_name(request), signing=signing, **arguments(body))
        refusal = outcome.refusal
        told = None if refusal is None else {"code": refusal.code, "message": str(refusal), "details": refusal.details}
        rework_run = None if outcome.rework_run is None else RunAnswer(outcome.rework_run).data
        return Response({"run": RunAnswer(outcome.run).data, "reworkRun": rework_run, "refusal": told})


def check_may_waive(request: Any, body: dict[str, Any]) -> None:
    """Raise ValidationFailed for a waiver by somebody who may not waive."""
    if body.get("fai_waiver") and Capability.WAIVE not in role_capabilities(request.user):
        raise ValidationFailed({"faiWaiver": _("It needs the right to waive.")})


def arguments(body: dict[str, Any]) -> dict[str, Any]:
    """Return what the service takes of a body."""
    return {
        "decision": body["decision"],
        "reason": body["reason"],
        "rework_type": body.get("rework_type") or FULL_PREP,
        "fai_waiver_reason": body.get("fai_waiver_reason") or "",
    }
