"""A scheduled task is run now by the worker, as by the clock, and once however often somebody asks."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import sleep
from typing import Any

import pytest
from django.db import connections
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ, Schedule

from mes.errors import InvalidTransition, NotFound
from mes.platform.accounts.roles import Role
from mes.platform.outbox import schedules
from mes.platform.outbox.models import TaskOutcome
from mes.platform.outbox.run_now import is_going_to_run, run_now
from mes.platform.outbox.schedules import ScheduledTask
from tests.factories import make_user
from tests.platform.outbox.test_task_outcomes import run_task

NAME = "night work"
PAGE = "/operations/tasks/run/"
runs: list[str] = []


def work_at_night() -> None:
    """Stand for what a subject does by the clock."""
    runs.append("ran")


@pytest.fixture(autouse=True)
def task(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScheduledTask]:
    """A registered task that says that it ran."""
    task = ScheduledTask(NAME, "Night work", work_at_night, cron="0 3 * * *")
    monkeypatch.setattr(schedules.tasks, "_registered", {**schedules.tasks._registered, NAME: task})
    yield task
    runs.clear()


def take() -> dict[str, Any] | None:
    """Return the task that the worker would be given next."""
    taken = get_broker().dequeue()
    if not taken:
        return None
    queued: dict[str, Any] = OrmQ.objects.get(pk=taken[0][0]).task
    return queued


@pytest.mark.django_db
def test_it_is_queued_under_its_name_and_its_times_stay() -> None:
    due = Schedule.objects.create(name=NAME, func="x", schedule_type=Schedule.CRON, cron="0 3 * * *").next_run
    assert run_now(NAME, by="eve")
    queued = take()
    assert queued is not None
    assert (queued["func"], queued["group"]) == (f"{__name__}.work_at_night", NAME)
    assert Schedule.objects.get(name=NAME).next_run == due


@pytest.mark.django_db(transaction=True)
def test_the_worker_runs_it_and_its_outcome_is_kept(task: ScheduledTask) -> None:
    TaskOutcome.objects.create(name=NAME, failures=3, error="KeyError: 'x'", failing_since=timezone.now())
    run_now(NAME, by="eve")
    queued = take()
    assert queued is not None
    assert run_task(queued["func"], group=queued["group"])["success"]
    outcome = TaskOutcome.objects.get(name=NAME)
    assert (runs, outcome.failures, outcome.error) == (["ran"], 0, "")


@pytest.mark.django_db
def test_asked_twice_it_runs_once() -> None:
    assert run_now(NAME, by="eve")
    assert not run_now(NAME, by="adam")
    assert take() is not None
    assert not run_now(NAME, by="adam"), "it was taken and is about to begin"
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db
def test_while_it_runs_it_is_refused() -> None:
    TaskOutcome.objects.create(name=NAME, running_since=timezone.now())
    with pytest.raises(InvalidTransition, match=r"“Run now” is not possible: the scheduled task is “Running”"):
        run_now(NAME, by="eve")
    assert not OrmQ.objects.exists()


@pytest.mark.django_db
def test_one_that_failed_and_waits_for_its_retry_is_tried_at_once_and_not_besides() -> None:
    run_now(NAME, by="eve")
    assert take() is not None
    TaskOutcome.objects.filter(name=NAME).update(failed_at=timezone.now(), failures=1)
    assert take() is None, "django-q2 waits for minutes"
    assert run_now(NAME, by="eve")
    assert take() is not None
    assert OrmQ.objects.count() == 1


def test_what_was_taken_after_the_last_failure_is_going_to_run() -> None:
    now = timezone.now()
    lock = now + timedelta(seconds=100)  # taken 80 s ago: it would be tried again 180 s after
    assert is_going_to_run(now, None, now=now)
    assert is_going_to_run(lock, None, now=now)
    assert is_going_to_run(lock, now - timedelta(seconds=81), now=now)
    assert not is_going_to_run(lock, now - timedelta(seconds=79), now=now)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["", "no such task", "mes.platform.outbox.tasks.tick", "x" * 5000, "a/b"])
def test_what_is_no_task_is_refused(name: str) -> None:
    with pytest.raises(NotFound):
        run_now(name, by="eve")
    assert not OrmQ.objects.exists()


# --- by the button --------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_button_says_what_it_did_and_leads_back() -> None:
    client = Client()
    client.force_login(make_user(Role.ENGINEER))
    page = client.post(PAGE, {"task": NAME}, follow=True)
    assert page.redirect_chain == [("/operations/tasks/", 302)]
    assert "The worker runs it now" in page.content.decode()
    assert client.post(PAGE, {"task": NAME, "from": "home"}).headers["Location"] == "/admin/"
    assert "There is nothing here" in client.post(PAGE, {"task": "none"}, follow=True).content.decode()
    assert client.get(PAGE).status_code == 405
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.OPERATOR, Role.SUPERVISOR, Role.QUALITY])
def test_the_button_is_for_those_who_run_the_installation(role: Role) -> None:
    client = Client()
    client.force_login(make_user(role))
    assert client.post(PAGE, {"task": NAME}).status_code == 403
    assert not OrmQ.objects.exists()


# --- two at once ----------------------------------------------------------------------------------------------


def ask_at_once() -> int:
    """Have four people press the button at the same moment; return how often the task is queued."""

    def press(person: int) -> None:
        try:
            run_now(NAME, by=str(person))
        finally:
            connections.close_all()

    TaskOutcome.objects.create(name=NAME)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(press, range(4)))
    return OrmQ.objects.count()


@pytest.fixture
def slow_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the window between looking and queueing wide."""
    original: Callable[..., None] = ScheduledTask.queue_again

    def queue_again(self: ScheduledTask, *args: object) -> None:
        sleep(0.2)
        original(self, *args)

    monkeypatch.setattr(ScheduledTask, "queue_again", queue_again)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("slow_queue")
def test_four_who_press_at_once_run_it_once() -> None:
    assert ask_at_once() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("slow_queue")
def test_without_the_lock_they_run_it_several_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda self, *args, **kwargs: self._chain())
    assert ask_at_once() > 1
