"""Backups by the clock. Each is made by a process of its own, because a large database takes longer than a task may."""

import subprocess
import sys

from django.conf import settings
from django.core.management.base import CommandError
from django.utils.translation import gettext_lazy as _

from mes.platform.outbox import task_outcomes
from mes.platform.outbox.schedules import HANDED_ON, ScheduledTask
from mes.platform.server import backup
from mes.platform.server.backup import Backup

NICE = 10  # so that compressing, as busy as a core can be, takes what machines and people leave of the processor


def start() -> str:
    """Start `manage.py backup`. The worker calls it nightly; the process notes how it ends.

    Registered also where no folder is set: a migration by hand, without the environment of the installation, must not
    take the schedule away.
    """
    if settings.MES_BACKUP_DIR is None:
        return "off"
    subprocess.Popen(command(), cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL)
    return HANDED_ON


def command() -> list[str]:
    """Return the command that makes a scheduled backup, and stands back for everything else that runs."""
    return ["nice", "-n", str(NICE), sys.executable, str(settings.BASE_DIR / "manage.py"), "backup"]


def make() -> Backup:
    """Make a backup in MES_BACKUP_DIR, remove the oldest, and note how it ended. Raises CommandError when it failed."""
    if settings.MES_BACKUP_DIR is None:
        raise CommandError("MES_BACKUP_DIR is not set. Set it, or name a file: manage.py backup FILE.")
    with task_outcomes.noted(TASK.name) as beat:
        return backup.back_up(settings.MES_BACKUP_DIR, keep=settings.MES_BACKUP_KEEP, beat=beat)


TASK = ScheduledTask(
    "backup",
    _("Backup") if settings.MES_BACKUP_DIR else _("Backup (off: MES_BACKUP_DIR is not set)"),
    start,
    cron=settings.MES_BACKUP_TIME.strftime("%-M %-H * * *"),
)
