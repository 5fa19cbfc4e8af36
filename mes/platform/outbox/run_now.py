"""Running a scheduled task now, because somebody asks for it: by the worker, as by the clock, and once."""

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ

from mes.errors import InvalidTransition, NotFound
from mes.labels import Action, Entity, State
from mes.platform.outbox.models import TaskOutcome
from mes.platform.outbox.schedules import ScheduledTask, tasks
from mes.platform.outbox.task_outcomes import longest_run

logger = structlog.get_logger(__name__)


def run_now(name: str, *, by: str) -> bool:
    """Have the worker run a task at once; return False where that was asked for already and has not begun.

    Its times by the clock stay. Raises NotFound for a task that there is not, InvalidTransition while it runs.
    """
    task = next((task for task in tasks if task.name == name), None)
    if task is None:
        raise NotFound
    with transaction.atomic():
        outcome, _created = TaskOutcome.objects.select_for_update(no_key=True).get_or_create(name=name)
        is_new = _queue(task, outcome, timezone.now())
    if is_new:
        logger.info("scheduled task is run now", task=name, by=by)
    return is_new


def _queue(task: ScheduledTask, outcome: TaskOutcome, now: datetime) -> bool:
    """Queue a task, or let its queued retry come at once. Of two who ask, the second waits for the outcome's row."""
    if outcome.running_since is not None and outcome.running_since > now - longest_run():
        raise InvalidTransition(action=Action.RUN_NOW, entity=Entity.SCHEDULED_TASK, state=State.RUNNING)
    queued = [row for row in OrmQ.objects.order_by("pk") if row.task.get("func") == task.func]
    if any(is_going_to_run(row.lock, outcome.failed_at, now=now) for row in queued):
        return False
    if queued:
        OrmQ.objects.filter(pk=queued[0].pk).update(lock=now)
    else:
        task.queue_again()
    return True


def is_going_to_run(lock: datetime, failed_at: datetime | None, *, now: datetime) -> bool:
    """Whether a queued task is yet to run: nobody took it so far, or whoever did has not come to it.

    django-q2 takes a task by setting `lock` ahead, by as long as it waits before it tries a failed one again.
    """
    if lock <= now:
        return True
    taken_at = lock - timedelta(seconds=Conf.RETRY)
    return failed_at is None or failed_at < taken_at
