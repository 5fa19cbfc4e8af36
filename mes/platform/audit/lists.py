"""The list of changes."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.audit import entries
from mes.platform.audit.entries import Change
from mes.platform.audit.models import AuditAction, AuditEntry
from mes.platform.database.authorship import ActorKind, Via
from mes.platform.lists.listing import Choices, Column, Filter, FilterKind, Kind, Listing, Period, Row


def _load(ids: Sequence[int]) -> Iterator[Row]:
    """Yield entries with what they changed, in words."""
    rows = list(AuditEntry.objects.filter(pk__in=ids).order_by())
    for change in entries.read_changes(rows):
        entry, thing = change.entry, change.collection
        row = {field.attname: getattr(entry, field.attname) for field in AuditEntry._meta.concrete_fields}
        yield {
            **row,
            "called": entries.called(change),
            "kind": str(thing.shown) if thing else entry.entity,
            "changes": _in_words(change),
        }


def _in_words(change: Change) -> str:
    """Return what a change changed on one line; of what was made or deleted its fields."""
    is_update = change.entry.action == AuditAction.UPDATE
    is_delete = change.entry.action == AuditAction.DELETE
    return "; ".join(
        f"{entries.label_of(change.entry.entity, name)}: {_text(before)} → {_text(after)}"
        if is_update
        else f"{entries.label_of(change.entry.entity, name)}: {_text(before if is_delete else after)}"
        for name, (before, after) in change.fields.items()
        if name != "id"  # which says nothing to anybody
    )


def _text(value: Any) -> str:
    return "–" if value is None or value == "" else str(value)


def _kinds(user: Any) -> Choices:
    is_admin = Capability.ADMIN in role_capabilities(user)
    seen = [thing for thing in entries.collections().values() if is_admin or not thing.for_admins]
    return sorted(((thing.entity, thing.shown) for thing in seen), key=lambda kind: str(kind[1]))


def _to_history(row: Row) -> str:
    if row["root_entity"] == row["entity"]:
        return f"{reverse('audit')}?{urlencode({'kind': row['entity'], 'row': row['row_id']})}"
    return f"{reverse('audit')}?{urlencode({'kind': row['root_entity'], 'root': row['root_id']})}"


CHANGES = Listing(
    name="audit",
    title=_("Changes"),
    about=_("Who changed what, from what, to what, and why."),
    empty=_("Nothing was changed yet."),
    rows=entries.visible_to,
    load=_load,
    columns=(
        Column("at", _("Time"), "at", Kind.TIME, sort="at"),
        Column("name", _("Name"), "called", link=_to_history),
        Column("kind", _("Kind"), "kind"),
        Column("of", _("Belongs to"), "root_id", Kind.CODE),
        Column("action", _("Action"), "action", choices=AuditAction.choices),
        Column("changes", _("What"), "changes"),
        Column("actor", _("Who"), "actor"),
        Column("reason", _("Reason"), "reason"),
        Column("actor-kind", _("Who that is"), "actor_kind", choices=ActorKind.choices, is_shown=False),
        Column("via", _("Way"), "via", choices=Via.choices, is_shown=False),
        Column("request", _("Request"), "request_id", Kind.CODE, is_shown=False),
    ),
    filters=(
        Filter("name", _("Name"), lookup="name"),
        Filter("actor", _("Who"), lookup="actor"),
        Filter("request", _("Request"), lookup="request_id"),
        Filter("kind", _("Kind"), FilterKind.CHOICE, "entity", choices=_kinds, is_indexed=False),
        Filter("action", _("Action"), FilterKind.CHOICE, "action", choices=AuditAction.choices, is_indexed=False),
        Filter("via", _("Way"), FilterKind.CHOICE, "via", choices=Via.choices, is_indexed=False),
    ),
    sort="-at",
    period=Period(_("Changed"), "at", preset="30d", is_by_id=False),
    more=((_("As sentences"), lambda: reverse("audit")),),
)
