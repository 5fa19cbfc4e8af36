"""The outbox and its processor: written once, claimed by one, effects once, failures backed off and given up."""

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from mes.plant.models import Line
from mes.platform.hooks import Hook
from mes.platform.outbox import emit as emission
from mes.platform.outbox import (
    heartbeats,
    processor,
    tasks,
)
from mes.platform.outbox.emit import NewEvent, emit
from mes.platform.outbox.models import (
    EventStatus,
    EventType,
    MesEvent,
    WorkerHeartbeat,
)
from tests import databases
from tests.platform.outbox import support
from tests.platform.outbox.support import make_event

PROJECT = Path(__file__).resolve().parents[3]


def new_event(key: str = "k", **fields: Any) -> NewEvent:
    return NewEvent(EventType.TRACK_IN, key, "UNIT", "SN-1", timezone.now(), **fields)


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Start without any handler; what is registered is forgotten afterwards."""
    for event_type in emission.handlers:
        monkeypatch.setitem(emission.handlers, event_type, Hook())

    def register(*given: emission.Handler, event_type: EventType = EventType.TRACK_IN) -> None:
        emission.handlers[event_type].register(*given)

    return register


def claim(limit: int = 50) -> tuple[uuid.UUID, list[int]]:
    token = uuid.uuid4()
    return token, support.claim(token, limit)


def in_thread(work: Callable[[], Any]) -> Any:
    """Do something on a connection of its own."""

    def alone() -> Any:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(alone).result(timeout=60)


def end_lease(event: MesEvent) -> None:
    MesEvent.objects.filter(pk=event.pk).update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def make_line_of(event: MesEvent) -> None:
    """A handler with an effect: a line named like the event's entity, and a second one if it runs again."""
    Line.objects.create(code=f"{event.entity_id}-{Line.objects.count()}", name="x", process_type="SMT")


def explode(event: MesEvent) -> None:
    raise ValueError(f"no way\x00 with {event.entity_id}")


# --- writing -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_event_is_pending_and_due_at_once(handlers):
    handlers(make_line_of, event_type=EventType.DATA_ALARM)
    occurred = timezone.now() - timedelta(hours=3)
    emit(NewEvent(EventType.DATA_ALARM, "k", "UNIT", "SN-1", occurred, run_id=7, payload={"a": 1}))
    event = MesEvent.objects.get()
    assert (event.event_type, event.status, event.attempts) == ("DATA_ALARM", "PENDING", 0)
    assert (event.entity_type, event.entity_id, event.run_id, event.payload) == ("UNIT", "SN-1", 7, {"a": 1})
    assert event.occurred_at == occurred
    assert event.next_attempt_at <= timezone.now()


@pytest.mark.django_db
def test_emitting_a_key_twice_writes_it_once():
    emit(new_event(payload={"n": 1}), new_event("other"))
    emit(new_event(payload={"n": 2}))
    emit(new_event("third"), new_event("third"))
    assert list(MesEvent.objects.order_by("id").values_list("idempotency_key", flat=True)) == ["k", "other", "third"]
    assert MesEvent.objects.get(idempotency_key="k").payload == {"n": 1}


@pytest.mark.django_db(transaction=True)
def test_emitting_outside_a_transaction_raises_and_writes_nothing():
    with pytest.raises(transaction.TransactionManagementError):
        emit(new_event())
    assert not MesEvent.objects.exists()
    with transaction.atomic():
        emit(new_event())
    assert MesEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_event_exists_exactly_when_its_transaction_commits():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        emit(new_event())
        raise ZeroDivisionError
    assert not MesEvent.objects.exists()


@pytest.mark.django_db
def test_emitting_nothing_asks_the_database_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        emit()


# --- claiming ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_oldest_due_are_claimed_first():
    events = {ago: make_event(f"k{ago}", due_ago=ago) for ago in (10, 30, 20, 40, -60)}
    _token, first = claim(2)
    assert sorted(first) == sorted([events[40].pk, events[30].pk])
    _token, second = claim()
    assert sorted(second) == sorted([events[20].pk, events[10].pk])
    assert claim()[1] == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "is_due"),
    [("PENDING", True), ("FAILED", True), ("PROCESSING", True), ("COMPLETED", False), ("DEAD", False)],
)
def test_what_is_settled_is_not_claimed(status, is_due):
    make_event("k", status=status)
    assert bool(claim()[1]) is is_due


