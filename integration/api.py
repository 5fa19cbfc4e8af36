"""Device data and the message log over HTTP."""

from collections import Counter
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from integration import causes, dismissing, replay
from integration.channels import DEVICE_DATA
from integration.device_data.body import LARGEST_BATCH, DeviceDataEvent
from integration.lists import with_key
from integration.models import REFUSED_STATUSES, DeviceDataRecord, IntegrationMessage
from mes import errors
from mes.plant.reach import narrow_to_stations
from mes.platform.accounts.permissions import StationAccess
from mes.platform.accounts.roles import Capability
from mes.platform.bulk_actions.api import begin
from mes.platform.bulk_actions.causes import (
    BulkReplayRequest,
    BulkRequest,
    CauseItem,
    Causes,
    SpecNamesField,
    Started,
    check_status,
    read_query,
)
from mes.platform.bulk_actions.models import BulkVerb
from mes.platform.http import parsing
from mes.platform.http.envelope import refusal_as_json
from mes.platform.http.openapi import inline_schema
from mes.platform.http.query_params import read_moment
from mes.platform.http.serializers import (
    ClaimedByField,
    IdField,
    OffsetDateTimeField,
    RecordedByField,
    RowSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import ExactFilter
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.inbound.keys import sent_key
from mes.platform.inbound.messages import Outcome, Received
from mes.platform.inbound.sender import sender_of

EVENT_SCHEMA = inline_schema(DeviceDataEvent)
COUNTS_EXAMPLE = {
    "eventId": "placer-1-000123",
    "eventTime": "2026-01-24T10:01:00Z",
    "source": "AUTO",
    "runNo": "WO-4711-01",
    "stationCode": "PLC-A1",
    "equipmentId": "EQ-PLC-A1",
    "production": {
        "windowStart": "2026-01-24T10:00:00Z",
        "windowEnd": "2026-01-24T10:01:00Z",
        "mode": "CUMULATIVE",
        "boardsIn": 41,
        "boardsOut": 40,
        "scrapped": 0,
        "picked": 8123,
        "placed": 8120,
        "moduli": {"picked": 65536, "placed": 65536},
    },
}
EVENT_EXAMPLE = {
    "eventId": "oven-1-000123",
    "eventTime": "2026-01-24T10:00:00Z",
    "source": "AUTO",
    "runNo": "WO-4711-01",
    "unitSn": "SN-0001",
    "stationCode": "REF-A1",
    "stepNo": 40,
    "equipmentId": "OVEN-1",
    "data": [{"specName": "Peak Temperature", "valueNumber": 245.1, "collectedAt": "2026-01-24T10:00:00Z"}],
}


CLOCKS_DIFFER = settings.MES_CLOCK_SKEW + timedelta(days=1)  # what is applied is no further ahead
BATCH_SCHEMA = {
    "application/json": {
        "type": "object",
        "required": ["events"],
        "properties": {
            "events": {
                "type": "array",
                "minItems": 1,
                "maxItems": LARGEST_BATCH,
                "items": EVENT_SCHEMA["application/json"],
            }
        },
    }
}
BATCH_EXAMPLE = [EVENT_EXAMPLE, {**EVENT_EXAMPLE, "eventId": "oven-1-000124", "unitSn": "SN-0002"}]


class Alarm(serializers.Serializer):
    """A value outside its alarm band."""

    specName = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    min = serializers.FloatField(allow_null=True)
    max = serializers.FloatField(allow_null=True)
    action = serializers.CharField()


class DeviceDataAnswer(serializers.Serializer):
    """What became of an event."""

    id = serializers.CharField()
    eventId = serializers.CharField()
    trackId = serializers.CharField(allow_null=True)
    carrierTrackId = serializers.CharField(allow_null=True)
    dataValuesCreated = serializers.IntegerField()
    receivedAt = OffsetDateTimeField()
    isDuplicate = serializers.BooleanField()
    judge = serializers.CharField(allow_null=True)
    alarms = Alarm(many=True)
    problems = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Why values did not fit that an event with failing ones was taken without.",
    )


class BatchResult(DeviceDataAnswer):
    """What became of one event of a batch; a refused one has only its id, if that could be read, and the error."""

    id = serializers.CharField(required=False)
    eventId = serializers.CharField(allow_null=True)
    trackId = serializers.CharField(required=False, allow_null=True)
    carrierTrackId = serializers.CharField(required=False, allow_null=True)
    dataValuesCreated = serializers.IntegerField(required=False)
    receivedAt = OffsetDateTimeField(required=False)
    isDuplicate = serializers.BooleanField(required=False)
    judge = serializers.CharField(required=False, allow_null=True)
    alarms = Alarm(many=True, required=False)
    status = serializers.ChoiceField(choices=["CREATED", "DUPLICATE", "CONFLICT", "REJECTED"])
    error = serializers.DictField(required=False)


