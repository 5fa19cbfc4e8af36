"""The states of tracked things, for two people who change one at once (`mes.platform.http.edits`)."""

from typing import Any

from django.db import connection, models
from django.db.models import Count, Max, QuerySet

from mes.platform.audit.entries import read_changes
from mes.platform.audit.models import AuditEntry
from mes.platform.database.tracking import Tracked, is_tracked, tracked_as

MOST_TOLD = 20


class AuditGuard:
    """The latest entry of a thing or its parts, and how many there are, is its state.

    How many: of two who change parts at once, the one with the smaller id may commit later.
    """

    def covers(self, model: type[models.Model]) -> bool:
        return is_tracked(model)

    def state_of(self, thing: models.Model) -> str:
        found = _history(thing).order_by().aggregate(latest=Max("id"), number=Count("id"))
        return f"{found['latest'] or 0}-{found['number']}"

    def lock(self, thing: models.Model) -> None:
        table, pk = _root_row(thing)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT FROM {table} WHERE id = %s FOR NO KEY UPDATE", [pk])

    def changes_since(self, thing: models.Model, state: str) -> list[dict[str, Any]]:
        """Return as many of the newest as there are more."""
        more = _history(thing).count() - int(state.partition("-")[2])
        entries = list(_history(thing).order_by("-at", "-id")[: min(max(more, 0), MOST_TOLD)])[::-1]
        return [
            {
                "entity": change.entry.entity,
                "name": change.entry.name,
                "action": change.entry.action,
                "changes": change.as_json(),
                "actor": change.entry.actor,
                "at": change.entry.at,
            }
            for change in read_changes(entries)
        ]


def _history(thing: models.Model) -> QuerySet[AuditEntry]:
    """Return the entries of what a thing belongs to: of a step's config, of its route."""
    entity, key = root_of(thing)
    return AuditEntry.objects.filter(root_entity=entity, root_id=key)


def root_of(thing: models.Model) -> tuple[str, str]:
    """Return the collection and key of what a tracked thing belongs to; of a whole, its own."""
    kept = _kept(thing)
    root = kept.root
    if root is None or getattr(thing, root.column) is None:
        return kept.entity, str(_value(thing, kept.key))
    relation = root.column.removesuffix("_id")
    return root.entity, str(_value(getattr(thing, relation), root.key))


def _root_row(thing: models.Model) -> tuple[str, Any]:
    kept = _kept(thing)
    if kept.root is None or getattr(thing, kept.root.column) is None:
        return kept.table, thing.pk
    return kept.root.table, getattr(thing, kept.root.column)


def _kept(thing: models.Model) -> Tracked:
    kept = tracked_as(type(thing))
    assert kept is not None, "covers() said so"
    return kept


def _value(thing: models.Model, column: str) -> Any:
    return thing.pk if column == "id" else getattr(thing, column)