@pytest.mark.django_db
def test_the_attempt_is_counted_before_the_work():
    event = make_event("k")
    token, claimed = claim()
    event.refresh_from_db()
    assert claimed == [event.pk]
    assert (event.status, event.attempts, event.claim_token) == ("PROCESSING", 0, token)
    assert processor.begin(event_id=event.pk, token=token)
    event.refresh_from_db()
    assert (event.status, event.attempts, event.begun_at is not None) == ("PROCESSING", 1, True)


@pytest.mark.django_db(transaction=True)
def test_events_that_were_claimed_and_not_begun_lose_no_attempt_and_are_given_back(handlers):
    handlers(lambda event: time.sleep(0.05))
    for number in range(20):
        make_event(f"k{number}")
    handled = processor.process_due(budget=timedelta(milliseconds=500))
    left = MesEvent.objects.filter(status="PENDING", attempts=0, claim_token=None)
    assert 0 < handled < 20
    assert left.count() == 20 - handled
    assert processor.process_due() == 20 - handled


@pytest.mark.django_db
def test_a_claim_is_a_lease(settings):
    settings.MES_EVENT_LEASE = timedelta(seconds=77)
    event = make_event("k")
    claim()
    event.refresh_from_db()
    assert 70 < (event.next_attempt_at - timezone.now()).total_seconds() <= 77


@pytest.mark.django_db
def test_no_plan_of_the_database_claims_more_than_the_limit():
    for number in range(6):
        make_event(f"k{number}")
    with connection.cursor() as cursor:
        # Forces a nested loop semi join, which evaluates a subquery once for each row. Few or old statistics do too.
        for name in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "indexscan", "bitmapscan"):
            cursor.execute(f"SET LOCAL enable_{name} = off")
        cursor.execute("ANALYZE mes_mesevent")
    assert len(claim(2)[1]) == 2


@pytest.mark.django_db(transaction=True)
def test_a_second_worker_steps_over_what_the_first_is_claiming():
    events = [make_event(f"k{number}", due_ago=100 - number) for number in range(4)]
    with transaction.atomic():  # the first worker's claim is not committed yet
        _token, first = claim(2)
        second = in_thread(lambda: claim(4)[1])
    assert (first, second) == ([events[0].pk, events[1].pk], [events[2].pk, events[3].pk])


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_never_claim_the_same_event():
    MesEvent.objects.bulk_create(
        MesEvent(
            event_type="TRACK_IN",
            entity_type="UNIT",
            entity_id=str(number),
            idempotency_key=str(number),
            occurred_at=timezone.now(),
        )
        for number in range(200)
    )
    together = threading.Barrier(4)

    def work() -> list[int]:
        found: list[int] = []
        together.wait(timeout=60)
        for _turn in range(50):
            found += claim(7)[1]
        connection.close()
        return found

    with ThreadPoolExecutor(4) as pool:
        found = [pk for part in [pool.submit(work) for _ in range(4)] for pk in part.result(timeout=60)]
    assert len(found) == len(set(found)) == 200