class BatchAnswer(serializers.Serializer):
    """What became of a batch."""

    results = BatchResult(many=True)
    created = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    conflicts = serializers.IntegerField()
    rejected = serializers.IntegerField()


class DeviceDataItem(RowSerializer):
    """An accepted event."""

    id = IdField()
    eventId = serializers.CharField()
    eventTime = OffsetDateTimeField()
    receivedAt = OffsetDateTimeField()
    runNo = serializers.CharField(source="run.run_no", default=None, allow_null=True)
    unitSn = serializers.CharField(source="unit.sn", default=None, allow_null=True)
    stationCode = serializers.CharField(source="station.code", default=None, allow_null=True)
    stepNo = serializers.IntegerField(allow_null=True)
    trackId = serializers.CharField(allow_null=True)
    carrierTrackId = serializers.CharField(allow_null=True)
    equipmentId = serializers.CharField()
    operatorId = ClaimedByField()
    recordedBy = RecordedByField(source="system")
    valuesCount = serializers.IntegerField()

    class Meta:
        model = DeviceDataRecord
        fields = [
            "id",
            "eventId",
            "eventTime",
            "receivedAt",
            "source",
            "runNo",
            "unitSn",
            "stationCode",
            "stepNo",
            "trackId",
            "carrierTrackId",
            "equipmentId",
            "operatorId",
            "recordedBy",
            "valuesCount",
            "judge",
            "data",
            "production",
            "meta",
        ]


