"""Keeping how the runs of scheduled tasks begin and end, told by django-q2's signals in the process that runs them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django_q.signals import post_execute_in_worker, pre_execute

from mes.platform.outbox.models import TaskOutcome
from mes.platform.outbox.schedules import GOES_ON, HANDED_ON
from mes.platform.sweeps import SweepIncomplete, storable

logger = structlog.get_logger(__name__)

BEAT_SECONDS = 20
SPARE = timedelta(seconds=60)  # after django-q2's limit a run has ended, or its process was killed
KILLED = "It did not end: its process died or was killed."


def register() -> None:
    """Have every run of a schedule noted: django-q2 gives its tasks the schedule's name as their group."""
    pre_execute.connect(note_begin, dispatch_uid="mes.task_outcomes")
    post_execute_in_worker.connect(note_end, dispatch_uid="mes.task_outcomes")


def longest_run() -> timedelta:
    """Return after how long a run that has not ended will not end any more."""
    return settings.MES_TASK_TIMEOUT + SPARE


def note_begin(sender: object, task: dict[str, Any], **kwargs: Any) -> None:
    """Note that a run begins, and that the one before failed if it never ended."""
    _note(task, _begin)


def note_end(sender: object, task: dict[str, Any], **kwargs: Any) -> None:
    """Note how a run ended. One that queued itself again goes on, and so does one that a process of its own does."""
    if task.get("success") and task.get("result") == HANDED_ON:
        return
    if task.get("success") and task.get("result") == GOES_ON:
        _note(task, _go_on)
    elif task.get("success"):
        _note(task, _succeed)
    else:
        error = _read_error(str(task.get("result")))
        _note(task, lambda outcome, now: _fail(outcome, now, error))


@contextmanager
def noted(name: str) -> Iterator[Callable[[], None]]:
    """Note how the run of a task fares in a process of its own, which may take longer than django-q2's limit.

    What it yields is to be called every few seconds: a run that is silent for longer counts as killed.
    """
    task = {"group": name}
    beat_at = time.monotonic() + BEAT_SECONDS

    def beat() -> None:
        nonlocal beat_at
        if time.monotonic() >= beat_at:
            beat_at = time.monotonic() + BEAT_SECONDS
            _note(task, _go_on_running)

    _note(task, _begin)
    try:
        yield beat
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        _note(task, lambda outcome, now: _fail(outcome, now, text))
        raise
    _note(task, _succeed)


def _note(task: dict[str, Any], change: Callable[[TaskOutcome, datetime], None]) -> None:
    """Change the outcome of a task under its lock. Whatever fails here must not end the worker's process."""
    name = task.get("group")
    if not name:
        return
    try:
        _change(str(name), change)
    except Exception:
        connection.close()  # a run that was interrupted may have left it in the middle of a statement
        try:
            _change(str(name), change)
        except Exception:
            logger.exception("outcome of a scheduled task not kept", task=name)


@transaction.atomic
def _change(name: str, change: Callable[[TaskOutcome, datetime], None]) -> None:
    outcome, _created = TaskOutcome.objects.select_for_update(no_key=True).get_or_create(name=name[:100])
    change(outcome, timezone.now())
    outcome.save()


def _begin(outcome: TaskOutcome, now: datetime) -> None:
    since = outcome.running_since
    if since is not None and since < now - longest_run():
        _fail(outcome, now, KILLED)
    outcome.begun_at = now
    outcome.running_since = outcome.running_since or now


def _go_on(outcome: TaskOutcome, now: datetime) -> None:
    outcome.running_since = None


def _go_on_running(outcome: TaskOutcome, now: datetime) -> None:
    outcome.running_since = now


def _succeed(outcome: TaskOutcome, now: datetime) -> None:
    outcome.running_since = outcome.failing_since = None
    outcome.succeeded_at, outcome.failures, outcome.error = now, 0, ""


def _fail(outcome: TaskOutcome, now: datetime, error: str) -> None:
    outcome.running_since = None
    outcome.failed_at, outcome.failing_since = now, outcome.failing_since or now
    outcome.failures += 1
    outcome.error = storable(error)


def _read_error(result: str) -> str:
    """Return the error that django-q2 keeps as “text : traceback”, as “kind: text”."""
    text, _separator, trace = result.partition(" : Traceback (most recent call last)")
    before = trace[: trace.rfind(f": {text}")] if text and f": {text}" in trace else ""
    kind = before.rpartition("\n")[2].rpartition(".")[2]
    if kind == SweepIncomplete.__name__:
        return text
    return f"{kind}: {text}" if kind else text or trace.strip().rpartition("\n")[2]
