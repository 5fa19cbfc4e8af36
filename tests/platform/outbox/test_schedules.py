"""What the worker calls by the clock: registered by its subject, corrected after migrations, rid of what is gone."""

import pydoc
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from mes.platform.monitoring import retention_runs
from mes.platform.outbox import schedules
from mes.platform.outbox.models import TaskOutcome
from mes.platform.outbox.schedules import create_schedules

pytestmark = pytest.mark.django_db


def gone() -> None:
    """Stand for a function of a module that was moved since."""


def queue(func: Any, **options: Any) -> OrmQ:
    """Leave a task in the queue; return its row."""
    async_task(func, **options)
    return OrmQ.objects.latest("pk")


def test_schedules_exist_once_after_each_migration_and_are_corrected() -> None:
    def found() -> dict[str | None, tuple[str, str | None]]:
        assert Schedule.objects.count() == len(list(schedules.tasks))
        return {item.name: (item.func, item.cron) for item in Schedule.objects.all()}

    expected = {task.name: (task.func, task.cron) for task in schedules.tasks}
    assert found() == expected
    Schedule.objects.filter(name="tick").update(cron="0 0 * * * *")
    for _time in range(2):
        call_command("migrate", verbosity=0)
        assert found() == expected
    assert expected["tick"] == ("mes.platform.outbox.tasks.tick", "* * * * * */30")
    assert {"retention", "time rules", "partitions", "ingest waiting"} <= expected.keys()


def test_every_task_has_a_label_and_a_function_that_is_found_by_its_path() -> None:
    for task in schedules.tasks:
        assert str(task.label)
        assert pydoc.locate(task.func) is task.run


def test_the_name_of_a_function_is_corrected_and_what_is_due_stays_due() -> None:
    """After an upgrade: the nightly run that was due while the server was stopped is not put off by a night."""
    due = timezone.now() - timedelta(hours=3)
    Schedule.objects.filter(name="retention").update(func="mes.somewhere.retain", next_run=due)
    create_schedules()
    schedule = Schedule.objects.get(name="retention")
    assert (schedule.func, schedule.next_run) == ("mes.platform.monitoring.retention_runs.retain", due)


def test_a_schedule_that_is_there_twice_stops_no_other() -> None:
    """Nothing in django-q2's table forbids it, and looking one up by its name would raise."""
    twin = Schedule.objects.get(name="retention")
    twin.pk = None
    twin.save()
    Schedule.objects.filter(name__in=["partitions", "tick", "time rules"]).update(func="mes.somewhere.gone")
    create_schedules()
    assert Schedule.objects.filter(name="retention").count() == 1
    assert not Schedule.objects.filter(func="mes.somewhere.gone").exists()
    assert Schedule.objects.filter(name__in=["partitions", "tick", "time rules"]).count() == 3


def test_a_bad_schedule_stops_neither_the_others_nor_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    correct = schedules._correct

    def fail_for_one(task: schedules.ScheduledTask) -> None:
        if task.name == "retention":  # between "partitions" and "tick"
            raise ValueError("no way")
        correct(task)

    monkeypatch.setattr(schedules, "_correct", fail_for_one)
    Schedule.objects.all().delete()
    create_schedules()
    names = set(Schedule.objects.values_list("name", flat=True))
    assert names == {task.name for task in schedules.tasks} - {"retention"}
    assert set(TaskOutcome.objects.values_list("name", flat=True)) == names


def test_a_schedule_of_a_function_that_is_not_registered_is_dropped() -> None:
    """It was moved since, or was never ours: the worker would not call it."""
    for name, func in (("of old", "mes.events.tasks.tick"), ("theirs", "os.system")):
        Schedule.objects.create(name=name, func=func, schedule_type=Schedule.CRON, cron="* * * * *")
    create_schedules()
    assert Schedule.objects.count() == len(list(schedules.tasks))


def test_queued_tasks_whose_function_is_gone_are_dropped_at_the_upgrade_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = queue("mes.platform.outbox.tasks.tick", group="tick")
    queue("mes.events.tasks.tick", group="tick")
    queue(gone)  # pickled by reference to a module that will not be there
    garbled = queue("mes.platform.outbox.tasks.tick")
    OrmQ.objects.filter(pk=garbled.pk).update(payload="no pickle")
    last = queue(retention_runs.TASK.func, group="retention")
    monkeypatch.delattr(f"{__name__}.gone")
    call_command("migrate", verbosity=0)
    assert set(OrmQ.objects.values_list("pk", flat=True)) == {good.pk, last.pk}


def test_outcomes_of_schedules_that_are_gone_are_forgotten() -> None:
    TaskOutcome.objects.create(name="of old", failures=7, error="Function mes.events.tasks.tick is not defined")
    create_schedules()
    assert set(TaskOutcome.objects.values_list("name", flat=True)) == {task.name for task in schedules.tasks}


def test_a_task_that_goes_on_is_queued_as_the_same_task() -> None:
    task = retention_runs.TASK
    task.queue_again(17, 2)
    queued = SignedPackage.loads(OrmQ.objects.latest("pk").payload)
    assert (queued["func"], queued["args"], queued["group"]) == (task.func, (17, 2), "retention")
