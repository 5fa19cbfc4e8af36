"""What needs an engineer of the platform itself: events that were given up, tasks that fail, tokens that end."""

from datetime import timedelta

from django.db.models import Count, Min
from django.urls import reverse
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Capability
from mes.platform.monitoring import operations
from mes.platform.monitoring.engineer_work import MOST_ENTRIES, Act, EngineerWork, Entry, Found
from mes.platform.monitoring.scheduled_tasks import TaskStatus, list_bad
from mes.platform.outbox.models import EventStatus, EventType, MesEvent

TOKENS_END_WITHIN = timedelta(days=14)


def find_dead_letters() -> Found:
    """Return the events that were given up, by type. One query."""
    dead = MesEvent.objects.filter(status=EventStatus.DEAD).order_by().values("event_type")
    types = list(dead.annotate(number=Count("pk"), oldest=Min("occurred_at")).order_by("-number", "event_type"))
    entries = [
        Entry(EventType(row["event_type"]).label, count=row["number"], since=row["oldest"])
        for row in types[:MOST_ENTRIES]
        if row["event_type"] in EventType.values
    ]
    oldest = min((row["oldest"] for row in types), default=None)
    return Found(sum(row["number"] for row in types), oldest, entries)


def find_failed_tasks() -> Found:
    """Return the scheduled tasks that fail, do not end or are not called. Three queries."""
    bad = list_bad(operations.read_tasks())
    oldest = min((task.since for task in bad if task.since), default=None)
    return Found(len(bad), oldest, [_describe(task) for task in bad[:MOST_ENTRIES]])


def _describe(task: TaskStatus) -> Entry:
    why = format_lazy("{state}. {error}", state=task.state.label, error=task.error) if task.error else task.state.label
    act = Act(_("Run now"), reverse("operations-run-task"), {"task": task.name, "from": "home"})
    return Entry(task.label, why=why, since=task.since, act=act)


def find_ending_tokens() -> Found:
    """Return the tokens that end soon, the first to end first. One query."""
    now = timezone.now()
    ending = DeviceToken.objects.filter(
        revoked_at=None, expires_at__gt=now, expires_at__lte=now + TOKENS_END_WITHIN
    ).order_by("expires_at", "name")
    rows = list(ending.values_list("name", "expires_at"))
    entries = [Entry(name, since=expires_at) for name, expires_at in rows[:MOST_ENTRIES]]
    return Found(len(rows), rows[0][1] if rows else None, entries)


WORK = (
    EngineerWork(
        "dead letters",
        _("Events that were given up"),
        find_dead_letters,
        link=lambda: reverse("operations"),
        needs=Capability.REPLAY,
    ),
    EngineerWork(
        "scheduled tasks",
        _("Scheduled tasks that fail"),
        find_failed_tasks,
        link=lambda: reverse("operations-tasks"),
        needs=Capability.REPLAY,
    ),
    EngineerWork(
        "ending tokens",
        _("Tokens that end within 14 days"),
        find_ending_tokens,
        link=lambda: reverse("admin:mes_devicetoken_changelist"),
        needs=Capability.ADMIN,
        oldest_is=_("the first ends"),
    ),
)
