"""Telling people, and their reading it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import FollowedLine, Notification, Severity
from mes.platform.sweeps import Sweep

BATCH = 1000


@dataclass(frozen=True)
class Notice:
    """Something to tell the people of these roles; with a line, only those who follow it or follow none."""

    key: str
    severity: Severity
    text: str
    roles: frozenset[str]
    line_id: int | None = None
    address: str = ""


@dataclass(frozen=True)
class _Person:
    user_id: int
    roles: frozenset[str]
    lines: frozenset[int]

    def wants(self, notice: Notice) -> bool:
        if self.roles.isdisjoint(notice.roles):
            return False
        return not self.lines or notice.line_id is None or notice.line_id in self.lines


def notify(notices: Sequence[Notice]) -> int:
    """Notify everyone concerned, in the caller's transaction; return how many notifications were written.

    A notice that cannot be written is logged; the others are still written.
    """
    if not notices:
        return 0
    people = _list_people(roles=frozenset[str]().union(*(notice.roles for notice in notices)))
    now = timezone.now()
    sweep = Sweep("notifications")
    written = 0
    for notice in notices:
        with sweep.row(notice.key), transaction.atomic():
            written += _write(notice, people, now)
    return written


def _write(notice: Notice, people: Sequence[_Person], now: datetime) -> int:
    rows = [
        Notification(
            recipient_id=person.user_id,
            key=notice.key[:200],
            severity=notice.severity,
            text=notice.text[:500],
            address=notice.address[:500],
            line_id=notice.line_id,
            created_at=now,
        )
        for person in people
        if person.wants(notice)
    ]
    Notification.objects.bulk_create(rows, ignore_conflicts=True, batch_size=BATCH)
    return len(rows)


def _list_people(*, roles: Collection[str]) -> list[_Person]:
    """Return who has one of the roles, with the lines they follow. Superusers are administrators."""
    role_of_group = {Role(role).group_name: role for role in roles if role in Role.values}
    concerned = Q(groups__name__in=role_of_group)
    if Role.ADMIN in roles:
        concerned |= Q(is_superuser=True)
    members = User.objects.filter(concerned, is_active=True)
    roles_of: dict[int, set[str]] = {}
    for user_id, group, is_superuser in members.values_list("pk", "groups__name", "is_superuser"):
        own_roles = roles_of.setdefault(user_id, set())
        if group in role_of_group:
            own_roles.add(role_of_group[group])
        if is_superuser and Role.ADMIN in roles:
            own_roles.add(Role.ADMIN)
    lines_of: dict[int, set[int]] = {}
    for user_id, line_id in FollowedLine.objects.filter(user__in=roles_of).values_list("user_id", "line_id"):
        lines_of.setdefault(user_id, set()).add(line_id)
    return [
        _Person(user_id, frozenset(own_roles), frozenset(lines_of.get(user_id, ())))
        for user_id, own_roles in roles_of.items()
    ]


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
