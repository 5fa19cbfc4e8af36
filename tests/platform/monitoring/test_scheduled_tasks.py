"""No scheduled task fails unseen: the operations page, its page of tasks and `/readyz` show it, until it is healed."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_q.models import Schedule

from mes.platform.accounts.roles import Role
from mes.platform.monitoring import health, scheduled_tasks
from mes.platform.monitoring.scheduled_tasks import GRACE
from mes.platform.outbox.models import TaskOutcome, WorkerHeartbeat
from mes.platform.outbox.task_outcomes import longest_run
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a worker that has been alive for days, and tasks that were all called just now."""
    monkeypatch.setattr(health, "_migrated", True)
    now = timezone.now()
    WorkerHeartbeat.objects.create(name="w", started_at=now - timedelta(days=3), beat_at=now, ticked_at=now)
    TaskOutcome.objects.update(created_at=now - timedelta(days=9), begun_at=now, succeeded_at=now)
    Schedule.objects.update(next_run=now + timedelta(minutes=1))


def change(name: str, **fields: Any) -> None:
    TaskOutcome.objects.filter(name=name).update(**fields)


def fail(name: str, **fields: Any) -> None:
    at = timezone.now() - timedelta(hours=2)
    change(name, failures=3, failed_at=at, failing_since=at, error="ValueError: <no> way", **fields)


def ready() -> dict[str, Any]:
    answer = Client().get("/readyz")
    assert answer.status_code == 200, "no scheduled task takes the web server out of service"
    return answer.json()


def page(address: str = "/operations/") -> str:
    client = Client()
    client.force_login(make_user(Role.ENGINEER))
    return client.get(address).content.decode()


def bad() -> list[tuple[str, str]]:
    """Return (name, state) of what `/readyz` tells."""
    return [(task["name"], task["state"]) for task in ready()["checks"]["tasks"].get("failed", [])]


def test_while_all_is_well_nothing_is_told() -> None:
    assert ready()["checks"]["tasks"] == {"ok": True}
    assert ready()["warnings"] == []
    assert "All is well" in page()
    assert "Removal of what is no longer kept" not in page()
    assert "Removal of what is no longer kept" in page("/operations/tasks/")


def test_a_task_that_failed_is_shown_until_it_succeeds() -> None:
    fail("retention")
    answer = ready()
    assert (answer["ok"], answer["warnings"]) == (True, ["tasks"])
    tasks = answer["checks"]["tasks"]
    assert (tasks["ok"], tasks["code"]) == (False, "SCHEDULED_TASKS_FAILED")
    [failed] = tasks["failed"]
    assert (failed["name"], failed["state"], failed["failures"]) == ("retention", "FAILED", 3)
    assert datetime.fromisoformat(failed["since"]) < timezone.now() - timedelta(hours=1)
    assert "no> way" not in str(answer)  # whoever asks has not signed in
    for address in ("/operations/", "/operations/tasks/"):
        html = page(address)
        assert "Removal of what is no longer kept" in html
        assert "ValueError: &lt;no&gt; way" in html
        assert "3 times in a row" in html
    assert "some scheduled tasks fail" in page()
    change("retention", failures=0, failing_since=None, error="")
    assert bad() == []


def test_a_run_that_does_not_end_is_told_before_the_next_begins() -> None:
    change("time rules", running_since=timezone.now() - longest_run() + timedelta(seconds=5))
    assert bad() == []
    change("time rules", running_since=timezone.now() - longest_run() - timedelta(seconds=5))
    assert bad() == [("time rules", "NOT_ENDED")]


def test_a_task_that_is_not_called_though_due_is_overdue() -> None:
    change("time rules", begun_at=timezone.now() - GRACE + timedelta(seconds=5))
    assert bad() == []
    change("time rules", begun_at=timezone.now() - GRACE - timedelta(minutes=2))
    assert bad() == [("time rules", "OVERDUE")]


def test_a_nightly_task_is_overdue_in_the_morning_and_not_in_the_evening(monkeypatch: pytest.MonkeyPatch) -> None:
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    change("retention", begun_at=today - timedelta(hours=21))  # last night at three
    WorkerHeartbeat.objects.update(started_at=today - timedelta(days=3))

    def is_overdue(at: datetime) -> bool:
        monkeypatch.setattr(scheduled_tasks.timezone, "now", lambda: at)
        workers = list(WorkerHeartbeat.objects.all())
        Schedule.objects.update(next_run=at + timedelta(hours=1))
        statuses = scheduled_tasks.list_statuses(workers, lately=today - timedelta(days=1))
        return any(task.name == "retention" and task.state == "OVERDUE" for task in statuses)

    assert not is_overdue(today)
    assert not is_overdue(today + timedelta(hours=3, minutes=14))
    assert is_overdue(today + timedelta(hours=3, minutes=16))


def test_a_schedule_that_nobody_picks_is_overdue() -> None:
    """django-q2 calls nothing any more when it cannot read one schedule, say of a bad cron expression."""
    late = timezone.now() - GRACE - timedelta(minutes=1)
    Schedule.objects.create(name="theirs", func="math.gcd", schedule_type=Schedule.CRON, cron="* * * * *")
    Schedule.objects.filter(name="theirs").update(cron="nonsense", next_run=late)
    Schedule.objects.filter(name="retention").update(next_run=late)
    assert bad() == [("retention", "OVERDUE"), ("theirs", "OVERDUE")]


def test_what_is_new_is_not_overdue_and_what_has_stopped_for_good_neither() -> None:
    change("retention", begun_at=None, succeeded_at=None, created_at=timezone.now())
    Schedule.objects.filter(name="partitions").update(repeats=0, next_run=timezone.now() - timedelta(days=9))
    assert bad() == []
    assert "Not called yet" in page("/operations/tasks/")


def test_without_a_worker_or_with_one_that_just_started_nothing_is_overdue() -> None:
    change("time rules", begun_at=timezone.now() - timedelta(hours=9))
    Schedule.objects.update(next_run=timezone.now() - timedelta(hours=9))
    assert ("time rules", "OVERDUE") in bad()
    WorkerHeartbeat.objects.update(started_at=timezone.now())
    assert bad() == []
    WorkerHeartbeat.objects.all().delete()
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["tasks"]) == (503, {"ok": True})  # the worker's check says it


def test_who_may_see_the_tasks() -> None:
    client = Client()
    client.force_login(make_user(Role.OPERATOR))
    assert client.get("/operations/tasks/").status_code == 403
    assert Client().get("/operations/tasks/").status_code == 302
