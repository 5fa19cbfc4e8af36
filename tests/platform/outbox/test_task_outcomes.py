"""How runs of scheduled tasks end is kept, by the very worker function of django-q2 that runs them."""

from collections.abc import Callable
from datetime import timedelta
from multiprocessing import Value
from queue import Queue
from time import sleep
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone
from django_q.worker import worker

from mes.platform.outbox import task_outcomes
from mes.platform.outbox.models import TaskOutcome
from mes.platform.outbox.schedules import GOES_ON
from mes.platform.sweeps import Sweep

pytestmark = pytest.mark.django_db(transaction=True)


def run_task(func: str | Callable[[], object], *, timeout: int = -1, group: str | None = "job") -> dict[str, Any]:
    """Have django-q2 run one task in this process; return what it keeps of it."""
    todo, done = Queue[Any](), Queue[dict[str, Any]]()
    task = {"id": uuid4().hex, "name": "t", "func": func, "args": (), "kwargs": {}, "group": group}
    todo.put(task)
    todo.put("STOP")
    worker(todo, done, Value("f", -1), timeout)
    return done.get_nowait()


def outcome() -> TaskOutcome:
    return TaskOutcome.objects.get(name="job")


def fail() -> None:
    raise KeyError("waitSeconds")


def sweep_with_a_bad_row() -> None:
    with Sweep("rows") as sweep:
        for number in range(3):
            with sweep.row(number):
                assert number != 1, "it is odd"


def hang_in_a_statement() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")


def test_a_failure_is_kept_counted_and_healed_by_a_success() -> None:
    began = timezone.now()
    for _time in range(3):
        assert not run_task(fail)["success"]
    failed = outcome()
    assert (failed.failures, failed.error, failed.succeeded_at) == (3, "KeyError: 'waitSeconds'", None)
    assert failed.failing_since is not None and failed.failed_at is not None
    assert began < failed.failing_since < failed.failed_at
    assert run_task("math.gcd")["success"]
    healed = outcome()
    assert (healed.failures, healed.error, healed.failing_since, healed.running_since) == (0, "", None, None)
    assert healed.succeeded_at is not None


def test_a_sweep_with_a_bad_row_has_failed_and_says_which() -> None:
    run_task(sweep_with_a_bad_row)
    assert outcome().error.startswith("1: AssertionError: it is odd")


def test_a_function_that_is_not_there_has_failed() -> None:
    run_task("mes.events.tasks.tick")
    assert (outcome().failures, outcome().error) == (1, "ValueError: Function mes.events.tasks.tick is not defined")


def test_a_run_that_takes_too_long_has_failed_whatever_it_was_in_the_middle_of() -> None:
    run_task(hang_in_a_statement, timeout=1)
    assert outcome().error == "TimeoutException: Task exceeded maximum timeout value (1 seconds)"
    assert outcome().running_since is None


def test_a_run_that_goes_on_has_neither_succeeded_nor_failed() -> None:
    run_task(fail)
    run_task(lambda: GOES_ON)
    assert (outcome().failures, outcome().succeeded_at, outcome().running_since) == (1, None, None)


def test_a_run_that_never_ended_has_failed_when_the_next_begins() -> None:
    """Its process was killed, which nothing but this could tell: django-q2 keeps no result of it."""
    task = {"id": "1", "group": "job"}
    task_outcomes.note_begin("django_q", task)
    assert outcome().failures == 0
    task_outcomes.note_begin("django_q", task)  # in another worker, perhaps
    assert outcome().failures == 0
    TaskOutcome.objects.update(running_since=timezone.now() - task_outcomes.longest_run() - timedelta(seconds=1))
    task_outcomes.note_begin("django_q", task)
    killed = outcome()
    assert (killed.failures, killed.error) == (1, task_outcomes.KILLED)
    assert killed.running_since == killed.begun_at


def test_a_task_without_a_schedule_is_not_noted() -> None:
    run_task(fail, group=None)
    assert not TaskOutcome.objects.filter(failures__gt=0).exists()


def test_what_cannot_be_noted_ends_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(task_outcomes, "_change", refuse)
    assert run_task("math.gcd")["success"]


def test_two_that_begin_and_fail_at_once_are_both_counted() -> None:
    from tests.integration.helpers import at_once

    def begin_and_fail() -> None:
        task: dict[str, Any] = {"id": "1", "group": "job", "success": False, "result": "x : Traceback"}
        task_outcomes.note_begin("django_q", task)
        sleep(0.02)
        task_outcomes.note_end("django_q", task)

    at_once(begin_and_fail, times=6)
    assert outcome().failures == 6