@pytest.mark.django_db
def test_the_claim_uses_its_index_beside_many_settled_events():
    with connection.cursor() as cursor:
        # A table that goes with the transaction: other tests need not read around all these dead rows.
        cursor.execute("CREATE TEMPORARY TABLE mes_mesevent (LIKE public.mes_mesevent INCLUDING ALL)")
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname LIKE 'pg_temp%' AND indexdef LIKE '%next_attempt_at%'"
        )
        (due,) = cursor.fetchone()
        cursor.execute(
            """
            INSERT INTO mes_mesevent (event_type, status, idempotency_key, entity_type, entity_id, payload,
                                      occurred_at, created_at, attempts, max_attempts, next_attempt_at, error)
            SELECT 'TRACK_IN', CASE WHEN n <= 200000 THEN 'COMPLETED' ELSE 'PENDING' END, n::text, 'UNIT',
                   n::text, '{}', now(), now(), 1, 10, now() - n * interval '1 second', ''
              FROM generate_series(1, 200100) n
            """
        )
        cursor.execute("ANALYZE mes_mesevent")
        values = {"lease": timedelta(seconds=60), "limit": 50, "token": uuid.uuid4()}
        cursor.execute(f"EXPLAIN (FORMAT TEXT) {processor.CLAIM}", values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert due in plan, plan
    assert "Seq Scan on mes_mesevent" not in plan, plan
    assert len(claim()[1]) == 50


# --- handling ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_event_without_handler_completes(settings):
    event = make_event("k")
    assert processor.process_due() == 1
    event.refresh_from_db()
    assert (event.status, event.attempts, event.error) == ("COMPLETED", 1, "")
    assert event.completed_at is not None
    assert event.retention_until == event.completed_at + settings.MES_EVENT_RETENTION


@pytest.mark.django_db
def test_every_handler_of_the_type_is_called_once_and_no_other(handlers):
    seen: list[tuple[str, str]] = []
    first, second = (lambda event, name=name: seen.append((name, event.entity_id)) for name in ("first", "second"))
    handlers(first, second, first)
    handlers(lambda event: seen.append(("other", event.entity_id)), event_type=EventType.TRACK_OUT)
    make_event("k")
    assert processor.process_due() == 1
    assert processor.process_due() == 0
    assert seen == [("first", "k"), ("second", "k")]


@pytest.mark.django_db
def test_all_that_is_due_is_worked_off_in_batches(settings):
    settings.MES_EVENT_BATCH = 3
    for number in range(8):
        make_event(f"k{number}")
    assert processor.process_due() == 8
    assert not MesEvent.objects.exclude(status="COMPLETED").exists()


@pytest.mark.django_db
def test_no_batch_begins_once_the_time_is_spent(handlers, settings):
    settings.MES_EVENT_BATCH = 2
    handlers(lambda event: time.sleep(0.6))
    for number in range(6):
        make_event(f"k{number}")
    assert processor.process_due(budget=timedelta(seconds=1)) == 2
    assert MesEvent.objects.filter(status="PENDING").count() == 4


@pytest.mark.django_db
def test_a_failure_takes_the_effects_back_and_is_tried_again_later(handlers):
    handlers(make_line_of, explode)
    event = make_event("k")
    processor.process_due()
    event.refresh_from_db()
    assert not Line.objects.exists()
    assert (event.status, event.attempts) == ("FAILED", 1)
    assert event.error == "ValueError: no way with k"
    wait = (event.next_attempt_at - timezone.now()).total_seconds()
    assert 26 < wait < 33.1
    assert processor.process_due() == 0


@pytest.mark.django_db
def test_a_handler_that_breaks_the_transaction_only_fails_its_event(handlers):
    def break_it(event: MesEvent) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1/0")

    handlers(break_it)
    event = make_event("k")
    processor.process_due()
    event.refresh_from_db()
    assert event.status == "FAILED"


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(1, 30), (2, 60), (3, 120), (4, 240), (7, 1920), (8, 3600), (9, 3600), (500, 3600), (32767, 3600)],
)
def test_waiting_doubles_up_to_an_hour_with_jitter(attempts, seconds):
    waits = {processor.backoff(attempts=attempts).total_seconds() for _ in range(50)}
    assert 0.9 * seconds <= min(waits) < max(waits) <= 1.1 * seconds


@pytest.mark.django_db
def test_after_its_attempts_an_event_is_given_up_visibly(handlers):
    handlers(explode)
    event = make_event("k", max_attempts=3)
    states = []
    for _attempt in range(4):
        processor.process_due()
        event.refresh_from_db()
        states.append((event.status, event.attempts))
        end_lease(event)
    assert states == [("FAILED", 1), ("FAILED", 2), ("DEAD", 3), ("DEAD", 3)]
    assert event.error


