"""Messages to other systems over HTTP: having one sent, looking, trying again."""

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from integration.outbound.completion import report_completion
from integration.outbound.retry import retry
from mes import errors
from mes.platform.accounts.permissions import operator_name
from mes.platform.accounts.roles import Capability
from mes.platform.http.addresses import NAME
from mes.platform.http.serializers import IdField, OffsetDateTimeField, RowSerializer
from mes.platform.http.viewsets import ExactFilter
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.outbox.models import EventType, MesEvent


class OutboundEventItem(RowSerializer):
    """A message to another system and how its delivery goes."""

    id = IdField()
    type = serializers.CharField(source="payload.type")
    idempotencyKey = serializers.CharField()
    runNo = serializers.CharField(source="entity_id")
    createdAt = OffsetDateTimeField()
    completedAt = OffsetDateTimeField(allow_null=True)
    nextAttemptAt = OffsetDateTimeField()
    maxAttempts = serializers.IntegerField()

    class Meta:
        model = MesEvent
        fields = [
            "id",
            "type",
            "status",
            "idempotencyKey",
            "runNo",
            "payload",
            "createdAt",
            "completedAt",
            "nextAttemptAt",
            "attempts",
            "maxAttempts",
            "error",
        ]


@extend_schema_view(list=extend_schema(summary="List messages to other systems"))
class OutboundEventViewSet(mixins.ListModelMixin, GenericViewSet):
    """Messages to other systems."""

    queryset = MesEvent.objects.filter(event_type=EventType.OUTBOUND_FEEDBACK)
    serializer_class = OutboundEventItem
    filter_backends = [ExactFilter]
    filters = {"status": "status", "runNo": "entity_id"}
    lookup_value_regex = "[^/]+"
    capabilities = {"retry": (Capability.REPLAY,)}

    @extend_schema(
        summary="Try a message again now",
        description="One that was given up (DEAD) gets all its attempts again; one that waits is due at once.",
        request=None,
        responses=OutboundEventItem,
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Have it tried again."""
        event_id = id_or_raise(pk, errors.EventNotFound)
        return Response(OutboundEventItem(retry(event_id=event_id, by=operator_name(request))).data)


class CompletionViewSet(GenericViewSet):
    """The completion of a run, reported to the ERP."""

    queryset = MesEvent.objects.none()
    serializer_class = OutboundEventItem
    lookup_field = "run_no"
    lookup_value_regex = NAME
    capabilities = {"completion": (Capability.ORDERS, Capability.CLOSE)}

    @extend_schema(
        summary="Tell the ERP that a run has ended",
        description="It is told by itself when a run ends; this is for runs that ended, or changed after their end, "
        "while there was no ERP. Of a run that was told and has changed since, a correction is sent. Asked again, it "
        "returns the message that there is.",
        request=None,
        responses={201: OutboundEventItem, 200: OutboundEventItem},
    )
    @action(detail=True, methods=["post"])
    def completion(self, request: Request, run_no: str) -> Response:
        """Enqueue it."""
        event, is_new = report_completion(run_no=run_no, by=operator_name(request))
        return Response(OutboundEventItem(event).data, status=201 if is_new else 200)


def register(router: BaseRouter) -> None:
    """Add the addresses of outbound."""
    router.register("integration/outbound/events", OutboundEventViewSet, "outbound-event")
    router.register("integration/outbound/erp/runs", CompletionViewSet, "outbound-run")
