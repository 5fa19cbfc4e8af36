"""Machine events over HTTP."""

from collections import Counter
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from execution import carriers
from ingest import causes, dismissing, envelope, processing
from ingest.attempts import Answered
from ingest.lists import names_unit
from ingest.models import WORK_STATUSES, IngestEvent
from mes import errors
from mes.plant.reach import narrow_to_stations
from mes.platform.accounts.permissions import StationAccess
from mes.platform.accounts.roles import Capability
from mes.platform.bulk_actions.api import begin
from mes.platform.bulk_actions.causes import BulkRequest, Causes, Started, check_status, read_query
from mes.platform.bulk_actions.models import BulkVerb
from mes.platform.database.lookup import get_or_raise
from mes.platform.http import parsing
from mes.platform.http.envelope import refusal_as_json
from mes.platform.http.openapi import inline_schema
from mes.platform.http.query_params import read_moment
from mes.platform.http.serializers import (
    CodeField,
    IdField,
    OffsetDateTimeField,
    RecordedByField,
    RowSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import ExactFilter
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.inbound.messages import Outcome, Received
from mes.platform.inbound.sender import sender_of
from mes.production.fields import SerialNumberField

EVENT_SCHEMA = inline_schema(envelope.Envelope)
EVENT_EXAMPLE = {
    "dedupeKey": "aoi-1-000123",
    "sourceSystem": "AOI-1",
    "eventType": "AUTO",
    "occurredAt": "2026-01-24T10:00:00Z",
    "runNo": "WO-4711-01",
    "payload": {"sn": "SN-0001", "station": "AOI-A1", "result": "OK", "values": [{"name": "Defects", "value": 0}]},
}
BULK_EXAMPLE = {"code": "UNIT_NOT_FOUND", "upTo": "2026-01-24T10:00:00Z", "reason": "The units are registered now."}
BATCH_SCHEMA = {
    "application/json": {
        "type": "object",
        "required": ["events"],
        "properties": {
            "events": {
                "type": "array",
                "minItems": 1,
                "maxItems": envelope.LARGEST_BATCH,
                "items": EVENT_SCHEMA["application/json"],
            }
        },
    }
}


class Skipped(serializers.Serializer):
    """What a partial event left out: a unit, or an item whose serial number could not be read."""

    sn = serializers.CharField(required=False)
    item = serializers.IntegerField(required=False, help_text="Its place in the list of items, from 0.")
    code = serializers.CharField()
    failing = serializers.BooleanField(required=False, help_text="Whether the item says that its unit failed.")
    held = serializers.BooleanField(required=False)


class EventAnswer(serializers.Serializer):
    """What became of an event."""

    eventId = serializers.CharField()
    duplicate = serializers.BooleanField()
    status = serializers.CharField()
    unitStatus = serializers.CharField(required=False, allow_null=True)
    trackIds = serializers.ListField(child=serializers.CharField(), required=False)
    leftOut = serializers.IntegerField(required=False, help_text="Units that the machine says it did not process.")
    skipped = Skipped(many=True, required=False)
    referenceSns = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Reference units that it is about, where it is about nothing else: their passes are recorded.",
    )
    problems = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Why values did not fit that a failing report was taken without.",
    )


class EventResult(serializers.Serializer):
    """What became of one event of a batch."""

    dedupeKey = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(choices=["APPLIED", "DUPLICATE", "CONFLICT", "WAITING", "REJECTED"])
    eventId = serializers.CharField(required=False)
    error = serializers.DictField(required=False)


class EventBatchAnswer(serializers.Serializer):
    """What became of a batch, in order."""

    results = EventResult(many=True)


