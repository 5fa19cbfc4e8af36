"""What the statement that writes an event asks of the rules: whether somebody must handle it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from mes.platform import request_ids
from mes.platform.outbox import processor
from mes.platform.outbox.emit import NewEvent, SetHandler, emit
from mes.platform.outbox.models import EventType, MesEvent
from mes.time_rules import handlers
from mes.time_rules.models import TimeRuleDefinition
from mes.time_rules.rules import matches
from tests.thoroughness import examples
from tests.time_rules.support import at, make_rule, statuses

WASHED = {"operationKind": "WASH", "operationCode": "WASH", "attempt": 1, "source": "MANUAL", "result": "PASS"}


def write(event_type: EventType = EventType.TRACK_OUT, key: str = "k", minutes: float = 0, **payload: Any) -> str:
    """Write an event of washing as execution does; return its status."""
    with transaction.atomic():
        emit(NewEvent(event_type, key, "UNIT", "SN-1", at(minutes), payload={**WASHED, **payload}))
    return MesEvent.objects.get(idempotency_key=key).status


def in_thread(work: Any) -> Any:
    def alone() -> Any:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(alone).result(timeout=60)


@pytest.mark.django_db
def test_what_no_rule_asks_for_is_written_as_a_worker_would_complete_it(settings) -> None:
    request_ids.take("")
    assert write() == "COMPLETED"
    make_rule(
        "OTHER", start_event="TRACK_IN", start_condition={"operationKind": "REFLOW"}, end_condition={"attempt": 3}
    )
    MesEvent.objects.create(
        event_type="TRACK_OUT",
        idempotency_key="by a worker",
        entity_type="UNIT",
        entity_id="SN-1",
        occurred_at=at(0),
        payload=WASHED,
        next_attempt_at=at(0),
    )
    assert processor.process_due() == 1
    at_once, by_worker = MesEvent.objects.order_by("pk")
    for event in (at_once, by_worker):
        assert event.retention_until == event.completed_at + settings.MES_EVENT_RETENTION
        assert event.begun_at is not None
    for name in ("status", "attempts", "error", "max_attempts", "payload", "run_id", "request_id"):
        assert getattr(at_once, name) == getattr(by_worker, name), name
    settings.MES_EVENT_RETENTION = None
    write(key="for ever")
    assert MesEvent.objects.get(idempotency_key="for ever").retention_until is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"start_condition": {"operationKind": ["WASH"], "result": "PASS"}}, "PENDING"),
        ({"start_condition": {}}, "PENDING"),
        ({"start_condition": {"operationKind": ["WASH"], "result": ["FAIL"]}}, "COMPLETED"),
        ({"start_condition": {"operationKind": ["WASH"]}, "is_active": False}, "COMPLETED"),
        ({"start_condition": {"operationKind": ["WASH"]}, "start_event": "TRACK_IN"}, "COMPLETED"),
        ({"end_event": "TRACK_OUT", "end_condition": {"attempt": [1, 2]}}, "PENDING"),
        ({"end_event": "TRACK_OUT", "end_condition": {"attempt": 1}, "is_active": False}, "PENDING"),
        ({"end_event": "TRACK_OUT", "end_condition": {"attempt": 2}}, "COMPLETED"),
        ({"end_event": "TRACK_OUT", "end_condition": {"unknown": ["x"]}}, "COMPLETED"),
        ({"start_condition": ["no", "object"]}, "PENDING"),
    ],
)
def test_starts_of_active_rules_and_ends_of_all_are_wanted(fields: dict[str, Any], status: str) -> None:
    make_rule(**fields)
    assert write() == status


@pytest.mark.django_db
def test_what_takes_the_place_of_another_is_wanted_whatever_it_says() -> None:
    assert write(supersedes="track-out:1") == "PENDING"
    assert write(key="none", supersedes=None) == "COMPLETED"


@pytest.mark.django_db
def test_a_clock_of_a_rule_that_was_switched_off_still_ends() -> None:
    rule = make_rule(start_condition={"result": "PASS"}, end_event="TRACK_OUT", end_condition={"result": "FAIL"})
    write(key="start", trackId="1")
    MesEvent.objects.update(next_attempt_at=at(0))
    processor.process_due()
    assert statuses() == ["ACTIVE"]
    TimeRuleDefinition.objects.filter(pk=rule.pk).update(is_active=False)
    assert write(key="end", minutes=5, trackId="2", result="FAIL") == "PENDING"
    MesEvent.objects.exclude(status="COMPLETED").update(next_attempt_at=at(0))
    processor.process_due()
    assert statuses() == ["COMPLETED"]


VALUES = st.sampled_from(["REFLOW", "WASH", "1", 1, 2, None])
CONDITIONS = st.dictionaries(
    st.sampled_from(["operationKind", "attempt", "source"]), st.one_of(VALUES, st.lists(VALUES, max_size=3)), max_size=3
)
FITS = "SELECT {} FROM (SELECT %s::jsonb AS payload) e, (SELECT %s::jsonb AS condition) d"


@settings(max_examples=examples(75, 300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=CONDITIONS, payload=st.dictionaries(st.sampled_from(["operationKind", "attempt", "x"]), VALUES))
@pytest.mark.django_db
def test_the_database_finds_what_the_rules_find(condition: dict[str, Any], payload: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FITS.format(handlers.fits("d.condition")), [Jsonb(payload), Jsonb(condition)])
        assert cursor.fetchone() == (matches(condition, payload),)


def race_of_a_rule() -> list[str]:
    """Write an event in a transaction that began before a rule was committed that it starts; return the clocks."""
    with transaction.atomic():
        assert write(key="before") == "COMPLETED"  # whatever is remembered of rules is warm
        in_thread(lambda: make_rule(start_condition={"operationKind": ["WASH"]}))
        write(key="after")
    processor.process_due()
    return statuses()


@pytest.mark.django_db(transaction=True)
def test_a_rule_that_is_committed_before_the_statement_of_an_event_has_it() -> None:
    assert race_of_a_rule() == ["ACTIVE"]


@pytest.mark.django_db(transaction=True)
def test_control_a_condition_that_was_remembered_loses_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    of_before = SetHandler(handlers.handle, interest="false")
    for event_type in handlers.ENTITY_OF_EVENT:
        monkeypatch.setitem(emit.__globals__["handlers"], event_type, [of_before])
    assert race_of_a_rule() == []
