"""Telling people, and their reading it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, QuerySet
from django.utils import timezone

from mes.platform.notifications.audience import Person, list_people
from mes.platform.notifications.models import FollowedLine, Notification, Severity
from mes.platform.notifications.rule_models import NoticeEvent, NotificationRule
from mes.platform.outbox.emit import NewEvent, emit, short_key
from mes.platform.outbox.models import EventType
from mes.platform.sweeps import Sweep, storable

BATCH = 1000
LONGEST_SAID = 500
LONGEST_FACT = 200


@dataclass(frozen=True)
class Notice:
    """Something to tell people. `key` names it: nobody is told the same key twice in the application.

    `roles` are told at once, whatever rules say; with a line, only those who follow it or follow none. Of an `event`,
    rules say who else is told and how: by them, one of `line_id` or `line_ids` (several at once) concerns rules of
    these lines, one `is_of_all_lines` those of any. `facts` are what other systems are told beside the text: short
    texts by names in camelCase.
    """

    key: str
    severity: Severity
    text: str
    roles: frozenset[str] = frozenset()
    line_id: int | None = None
    address: str = ""
    event: NoticeEvent | None = None
    line_ids: Collection[int] = ()
    is_of_all_lines: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    at: datetime | None = None

    @property
    def lines(self) -> list[int]:
        """The lines that it is about."""
        return sorted({*self.line_ids, *([] if self.line_id is None else [self.line_id])})


def notify(notices: Sequence[Notice]) -> int:
    """Notify everyone concerned, in the caller's transaction; return how many notifications were written.

    A notice that cannot be written is logged; the others are still written. Those of an event are handed to its rules.
    """
    written = _notify_roles([notice for notice in notices if notice.roles])
    announce([notice for notice in notices if notice.event is not None])
    return written


def _notify_roles(notices: Sequence[Notice]) -> int:
    if not notices:
        return 0
    people = list_people({role for notice in notices for role in notice.roles})
    now = timezone.now()
    sweep = Sweep("notifications")
    written = 0
    for notice in notices:
        with sweep.row(notice.key), transaction.atomic():
            written += _write(notice, people, now)
    return written


def _write(notice: Notice, people: Sequence[Person], now: datetime) -> int:
    line_ids = frozenset(notice.lines)
    rows = [
        Notification(
            recipient_id=person.pk,
            key=short_key(notice.key),
            severity=notice.severity,
            text=notice.text[:500],
            address=notice.address[:500],
            line_id=notice.line_id,
            created_at=now,
        )
        for person in people
        if person.is_concerned(notice.roles, line_ids)
    ]
    Notification.objects.bulk_create(rows, ignore_conflicts=True, batch_size=BATCH)
    return len(rows)


# --- by rules ------------------------------------------------------------------------------------------------


def interest(event: NoticeEvent) -> str:
    """Return the condition in SQL that a rule for an event is active. Statements of hot paths ask it along."""
    return f"EXISTS (SELECT FROM mes_notificationrule WHERE is_active AND event = '{event.value}')"


def has_rule(event: NoticeEvent) -> bool:
    """Whether there is an active rule for an event."""
    return NotificationRule.objects.filter(is_active=True, event=event).exists()


def rule_exists(event: NoticeEvent) -> Exists:
    """Return whether there is one as a part of a query."""
    return Exists(NotificationRule.objects.filter(is_active=True, event=event))


def announce(notices: Sequence[Notice]) -> None:
    """Have people and systems told by rules, once the present transaction is over (there must be one).

    Where there is no rule for an event nothing is written. The same key of an event is handed over once.
    """
    events = {notice.event for notice in notices if notice.event is not None}
    if not events:
        return
    wanted = set(
        NotificationRule.objects.filter(is_active=True, event__in=events).order_by().values_list("event", flat=True)
    )
    announce_wanted([notice for notice in notices if notice.event in wanted])


def announce_wanted(notices: Sequence[Notice], **extra: Any) -> None:
    """Do so where it is known that there are rules (`interest`). `extra` goes into the payload."""
    emit(*(_as_event(notice, extra) for notice in notices))


def _as_event(notice: Notice, extra: Mapping[str, Any]) -> NewEvent:
    assert notice.event is not None
    at = notice.at or timezone.now()
    key = short_key(storable(notice.key))
    told = {
        "event": notice.event.value,
        "key": key,
        "severity": str(notice.severity),
        "text": storable(notice.text)[:LONGEST_SAID],
        "address": storable(notice.address)[:LONGEST_SAID],
        "lineIds": notice.lines,
        "isOfAllLines": notice.is_of_all_lines,
        "facts": {name: storable(str(text))[:LONGEST_FACT] for name, text in notice.facts.items()},
        "at": at.isoformat(),
        **extra,
    }
    return NewEvent(
        event_type=EventType.NOTICE,
        key=short_key(f"notice:{notice.event.value}:{key}"),
        entity_type="NOTICE",
        entity_id=key[:100],
        occurred_at=at,
        payload=told,
    )


# --- people --------------------------------------------------------------------------------------------------


def mark_read(user: Any, *, ids: Iterable[int] | None = None) -> int:
    """Mark notifications of a person as read, all of them unless ids are given; return how many were not before."""
    unread = Notification.objects.filter(recipient=user, read_at=None)
    if ids is not None:
        unread = unread.filter(pk__in=list(ids))
    return unread.update(read_at=timezone.now())


def list_lines() -> QuerySet[Any]:
    """Return the lines that people may follow, by code. The plant is above this room; the field knows its model."""
    field: Any = FollowedLine._meta.get_field("line")
    return field.related_model.objects.order_by("code")


@transaction.atomic
def follow(user: Any, *, line_codes: Collection[str]) -> None:
    """Have a person told about these lines only; with none, about all. Unknown codes are left out."""
    lines = list_lines().filter(code__in=line_codes)
    User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two forms sent at once
    FollowedLine.objects.filter(user=user).exclude(line__in=lines).delete()
    FollowedLine.objects.bulk_create([FollowedLine(user=user, line=line) for line in lines], ignore_conflicts=True)
