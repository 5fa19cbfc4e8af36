"""What the worker does by the clock. Each subject registers its own tasks; django-q2 calls them by their names.

Schedules are made or corrected after every migration. Whatever django-q2 would call besides is dropped then, such as a
function that was moved since: the worker would take it and drop it each time (`broker`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.utils.functional import Promise
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

from mes.platform.hooks import Hook
from mes.platform.outbox.models import TaskOutcome
from mes.platform.sweeps import Sweep, SweepIncomplete

logger = structlog.get_logger(__name__)

# Returned by a task that has neither succeeded nor failed yet:
GOES_ON = "goes on"  # it queued itself again
HANDED_ON = "handed on"  # it started a process, which notes its end (`task_outcomes.noted`)


@dataclass(frozen=True)
class ScheduledTask:
    """A function that the worker calls by the clock. `cron` has six fields where seconds matter, in the plant's time.

    A task that does only a part of its work goes on with the rest, and raises at its end.
    """

    name: str
    label: str | Promise  # for people
    run: Callable[..., object]
    cron: str

    @property
    def func(self) -> str:
        """The function's path, by which django-q2 finds it."""
        return f"{self.run.__module__}.{self.run.__qualname__}"

    def queue_again(self, *args: object) -> None:
        """Have it called once more as soon as the worker's others had their turn; it returns GOES_ON meanwhile."""
        async_task(self.func, *args, group=self.name)


# Called by the worker at their times. A task's name stays the same for ever, its function may move.
tasks: Hook[ScheduledTask] = Hook(key=lambda task: task.name)


# --- after a migration --------------------------------------------------------------------------------------


def create_schedules(**kwargs: Any) -> None:
    """Make or correct the schedules, and drop what can no longer be called. Safe to be called again.

    What fails here is logged and stops neither the other schedules nor the start: the operations page shows a task
    that is not called.
    """
    if Schedule._meta.db_table not in connections[DEFAULT_DB_ALIAS].introspection.table_names():
        return  # migrated only in part
    try:
        with Sweep("schedules") as sweep:
            for task in tasks:
                with sweep.row(task.name), transaction.atomic():
                    _correct(task)
            for schedule in Schedule.objects.order_by("pk"):
                with sweep.row(schedule.name or schedule.pk), transaction.atomic():
                    _drop_unregistered(schedule, schedule.func)
            for queued in OrmQ.objects.order_by("pk"):
                with sweep.row(f"queue {queued.pk}"), transaction.atomic():
                    _drop_unregistered(queued, queued.task.get("func"))
            with sweep.row("outcomes"), transaction.atomic():
                _match_outcomes()
    except SweepIncomplete:
        logger.warning("schedules are not as they should be", problems=sweep.failed)


def _correct(task: ScheduledTask) -> None:
    """Give a task its one schedule. Nothing in django-q2's table keeps a name from being there twice."""
    named = Schedule.objects.filter(name=task.name).order_by("pk")
    wanted = {"func": task.func, "cron": task.cron, "schedule_type": Schedule.CRON, "repeats": -1}
    wanted |= {"args": None, "kwargs": None, "hook": None, "cluster": None, "intended_date_kwarg": None}
    first = named.first()
    if first is None:
        Schedule.objects.create(name=task.name, **wanted)
        return
    named.exclude(pk=first.pk).delete()
    changed = [field for field, value in wanted.items() if getattr(first, field) != value]
    for field in changed:
        setattr(first, field, wanted[field])
    if "cron" in changed or "schedule_type" in changed:  # else what is due stays so: a night is not skipped
        first.next_run = first.calculate_next_run()
        changed.append("next_run")
    if changed:
        first.save(update_fields=changed)


def _drop_unregistered(row: Schedule | OrmQ, func: object) -> None:
    """Delete a schedule or a queued task of another function than a registered one, or one that cannot be read."""
    if func in {task.func for task in tasks}:
        return
    logger.warning("dropped what is not registered", func=str(func), kind=type(row).__name__, row=row.pk)
    row.delete()


def _match_outcomes() -> None:
    """Keep the outcomes of what has a schedule; from now on, each is expected to be called."""
    names = [name for name in Schedule.objects.values_list("name", flat=True) if name]
    TaskOutcome.objects.exclude(name__in=names).delete()
    TaskOutcome.objects.bulk_create((TaskOutcome(name=name) for name in sorted(names)), ignore_conflicts=True)
