"""Rules, notices and receivers for the tests of what people are told."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.platform.notifications import services
from mes.platform.notifications.models import Notification, Severity
from mes.platform.notifications.rule_models import NoticeEvent, NoticeWindow, NotificationRule
from mes.platform.notifications.services import Notice
from mes.platform.outbox.models import MesEvent
from mes.platform.outbox.processor import process_due

_made = iter(range(1, 10**6))


def make_rule(event: str = "HOLD_OPENED", *, persons: tuple[User, ...] = (), **fields: Any) -> NotificationRule:
    """Make a rule; in the application and for Quality unless something else is said."""
    defaults = {"name": f"Rule {next(_made)}", "channels": ["APP"], "roles": [] if persons else [Role.QUALITY]}
    rule = NotificationRule.objects.create(event=event, **{**defaults, **fields})
    rule.persons.set(persons)
    return rule


def make_notice(key: str = "k", event: str = "HOLD_OPENED", **fields: Any) -> Notice:
    defaults = {"severity": Severity.WARNING, "text": f"About {key}"}
    return Notice(key=key, event=NoticeEvent(event), **{**defaults, **fields})


def announce(*notices: Notice) -> None:
    with transaction.atomic():
        services.announce(notices)


def tell(*notices: Notice) -> None:
    """Announce, and have the worker do its work."""
    announce(*notices)
    work_off()


def work_off() -> None:
    """Have the worker do all that is written: the database's clock stands still within a transaction."""
    MesEvent.objects.exclude(status__in=["COMPLETED", "DEAD"]).update(
        next_attempt_at=timezone.now() - timedelta(hours=1)
    )
    process_due()


def told(user: User) -> list[str]:
    """Return the keys of what a person was told in the application, in that order."""
    return list(Notification.objects.filter(recipient=user).order_by("pk").values_list("key", flat=True))


def texts(user: User) -> list[str]:
    return list(Notification.objects.filter(recipient=user).order_by("pk").values_list("text", flat=True))


def end_quiet() -> None:
    """Let all quiet times be over by now."""
    NoticeWindow.objects.update(ends_at=timezone.now() - timedelta(seconds=1))


def sent(event_type: str) -> list[MesEvent]:
    return list(MesEvent.objects.filter(event_type=event_type).order_by("pk"))
