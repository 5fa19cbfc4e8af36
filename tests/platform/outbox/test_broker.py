"""The worker runs registered tasks and nothing else, whatever stands in django-q2's tables."""

from typing import Any

import pytest
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from mes.platform.outbox.broker import RegisteredTasksBroker

pytestmark = pytest.mark.django_db
TICK = "mes.platform.outbox.tasks.tick"


def queue(func: Any, **options: Any) -> int:
    async_task(func, **options)
    return OrmQ.objects.latest("pk").pk


def taken() -> list[int]:
    """Return the ids of all tasks that a worker would be given."""
    broker = get_broker()
    assert isinstance(broker, RegisteredTasksBroker)
    ids: list[int] = []
    for _turn in range(OrmQ.objects.count() + 1):
        ids += [task_id for task_id, _payload in broker.dequeue() or ()]
    return ids


@pytest.mark.parametrize(
    ("func", "options"),
    [
        ("os.system", {}),
        ("mes.platform.outbox.tasks.os.system", {}),
        ("mes.platform.accounts.tokens.issue_token", {}),
        (TICK, {"hook": "os.system"}),
        (print, {}),
        (None, {}),
    ],
)
def test_what_is_not_registered_is_dropped_and_delays_nothing(func: Any, options: dict[str, Any]) -> None:
    dropped = queue(func, **options)
    good = queue(TICK)
    assert taken() == [good]
    assert not OrmQ.objects.filter(pk=dropped).exists()


def test_a_payload_that_cannot_be_read_is_dropped() -> None:
    forged = queue(TICK)
    OrmQ.objects.filter(pk=forged).update(payload=SignedPackage.dumps({"func": TICK})[:-1] + "x")
    assert taken() == []
    assert not OrmQ.objects.exists()


@pytest.mark.django_db(transaction=True)  # the scheduler begins on a connection of its own
def test_a_schedule_that_somebody_typed_calls_nothing() -> None:
    Schedule.objects.all().delete()
    Schedule.objects.create(func="os.system", args="'touch /tmp/owned'", schedule_type=Schedule.ONCE)
    Schedule.objects.update(next_run=timezone.now())
    scheduler(broker=get_broker())
    assert OrmQ.objects.count() == 1
    assert taken() == []