class DeviceDataViewSet(mixins.ListModelMixin, GenericViewSet):
    """Readings that devices and people push for tracks that exist."""

    queryset = DeviceDataRecord.objects.select_related("run", "unit", "station")
    serializer_class = DeviceDataItem
    parser_classes = [parsing.UnreadJSON]  # the body is decoded once, by the service
    filter_backends = [ExactFilter]
    filters = {
        "eventId": "event_id",
        "runNo": "run__run_no",
        "unitSn": "unit__sn",
        "stationCode": "station__code",
        "stepNo": "step_no",
        "source": "source",
    }
    capabilities = {"*": (Capability.DEVICE_DATA, Capability.READINGS)}
    station_access = {"*": StationAccess.OWN}

    def get_queryset(self) -> QuerySet[DeviceDataRecord]:
        """Records of the asked period of event time, and of the stations that the sender may speak for."""
        records = narrow_to_stations(super().get_queryset(), sender_of(self.request), "station")
        since = read_moment(self.request.query_params, "eventFrom")
        until = read_moment(self.request.query_params, "eventTo", end=True)
        if since is not None:  # nothing is received long before it happens: older months are not read
            records = records.filter(event_time__gte=since, received_at__gte=since - CLOCKS_DIFFER)
        if until is not None:
            records = records.filter(event_time__lt=until)
        return records

    @extend_schema(
        summary="Push readings of a track, or counts of a machine",
        description="With `data`: writes values for a track that exists; it never creates or moves one. With "
        "`production` instead: what a machine counted for a run in a window of time, as differences (DELTA) or as "
        "its counters show (CUMULATIVE; the first counts from zero, one with windowStart = windowEnd only says where "
        "they stand; `moduli` says at which number a counter begins again from zero). Refusals of counts: "
        "RUN_NOT_FOUND, STATION_NOT_FOUND, STEP_NOT_FOUND, STATION_MISMATCH, "
        "STATION_LINE_MISMATCH, STEP_AMBIGUOUS. The same event id with the "
        "same content is recognised as a duplicate; with other content it is refused (EVENT_ID_CONFLICT). What cannot "
        "be applied is kept as a FAILED message and can be replayed.",
        request=EVENT_SCHEMA,
        responses={201: DeviceDataAnswer, 200: DeviceDataAnswer},
        examples=[
            OpenApiExample("A peak temperature", value=EVENT_EXAMPLE, request_only=True),
            OpenApiExample("Counters of a placer", value=COUNTS_EXAMPLE, request_only=True),
        ],
    )
    def create(self, request: Request) -> Response:
        """Apply one event."""
        received = DEVICE_DATA.receive(parsing.read_body(request), sender_of(request))
        return Response(received.answer, status=200 if received.is_duplicate else 201)

    @extend_schema(
        summary="Push a batch of readings",
        description="Up to 1,000 events, each applied or refused by itself, answered in order. The quickest way after "
        "an outage.",
        request=BATCH_SCHEMA,
        responses=BatchAnswer,
        examples=[OpenApiExample("Two readings", value={"events": BATCH_EXAMPLE}, request_only=True)],
    )
    @action(detail=False, methods=["post"])
    def batch(self, request: Request) -> Response:
        """Apply up to 1,000 events."""
        raw = parsing.read_body(request, limit=settings.MES_BATCH_BODY_LIMIT)
        outcomes = DEVICE_DATA.receive_batch(raw, sender_of(request))
        statuses = [_status(outcome) for _event_id, outcome in outcomes]
        counts = Counter(statuses)
        results = [
            _result(event_id, outcome, status=status)
            for (event_id, outcome), status in zip(outcomes, statuses, strict=True)
        ]
        return Response(
            {
                "results": results,
                "created": counts["CREATED"],
                "duplicates": counts["DUPLICATE"],
                "conflicts": counts["CONFLICT"],
                "rejected": counts["REJECTED"],
            }
        )

    @extend_schema(
        summary="List accepted device data",
        parameters=[
            OpenApiParameter("eventFrom", str, description="Date or time with offset, included."),
            OpenApiParameter("eventTo", str, description="Date (its whole day) or time with offset, not included."),
        ],
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a page of records."""
        return super().list(request, *args, **kwargs)


def _status(outcome: Outcome) -> str:
    if isinstance(outcome, Received):
        return "DUPLICATE" if outcome.is_duplicate else "CREATED"
    return "CONFLICT" if isinstance(outcome, errors.EventIdConflict) else "REJECTED"


def _result(event_id: str | None, outcome: Outcome, *, status: str) -> Any:
    """Return what became of one event of a batch."""
    if isinstance(outcome, Received):
        outcome.answer.status = status
        return outcome.answer
    event_id = event_id and sent_key(event_id)
    return {"eventId": event_id, "status": status, "error": refusal_as_json(outcome)}


class MessageItem(RowSerializer):
    """A message and what became of it."""

    id = IdField()
    receivedAt = OffsetDateTimeField()
    lastAt = OffsetDateTimeField()
    entityType = serializers.CharField()
    businessKey = serializers.CharField()
    dedupeKey = serializers.CharField(source="sent_key")
    recordId = serializers.CharField(allow_null=True)
    requestId = serializers.CharField(help_text="Of the request that brought it; empty for applied device data.")

    class Meta:
        model = IntegrationMessage
        fields = [
            "id",
            "direction",
            "system",
            "entityType",
            "businessKey",
            "dedupeKey",
            "status",
            "payload",
            "error",
            "count",
            "receivedAt",
            "lastAt",
            "recordId",
            "note",
            "requestId",
        ]


class ReplayAnswer(serializers.Serializer):
    """What became of it: the answer that its sender would have got."""

    id = serializers.CharField()
    isDuplicate = serializers.BooleanField()


class ReplayRequest(StrictSerializer):
    """Spec names as they were sent, mapped to those that were meant; whether a conflict is taken for a message of its
    own; and why it is tried again.
    """

    specNames = SpecNamesField()
    asNew = serializers.BooleanField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=500, required=False, allow_null=True, allow_blank=True)


BULK_EXAMPLE = {"code": "DATA_SPEC_NOT_FOUND", "upTo": "2026-01-24T10:00:00Z", "reason": "The spec exists now."}
MISSPELT_EXAMPLE = {
    "code": "DATA_SPEC_NOT_FOUND",
    "subject": "Peak Temprature",
    "upTo": "2026-01-24T10:00:00Z",
    "reason": "The oven's recipe misspells it.",
    "specNames": {"Peak Temprature": "Peak Temperature"},
}


class MessageCause(CauseItem):
    """Refused messages of a kind that have a reason in common."""

    entityType = serializers.CharField()


class MessageCauses(Causes):
    """The causes, most frequent first, and up to when what was received is among them."""

    items = MessageCause(many=True)


class DismissRequest(StrictSerializer):
    """Why the message needs no replay."""

    reason = serializers.CharField(max_length=500)


@extend_schema_view(
    list=extend_schema(
        summary="List messages, open and settled",
        parameters=[OpenApiParameter("key", str, description="The key that it was sent with.")],
    )
)
class MessageViewSet(mixins.ListModelMixin, GenericViewSet):
    """Every message that came in or went out."""

    queryset = IntegrationMessage.objects.all()
    serializer_class = MessageItem
    filter_backends = [ExactFilter]
    filters = {
        "status": "status",
        "entityType": "entity_type",
        "code": "error_code",
        "requestId": "request_id",
    }
    lookup_value_regex = "[^/]+"
    capabilities = {
        "replay": (Capability.REPLAY,),
        "dismiss": (Capability.REPLAY,),
        "replay_all": (Capability.REPLAY,),
        "dismiss_all": (Capability.REPLAY,),
    }
    station_access = {"replay": StationAccess.OWN, "dismiss": StationAccess.OWN}

    def get_queryset(self) -> QuerySet[IntegrationMessage]:
        """Messages, of a key where one is asked for: what came in is found by the key that it was sent with, a conflict
        too, and one of a source system.
        """
        found = super().get_queryset()
        key = self.request.query_params.get("key", "")
        return found.filter(with_key(key)) if key else found

    @extend_schema(
        summary="Replay a failed message",
        description="Applies a FAILED message once its cause is mended. The message keeps what was sent and what was "
        "meant; sent again, the event is a duplicate. A CONFLICT is applied with `asNew: true` only, under a key of "
        "its own.",
        request=ReplayRequest,
        responses=ReplayAnswer,
        examples=[
            OpenApiExample(
                "A misspelt name", value={"specNames": {"Peak Temprature": "Peak Temperature"}}, request_only=True
            )
        ],
    )
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, pk: str) -> Response:
        """Apply it now."""
        body = read(ReplayRequest, request)
        message_id = id_or_raise(pk, errors.MessageNotFound)
        received = replay.replay_message(
            message_id=message_id,
            sender=sender_of(request),
            spec_names=body.get("spec_names"),
            as_new=bool(body.get("as_new")),
            reason=body.get("reason") or "",
        )
        return Response(received.answer)

    @extend_schema(
        summary="List why messages are refused",
        description="Refused messages with a reason in common, most frequent first. `upTo` is what a decision about "
        "all of a cause must name: what came later is not meant.",
        filters=False,
        parameters=[
            *(
                OpenApiParameter(name, str)
                for name in ("code", "subject", "entityType", "sourceSystem", "stationCode", "runNo")
            ),
            OpenApiParameter("status", str, enum=[status.value for status in REFUSED_STATUSES]),
            OpenApiParameter("stepNo", int),
            OpenApiParameter("from", str, description="Date or time with offset of receipt, included."),
            OpenApiParameter("to", str, description="Date (its whole day) or time with offset, not included."),
        ],
        responses=MessageCauses,
    )
    @action(detail=False, pagination_class=None, filter_backends=[])
    def causes(self, request: Request) -> Response:
        """Return the causes."""
        selection = read_query(request.query_params)
        check_status(selection, REFUSED_STATUSES)
        return Response(MessageCauses(causes.list_causes(selection)).data)

    @extend_schema(
        operation_id="integration_messages_replay_all",
        summary="Try all refused messages of a cause again",
        description="At most 10,000, as they came, each by itself, by the worker. Nothing that came after `upTo`. With "
        "`asNew`, conflicts among them are taken for messages of their own. With `specNames`, device data is read with "
        "the names that were meant; each message keeps both.",
        request=BulkReplayRequest,
        responses={202: Started},
        examples=[
            OpenApiExample("A spec that is mended", value=BULK_EXAMPLE, request_only=True),
            OpenApiExample("A misspelt name", value=MISSPELT_EXAMPLE, request_only=True),
        ],
    )
    @action(detail=False, methods=["post"], url_path="replay")
    def replay_all(self, request: Request) -> Response:
        """Begin."""
        return begin(BulkVerb.REPLAY, request, causes.decide, statuses=REFUSED_STATUSES, serializer=BulkReplayRequest)

    @extend_schema(
        operation_id="integration_messages_dismiss_all",
        summary="Dismiss all refused messages of a cause",
        description="At most 10,000, as they came, each by itself, by the worker. Nothing that came after `upTo`.",
        request=BulkRequest,
        responses={202: Started},
        examples=[OpenApiExample("A trial", value=BULK_EXAMPLE, request_only=True)],
    )
    @action(detail=False, methods=["post"], url_path="dismiss")
    def dismiss_all(self, request: Request) -> Response:
        """Begin."""
        return begin(BulkVerb.DISMISS, request, causes.decide, statuses=REFUSED_STATUSES)

    @extend_schema(
        summary="Dismiss a failed message",
        description="For a message that need not be applied: it is kept as DISMISSED with the reason, and is no longer "
        "work to do. Its event id is spent: the same again is a duplicate. Where it was refused for several "
        "reasons, all that is kept of it is settled.",
        request=DismissRequest,
        responses=MessageItem,
        examples=[OpenApiExample("A trial", value={"reason": "Sent while the tester was set up."}, request_only=True)],
    )
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, pk: str) -> Response:
        """Settle it without applying it."""
        body = read(DismissRequest, request)
        message_id = id_or_raise(pk, errors.MessageNotFound)
        message = dismissing.dismiss(message_id=message_id, reason=body["reason"], sender=sender_of(request))
        return Response(MessageItem(message).data)
