"""How the worker's scheduled tasks fare: which fail, which do not end, and which are not called though due."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from croniter import croniter
from django.db.models import TextChoices
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django_q.models import Schedule

from mes.platform.outbox.models import TaskOutcome, WorkerHeartbeat
from mes.platform.outbox.schedules import tasks
from mes.platform.outbox.task_outcomes import KILLED, longest_run

GRACE = timedelta(minutes=15)  # a task that was due for longer, with a worker that lives, is overdue


class TaskState(TextChoices):
    """How a task stands. The values are public: `/readyz` names them."""

    GOOD = "GOOD", _("Well")
    NOT_YET = "NOT_YET", _("Not called yet")
    FAILED = "FAILED", _("Failed")
    NOT_ENDED = "NOT_ENDED", _("Did not end")
    OVERDUE = "OVERDUE", _("Not called though due")


@dataclass(frozen=True)
class TaskStatus:
    """A scheduled task. `since` is when it began to be as it is, where that is bad; `failures` are those in a row."""

    name: str
    label: str | Promise
    state: TaskState
    since: datetime | None
    failures: int
    error: str
    begun_at: datetime | None
    succeeded_at: datetime | None
    next_run: datetime | None

    @property
    def is_bad(self) -> bool:
        """Whether somebody must look at it."""
        return self.state not in (TaskState.GOOD, TaskState.NOT_YET)


def list_statuses(workers: Iterable[WorkerHeartbeat], *, lately: datetime) -> list[TaskStatus]:
    """Return every scheduled task, bad ones first, in two queries.

    `workers` that have shown themselves since `lately` are alive. While none is, no task is overdue: that no worker is
    alive says it all.
    """
    started = [worker.started_at for worker in workers if worker.beat_at > lately]
    expected_since = min(started, default=None)
    labels = {task.name: task.label for task in tasks}
    outcomes = {outcome.name: outcome for outcome in TaskOutcome.objects.all()}
    now = timezone.now()
    statuses = []
    for schedule in Schedule.objects.exclude(repeats=0).order_by("name", "pk"):
        name = schedule.name or str(schedule.pk)  # as django-q2 names the group of its tasks
        outcome = outcomes.get(name) or TaskOutcome(name=name, created_at=now)
        statuses.append(_judge(schedule, outcome, labels.get(name, name), now, expected_since))
    return sorted(statuses, key=lambda status: not status.is_bad)


def list_bad(statuses: Sequence[TaskStatus]) -> list[TaskStatus]:
    """Return those that somebody must look at."""
    return [status for status in statuses if status.is_bad]


def _judge(
    schedule: Schedule, outcome: TaskOutcome, label: str | Promise, now: datetime, expected_since: datetime | None
) -> TaskStatus:
    due_at = find_due(schedule, outcome, now=now, expected_since=expected_since)
    state, since, error = TaskState.GOOD, None, ""
    if outcome.running_since is not None and outcome.running_since < now - longest_run():
        state, since, error = TaskState.NOT_ENDED, outcome.running_since, KILLED
    elif due_at is not None:
        state, since, error = TaskState.OVERDUE, due_at, outcome.error
    elif outcome.failures:
        state, since, error = TaskState.FAILED, outcome.failing_since, outcome.error
    elif outcome.begun_at is None:
        state = TaskState.NOT_YET
    return TaskStatus(
        name=outcome.name,
        label=label,
        state=state,
        since=since,
        failures=outcome.failures,
        error=error,
        begun_at=outcome.begun_at,
        succeeded_at=outcome.succeeded_at,
        next_run=schedule.next_run,
    )


def find_due(
    schedule: Schedule, outcome: TaskOutcome, *, now: datetime, expected_since: datetime | None
) -> datetime | None:
    """Return when a task was due that has not begun since, None where nothing is amiss.

    It is expected from the moment that its schedule is known and a worker lives; a worker that was started again makes
    up for what was due before.
    """
    if expected_since is None:
        return None
    if schedule.next_run is not None and max(schedule.next_run, expected_since) < now - GRACE:
        return max(schedule.next_run, expected_since)
    due_at = _read_last_due(schedule, now - GRACE)
    seen = max(filter(None, (outcome.begun_at, outcome.created_at, expected_since)))
    return due_at if due_at is not None and seen < due_at else None


def _read_last_due(schedule: Schedule, at: datetime) -> datetime | None:
    """Return when a schedule was due last before a moment, where its cron expression says so."""
    if schedule.schedule_type != Schedule.CRON:
        return None
    try:
        due_at: datetime = croniter(schedule.cron, timezone.localtime(at)).get_prev(datetime)
    except (ValueError, TypeError):  # made by hand: django-q2 cannot read it either, and calls nothing any more
        return None
    return due_at