class EventItem(RowSerializer):
    """An event and what became of it."""

    id = IdField()
    dedupeKey = serializers.CharField(source="sent_key")
    sourceSystem = serializers.CharField()
    eventType = serializers.CharField()
    occurredAt = OffsetDateTimeField(allow_null=True)
    reportedAt = OffsetDateTimeField(allow_null=True, help_text="As its source says, whose clock may be off.")
    receivedAt = OffsetDateTimeField()
    runNo = serializers.CharField(source="run.run_no", default=None, allow_null=True)
    stationCode = serializers.CharField(source="station.code", default=None, allow_null=True)
    stepNo = serializers.IntegerField(allow_null=True)
    carrierNo = serializers.CharField()
    trackIds = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="The tracks it made or closed."
    )
    unmappedCount = serializers.IntegerField()
    recordedBy = RecordedByField()
    requestId = serializers.CharField(help_text="Of the request that brought it.")

    class Meta:
        model = IngestEvent
        fields = [
            "id",
            "dedupeKey",
            "sourceSystem",
            "eventType",
            "status",
            "occurredAt",
            "reportedAt",
            "receivedAt",
            "runNo",
            "stationCode",
            "stepNo",
            "carrierNo",
            "sns",
            "trackIds",
            "result",
            "error",
            "payload",
            "normalized",
            "skipped",
            "unmappedCount",
            "attempts",
            "note",
            "count",
            "recordedBy",
            "requestId",
        ]


class ReplayEventRequest(StrictSerializer):
    """Whether a conflict is taken for an event of its own, and why it is tried again."""

    asNew = serializers.BooleanField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=500, required=False, allow_null=True, allow_blank=True)


class DismissEventRequest(StrictSerializer):
    """Why the event shall not be applied."""

    reason = serializers.CharField(max_length=500)