@pytest.mark.django_db
def test_an_event_whose_workers_always_die_is_given_up_too(handlers):
    calls: list[int] = []
    handlers(lambda event: calls.append(event.pk))
    event = make_event("k", max_attempts=2)
    for _death in range(2):
        token, _claimed = claim()
        processor.begin(event_id=event.pk, token=token)
        end_lease(event)
    processor.process_due()
    event.refresh_from_db()
    assert (event.status, calls) == ("DEAD", [])


@pytest.mark.django_db
def test_an_event_that_always_fails_delays_no_other(handlers):
    def explode_at_poison(event: MesEvent) -> None:
        if event.entity_id == "poison":
            explode(event)

    handlers(explode_at_poison)
    make_event("poison", due_ago=100)
    for number in range(5):
        make_event(f"k{number}", due_ago=50 - number)
    assert processor.process_due() == 6
    assert dict(MesEvent.objects.values_list("entity_id", "status")) == {
        "poison": "FAILED",
        **{f"k{number}": "COMPLETED" for number in range(5)},
    }


# --- workers that die --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_when_the_lease_ends_another_takes_the_event_and_the_late_result_is_ignored(handlers):
    handlers(make_line_of)
    event = make_event("k")
    late, claimed = claim()
    end_lease(event)
    token, again = claim()
    assert claimed == again == [event.pk]
    processor.handle(event_id=event.pk, token=late)
    event.refresh_from_db()
    assert (event.status, event.claim_token, Line.objects.count()) == ("PROCESSING", token, 0)
    processor.record_failure(event_id=event.pk, token=late, error=ValueError("too late"))
    event.refresh_from_db()
    assert (event.status, event.error) == ("PROCESSING", "")
    processor.handle(event_id=event.pk, token=token)
    processor.handle(event_id=event.pk, token=token)
    processor.handle(event_id=event.pk, token=late)
    event.refresh_from_db()
    assert (event.status, event.attempts, Line.objects.count()) == ("COMPLETED", 1, 1)


@pytest.mark.django_db(transaction=True)
def test_an_event_in_work_is_not_taken_though_its_lease_ended(handlers):
    taken: list[list[int]] = []

    def be_slow(event: MesEvent) -> None:
        end_lease(event)
        taken.append(in_thread(lambda: claim()[1]))

    handlers(be_slow)
    make_event("k")
    processor.process_due()
    assert taken == [[]]
    assert MesEvent.objects.get().status == "COMPLETED"


class Crash(BaseException):
    """The process ends here; nothing catches it."""


@pytest.mark.django_db(transaction=True)
def test_effects_and_completion_commit_together(handlers):
    crashes = iter([True, False])

    def crash_once(event: MesEvent) -> None:
        if next(crashes):
            raise Crash

    handlers(make_line_of, crash_once)
    event = make_event("k")
    with pytest.raises(Crash):
        processor.process_due()
    event.refresh_from_db()
    assert (event.status, event.attempts, Line.objects.count()) == ("PROCESSING", 1, 0)
    assert processor.process_due() == 0  # the lease holds
    end_lease(event)
    assert processor.process_due() == 1
    event.refresh_from_db()
    assert (event.status, event.attempts, Line.objects.count()) == ("COMPLETED", 2, 1)


