"""What goes in time of the platform's own tables and of those of the packages it builds on.

Units, runs, tracks, decisions and master data are the product's history: they stay.
"""

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_q.models import OrmQ, Task

from mes.platform.bulk_actions.models import BulkAction
from mes.platform.database.models import RetentionRun
from mes.platform.database.retention import Rows
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.monitoring.models import IntegrityCheck
from mes.platform.notifications.models import Notification
from mes.platform.outbox.models import EventStatus, MesEvent, WorkerHeartbeat
from mes.platform.sign_in.models import AttemptCount, SignOn

POLICIES = (
    Rows(
        "completed events",
        _("Completed events"),
        "MES_EVENT_RETENTION",
        # Each carries its date since it was completed: a shorter setting holds for later ones.
        expired=lambda cutoff: MesEvent.objects.filter(
            status=EventStatus.COMPLETED, retention_until__lt=timezone.now()
        ),
    ),
    Rows(
        "keys",
        _("Keys of received messages"),
        "MES_KEY_RETENTION",
        expired=lambda cutoff: IdempotencyKey.objects.filter(created_at__lt=cutoff),
    ),
    Rows(
        "bulk actions",
        _("Decisions about many refused messages"),
        "MES_BULK_ACTION_RETENTION",
        expired=lambda cutoff: BulkAction.objects.filter(ended_at__lt=cutoff),
    ),
    Rows(
        "notifications",
        _("Notifications of people"),
        "MES_NOTIFICATION_RETENTION",
        expired=lambda cutoff: Notification.objects.filter(created_at__lt=cutoff),
    ),
    Rows(
        "sessions",
        _("Sign-ins that have ended"),
        "MES_SESSION_RETENTION",
        expired=lambda cutoff: Session.objects.filter(expire_date__lt=cutoff),
    ),
    Rows(
        "failed sign-ins",
        _("Failed sign-ins, and where people signed in"),
        "MES_SIGN_IN_RETENTION",
        expired=lambda cutoff: AttemptCount.objects.filter(last_at__lt=cutoff),
    ),
    Rows(
        "sign-ons",
        _("Who was signed on at terminals"),
        "MES_SIGN_IN_RETENTION",
        expired=lambda cutoff: SignOn.objects.filter(last_act_at__lt=cutoff),  # idle for long, if not ended
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
    Rows(
        "integrity checks",
        _("Checks of the stored data"),
        "MES_KEY_RETENTION",
        expired=lambda cutoff: IntegrityCheck.objects.filter(started_at__lt=cutoff),
    ),
)
