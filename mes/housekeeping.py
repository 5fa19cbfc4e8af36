"""What goes in time of the tables of `mes` and of the packages it builds on, and the nightly run."""

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_q.models import OrmQ, Task
from django_q.tasks import async_task

from mes.platform.database import retention
from mes.platform.database.models import IdempotencyKey, RetentionRun
from mes.platform.database.retention import Months, Outcome, Rows
from mes.platform.notifications.models import Notification
from mes.platform.outbox.models import EventStatus, MesEvent, WorkerHeartbeat
from mes.status_reports.models import StatusReport
from mes.time_rules.queries import list_unneeded_marks

MOST_SLICES = 2000  # of one night: more than eight hours


def register_policies() -> None:
    """Name what may go. Units, runs, tracks, decisions and master data are the product's history: they stay."""
    retention.register(
        Rows(
            "completed events",
            _("Completed events"),
            "MES_EVENT_RETENTION",
            # Each carries its date since it was completed: a shorter setting holds for later ones.
            expired=lambda cutoff: MesEvent.objects.filter(
                status=EventStatus.COMPLETED, retention_until__lt=timezone.now()
            ),
        ),
        Months("count reports", _("Count reports"), "MES_COUNT_REPORT_RETENTION", tables=("mes_countreport",)),
        Rows(
            "keys",
            _("Keys of received messages"),
            "MES_KEY_RETENTION",
            expired=lambda cutoff: IdempotencyKey.objects.filter(created_at__lt=cutoff),
        ),
        Rows(
            "time rule marks",
            _("What ended clocks were read from"),
            "MES_KEY_RETENTION",
            expired=list_unneeded_marks,
        ),
        Rows(
            "notifications",
            _("Notifications of people"),
            "MES_NOTIFICATION_RETENTION",
            expired=lambda cutoff: Notification.objects.filter(created_at__lt=cutoff),
        ),
        Rows(
            "status reports",
            _("Status reports of other systems"),
            "MES_STATUS_REPORT_RETENTION",
            expired=lambda cutoff: StatusReport.objects.filter(received_at__lt=cutoff),
        ),
        Rows(
            "sessions",
            _("Sign-ins that have ended"),
            "MES_SESSION_RETENTION",
            expired=lambda cutoff: Session.objects.filter(expire_date__lt=cutoff),
        ),
        Rows(
            "tasks",
            _("Results of the worker's tasks"),
            "MES_TASK_RETENTION",
            expired=lambda cutoff: Task.objects.filter(stopped__lt=cutoff),
        ),
        Rows(
            "queue",
            _("Tasks of the worker that nobody took for long"),
            "MES_TASK_RETENTION",
            expired=lambda cutoff: OrmQ.objects.filter(lock__lt=cutoff),
        ),
        Rows(
            "heartbeats",
            _("Heartbeats of workers that are gone"),
            "MES_HEARTBEAT_RETENTION",
            expired=lambda cutoff: WorkerHeartbeat.objects.filter(beat_at__lt=cutoff),
        ),
        Rows(
            "admin log",
            _("Log of the admin site"),
            "MES_ADMIN_LOG_RETENTION",
            expired=lambda cutoff: LogEntry.objects.filter(action_time__lt=cutoff),
        ),
        Rows(
            "retention runs",
            _("Runs of the retention"),
            "MES_KEY_RETENTION",
            expired=lambda cutoff: RetentionRun.objects.filter(started_at__lt=cutoff),
        ),
    )


def retain(run_id: int | None = None, slice_no: int = 1) -> str:
    """Remove what may go, a slice at a time: the worker's other tasks come in between. The worker calls it nightly.

    Safe to be called twice: a second run at the same time ends at once. A policy that failed waits for the next night.
    """
    known = RetentionRun.objects.filter(pk=run_id).first() if run_id else None
    run = known or RetentionRun.objects.create()
    outcome = retention.run(budget=settings.MES_RETENTION_BUDGET, skip=run.errors)
    goes_on = not outcome.is_finished and not outcome.is_busy and slice_no < MOST_SLICES
    _note(run, outcome, ended=not goes_on)
    if goes_on:
        async_task("mes.housekeeping.retain", run.pk, slice_no + 1)
    return "goes on" if goes_on else "done"


def retain_all() -> Outcome:
    """Remove all that may go now, however long it takes."""
    run = RetentionRun.objects.create()
    outcome = retention.run()
    _note(run, outcome, ended=True)
    return outcome


def _note(run: RetentionRun, outcome: Outcome, *, ended: bool) -> None:
    for name, rows in outcome.rows.items():
        run.rows[name] = run.rows.get(name, 0) + rows
    for name, tables in outcome.tables.items():
        run.tables.setdefault(name, []).extend(tables)
    run.errors |= outcome.errors
    run.ended_at = timezone.now() if ended else None
    run.save()
