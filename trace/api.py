"""Trace over HTTP."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution.models import Carrier
from execution.reach import check_reads
from mes.platform.accounts.permissions import StationAccess
from mes.platform.inbound.sender import sender_of
from mes.production.models import Unit
from trace import carriers, units


class UnitTraceAnswer(serializers.Serializer):
    """Everything about one unit."""

    unit = serializers.DictField()
    route = serializers.DictField(allow_null=True)
    routeVersion = serializers.DictField(allow_null=True)
    steps = serializers.ListField(child=serializers.DictField())
    tracks = serializers.ListField(child=serializers.DictField())
    dataValues = serializers.ListField(child=serializers.DictField())
    ingestEvents = serializers.ListField(child=serializers.DictField())
    deviceData = serializers.ListField(child=serializers.DictField())
    carrierTracks = serializers.ListField(child=serializers.DictField())
    carrierLoads = serializers.ListField(child=serializers.DictField())
    carrierDataValues = serializers.ListField(child=serializers.DictField())
    defects = serializers.ListField(child=serializers.DictField())
    dispositions = serializers.ListField(child=serializers.DictField())
    moves = serializers.ListField(child=serializers.DictField())
    inspections = serializers.ListField(child=serializers.DictField())
    timeRules = serializers.ListField(child=serializers.DictField())
    readiness = serializers.ListField(child=serializers.DictField())
    materials = serializers.ListField(
        child=serializers.DictField(),
        help_text="What is in it or served to make it. `certainty` is SINGLE where one stood in the slot, POSSIBLE for "
        "each of several, REPORTED where it was told; `via` is the inner unit that it is in.",
    )
    traceability = serializers.DictField(
        help_text="The level of IPC-1782 that the product declares, the one `reached`, and what is `missing` for the "
        "next."
    )
    aliases = serializers.ListField(child=serializers.DictField(), help_text="Serial numbers that it had before.")


class UnitTraceViewSet(GenericViewSet):
    """The trace of a unit."""

    queryset = Unit.objects.none()
    serializer_class = UnitTraceAnswer
    station_access = {"retrieve": StationAccess.OWN}

    @extend_schema(
        summary="Trace a unit",
        description="Its frozen route, every pass, every value with the limits it was judged by, device "
        "records, machine events and carriers. A serial number that it had before finds it, too; `unit.sn` is the "
        "present one.",
        responses=OpenApiResponse(UnitTraceAnswer),
    )
    def retrieve(self, request: Request, sn: str) -> Response:
        """Return the trace."""
        trace = units.get_unit_trace(sn=sn)
        check_reads(sender_of(request), [trace.unit])
        return Response(units.as_json(trace))


class CarrierTraceAnswer(serializers.Serializer):
    """Everything about one carrier."""

    carrier = serializers.DictField()
    carrierLoads = serializers.ListField(child=serializers.DictField())
    carrierTracks = serializers.ListField(child=serializers.DictField())


class CarrierTraceViewSet(GenericViewSet):
    """The trace of a carrier."""

    queryset = Carrier.objects.none()
    serializer_class = CarrierTraceAnswer
    station_access = {"retrieve": StationAccess.OWN}

    @extend_schema(
        summary="Trace a carrier",
        description="Which units it carried, from when to when, and its own passes with their values; newest first.",
        responses=OpenApiResponse(CarrierTraceAnswer),
    )
    def retrieve(self, request: Request, carrier_no: str) -> Response:
        """Return the trace."""
        trace = carriers.get_carrier_trace(carrier_no=carrier_no)
        check_reads(sender_of(request), [load.unit for load in trace.loads])
        return Response(carriers.as_json(trace))