DYING_WORKER = """
import os, sys
import django
django.setup()
from mes.platform.hooks import Hook
from mes.platform.outbox import emit, processor
from mes.platform.outbox.models import EventType
from mes.plant.models import Line

def die(event):
    Line.objects.create(code="EFFECT", name="x", process_type="SMT")
    os._exit(9)

emit.handlers[EventType.TRACK_IN] = Hook()
emit.handlers[EventType.TRACK_IN].register(die)
processor.process_due()
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_between_effect_and_completion_has_no_effect(handlers):
    event = make_event("k")
    environment = {
        **os.environ,
        "DATABASE_URL": databases.own_url(),
        "DJANGO_SETTINGS_MODULE": "mes.settings",
        "SECRET_KEY": "x",
    }
    died = subprocess.run(
        [sys.executable, "-c", DYING_WORKER], cwd=PROJECT, env=environment, capture_output=True, timeout=60, check=False
    )
    assert died.returncode == 9, died.stderr
    event.refresh_from_db()
    assert (event.status, event.attempts, Line.objects.count()) == ("PROCESSING", 1, 0)
    handlers(make_line_of)
    end_lease(event)
    assert processor.process_due() == 1
    event.refresh_from_db()
    assert (event.status, event.attempts, Line.objects.count()) == ("COMPLETED", 2, 1)


# --- the clock ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_tick_works_events_off_and_notes_that_it_ticks():
    make_event("k")
    heartbeats.beat(processed=0)
    before = timezone.now()
    assert tasks.tick() == 1
    assert MesEvent.objects.get().status == "COMPLETED"
    first = WorkerHeartbeat.objects.get().ticked_at
    assert first >= before
    assert tasks.tick() == 0
    assert WorkerHeartbeat.objects.get().ticked_at > first


@pytest.mark.django_db
def test_the_tick_is_noted_before_the_work(handlers):
    def crash(event: MesEvent) -> None:
        raise Crash

    handlers(crash)
    heartbeats.beat(processed=0)
    make_event("k")
    with pytest.raises(Crash):
        tasks.tick()
    assert WorkerHeartbeat.objects.get().ticked_at is not None


@pytest.mark.django_db
def test_a_handler_that_hangs_is_interrupted_and_its_event_tried_again_later(handlers, settings):
    settings.MES_EVENT_TIME_LIMIT = timedelta(seconds=0.3)

    def hang(event: MesEvent) -> None:
        if event.entity_id == "asleep":
            time.sleep(30)
        if event.entity_id == "waiting":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(30)")

    handlers(make_line_of, hang)
    for name in ("asleep", "waiting", "fine"):
        make_event(name)
    start = time.monotonic()
    assert processor.process_due() == 3
    assert time.monotonic() - start < 25
    found = dict(MesEvent.objects.values_list("entity_id", "status"))
    assert found == {"asleep": "FAILED", "waiting": "FAILED", "fine": "COMPLETED"}
    assert "longer than 0.3 s" in MesEvent.objects.get(entity_id="waiting").error
    assert [line.code.partition("-")[0] for line in Line.objects.all()] == ["fine"]


@pytest.mark.django_db
def test_a_worker_that_is_asked_to_stop_ends_its_event_and_gives_the_others_back(handlers):
    asked: list[bool] = []
    handlers(lambda event: asked.append(True))
    for number in range(3):
        make_event(f"k{number}")
    assert processor.process_due(is_stopping=lambda: bool(asked)) == 1
    left = MesEvent.objects.filter(status="PENDING", attempts=0, claim_token=None)
    assert left.count() == 2


@pytest.fixture
def ready(db: None, client: Client) -> Iterator[Callable[[], tuple[int, bool]]]:
    """Ask /readyz; return its status and whether the worker's check holds."""

    def ask() -> tuple[int, bool]:
        response = client.get("/readyz")
        return response.status_code, response.json()["checks"]["worker"]["ok"]

    yield ask


def test_readiness_follows_heartbeat_and_tick(ready, settings):
    late = timezone.now() - timedelta(seconds=3 * settings.MES_TICK_SECONDS + 1)
    assert ready() == (503, False)
    heartbeats.beat(processed=0)
    assert ready() == (200, True)  # it has just started: the first tick comes within half a minute
    WorkerHeartbeat.objects.update(started_at=late)
    assert ready() == (503, False)  # events are worked off, but the clock stands still
    tasks.tick()
    assert ready() == (200, True)
    WorkerHeartbeat.objects.update(beat_at=late)
    assert ready() == (503, False)  # the clock ticks, but the loop hangs
    heartbeats.beat(processed=0)
    assert ready() == (200, True)
    heartbeats.leave()
    assert ready() == (503, False)
    tasks.tick()  # the last task of a worker that was stopped ends after it left
    assert not WorkerHeartbeat.objects.exists()


@pytest.mark.django_db
def test_dead_events_and_those_waiting_for_a_retry_do_not_make_unready(ready):
    heartbeats.beat(processed=0)
    make_event("dead", status=EventStatus.DEAD, due_ago=10_000)
    make_event("failed", status=EventStatus.FAILED, due_ago=10_000)
    assert ready() == (200, True)
