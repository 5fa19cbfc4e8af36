"""What a line is at, over HTTP: its active run, and whether it is stopped."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.plant.models import Line
from mes.plant.reach import OfServedLines, check_stands_on_line
from mes.platform.accounts.permissions import StationAccess, operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.addresses import NAME
from mes.platform.http.serializers import CodeField, OffsetDateTimeField, StrictSerializer, read
from mes.platform.inbound.sender import sender_of
from mes.platform.signatures import services as signatures
from mes.platform.signatures.serializers import EXAMPLE, SignatureRequest
from mes.production import line_acts
from mes.production.decision_models import LONGEST_REASON
from mes.production.run_acts_api import SIGNED_BY_PEOPLE, WHO_RESUMES


class LineHold(serializers.Serializer):
    """What stops a line."""

    reason = serializers.CharField()
    by = serializers.CharField(source="opened_by")
    at = OffsetDateTimeField(source="opened_at")


class LineStatusAnswer(serializers.Serializer):
    """What a line is at now."""

    hold = LineHold(allow_null=True, help_text="Null while it runs.")
    activeRun = serializers.CharField(source="active_run", allow_null=True)
    stationRuns = serializers.DictField(
        source="station_runs", child=serializers.CharField(), help_text="Stations with an active run of their own."
    )
    openRuns = serializers.ListField(source="open_runs", child=serializers.CharField())


class ActiveRunRequest(StrictSerializer):
    """Which run is the active one: of the line, or of one of its stations alone."""

    runNo = CodeField(allow_null=True, help_text="Null: none is any more.")
    stationCode = CodeField(required=False, allow_null=True)
    at = OffsetDateTimeField(required=False, allow_null=True, help_text="Since when it is; by default since now.")


class StopRequest(StrictSerializer):
    """Why a line is stopped."""

    reason = serializers.CharField(max_length=LONGEST_REASON)


class GoOnRequest(StrictSerializer):
    """Why a line goes on."""

    reason = serializers.CharField(max_length=LONGEST_REASON, required=False, allow_null=True)
    signature = SignatureRequest(required=False, allow_null=True, help_text=SIGNED_BY_PEOPLE)


class LineStatusViewSet(OfServedLines, GenericViewSet):
    """A line while it runs: what is active on it, stop and go on."""

    queryset = Line.objects.all()
    serializer_class = LineStatusAnswer
    lookup_field = "code"
    lookup_value_regex = NAME
    line_lookup = "pk"
    pagination_class = None
    capabilities = {
        "active_run": (Capability.TRACK,),
        "hold": (Capability.STOP,),
        "resume": WHO_RESUMES,
    }
    station_access = {
        "status": StationAccess.OWN,
        "active_run": StationAccess.OWN,
        "hold": StationAccess.OWN,
        "resume": StationAccess.OWN,
    }

    def get_object(self) -> Line:
        """Return the line that the address names."""
        line = get_or_raise(self.get_queryset(), errors.LineNotFound, code=self.kwargs["code"])
        self.check_object_permissions(self.request, line)
        return line

    def _get_own(self) -> Line:
        """Return the line that the address names, for one of its stations to act on."""
        line = self.get_object()
        check_stands_on_line(sender_of(self.request), line)
        return line

    @extend_schema(summary="Read what a line is at", responses=LineStatusAnswer)
    @action(detail=True, methods=["get"])
    def status(self, request: Request, code: str) -> Response:
        """Return what holds it, its active run and its open runs."""
        return _status(self.get_object())

    @extend_schema(
        summary="Make a run the active one of a line",
        description="What machines report without a `runNo` belongs to the run that was active at their station when "
        "it happened, else to that of the line: so tell each changeover, with `at` if it was before now, but not "
        "before the present one began. The run is an open one of the line (RUN_CLOSED, STATION_LINE_MISMATCH). "
        "Authorizing a run makes it the active one of a line that has none; its end ends that.",
        request=ActiveRunRequest,
        responses=LineStatusAnswer,
        examples=[
            OpenApiExample("Changeover", value={"runNo": "WO-4711-02"}, request_only=True),
            OpenApiExample(
                "One station is ahead", value={"runNo": "WO-4711-02", "stationCode": "SMT-01"}, request_only=True
            ),
        ],
    )
    @action(detail=True, methods=["post"], url_path="active-run")
    def active_run(self, request: Request, code: str) -> Response:
        """Change which run is active."""
        line, body = self._get_own(), read(ActiveRunRequest, request)
        if (station_code := body.get("station_code")) is not None:
            sender_of(request).check_station(station_code)
        line_acts.set_active_run(
            line_code=line.code,
            run_no=body["run_no"],
            station_code=station_code,
            at=body.get("at"),
            by=operator_name(request),
        )
        return _status(line)

    @extend_schema(
        summary="Stop a line",
        description="Once it is answered, no unit enters a station of the line, nor one of its runs a station "
        "elsewhere (LINE_ON_HOLD). Units in stations leave them.",
        request=StopRequest,
        responses=LineStatusAnswer,
        examples=[OpenApiExample("Why", value={"reason": "Wrong reel at feeder 12"}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def hold(self, request: Request, code: str) -> Response:
        """Stop it."""
        line, body = self._get_own(), read(StopRequest, request)
        line_acts.hold(line_code=line.code, reason=body["reason"], by=operator_name(request))
        return _status(line)

    @extend_schema(
        summary="Let a line go on",
        description="Machine events that were refused with LINE_ON_HOLD are tried again by themselves, in the order in "
        "which they occurred.",
        request=GoOnRequest,
        responses=LineStatusAnswer,
        examples=[
            OpenApiExample(
                "Why", value={"reason": "Reel changed and compared", "signature": EXAMPLE}, request_only=True
            )
        ],
    )
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, code: str) -> Response:
        """Let it go on."""
        line, body = self._get_own(), read(GoOnRequest, request)
        signing = signatures.verify(request, body.get("signature"), *WHO_RESUMES)
        by, reason = operator_name(request), body.get("reason") or ""
        line_acts.resume(line_code=line.code, reason=reason, by=by, signing=signing)
        return _status(line)


def _status(line: Line) -> Response:
    answer: dict[str, Any] = dict(LineStatusAnswer(line_acts.read_status(line)).data)
    return Response(answer)


def register(router: SimpleRouter) -> None:
    """Add the addresses of this subject."""
    router.register("lines", LineStatusViewSet, "line-status")
