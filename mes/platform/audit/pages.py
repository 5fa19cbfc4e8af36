"""The page *Audit*: who changed what, in words; with one thing chosen, its history."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Self, cast
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from mes.errors import DomainError
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.audit import api, entries, words
from mes.platform.audit.models import AuditEntry
from mes.platform.audit.words import Field
from mes.platform.http import tables
from mes.platform.http.pages import in_words, signed_in
from mes.platform.http.whole_numbers import whole_number

PAGE_SIZE = 50
UNFOLDED = 3  # entries of one request
AT_ONCE = timedelta(minutes=1)  # neighbours that are further apart stand under heads of their own


@dataclass(frozen=True)
class Question:
    """What the page is asked for; what is empty is any. `row` with `kind` names a thing whose history is meant."""

    q: str = ""
    kind: str = ""
    by: str = ""
    since: str = ""
    until: str = ""
    root: str = ""
    row: int | None = None
    before: int | None = None

    @classmethod
    def read(cls, request: HttpRequest) -> Self:
        """Return what an address asks for."""
        texts = {
            name: request.GET.get(name, "").strip()[:200] for name in ("q", "kind", "by", "since", "until", "root")
        }
        return cls(
            **texts, row=whole_number(request.GET.get("row", "")), before=whole_number(request.GET.get("before", ""))
        )

    def query(self, **changes: Any) -> str:
        """Return the address's arguments with changes."""
        chosen = {field.name: getattr(self, field.name) for field in fields(self)} | changes
        return urlencode({name: value for name, value in chosen.items() if value not in ("", None)})

    @property
    def is_history(self) -> bool:
        return bool(self.root or self.row is not None)


@dataclass(frozen=True)
class Line:
    """A change as the page shows it."""

    entry: AuditEntry
    kind: str
    fields: Sequence[Field]
    called: str = ""

    @property
    def belongs_to(self) -> str:
        """What it is a part of; empty of a whole."""
        return "" if self.is_whole else self.entry.root_id

    @property
    def is_whole(self) -> bool:
        return self.entry.root_entity == self.entry.entity

    @property
    def who(self) -> str:
        return words.who(self.entry)

    @property
    def when(self) -> str:
        return words.moment(self.entry.at)


@dataclass(frozen=True)
class Group:
    """What one actor changed at once: by one request or transaction, by one way and for one reason."""

    lines: Sequence[Line]

    @property
    def in_order(self) -> list[Line]:
        """The whole before its parts: a route before its steps."""
        return sorted(self.lines, key=lambda line: not line.is_whole)

    @property
    def shown(self) -> Sequence[Line]:
        return self.in_order[:UNFOLDED]

    @property
    def folded(self) -> Sequence[Line]:
        return self.in_order[UNFOLDED:]


@signed_in
@require_GET
def audit(request: HttpRequest) -> HttpResponse:
    """Show changes, newest first; as a file with `format`."""
    question = Question.read(request)
    refusal = ""
    found = entries.visible_to(request.user)
    try:
        found = narrow(found, question)
        if (chosen := tables.read_format(request.GET)) != "json":
            return cast(HttpResponse, api.export(found, chosen))
    except DomainError as error:
        refusal, found = in_words(error), found.none()
    return _show(request, question, found, refusal)


def _show(request: HttpRequest, question: Question, found: QuerySet[AuditEntry], refusal: str) -> HttpResponse:
    behind = found if question.before is None else found.filter(id__lt=question.before)
    rows = list(behind.order_by("-id")[: PAGE_SIZE + 1])
    page = rows[:PAGE_SIZE]
    is_admin = Capability.ADMIN in role_capabilities(request.user)
    kinds = [
        (thing.entity, thing.shown) for thing in entries.collections().values() if is_admin or not thing.for_admins
    ]
    context = {
        "chosen": question,
        "refusal": refusal,
        "groups": list(_group(list(_lines(page)))),
        "kinds": sorted(kinds, key=lambda kind: str(kind[1])),
        "next": question.query(before=page[-1].pk) if len(rows) > PAGE_SIZE else "",
        "files": [(name, question.query(before=None, format=name)) for name in tables.FORMATS if name != "json"],
        "history_of": _title(question, page),
    }
    return render(request, "audit/audit.html", context)


def narrow(found: QuerySet[AuditEntry], question: Question) -> QuerySet[AuditEntry]:
    """Return the entries that a question asks for. Raises ValidationFailed for days that are none."""
    if question.row is not None:
        found = found.filter(entries.of_row(question.kind, question.row))
    elif question.root:
        found = found.filter(root_entity=question.kind, root_id=question.root)
    elif question.kind:
        found = found.filter(entity=question.kind)
    if question.q:
        found = found.filter(_named(question.q))
    if question.by:
        found = found.filter(actor=question.by)
    return api.in_period(found, {"from": question.since, "to": question.until})


def _named(text: str) -> Q:
    """Return what is called so. The collections are named, because the indexes begin with them."""
    known = list(entries.collections())
    of_whole = Q(root_entity__in=known, root_id=text)
    return of_whole | Q(entity__in=known, entity_id=text) | Q(name=text) | Q(request_id=text)


def _title(question: Question, page: Sequence[AuditEntry]) -> str:
    if not question.is_history or not page:
        return ""
    entity, known_by = page[0].root_entity, page[0].root_id
    if question.row is not None:  # of a part, the whole is named too; a renamed thing is called what it is called last
        own = AuditEntry.objects.filter(entity=question.kind, row_id=question.row).order_by("-id").first()
        if own is not None:
            is_whole = own.root_entity == own.entity
            entity, known_by = own.entity, own.entity_id if is_whole else f"{own.name} ({own.root_id})"
    thing = entries.collections().get(entity)
    return f"{thing.shown} {known_by}" if thing else known_by


# --- in words -------------------------------------------------------------------------------------------------


def _lines(page: Sequence[AuditEntry]) -> Iterator[Line]:
    for change, shown in words.describe(entries.read_changes(page)):
        thing = change.collection
        yield Line(change.entry, str(thing.shown) if thing else change.entry.entity, shown, entries.called(change))


def _group(lines: Sequence[Line]) -> Iterator[Group]:
    together: list[Line] = []
    for line in lines:
        if together and not _is_at_once(together[-1].entry, line.entry):
            yield Group(together)
            together = []
        together.append(line)
    if together:
        yield Group(together)


def _is_at_once(newer: AuditEntry, older: AuditEntry) -> bool:
    """Whether two neighbours belong under one head. A client chooses its request id, so that alone proves nothing."""
    return _head(newer) == _head(older) and newer.at - older.at <= AT_ONCE


def _head(entry: AuditEntry) -> tuple[Any, ...]:
    return entry.request_id or entry.transaction, entry.actor, entry.actor_kind, entry.via, entry.reason
