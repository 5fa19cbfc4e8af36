"""Bulk actions over HTTP: how one is begun, and how far it is."""

from collections.abc import Callable, Collection

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.platform.accounts.permissions import StationAccess
from mes.platform.bulk_actions.causes import BulkRequest, check_status, options_of, selection_of
from mes.platform.bulk_actions.models import BulkAction, BulkVerb
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.serializers import IdField, OffsetDateTimeField, RowSerializer, read
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.inbound.sender import sender_of


def begin(
    verb: BulkVerb,
    request: Request,
    decide: Callable[..., BulkAction],
    *,
    statuses: Collection[str],
    serializer: type[BulkRequest] = BulkRequest,
) -> Response:
    """Begin what a request decides about all of a cause, of things in these statuses: 202 `{id, matched}`."""
    body = read(serializer, request)
    selection = selection_of(body)
    check_status(selection, statuses)
    started = decide(verb, selection, sender=sender_of(request), **options_of(body))
    return Response({"id": str(started.pk), "matched": started.matched}, status=202)


class BulkActionItem(RowSerializer):
    """A decision about many refused things, and how far it is."""

    id = IdField()
    asNew = serializers.BooleanField()
    remaining = serializers.IntegerField()
    createdAt = OffsetDateTimeField()
    endedAt = OffsetDateTimeField(allow_null=True)

    class Meta:
        model = BulkAction
        fields = [
            "id",
            "kind",
            "verb",
            "status",
            "matched",
            "applied",
            "waiting",
            "refused",
            "dismissed",
            "remaining",
            "by",
            "reason",
            "asNew",
            "selection",
            "createdAt",
            "endedAt",
        ]


@extend_schema_view(retrieve=extend_schema(summary="Read how far a bulk action is"))
class BulkActionViewSet(mixins.RetrieveModelMixin, GenericViewSet):
    """What is tried again or dismissed together."""

    queryset = BulkAction.objects.defer("item_ids")
    serializer_class = BulkActionItem
    lookup_value_regex = "[^/]+"
    station_access = {"*": StationAccess.OWN}

    def get_object(self) -> BulkAction:
        """Return the action that the address names; to a token of stations, its own only."""
        pk = id_or_raise(self.kwargs["pk"], errors.BulkActionNotFound)
        action = get_or_raise(self.get_queryset(), errors.BulkActionNotFound, pk=pk)
        sender = sender_of(self.request)
        if sender.is_limited and sender.system != action.by:
            raise errors.BulkActionNotFound(code=pk)
        return action


def register(router: BaseRouter) -> None:
    """Register the addresses."""
    router.register("bulk-actions", BulkActionViewSet, "bulk-action")
