"""The states of tracked things, for two people who change one at once (`mes.platform.http.edits`)."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, models
from django.db.models import Count, Max, Q, QuerySet

from mes.platform.audit import words
from mes.platform.audit.entries import Change, read_changes
from mes.platform.audit.models import AuditAction, AuditEntry
from mes.platform.database.tracking import Tracked, is_tracked, tracked_as

MOST_TOLD = 20


class AuditGuard:
    """The latest entry of a thing or its parts, and how many there are, is its state.

    How many: of two who change parts at once, the one with the smaller id may commit later.
    """

    def covers(self, model: type[models.Model]) -> bool:
        return is_tracked(model)

    def state_of(self, things: Sequence[models.Model]) -> str:
        found = _history(things).order_by().aggregate(latest=Max("id"), number=Count("id"))
        return f"{found['latest'] or 0}-{found['number']}"

    def lock(self, things: Sequence[models.Model]) -> None:
        rows: dict[str, set[Any]] = {}
        for thing in things:
            table, pk = _root_row(thing)
            rows.setdefault(table, set()).add(pk)
        with connection.cursor() as cursor:
            for table in sorted(rows):
                cursor.execute(
                    f"SELECT FROM {table} WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [sorted(rows[table])]
                )

    def changes_since(self, things: Sequence[models.Model], state: str) -> list[dict[str, Any]]:
        """Return as many of the newest as there are more."""
        return [
            {
                "entity": change.entry.entity,
                "name": change.entry.name,
                "action": change.entry.action,
                "changes": change.as_json(),
                "actor": change.entry.actor,
                "at": change.entry.at,
            }
            for change in _changes_since(things, state)
        ]

    def tell_changes(self, things: Sequence[models.Model], state: str) -> list[str]:
        this = {(_kept(thing).entity, thing.pk) for thing in things} if len(things) == 1 else set()
        return [
            words.tell(change, fields, is_whole=(change.entry.entity, change.entry.row_id) in this)
            for change, fields in words.describe(_changes_since(things, state))
        ]

    def tell_deletion(self, model: type[models.Model], pk: Any) -> str:
        kept = tracked_as(model)
        if kept is None or not isinstance(pk, int):
            return ""
        entry = AuditEntry.objects.filter(entity=kept.entity, row_id=pk).order_by("-id").first()
        if entry is None or entry.action != AuditAction.DELETE:
            return ""
        return words.tell(read_changes([entry])[0], [], is_whole=False)


def _changes_since(things: Sequence[models.Model], state: str) -> list[Change]:
    more = _history(things).count() - int(state.partition("-")[2])
    return read_changes(list(_history(things).order_by("-at", "-id")[: min(max(more, 0), MOST_TOLD)])[::-1])


def _history(things: Sequence[models.Model]) -> QuerySet[AuditEntry]:
    """Return the entries of what things belong to: of a step's config, of its route."""
    keys: dict[str, set[str]] = {}
    for thing in things:
        entity, key = root_of(thing)
        keys.setdefault(entity, set()).add(key)
    history = Q(pk__in=[])
    for entity, known_by in keys.items():
        history |= Q(root_entity=entity, root_id__in=sorted(known_by))
    return AuditEntry.objects.filter(history)


def root_of(thing: models.Model) -> tuple[str, str]:
    """Return the collection and key of what a tracked thing belongs to; of a whole, its own."""
    whole, entity, key = _whole_of(thing)
    return entity, str(_value(whole, key))


def _root_row(thing: models.Model) -> tuple[str, Any]:
    whole, _entity, _key = _whole_of(thing)
    return whole._meta.db_table, whole.pk


def _whole_of(thing: models.Model) -> tuple[models.Model, str, str]:
    """Return what a thing belongs to, with its collection and the column that people know it by."""
    kept = _kept(thing)
    whole, entity, key, root = thing, kept.entity, kept.key, kept.root
    while root is not None and getattr(whole, root.column) is not None:
        whole, entity, key, root = getattr(whole, root.column.removesuffix("_id")), root.entity, root.key, root.above
    return whole, entity, key


def _kept(thing: models.Model) -> Tracked:
    kept = tracked_as(type(thing))
    assert kept is not None, "covers() said so"
    return kept


def _value(thing: models.Model, column: str) -> Any:
    return thing.pk if column == "id" else getattr(thing, column)
