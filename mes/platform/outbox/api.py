"""The outbox over HTTP: what happened, and having tried again what was given up."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.serializers import (
    IdField,
    OffsetDateTimeField,
    RowSerializer,
    StrictSerializer,
    read,
)
from mes.platform.http.viewsets import ExactFilter
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.outbox import dead_letters
from mes.platform.outbox.models import EventType, MesEvent


class OutboxEventItem(RowSerializer):
    """One event of the outbox."""

    id = IdField()
    eventType = serializers.CharField()
    key = serializers.CharField(source="idempotency_key")
    entityType = serializers.CharField()
    entityId = serializers.CharField()
    occurredAt = OffsetDateTimeField()
    createdAt = OffsetDateTimeField()
    completedAt = OffsetDateTimeField(allow_null=True)
    nextAttemptAt = OffsetDateTimeField()
    maxAttempts = serializers.IntegerField()
    requestId = serializers.CharField(help_text="Of the request that it came from.")

    class Meta:
        model = MesEvent
        fields = [
            "id",
            "eventType",
            "status",
            "key",
            "entityType",
            "entityId",
            "payload",
            "occurredAt",
            "createdAt",
            "completedAt",
            "nextAttemptAt",
            "attempts",
            "maxAttempts",
            "error",
            "requestId",
        ]

    def to_representation(self, instance: MesEvent) -> dict[str, Any]:
        """Show what anybody may see of it."""
        return {**super().to_representation(instance), "payload": instance.shown_payload}


class RetryAllRequest(StrictSerializer):
    """Which dead events to try again."""

    eventType = serializers.ChoiceField(choices=EventType.choices)


class RetryAllAnswer(serializers.Serializer):
    """How many are tried again."""

    retried = serializers.IntegerField()


@extend_schema_view(list=extend_schema(summary="List events of the outbox"))
class EventViewSet(mixins.ListModelMixin, GenericViewSet):
    """What happened, and whether those who must act on it did."""

    queryset = MesEvent.objects.all()
    serializer_class = OutboxEventItem
    filter_backends = [ExactFilter]
    filters = {
        "status": "status",
        "eventType": "event_type",
        "entityType": "entity_type",
        "entityId": "entity_id",
        "requestId": "request_id",
    }
    lookup_value_regex = "[^/]+"
    capabilities = {"retry": (Capability.REPLAY,), "retry_all": (Capability.REPLAY,)}

    @extend_schema(
        summary="Try a dead event again",
        description="It is due at once, with all its attempts before it.",
        request=None,
        responses=OutboxEventItem,
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Have it tried again."""
        event_id = id_or_raise(pk, errors.EventNotFound)
        return Response(OutboxEventItem(dead_letters.retry(event_id=event_id, by=operator_name(request))).data)

    @extend_schema(
        summary="Try all dead events of a type again",
        request=RetryAllRequest,
        responses=RetryAllAnswer,
        examples=[OpenApiExample("Deliveries", value={"eventType": "OUTBOUND_FEEDBACK"}, request_only=True)],
    )
    @action(detail=False, methods=["post"], url_path="retry-dead")
    def retry_all(self, request: Request) -> Response:
        """Have all of a type tried again."""
        body = read(RetryAllRequest, request)
        return Response({"retried": dead_letters.retry_all(event_type=body["event_type"], by=operator_name(request))})


def register(router: SimpleRouter) -> None:
    """Add the addresses of the outbox."""
    router.register("events", EventViewSet, "event")
