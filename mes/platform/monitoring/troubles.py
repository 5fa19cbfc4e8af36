"""Telling people that the installation is in trouble: what `/readyz` and the operations page say, once as it begins.

It is the worker that tells. That no worker works, or the database is away, only who asks `/readyz` can find out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from mes.platform.monitoring import integrity_checks
from mes.platform.monitoring.health import UNANSWERED, read_checks
from mes.platform.monitoring.models import SystemTrouble
from mes.platform.notifications.models import Severity
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import Notice, announce
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep

ROUNDS = 3  # a machine that is busy may need longer than one to answer
INTEGRITY = "integrity"

LABELS: Mapping[str, str | Promise] = {
    "database": _("The database does not answer"),
    "writes": _("The database takes no writes"),
    "migrations": _("Migrations are missing"),
    "worker": _("No worker has shown itself lately"),
    "backlog": _("Events are not worked off"),
    "tasks": _("Scheduled tasks fail"),
    "space": _("There is little room left on a disk"),
    "backup": _("The last backup is too old"),
    INTEGRITY: _("The stored data breaks rules"),
}


def watch(read: Callable[[], Mapping[str, Any]] = read_checks) -> int:
    """Note what troubles the installation, and tell of what is new; return how much there is. By any number of workers
    at once, each is told once.
    """
    found = find_troubles(read)
    SystemTrouble.objects.exclude(name__in=found).delete()
    with Sweep("troubles") as sweep:
        for name, text in found.items():
            with sweep.row(name), transaction.atomic():
                trouble, is_new = SystemTrouble.objects.get_or_create(name=name)
                if is_new:
                    announce([_notice(trouble, text)])
    return len(found)


def find_troubles(read: Callable[[], Mapping[str, Any]]) -> dict[str, str]:
    """Return what is not as it should be, in words, by name."""
    checks = read()
    for _round in range(ROUNDS - 1):
        if all(check != UNANSWERED for check in checks.values()):
            break
        checks = read()
    found = {name: _describe(name, check) for name, check in checks.items() if not check["ok"]}
    if broken := integrity_checks.count_findings():
        found[INTEGRITY] = f"{LABELS[INTEGRITY]}: {broken}"
    return found


def _describe(name: str, check: Mapping[str, Any]) -> str:
    label = str(LABELS.get(name, name))
    if names := [str(task["name"]) for task in check.get("failed", ())]:
        return f"{label}: {', '.join(names)}"
    return label if check != UNANSWERED else _now("%(what)s: no answer") % {"what": label}


def _notice(trouble: SystemTrouble, text: str) -> Notice:
    return Notice(
        key=f"trouble:{trouble.name}:{trouble.pk}",
        severity=Severity.ALERT,
        text=text,
        address=reverse("operations"),
        event=NoticeEvent.SYSTEM_TROUBLE,
        facts={"check": trouble.name},
    )


TASK = ScheduledTask("troubles", _("Look at how the installation is doing"), watch, cron="* * * * *")
