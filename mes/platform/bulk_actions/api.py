"""Bulk actions over HTTP."""

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.platform.accounts.permissions import StationAccess
from mes.platform.bulk_actions.models import BulkAction
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.serializers import IdField, OffsetDateTimeField, RowSerializer
from mes.platform.http.whole_numbers import id_or_raise
from mes.platform.inbound.sender import sender_of


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
