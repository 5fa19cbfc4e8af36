"""What was decided about orders, runs and lines, over HTTP."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.plant.models import Line
from mes.plant.reach import OfServedLines
from mes.platform.accounts.permissions import StationAccess
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.addresses import NAME
from mes.platform.http.serializers import OffsetDateTimeField, RowSerializer
from mes.platform.http.viewsets import OnlyKnownFilter
from mes.production.decision_models import Decision
from mes.production.decisions import list_decisions


class DecisionAnswer(RowSerializer):
    """One act: what it changed, by whom and why."""

    at = OffsetDateTimeField(source="decided_at")
    fromStatus = serializers.CharField(allow_blank=True, help_text="Empty where the act changes no status.")
    toStatus = serializers.CharField(allow_blank=True)
    changes = serializers.DictField(help_text="Field to [old, new].")
    by = serializers.CharField(source="decided_by")
    approvedBy = serializers.CharField(allow_blank=True, help_text="Who allowed it, where somebody had to.")

    class Meta:
        model = Decision
        fields = ("at", "act", "fromStatus", "toStatus", "changes", "reason", "by", "approvedBy")


class HasHistory:
    """`…/history` of a thing, as a mixin of its viewset."""

    @extend_schema(
        summary="List what was decided about it, newest first",
        description="Other query parameters are refused.",
        responses=DecisionAnswer(many=True),
    )
    @action(detail=True, methods=["get"], filter_backends=[OnlyKnownFilter], filters={})
    def history(self, request: Request, **kwargs: Any) -> Response:
        """Return a page of it."""
        view: Any = self
        rows = OnlyKnownFilter().filter_queryset(request, list_decisions(view.get_object()), view)
        page = view.paginate_queryset(rows)
        answer: Response = view.get_paginated_response(DecisionAnswer(page, many=True).data)
        return answer


class LineHistoryViewSet(HasHistory, OfServedLines, GenericViewSet):
    """What was decided about a line."""

    queryset = Line.objects.all()
    serializer_class = DecisionAnswer
    lookup_field = "code"
    lookup_value_regex = NAME
    line_lookup = "pk"
    filters: ClassVar[dict[str, str]] = {}
    station_access = {"history": StationAccess.OWN}

    def get_object(self) -> Line:
        """Return the line that the address names."""
        line = get_or_raise(self.get_queryset(), errors.LineNotFound, code=self.kwargs["code"])
        self.check_object_permissions(self.request, line)
        return line


def register(router: SimpleRouter) -> None:
    """Add the address of lines; orders and runs have theirs."""
    router.register("lines", LineHistoryViewSet, "line-history")
