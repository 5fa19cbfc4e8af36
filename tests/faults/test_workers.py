"""Workers that die, several at once, events that always fail: real processes, leases of two seconds."""

import os
import random
import time

import pytest
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from mes.platform.outbox.models import EventStatus, MesEvent, WorkerHeartbeat
from tests.faults.conftest import LEASE, ask, kill, make_events, not_completed
from tests.platform.outbox.support import eventually

pytestmark = pytest.mark.waiting

OVERLAPS = """
    SELECT a.event_id FROM fault_span a JOIN fault_span b ON a.event_id = b.event_id AND a.id < b.id
     WHERE a.began < COALESCE(b.ended, clock_timestamp()) AND b.began < COALESCE(a.ended, clock_timestamp())
"""


def has_ended(pid: int) -> bool:
    """Whether a process is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("kills", [8, pytest.param(20, marks=pytest.mark.long)])
def test_a_worker_killed_often_has_every_effect_once_and_holds_nothing_longer_than_its_lease(start, kills):
    events = kills * 100
    make_events(events, takes=0.002)
    chance = random.Random(20)
    killed_at_work = 0
    for _time in range(kills):
        pid = start()
        time.sleep(chance.uniform(0.1, 0.5))
        killed_at_work += not_completed() > 0
        kill(pid)
        longest = MesEvent.objects.filter(status=EventStatus.PROCESSING).aggregate(until=Max("next_attempt_at"))
        assert longest["until"] is None or (longest["until"] - timezone.now()).total_seconds() <= LEASE
    assert killed_at_work == kills, "the events did not last for all the kills"
    start()
    eventually(lambda: not_completed() == 0, within=120)
    assert ask("SELECT count(*), count(DISTINCT event_id) FROM fault_effect") == [(events, events)]
    begun_again = MesEvent.objects.filter(attempts__gt=1).count()
    assert 1 <= begun_again <= kills  # each kill costs the event it hit one attempt, and its neighbours none


@pytest.mark.parametrize("workers", [pytest.param(2, marks=pytest.mark.long), 4])
def test_no_event_is_handled_twice_at_the_same_time(start, workers):
    for _worker in range(workers):
        start()
    eventually(lambda: WorkerHeartbeat.objects.count() == workers)
    with transaction.atomic():  # all are there at once
        make_events(3, takes=LEASE + 1, recorded=True)  # the lease ends while they are at work
        make_events(300, takes=0.01, recorded=True)
    eventually(lambda: not_completed() == 0, within=120)
    assert ask(OVERLAPS) == []
    assert ask("SELECT count(DISTINCT pid) FROM fault_span") == [(workers,)]
    assert ask("SELECT count(*), count(DISTINCT event_id) FROM fault_effect") == [(303, 303)]


def test_events_that_always_fail_end_dead_and_the_others_are_on_time(start):
    make_events(30, fails=True, attempts=3)
    start()
    for _second in range(30):
        make_events(2)
        time.sleep(0.2)
    dead = MesEvent.objects.filter(status=EventStatus.DEAD)
    eventually(lambda: dead.count() == 30)
    assert {(event.attempts, event.error) for event in dead} == {(3, "RuntimeError: it always fails")}
    eventually(lambda: not_completed() == 30, within=45)  # the last two may still be on their way
    others = MesEvent.objects.exclude(status=EventStatus.DEAD)
    assert [event.status for event in others] == ["COMPLETED"] * 60
    waited = sorted((event.completed_at - event.created_at).total_seconds() for event in others)
    assert waited[len(waited) // 2] < 2 and waited[-1] < 5, waited  # those that fail are at it for longer
    assert ask("SELECT count(*) FROM fault_effect") == [(60,)]  # what failed has had none


def test_workers_killed_in_their_sets_have_every_effect_once(start):
    make_events(800, takes=0.002)
    chance = random.Random(5)
    for _time in range(6):
        pid = start("sets")
        time.sleep(chance.uniform(0.05, 0.3))
        assert not_completed() > 0, "the events did not last for all the kills"
        kill(pid)
    for _worker in range(2):
        start("sets")
    eventually(lambda: not_completed() == 0, within=120)
    assert ask("SELECT count(*), count(DISTINCT event_id) FROM fault_effect") == [(800, 800)]
    assert MesEvent.objects.filter(attempts__gt=1).count() <= 6  # one that a worker was at alone; none of a set


def test_an_event_that_kills_its_workers_is_given_up_and_its_set_loses_no_attempt(start):
    make_events(5)
    make_events(1, kills=True, attempts=2)
    make_events(5)
    open_events = MesEvent.objects.exclude(status__in=[EventStatus.COMPLETED, EventStatus.DEAD])
    deaths = 0
    while open_events.exists():
        pid = start("sets")
        eventually(lambda pid=pid: not open_events.exists() or has_ended(pid))
        deaths += has_ended(pid)
        assert deaths <= 3
    assert deaths == 3  # once in the set, and twice by itself
    killer = MesEvent.objects.get(status=EventStatus.DEAD)
    assert killer.payload["kills"]
    assert set(MesEvent.objects.exclude(pk=killer.pk).values_list("status", "attempts")) == {("COMPLETED", 1)}
    assert ask("SELECT count(*), count(DISTINCT event_id) FROM fault_effect") == [(10, 10)]
