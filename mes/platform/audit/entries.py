"""Reading the audit: entries in the words of the interface, with codes where rows have ids."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models import Q, QuerySet

from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.audit.models import AuditAction, AuditEntry
from mes.platform.database.tracking import Tracked, tracked
from mes.platform.http.envelope import camel_case


@dataclass(frozen=True)
class Change:
    """An entry, and what it changed: field of the interface → (from, to). Fields that said nothing are left out."""

    entry: AuditEntry
    fields: Mapping[str, tuple[Any, Any]]

    @property
    def collection(self) -> Tracked | None:
        """What was changed; None for a collection that is not tracked any more."""
        return collections().get(self.entry.entity)

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Return field → `{from, to}`."""
        return {name: {"from": before, "to": after} for name, (before, after) in self.fields.items()}


@dataclass(frozen=True)
class Reference:
    """A column with the id of another row, and by what people know that."""

    model: type[models.Model]
    key: str
    entity: str  # the collection of that, "" where it is not tracked


def visible_to(user: Any) -> QuerySet[AuditEntry]:
    """Return the entries that somebody may see: who may do what is for administrators."""
    if Capability.ADMIN in role_capabilities(user):
        return AuditEntry.objects.all()
    return AuditEntry.objects.exclude(entity__in=[thing.entity for thing in tracked if thing.for_admins])


def collections() -> dict[str, Tracked]:
    """Return what is tracked, by the name of its collection."""
    return {thing.entity: thing for thing in tracked}


def of_row(entity: str, row: int) -> Q:
    """Return the condition of a row's history: entries of itself, whatever it was called, and of its parts.

    Parts name their whole by its key, which may have been another row's before and after: each key of the row counts
    from the entry that gave it until the entry that took it.
    """
    history = Q(entity=entity, row_id=row)
    for key, first, end in _keys_of(entity, row):
        of_parts = Q(root_entity=entity, root_id=key, id__gte=first) & ~Q(entity=entity)
        history |= of_parts if end is None else of_parts & Q(id__lt=end)
    return history


def _keys_of(entity: str, row: int) -> Iterator[tuple[str, int, int | None]]:
    """Yield what a row was known by, each with the entry that gave it that and the entry that took it.

    Where the retention dropped the entry that gave it, all that came before is dropped too: the key counts from 0.
    """
    thing = collections().get(entity)
    if thing is None:
        return
    own = AuditEntry.objects.filter(entity=entity, row_id=row)
    turns = own.filter(~Q(action=AuditAction.UPDATE) | Q(after__has_key=thing.key)).order_by("id")
    key, first, is_kept = "", 0, False
    for turn, action, known_by, before in turns.values_list("id", "action", "entity_id", "before"):
        is_kept = True
        if action != AuditAction.CREATE:
            yield str((before or {})[thing.key]), first, turn
        key, first = ("" if action == AuditAction.DELETE else known_by), turn
    if not is_kept:
        now = model_of(thing.table)._base_manager.filter(pk=row).values_list(thing.key, flat=True).first()
        key = "" if now is None else str(now)
    if key:
        yield key, first, None


def read_changes(entries: Sequence[AuditEntry]) -> list[Change]:
    """Return entries with what they changed. Ids of other rows become what these are known by, now or by the audit."""
    codes = _find_codes(entries)
    return [Change(entry, dict(_fields_of(entry, codes))) for entry in entries]


def _fields_of(entry: AuditEntry, codes: Mapping[tuple[Reference, Any], Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    before, after = entry.before or {}, entry.after or {}
    for column in dict.fromkeys([*before, *after]):
        reference = _references(entry.entity).get(column)
        old, new = before.get(column), after.get(column)
        if reference is not None:
            old, new = codes.get((reference, old), old), codes.get((reference, new), new)
        if (old, new) != (None, None):
            yield _name_of(entry.entity, column), (old, new)


@cache
def _name_of(entity: str, column: str) -> str:
    thing = collections().get(entity)
    if thing is not None and column in thing.fields:
        return thing.fields[column]
    reference = _references(entity).get(column)
    if reference is None or reference.key == "id":
        return camel_case(column)
    return camel_case(f"{column.removesuffix('_id')}_{reference.key}")


@cache
def _columns(entity: str) -> dict[str, str]:
    """Return the columns of a collection by the interface's names of them."""
    thing = collections().get(entity)
    if thing is None:
        return {}
    columns = [str(field.column) for field in model_of(thing.table)._meta.local_concrete_fields]
    return {_name_of(entity, column): column for column in columns}


def called(change: Change) -> str:
    """Return what people call a changed row: of a role that somebody got, the role."""
    thing, entry = change.collection, change.entry
    if thing is not None and thing.name in _references(thing.entity):
        before, after = change.fields.get(_name_of(thing.entity, thing.name), (None, None))
        if named := after or before:
            return str(named)
    return entry.name or entry.entity_id


def column_of(entity: str, name: str) -> str | None:
    """Return the column of a field of a collection."""
    return _columns(entity).get(name)


def label_of(entity: str, name: str) -> str:
    """Return what people call a field of a collection."""
    thing, column = collections().get(entity), column_of(entity, name)
    if thing is None or column is None:
        return name
    fields = model_of(thing.table)._meta.local_concrete_fields
    return str(next(field.verbose_name for field in fields if field.column == column))


@cache
def _references(entity: str) -> dict[str, Reference]:
    """Return the columns of a collection that name rows of others."""
    thing = collections().get(entity)
    if thing is None:
        return {}
    keys = {other.table: other for other in tracked}
    found = {}
    for field in model_of(thing.table)._meta.local_concrete_fields:
        related = field.related_model
        if not isinstance(field, models.ForeignKey) or not isinstance(related, type):
            continue
        other = keys.get(related._meta.db_table)
        key = other.key if other else "name" if any(f.name == "name" for f in related._meta.fields) else "id"
        found[str(field.column)] = Reference(related, key, other.entity if other else "")
    return found


@cache
def model_of(table: str) -> type[models.Model]:
    """Return the model of a table."""
    return next(m for m in apps.get_models(include_auto_created=True) if m._meta.db_table == table)


def _find_codes(entries: Iterable[AuditEntry]) -> dict[tuple[Reference, Any], Any]:
    """Return what rows that entries refer to are known by; of deleted ones, what the audit knew them by."""
    wanted: dict[Reference, set[int]] = {}
    for entry in entries:
        for column, reference in _references(entry.entity).items():
            ids = {document[column] for document in (entry.before or {}, entry.after or {}) if document.get(column)}
            if ids and reference.key != "id":
                wanted.setdefault(reference, set()).update(ids)
    codes: dict[tuple[Reference, Any], Any] = {}
    for reference, ids in wanted.items():
        rows = reference.model._base_manager.filter(pk__in=ids).values_list("pk", reference.key)
        codes |= {(reference, pk): code for pk, code in rows}
        gone = [pk for pk in ids if (reference, pk) not in codes]
        if gone and reference.entity:
            last = AuditEntry.objects.filter(entity=reference.entity, row_id__in=gone).order_by("id")
            codes |= {(reference, pk): code for pk, code in last.values_list("row_id", "entity_id")}
    return codes
