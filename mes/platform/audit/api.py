"""The audit over HTTP: what was changed, by whom and why; as JSON, CSV or XLSX."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import BaseRouter
from rest_framework.viewsets import GenericViewSet

from mes import errors
from mes.platform.audit import entries
from mes.platform.audit.entries import Change
from mes.platform.audit.models import AuditAction, AuditEntry
from mes.platform.http import tables
from mes.platform.http.query_params import read_moment
from mes.platform.http.serializers import IdField, ObjectSerializer, OffsetDateTimeField
from mes.platform.http.viewsets import ExactFilter

MOST_ROWS = 100_000  # of an export
_BATCH = 1000


class AuditItem(ObjectSerializer):
    """One change of one row."""

    id = IdField(source="entry.pk")
    at = OffsetDateTimeField(source="entry.at")
    entity = serializers.CharField(source="entry.entity", help_text="The collection: what its address is called.")
    entityId = serializers.CharField(source="entry.entity_id", help_text="The code, else the id.")
    rootEntity = serializers.CharField(source="entry.root_entity", help_text="Of a part, what it belongs to.")
    rootId = serializers.CharField(source="entry.root_id")
    name = serializers.CharField(source="entry.name", help_text="As it was called then.")
    action = serializers.ChoiceField(source="entry.action", choices=AuditAction.choices)
    changes = serializers.SerializerMethodField()
    actor = serializers.CharField(source="entry.actor")
    actorKind = serializers.CharField(source="entry.actor_kind")
    via = serializers.CharField(source="entry.via")
    requestId = serializers.CharField(source="entry.request_id")
    reason = serializers.CharField(source="entry.reason")

    def get_changes(self, change: Change) -> dict[str, dict[str, Any]]:
        """Field → `{from, to}`. Of what was created or deleted, the fields that said something."""
        return change.as_json()


_DAYS = "A date of the plant's time zone, or a time with its offset."


class AuditViewSet(GenericViewSet):
    """What was changed."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditItem
    filter_backends = [ExactFilter]
    filters = {
        "entity": "entity",
        "entityId": "entity_id",
        "rootEntity": "root_entity",
        "rootId": "root_id",
        "actor": "actor",
        "action": "action",
        "requestId": "request_id",
    }

    def get_queryset(self) -> QuerySet[AuditEntry]:
        """Entries that the sender may see, of the asked period."""
        return in_period(entries.visible_to(self.request.user), self.request.query_params)

    @extend_schema(
        summary="List changes, newest first",
        description="Of master data, orders, runs, first articles, people and tokens, whoever made them. Users, roles "
        "and tokens are seen by administrators only. `rootEntity` and `rootId` give the history of one thing with its "
        f"parts. A file has up to {MOST_ROWS:,} rows.",
        parameters=[
            OpenApiParameter("from", str, description=_DAYS),
            OpenApiParameter("to", str, description=_DAYS),
            OpenApiParameter("format", str, enum=tables.FORMATS),
        ],
        responses={
            (200, "application/json"): AuditItem(many=True),
            (200, "text/csv"): OpenApiTypes.STR,
            (200, tables.XLSX): OpenApiTypes.BINARY,
        },
    )
    def list(self, request: Request) -> HttpResponseBase:
        """Answer with a page, or with a file of all."""
        chosen = tables.read_format(request.query_params)
        found = self.filter_queryset(self.get_queryset())
        if chosen != "json":
            return export(found, chosen)
        page = self.paginate_queryset(found) or []
        items = self.get_serializer(entries.read_changes(page), many=True).data
        response: Response = self.get_paginated_response(items)
        return response


def in_period(found: QuerySet[AuditEntry], parameters: Mapping[str, str]) -> QuerySet[AuditEntry]:
    """Narrow entries to `from` and `to`. Raises ValidationFailed."""
    since: datetime | None = read_moment(parameters, "from")
    until = read_moment(parameters, "to", end=True)
    if since is not None:
        found = found.filter(at__gte=since)
    return found if until is None else found.filter(at__lt=until)


def export(found: QuerySet[AuditEntry], chosen: str) -> HttpResponseBase:
    """Return all of the entries as a file: a line for each field that a change changed.

    Raises TooManyRows for more than MOST_ROWS entries.
    """
    if found.order_by()[: MOST_ROWS + 1].count() > MOST_ROWS:
        raise errors.TooManyRows(most=MOST_ROWS)

    def table() -> tables.Table:
        heads = [
            _("Time"), _("Kind"), _("Of"), _("Name"), _("Belongs to"), _("Action"), _("Field"), _("From"), _("To"),
            _("Who"), _("Who that is"), _("Way"), _("Reason"), _("Request"),
        ]  # fmt: skip
        return heads, (line for change in _all_changes(found) for line in _lines(change))

    return tables.answer(chosen, name="audit", table=table, sheets=lambda: [(_("Changes"), table())])


def _all_changes(found: QuerySet[AuditEntry]) -> Iterator[Change]:
    rows = found.order_by("-id").iterator(chunk_size=_BATCH)
    while part := list(islice(rows, _BATCH)):
        yield from entries.read_changes(part)


def _lines(change: Change) -> Iterator[list[Any]]:
    entry = change.entry
    head = [entry.at, entry.entity, entry.entity_id, entry.name, entry.root_id, entry.action]
    tail = [entry.actor, entry.actor_kind, entry.via, entry.reason, entry.request_id]
    for name, (before, after) in change.fields.items():
        yield [*head, name, _cell(before), _cell(after), *tail]


def _cell(value: Any) -> Any:
    """Return a value as a cell: numbers stay numbers, what no cell can hold is written as in JSON."""
    return msgspec.json.encode(value).decode() if isinstance(value, bool | list | dict) else value


def register(router: BaseRouter) -> None:
    """Add the address of the audit."""
    router.register("audit", AuditViewSet, "audit")
