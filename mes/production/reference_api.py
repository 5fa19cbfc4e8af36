"""Reference units over HTTP, and their passes of stations."""

from typing import Any

from django.db import IntegrityError
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.platform.accounts.permissions import READS_SHARED, StationAccess, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.master_data import FixedFieldsMixin, OptionalChoiceField, describe
from mes.platform.http.serializers import (
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    StrictModelSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import CodeModelViewSet, OnlyKnownFilter
from mes.platform.inbound.sender import sender_of
from mes.production import reference_units
from mes.production.fields import SerialNumberField
from mes.production.identity_models import PassResult, ReferencePass, ReferenceUnit
from mes.production.models import Unit
from mes.production.names import find_names, is_taken


class ReferenceUnitSerializer(FixedFieldsMixin, StrictModelSerializer):
    """A board by which machines are checked."""

    fixed = ("sn",)
    id = IdField()
    sn = SerialNumberField()
    expectedResult = OptionalChoiceField(choices=PassResult.choices, help_text="Null: any will do.")
    expiresAt = OffsetDateTimeField(required=False, allow_null=True)
    isActive = serializers.BooleanField(required=False)

    class Meta:
        model = ReferenceUnit
        fields = ("id", "sn", "kind", "expectedResult", "expiresAt", "isActive")


class ReferencePassAnswer(RowSerializer):
    """A reference unit that passed a station."""

    id = IdField()
    stationCode = serializers.CharField(source="station.code", default=None, allow_null=True)
    at = OffsetDateTimeField(source="passed_at")
    result = serializers.SerializerMethodField(help_text="Null: the machine told none.")
    eventId = serializers.SerializerMethodField(help_text="Of the machine event that reported it.")
    recordedBy = serializers.CharField()

    class Meta:
        model = ReferencePass
        fields = ["id", "stationCode", "at", "result", "eventId", "recordedBy"]

    def get_result(self, passed: ReferencePass) -> str | None:
        """PASS, FAIL or null."""
        return passed.result or None

    def get_eventId(self, passed: ReferencePass) -> str | None:
        """The id of the event, or null."""
        return None if passed.event_id is None else str(passed.event_id)


class ReferencePassRequest(StrictSerializer):
    """A reference unit passes a station."""

    sn = SerialNumberField()
    result = serializers.ChoiceField(choices=PassResult.choices)


@describe(
    "reference unit",
    "reference units",
    example={"sn": "GOLD-1", "kind": "GOLDEN", "expectedResult": "PASS", "expiresAt": "2027-01-01T00:00:00Z"},
    change={"isActive": False},
    note="Its serial number is that of no unit (SN_TAKEN).",
)
class ReferenceUnitViewSet(CodeModelViewSet):
    """Boards by which machines are checked."""

    queryset = ReferenceUnit.objects.all()
    serializer_class = ReferenceUnitSerializer
    not_found = errors.ReferenceUnitNotFound
    lookup_field = "sn"
    capabilities = {"*": (Capability.MASTER_DATA, Capability.RELEASE)}
    station_access = {**READS_SHARED, "passes": StationAccess.SHARED}
    filter_backends = [OnlyKnownFilter]
    filters = {"kind": "kind", "isActive": "is_active"}

    def perform_create(self, serializer: Any) -> None:
        """Save it. Raises SnTaken where a unit has the serial number, or had it."""
        sn = serializer.validated_data["sn"]
        if find_names([sn]).present or Unit.objects.filter(sn=sn).exists():
            raise errors.SnTaken(sn=sn)
        try:
            super().perform_create(serializer)
        except IntegrityError as error:  # taken at this moment
            if is_taken(error):
                raise errors.SnTaken(sn=sn) from error
            raise

    @extend_schema(
        summary="List the passes of a reference unit, newest first", responses=ReferencePassAnswer(many=True)
    )
    @action(detail=True, methods=["get"])
    def passes(self, request: Request, sn: str) -> Response:
        """Return a page of its passes."""
        rows = ReferencePass.objects.filter(reference_unit=self.get_object()).select_related("station")
        page = self.paginate_queryset(rows.order_by("-id"))
        return self.get_paginated_response(ReferencePassAnswer(page, many=True).data)


class ReferencePassViewSet(GenericViewSet):
    """Reference units at a station, by hand."""

    queryset = ReferencePass.objects.none()
    serializer_class = ReferencePassAnswer
    capabilities = {"create": (Capability.TRACK,)}
    station_access = {"*": StationAccess.OWN}

    @extend_schema(
        summary="Record that a reference unit passed",
        request=ReferencePassRequest,
        responses={201: ReferencePassAnswer},
        examples=[OpenApiExample("The golden board", value={"sn": "GOLD-1", "result": "PASS"}, request_only=True)],
    )
    def create(self, request: Request, code: str) -> Response:
        """Record a pass; people are told of a result that was not expected."""
        sender_of(request).check_station(code)
        body = read(ReferencePassRequest, request)
        passed = reference_units.pass_by_hand(
            station_code=code, sn=body["sn"], result=body["result"], by=operator_name(request)
        )
        return Response(ReferencePassAnswer(passed).data, status=201)


def register(router: Any) -> None:
    """Add the addresses of this subject."""
    router.register("reference-units", ReferenceUnitViewSet, "reference-unit")
