"""Checks of the stored data by the clock, and what the latest found: work for those who run the installation."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.platform.accounts.roles import Capability
from mes.platform.monitoring.engineer_work import MOST_ENTRIES, EngineerWork, Entry, Found
from mes.platform.monitoring.integrity import Finding, as_json, check_integrity, rules
from mes.platform.monitoring.models import IntegrityCheck
from mes.platform.monitoring.open_work import OpenWork
from mes.platform.outbox import task_outcomes
from mes.platform.outbox.schedules import HANDED_ON, ScheduledTask

NICE = 10  # it reads much, and stands back for machines and people
BEAT_EVERY = 5  # seconds


def start() -> str:
    """Start `manage.py check_integrity --keep`. The worker calls it nightly; the process notes how it ends."""
    subprocess.Popen(command(), cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return HANDED_ON


def command() -> list[str]:
    """Return the command that checks, and keeps what it found."""
    manage = str(settings.BASE_DIR / "manage.py")
    return ["nice", "-n", str(NICE), sys.executable, manage, "check_integrity", "--keep"]


TASK = ScheduledTask("integrity", _("Check of the stored data"), start, cron="20 2 * * *")


def check_and_keep() -> list[Finding]:
    """Check, and keep what was found for the operations page. That something was found is no failure of the task."""
    started_at = timezone.now()
    with task_outcomes.noted(TASK.name) as beat:
        findings = _check_beating(beat)
        IntegrityCheck.objects.create(
            started_at=started_at,
            ended_at=timezone.now(),
            count=sum(finding.count for finding in findings),
            findings=[as_json(finding) for finding in findings],
        )
    return findings


def _check_beating(beat: Callable[[], None]) -> list[Finding]:
    """Check in a thread, whose transaction only reads, while this one shows that it is alive."""
    with ThreadPoolExecutor(1) as pool:
        checking = pool.submit(_check)
        while not wait([checking], timeout=BEAT_EVERY).done:
            beat()
        return checking.result()


def _check() -> list[Finding]:
    try:
        return check_integrity()
    finally:
        connection.close()  # the thread's own


# --- what the latest found ----------------------------------------------------------------------------------


def read_latest() -> IntegrityCheck | None:
    """Return the latest check that was kept."""
    return IntegrityCheck.objects.first()


def link_of(rule: str, name: str) -> str:
    """Return the address of the page of what breaks a rule; empty where there is none."""
    links = {each.name: each.link for each in rules}
    link = links.get(rule)
    return link(name) if link else ""


def count_findings() -> int:
    """Return how many things broke a rule when it was checked last."""
    latest = IntegrityCheck.objects.values_list("count", flat=True).first()
    return latest or 0


def find_findings() -> Found:
    """Return the rules that were broken when it was checked last. One query."""
    latest = read_latest()
    if latest is None or not latest.count:
        return Found(0)
    entries = [
        Entry(
            finding["label"],
            why=" · ".join(f"{example['name']}: {example['what']}" for example in finding["examples"][:2]),
            count=finding["count"],
            since=latest.started_at,
            link=_page(),
        )
        for finding in latest.findings[:MOST_ENTRIES]
    ]
    return Found(latest.count, latest.started_at, entries)


def _page() -> str:
    return f"{reverse('operations')}#integrity"


_LABEL = _("What the check of the stored data found")
OPEN_WORK = OpenWork("integrity", _LABEL, count=count_findings, link=_page)
WORK = EngineerWork("integrity", _LABEL, find_findings, link=_page, needs=Capability.ADMIN, oldest_is=_("checked at"))