@extend_schema_view(retrieve=extend_schema(summary="Read a machine event"))
class IngestEventViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """Events that machines report: the mapping of the route turns them into moves."""

    queryset = IngestEvent.objects.select_related("run", "station")
    serializer_class = EventItem
    parser_classes = [parsing.UnreadJSON]  # the body of an event is decoded once, by the service; a replay has none
    lookup_value_regex = "[^/]+"
    filter_backends = [ExactFilter]
    filters = {
        "status": "status",
        "runNo": "run__run_no",
        "stationCode": "station__code",
        "code": "error_code",
        "requestId": "request_id",
    }
    capabilities = {
        "create": (Capability.INGEST,),
        "batch": (Capability.INGEST,),
        "replay": (Capability.REPLAY,),
        "dismiss": (Capability.REPLAY,),
        "replay_all": (Capability.REPLAY,),
        "dismiss_all": (Capability.REPLAY,),
    }
    station_access = {"*": StationAccess.OWN}

    def get_queryset(self) -> QuerySet[IngestEvent]:
        """Events of the asked period and unit, and of the stations that the sender may speak for."""
        events = narrow_to_stations(super().get_queryset(), sender_of(self.request), "station")
        parameters = self.request.query_params
        since, until = read_moment(parameters, "from"), read_moment(parameters, "to", end=True)
        if since is not None:
            events = events.filter(received_at__gte=since)
        if until is not None:
            events = events.filter(received_at__lt=until)
        if sn := parameters.get("sn"):
            events = events.filter(names_unit(sn))
        return events

    def get_object(self) -> IngestEvent:
        """Return the event the address names."""
        pk = self.kwargs["pk"]
        _as_id(pk)
        rows = IngestEvent.objects.select_related("run", "station")
        event = get_or_raise(rows, errors.IngestEventNotFound, pk=pk)
        sender_of(self.request).check_stations([event.station.code] if event.station else [])
        return event

    @extend_schema(
        summary="Push a machine event",
        description="Applied by the mapping of the unit's step: 201. Up to 16 MiB. A repeat: 200 with `duplicate`. "
        "An event that overtook its predecessor waits: 202. What is refused is kept as REJECTED and can be replayed or "
        "sent again.",
        request=EVENT_SCHEMA,
        responses={201: EventAnswer, 200: EventAnswer, 202: EventAnswer},
        examples=[OpenApiExample("An inspection", value=EVENT_EXAMPLE, request_only=True)],
    )
    def create(self, request: Request) -> Response:
        """Apply one event."""
        raw = parsing.read_body(request, limit=processing.CHANNEL.size_limit)
        received = processing.CHANNEL.receive(raw, sender_of(request))
        return Response(received.answer, status={"APPLIED": 201, "DUPLICATE": 200, "WAITING": 202}[_status(received)])

    @extend_schema(
        summary="Push machine events",
        description="Up to 1,000, in order, each atomic by itself.",
        request=BATCH_SCHEMA,
        responses=EventBatchAnswer,
        examples=[OpenApiExample("One event", value={"events": [EVENT_EXAMPLE]}, request_only=True)],
    )
    @action(detail=False, methods=["post"])
    def batch(self, request: Request) -> Response:
        """Apply up to 1,000 events."""
        raw = parsing.read_body(request, limit=settings.MES_BATCH_BODY_LIMIT)
        outcomes = processing.CHANNEL.receive_batch(raw, sender_of(request))
        results = [_result(key, outcome) for key, outcome in outcomes]
        counts = Counter(result["status"] for result in results)
        return Response({"results": results, "counts": dict(counts)})

    @extend_schema(
        summary="List machine events",
        parameters=[
            OpenApiParameter("sn", str, description="A unit the event names."),
            OpenApiParameter("from", str, description="Date or time with offset of receipt, included."),
            OpenApiParameter("to", str, description="Date (its whole day) or time with offset, not included."),
        ],
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page of events."""
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="Try a kept event again",
        description="By the ordinary guards. A CONFLICT is applied with `asNew: true` only, under a key of its own. "
        "Of an APPLIED event, what it left out is applied. Who asked, and the reason, stay with the event.",
        request=ReplayEventRequest,
        responses={200: EventAnswer, 202: EventAnswer},
        examples=[OpenApiExample("With a reason", value={"reason": "The spec is mended."}, request_only=True)],
    )
    @action(detail=True, methods=["post"], parser_classes=[parsing.JSONParser])
    def replay(self, request: Request, pk: str) -> Response:
        """Apply it now."""
        body = read(ReplayEventRequest, request)
        answered = processing.replay(
            _as_id(pk),
            sender=sender_of(request),
            as_new=bool(body.get("as_new")),
            reason=body.get("reason") or "",
        )
        return Response(answered.answer, status=202 if answered.status == "WAITING" else 200)

    @extend_schema(
        summary="List why events are refused",
        description="Refused events with a reason in common, most frequent first, and applied ones by what they left "
        "out (`status` APPLIED), until that is applied too or decided about. `upTo` is what a decision about "
        "all of a cause must name: what came later is not meant.",
        filters=False,
        parameters=[
            *(OpenApiParameter(name, str) for name in ("code", "subject", "sourceSystem", "stationCode", "runNo")),
            OpenApiParameter("status", str, enum=[status.value for status in WORK_STATUSES]),
            OpenApiParameter("stepNo", int),
            OpenApiParameter("from", str, description="Date or time with offset of receipt, included."),
            OpenApiParameter("to", str, description="Date (its whole day) or time with offset, not included."),
        ],
        responses=Causes,
    )
    @action(detail=False, pagination_class=None, filter_backends=[])
    def causes(self, request: Request) -> Response:
        """Return the causes."""
        selection = read_query(request.query_params)
        check_status(selection, WORK_STATUSES)
        return Response(Causes(causes.list_causes(selection, sender_of(request))).data)

    @extend_schema(
        operation_id="ingest_events_replay_all",
        summary="Try all refused events of a cause again",
        description="At most 10,000, in order of occurrence, each by itself, by the worker. Nothing that came after "
        "`upTo`. With `asNew`, conflicts among them are taken for events of their own.",
        request=BulkRequest,
        responses={202: Started},
        examples=[OpenApiExample("A spec that is mended", value=BULK_EXAMPLE, request_only=True)],
    )
    @action(detail=False, methods=["post"], url_path="replay", parser_classes=[parsing.JSONParser])
    def replay_all(self, request: Request) -> Response:
        """Begin."""
        return begin(BulkVerb.REPLAY, request, causes.decide, statuses=WORK_STATUSES)

    @extend_schema(
        operation_id="ingest_events_dismiss_all",
        summary="Dismiss all refused events of a cause",
        description="At most 10,000, in order of occurrence, each by itself, by the worker. Nothing that came after "
        "`upTo`. It releases no unit.",
        request=BulkRequest,
        responses={202: Started},
        examples=[OpenApiExample("A trial", value=BULK_EXAMPLE, request_only=True)],
    )
    @action(detail=False, methods=["post"], url_path="dismiss", parser_classes=[parsing.JSONParser])
    def dismiss_all(self, request: Request) -> Response:
        """Begin."""
        return begin(BulkVerb.DISMISS, request, causes.decide, statuses=WORK_STATUSES)

    @extend_schema(
        summary="Dismiss a refused event",
        description="For a REJECTED event or a CONFLICT that shall not be applied: it is kept as DISMISSED with the "
        "reason, and its key is spent. Of an APPLIED event, what it left out and nobody decided about is dismissed: it "
        "stays APPLIED, with the reason in `note`. It releases no unit.",
        request=DismissEventRequest,
        responses=EventItem,
        examples=[OpenApiExample("A trial", value={"reason": "Sent while the tester was set up."}, request_only=True)],
    )
    @action(detail=True, methods=["post"], parser_classes=[parsing.JSONParser])
    def dismiss(self, request: Request, pk: str) -> Response:
        """Settle it without applying it."""
        body = read(DismissEventRequest, request)
        event = dismissing.dismiss(_as_id(pk), reason=body["reason"], sender=sender_of(request))
        return Response(EventItem(event).data)


def _as_id(text: str) -> int:
    """Return an opaque id as a row's number. Raises IngestEventNotFound for what is none."""
    return id_or_raise(text, errors.IngestEventNotFound)


def _status(received: Received) -> str:
    """Return APPLIED, DUPLICATE or WAITING."""
    assert isinstance(received, Answered)
    return received.status


def _result(key: str | None, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Received):
        return {"dedupeKey": key, **outcome.answer, "status": _status(outcome)}
    status = "CONFLICT" if isinstance(outcome, errors.KeyConflict) else "REJECTED"
    return {"dedupeKey": key, "status": status, "error": refusal_as_json(outcome)}


class PlacingRequest(StrictSerializer):
    """A unit and where on the carrier it is."""

    sn = SerialNumberField()
    position = serializers.CharField(max_length=100, required=False, allow_null=True)


class LoadRequest(StrictSerializer):
    """Units to put on a carrier."""

    units = PlacingRequest(many=True, allow_empty=False)


class UnloadRequest(StrictSerializer):
    """Units to take off a carrier; without, all."""

    sns = serializers.ListField(child=CodeField(), required=False, allow_null=True)


class CarrierAnswer(serializers.Serializer):
    """What a carrier carries."""

    carrierNo = serializers.CharField()
    units = PlacingRequest(many=True)


class CarrierViewSet(GenericViewSet):
    """Loading and unloading of carriers."""

    serializer_class = CarrierAnswer
    capabilities = {"*": (Capability.TRACK, Capability.INGEST)}
    station_access = {"*": StationAccess.OWN}

    @extend_schema(
        summary="Put units on a carrier",
        description="A unit is taken off any other carrier first.",
        request=LoadRequest,
        responses=CarrierAnswer,
        examples=[OpenApiExample("A panel", value={"units": [{"sn": "SN-0001", "position": "1"}]}, request_only=True)],
    )
    def load(self, request: Request, carrier_no: str) -> Response:
        """Load it."""
        body = read(LoadRequest, request)
        placings = [carriers.Placing(unit["sn"], unit.get("position") or "") for unit in body["units"]]
        loads = carriers.load(carrier_no=_code(carrier_no), placings=placings, sender=sender_of(request))
        return _carried(carrier_no, loads)

    @extend_schema(
        summary="Take units off a carrier",
        request=UnloadRequest,
        responses=CarrierAnswer,
        examples=[OpenApiExample("One unit", value={"sns": ["SN-0001"]}, request_only=True)],
    )
    def unload(self, request: Request, carrier_no: str) -> Response:
        """Unload it."""
        body = read(UnloadRequest, request)
        return _carried(
            carrier_no, carriers.unload(carrier_no=carrier_no, sns=body.get("sns"), sender=sender_of(request))
        )


def _code(text: str) -> str:
    field = CodeField()
    return field.run_validation(text)


def _carried(carrier_no: str, loads: list[Any]) -> Response:
    units = [{"sn": load.unit.sn, "position": load.position or None} for load in loads]
    return Response({"carrierNo": carrier_no, "units": units})
