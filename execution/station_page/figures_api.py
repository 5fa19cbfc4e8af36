"""What a station did in its shift, over HTTP."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution.models import Track, TrackResult
from execution.station_page.figures import LastUnit, ShiftFigures, shift_figures
from mes import errors
from mes.plant.models import Station
from mes.platform.accounts.permissions import StationAccess
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.serializers import OffsetDateTimeField
from mes.platform.inbound.sender import sender_of


class LastUnitAnswer(serializers.Serializer):
    """A unit that left the station."""

    sn = serializers.CharField()
    runNo = serializers.CharField()
    stepNo = serializers.IntegerField()
    operationCode = serializers.CharField()
    attempt = serializers.IntegerField()
    result = serializers.ChoiceField(choices=TrackResult.choices)
    outAt = OffsetDateTimeField()
    isTrial = serializers.BooleanField()


class ShiftAnswer(serializers.Serializer):
    """What a station did in its shift."""

    date = serializers.DateField(help_text="The day that the shift began.")
    shift = serializers.CharField(
        allow_null=True, help_text="null: in no shift; then it is the time between two, or the day."
    )
    start = OffsetDateTimeField()
    end = OffsetDateTimeField()
    firstPassYield = serializers.FloatField(
        allow_null=True, help_text="Per cent, of first attempts in production runs; null before the first."
    )
    lastUnits = LastUnitAnswer(many=True, help_text="That left last, newest first, in whatever shift; trials too.")

    def get_fields(self) -> dict[str, serializers.Field]:
        """Add those whose names no attribute may have."""
        return {
            **super().get_fields(),
            "in": serializers.IntegerField(help_text="Entered in the shift."),
            "pass": serializers.IntegerField(help_text="Passed and left in the shift."),
            "fail": serializers.IntegerField(help_text="Failed and left in the shift."),
        }


class ShiftViewSet(GenericViewSet):
    """The shift of a station."""

    queryset = Track.objects.none()
    serializer_class = ShiftAnswer
    station_access = {"show": StationAccess.OWN}

    @extend_schema(
        summary="Tell what a station did in its shift",
        description="The shift of the station's line that it is now; the whole day for a station without a line and "
        "a line without shifts. A night shift has the date of the day it began. Passes are counted: a unit that is "
        "tested again counts again; trials do not, nor what rework or scrapping closed.",
        responses=ShiftAnswer,
    )
    def show(self, request: Request, code: str) -> Response:
        """Return it."""
        sender_of(request).check_station(code)
        station = get_or_raise(Station.objects, errors.StationNotFound, code=code)
        return Response(_describe(shift_figures([station], timezone.now())[station.pk]))


def _describe(figures: ShiftFigures) -> dict[str, Any]:
    return {
        "date": figures.date,
        "shift": figures.shift or None,
        "start": figures.start,
        "end": figures.end,
        "in": figures.count_in,
        "pass": figures.count_pass,
        "fail": figures.count_fail,
        "firstPassYield": figures.first_pass_yield,
        "lastUnits": [_describe_unit(unit) for unit in figures.last_units],
    }


def _describe_unit(unit: LastUnit) -> dict[str, Any]:
    return {
        "sn": unit.sn,
        "runNo": unit.run_no,
        "stepNo": unit.step_no,
        "operationCode": unit.operation_code,
        "attempt": unit.attempt,
        "result": unit.result,
        "outAt": unit.out_at,
        "isTrial": unit.is_trial,
    }
