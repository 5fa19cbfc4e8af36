"""Loading the slots of a station over HTTP: load, unload, unlock, and what is loaded."""

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.line_setup.loads import corrections, queries, services
from mes.line_setup.loads.models import Load, LoadState, Verify
from mes.line_setup.loads.services import Scanned
from mes.line_setup.lots.models import MOST
from mes.plant.models import Station
from mes.platform import scans
from mes.platform.accounts.permissions import StationAccess, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.query_params import read_moment
from mes.platform.http.serializers import (
    CodeField,
    DecisionReasonField,
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    ScannedField,
    StrictSerializer,
    read,
)
from mes.platform.inbound.sender import sender_of
from mes.platform.validators import check_new_code

THINGS = ("lot_id", "tool_id", "program", "label")


class SlotLoadRequest(StrictSerializer):
    """What is put into a slot: a lot, a tool or a program."""

    slot = CodeField()
    lotId = ScannedField(scans.LOT, required=False, allow_null=True)
    toolId = ScannedField(scans.TOOL, required=False, allow_null=True)
    program = CodeField(required=False, allow_null=True)
    label = serializers.CharField(  # type: ignore[assignment]  # a field of the body
        max_length=scans.LONGEST_SYMBOL,
        trim_whitespace=False,
        required=False,
        allow_null=True,
        help_text="Of a reel, as it was scanned (ISO/IEC 15434): its lot is made where it is not known.",
    )
    action = serializers.ChoiceField(
        choices=services.ACTIONS,
        required=False,
        help_text="LOAD into an empty slot; REPLACE what is there; SPLICE behind it.",
    )
    runNo = CodeField(required=False, allow_null=True, help_text="The run that is prepared.")
    feederId = ScannedField(scans.TOOL, required=False, allow_null=True)
    at = OffsetDateTimeField(required=False, allow_null=True, help_text="By default now.")
    move = serializers.BooleanField(required=False, help_text="Take it from where else it is, also from another line.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take one thing, into a slot that may be called so."""
        if len([name for name in THINGS if attrs.get(name)]) != 1:
            raise serializers.ValidationError({"lotId": _("Name one of a lot, a tool, a program and a label.")})
        check_new_code("slot", attrs["slot"])
        return attrs


class SlotUnloadRequest(StrictSerializer):
    """What is taken out: what is in a slot, or a lot from where it is."""

    slot = CodeField(required=False, allow_null=True)
    lotId = ScannedField(scans.LOT, required=False, allow_null=True)
    quantity = serializers.DecimalField(
        max_digits=14,
        decimal_places=4,
        min_value=Decimal(0),
        max_value=MOST,
        required=False,
        allow_null=True,
        help_text="Counted in the lot.",
    )
    at = OffsetDateTimeField(required=False, allow_null=True, help_text="By default now.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take a slot, a lot, or both."""
        if not (attrs.get("slot") or attrs.get("lot_id")):
            raise serializers.ValidationError({"slot": _("Name a slot or a lot.")})
        return attrs


class UnlockRequest(StrictSerializer):
    """Why a slot may be loaded again."""

    reason = DecisionReasonField()


class LoadAnswer(RowSerializer):
    """A lot, a tool or a program in a slot."""

    id = IdField()
    stationCode = serializers.CharField(source="station.code", default=None, allow_null=True)
    lotId = serializers.CharField(source="lot.lot_id", default=None, allow_null=True)
    materialCode = serializers.CharField(source="lot.material.code", default=None, allow_null=True)
    toolId = serializers.CharField(source="tool.tool_id", default=None, allow_null=True)
    feederId = serializers.CharField(source="feeder.tool_id", default=None, allow_null=True)
    verify = serializers.ChoiceField(choices=Verify.choices)
    state = serializers.ChoiceField(choices=LoadState.choices)

    class Meta:
        model = Load
        fields = ["id", "stationCode", "slot", "lotId", "materialCode", "toolId", "program", "feederId", "verify"]
        fields += ["state"]

    def get_fields(self) -> dict[str, serializers.Field]:
        """Add its times, one by a name that no attribute may have."""
        since, until = OffsetDateTimeField(source="loaded_at"), OffsetDateTimeField(source="ended_at", allow_null=True)
        return {**super().get_fields(), "from": since, "to": until}


class LoadsAnswer(serializers.Serializer):
    """What is in the slots of a station."""

    stationCode = serializers.CharField()
    loads = LoadAnswer(many=True)


class UnlockAnswer(serializers.Serializer):
    """A slot that may be loaded."""

    stationCode = serializers.CharField()
    slot = serializers.CharField()
    locked = serializers.BooleanField()


class StationLoadsViewSet(GenericViewSet):
    """What the slots of a station hold."""

    queryset = Load.objects.none()
    serializer_class = LoadAnswer
    capabilities = {
        "load": (Capability.BIND,),
        "unload": (Capability.BIND,),
        "unlock": (Capability.AUTHORIZE,),
    }
    station_access = {"*": StationAccess.OWN}

    @extend_schema(
        operation_id="stations_loads_create",
        summary="Load a slot",
        description="The first failure decides. The same in its slot again is answered 200 and changes nothing. Every "
        "scan is kept with its outcome. Three wrong parts in a row lock the slot (`details.locked`).",
        request=SlotLoadRequest,
        responses={201: LoadAnswer, 200: LoadAnswer},
        examples=[OpenApiExample("A reel", value={"slot": "F12", "lotId": "R-0815"}, request_only=True)],
    )
    def load(self, request: Request, code: str) -> Response:
        """Load what was scanned."""
        sender_of(request).check_station(code)
        body = read(SlotLoadRequest, request)
        given = {name: value for name, value in body.items() if value is not None}
        loaded = services.load(Scanned(code, operator_name(request), **given))
        return Response(LoadAnswer(loaded.load).data, status=201 if loaded.changed else 200)

    @extend_schema(
        operation_id="stations_loads_list",
        summary="List what is loaded at a station",
        parameters=[OpenApiParameter("at", description="At this time. By default now.")],
        responses=LoadsAnswer,
    )
    def loads(self, request: Request, code: str) -> Response:
        """Return what is, or was, in the slots."""
        sender_of(request).check_station(code)
        station = get_or_raise(Station.objects, errors.StationNotFound, code=code)
        found = queries.list_at_station(station, read_moment(request.query_params, "at"))
        return Response({"stationCode": station.code, "loads": LoadAnswer(found, many=True).data})

    @extend_schema(
        operation_id="stations_unload_create",
        summary="Unload a slot",
        description="What is in the slot, or the lot wherever it is at the station. SLOT_EMPTY where nothing is.",
        request=SlotUnloadRequest,
        responses=LoadsAnswer,
        examples=[OpenApiExample("A reel", value={"lotId": "R-0815", "quantity": 1200}, request_only=True)],
    )
    def unload(self, request: Request, code: str) -> Response:
        """Take out what was scanned."""
        sender_of(request).check_station(code)
        body = read(SlotUnloadRequest, request)
        given = {name: value for name, value in body.items() if value is not None}
        ended = services.unload(Scanned(code, operator_name(request), action=services.UNLOAD, **given))
        return Response({"stationCode": code, "loads": LoadAnswer(ended, many=True).data})

    @extend_schema(
        operation_id="stations_slots_unlock_create",
        summary="Unlock a slot",
        description="After three wrong parts. One that is not locked any more stays as it is.",
        request=UnlockRequest,
        responses=UnlockAnswer,
        examples=[OpenApiExample("The label was read", value={"reason": "Wrong box."}, request_only=True)],
    )
    def unlock(self, request: Request, code: str, slot: str) -> Response:
        """Let it be loaded again."""
        sender_of(request).check_station(code)
        body = read(UnlockRequest, request)
        check_new_code("slot", slot)
        services.unlock(code, slot, reason=body["reason"], by=operator_name(request))
        return Response(UnlockAnswer({"stationCode": code, "slot": slot, "locked": False}).data)


class CorrectionRequest(StrictSerializer):
    """What was wrong of a load: that it was (`isVoid`), or its lot, its slot or its beginning."""

    reason = DecisionReasonField()
    isVoid = serializers.BooleanField(required=False)
    lotId = ScannedField(scans.LOT, required=False, allow_null=True)
    slot = CodeField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field]:
        """Add when it began, by a name that no attribute may have."""
        since = OffsetDateTimeField(required=False, allow_null=True, source="since", help_text="When it began.")
        return {**super().get_fields(), "from": since}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take what makes it void, or what is right."""
        is_void = bool(attrs.get("is_void"))
        if is_void == any(attrs.get(name) is not None for name in ("lot_id", "slot", "since")):
            raise serializers.ValidationError({"isVoid": _("Say that it is void, or what is right.")})
        if attrs.get("slot") is not None:
            check_new_code("slot", attrs["slot"])
        return attrs


class CorrectionAnswer(serializers.Serializer):
    """The load as it is right, and what that changes of units."""

    load = LoadAnswer(allow_null=True, help_text="Null of a void one.")
    gained = serializers.IntegerField(allow_null=True, help_text="Units that have its lot now and did not before.")
    lost = serializers.IntegerField(allow_null=True, help_text="Units that had its lot and have it no more.")


class LoadCorrectionViewSet(GenericViewSet):
    """Putting right what was said of a slot."""

    queryset = Load.objects.none()
    serializer_class = CorrectionAnswer
    capabilities = {"correct": (Capability.HOLD,)}  # by which boards may come to be held

    @extend_schema(
        operation_id="loads_correct_create",
        summary="Correct a load",
        description="Nothing is deleted: its marks are voided with the reason, and others take their place. The load "
        "as it is right has an id of its own, and may be corrected again.",
        request=CorrectionRequest,
        responses=CorrectionAnswer,
        examples=[
            OpenApiExample("Another reel", value={"reason": "Scanned the box", "lotId": "R-0816"}, request_only=True)
        ],
    )
    def correct(self, request: Request, pk: int) -> Response:
        """Correct it."""
        body = read(CorrectionRequest, request)
        given = {name: value for name, value in body.items() if value is not None}
        done = corrections.correct(pk, by=operator_name(request), **given)
        answer = {"load": done.load, "gained": done.gained, "lost": done.lost}
        return Response(CorrectionAnswer(answer).data)
