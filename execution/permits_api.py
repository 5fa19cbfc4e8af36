"""May it run here, over HTTP: what a machine asks before it takes a board."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution import permits
from execution.models import Track
from execution.permits import PermitAction
from mes.platform.accounts.permissions import StationAccess
from mes.platform.accounts.roles import Capability, Role
from mes.platform.http.serializers import CodeField, ScannedField, StrictSerializer, read
from mes.platform.inbound.sender import sender_of
from mes.platform.scans import UNIT
from mes.qualifications.queries import worker_of

MANUAL, MACHINE = "MANUAL", "MACHINE"


class PermitRequest(StrictSerializer):
    """What is asked about: a unit or a carrier."""

    sn = ScannedField(UNIT, required=False, allow_null=True, allow_blank=True, help_text="As read, if only “NOREAD”.")
    carrierNo = CodeField(required=False, allow_null=True)
    runNo = CodeField(required=False, allow_null=True, help_text="By default as at track-in.")
    operatorId = serializers.CharField(
        max_length=150,
        required=False,
        allow_null=True,
        help_text="By user name or badge, who would take it in by hand: asked where a step requires a qualification. "
        "Of a person who is signed in, that person is asked.",
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        """Add who asks, by a name that no attribute may have."""
        who = serializers.ChoiceField(
            choices=[MANUAL, MACHINE],
            required=False,
            allow_null=True,
            help_text="By default by the type of the station.",
        )
        return {**super().get_fields(), "as": who}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take one or the other."""
        named = [name for name in ("sn", "carrier_no") if attrs.get(name) is not None]
        if len(named) != 1:
            raise serializers.ValidationError({"sn": _("Name either a unit or a carrier.")})
        return attrs


class PermitReason(serializers.Serializer):
    """Why it may not run."""

    code = serializers.CharField(help_text="As track-in would refuse it.")
    message = serializers.CharField()
    fact = serializers.DictField(help_text="What is so, as in the details of that refusal.")
    releasableBy = serializers.ListField(
        source="releasable_by",
        child=serializers.ChoiceField(choices=Role.choices),
        help_text="Roles that may change it; none where nobody can.",
    )
    holdNo = serializers.CharField(source="hold_no", required=False, help_text="The hold by which it is so.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Leave the hold out where there is none."""
        told: dict[str, Any] = super().to_representation(instance)
        return told if instance.hold_no is not None else {key: told[key] for key in told if key != "holdNo"}


class UnitPermitAnswer(serializers.Serializer):
    """Whether a unit on the carrier may run."""

    sn = serializers.CharField()
    position = serializers.CharField(allow_blank=True)
    allowed = serializers.BooleanField()
    reasons = PermitReason(many=True)


class PermitAnswer(serializers.Serializer):
    """Whether it may run here, at this moment."""

    allowed = serializers.BooleanField()
    action = serializers.ChoiceField(choices=[action.value for action in PermitAction])
    stepNo = serializers.IntegerField(source="step_no", allow_null=True, help_text="The step that it would be for.")
    alreadyIn = serializers.BooleanField(source="already_in", help_text="It is in this station already.")
    reasons = PermitReason(many=True, help_text="In the order in which track-in asks: it would refuse by the first.")
    units = UnitPermitAnswer(many=True, required=False, help_text="Of a carrier alone: the units on it.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Leave the units out where no carrier was asked about."""
        told: dict[str, Any] = super().to_representation(instance)
        return told if instance.units is not None else {key: told[key] for key in told if key != "units"}


class PermitViewSet(GenericViewSet):
    """May it run here."""

    queryset = Track.objects.none()
    serializer_class = PermitAnswer
    capabilities = {"ask": tuple(Capability)}  # whoever may do anything here may ask
    station_access = {"ask": StationAccess.OWN}

    @extend_schema(
        summary="Ask whether a unit or a carrier may run here",
        description="Ask before a board is taken: the answer is that of track-in, with every reason instead of the "
        "first, who may change each, and what is to be done: `RUN`; `PASS_THROUGH` for a board that has nothing to do "
        "here; else `STOP`. Nothing is written. A carrier may run when it has units and each of them may. What cannot "
        "be read, and what nobody knows, is a reason, too: only an unknown station is refused.",
        request=PermitRequest,
        responses=PermitAnswer,
        examples=[
            OpenApiExample("A board before the printer", value={"sn": "SN-0001"}, request_only=True),
            OpenApiExample(
                "A pallet before the oven", value={"carrierNo": "PAL-7", "as": "MACHINE"}, request_only=True
            ),
        ],
    )
    def ask(self, request: Request, code: str) -> Response:
        """Answer."""
        sender_of(request).check_station(code)
        body = read(PermitRequest, request)
        asked_as = body.get("as")
        about: dict[str, Any] = {
            "station_code": code,
            "run_no": body.get("run_no"),
            "by_machine": None if asked_as is None else asked_as == MACHINE,
            "worker": worker_of(sender_of(request).system, body.get("operator_id")),
        }
        if (carrier_no := body.get("carrier_no")) is not None:
            permit = permits.ask_for_carrier(carrier_no=carrier_no, **about)
        else:
            permit = permits.ask_for_unit(sn=body["sn"], **about)
        answer: dict[str, Any] = dict(PermitAnswer(permit).data)
        return Response(answer)
