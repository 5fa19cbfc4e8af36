"""Device data under concurrency: an event counts once, and a failing reading is never passed over."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from execution import moves
from execution.models import DataValue, Track
from integration.device_data import consequences
from integration.models import DeviceDataRecord, FailedMessage, IntegrationMessage
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.outbox.models import MesEvent
from mes.production.models import Unit
from tests.factories import make_plant
from tests.integration.helpers import EVENTS, another, at_once, by_track, make_event, reading, track_out
from tests.race.conftest import put_into_oven

THREADS = 32


def post(client: APIClient, body: dict[str, Any]) -> Callable[[], Any]:
    """Return a call that sends an event and returns (status, data or error)."""

    def call() -> Any:
        answer = another(client).post(EVENTS, body)
        document = answer.json()
        return answer.status_code, document.get("data") or document["error"]

    return call


@contextmanager
def without_key() -> Iterator[None]:
    """For the control: the key table takes the same key twice."""
    table = IdempotencyKey._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'", [table])
        name = cursor.fetchone()[0]
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        try:
            yield
        finally:
            cursor.execute(f"TRUNCATE {table}")
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY (channel, key)")


@pytest.mark.parametrize("value", [245, 251, 260], ids=["pass", "key failure", "alarm"])
def test_of_many_posts_of_one_event_one_is_applied_and_the_others_are_duplicates(
    person: APIClient, value: float
) -> None:
    make_plant()
    put_into_oven(person, "SN-1")
    answers = at_once(post(person, make_event("evt-1", reading(value))), times=THREADS)
    assert Counter(status for status, _data in answers) == {201: 1, 200: THREADS - 1}
    assert Counter(data["isDuplicate"] for _status, data in answers) == {False: 1, True: THREADS - 1}
    assert len({data["id"] for _status, data in answers}) == 1
    assert DeviceDataRecord.objects.count() == DataValue.objects.count() == IdempotencyKey.objects.count() == 1
    statuses = IntegrationMessage.objects.order_by().values_list("status", flat=True)
    assert Counter(statuses) == {"SUCCESS": 1, "DUPLICATE": THREADS - 1}
    assert MesEvent.objects.filter(event_type="DATA_ALARM").count() == (value == 260)
    assert not FailedMessage.objects.exists()


def test_control_without_the_key_one_event_is_applied_more_than_once(person: APIClient) -> None:
    make_plant()
    put_into_oven(person, "SN-1")
    with without_key():
        at_once(post(person, make_event()), times=8)
        assert DeviceDataRecord.objects.count() > 1


@pytest.mark.parametrize("values", [(245, 246), (245, 260), (251, 260)])
def test_of_two_contents_under_one_id_one_wins(person: APIClient, values: tuple[float, float]) -> None:
    make_plant()
    put_into_oven(person, "SN-1")
    first, second = (make_event("evt-1", reading(value), eventTime="2026-03-10T10:00:00Z") for value in values)
    half = THREADS // 2
    answers = at_once(post(person, first), post(person, second), times=half)
    assert Counter(status for status, _data in answers) == {201: 1, 200: half - 1, 409: half}
    assert {error["code"] for status, error in answers if status == 409} == {"EVENT_ID_CONFLICT"}
    record = DeviceDataRecord.objects.get()
    assert [v.value_number for v in DataValue.objects.all()] == [record.data[0]["valueNumber"]]
    statuses = IntegrationMessage.objects.order_by().values_list("status", flat=True)
    assert Counter(statuses) == {"SUCCESS": 1, "DUPLICATE": half - 1, "CONFLICT": 1}
    assert FailedMessage.objects.get().count == half  # the same content again counts up


def test_the_same_failure_at_once_is_one_message(person: APIClient) -> None:
    make_plant()
    answers = at_once(post(person, make_event()), times=THREADS)
    assert {(status, error["code"]) for status, error in answers} == {(404, "TRACK_NOT_FOUND")}
    assert FailedMessage.objects.get().count == THREADS


def test_failing_while_another_like_it_succeeds_leaves_one_record(person: APIClient) -> None:
    """The track is made while the events come in."""
    make_plant()
    put_into_oven(person, "SN-1")
    track = Track.objects.get(out_at=None)
    Track.objects.filter(pk=track.pk).update(step_no=10)  # hides it from the four names
    body = make_event()

    def appear() -> Any:
        Track.objects.filter(pk=track.pk).update(step_no=20)
        return 0, {}

    answers = at_once(*[post(person, body)] * 8, appear, *[post(person, body)] * 8)
    assert set(Counter(status for status, _data in answers)) <= {0, 200, 201, 404}
    assert DeviceDataRecord.objects.count() <= 1


# --- a failing reading against the track-out --------------------------------------------------------------


def fail_and_leave(person: APIClient, sn: str) -> Unit:
    """Send a failing KEY value and track out as PASS at the same time; return the unit as it then is."""
    track_id = put_into_oven(person, sn)
    sent, left = at_once(
        post(person, by_track(f"evt-{sn}", track_id, reading(251))),
        lambda: (200, track_out(another(person), "REF-01", sn)),
    )
    assert (sent[0], left[0]) == (201, 200)
    return Unit.objects.get(sn=sn)


def is_caught(unit: Unit) -> bool:
    """Whether the failure reached the unit: by its track's result, or by a hold."""
    result = Track.objects.get(unit=unit, step_no=20).result
    return (unit.status, result) in {("OUT_FAILED", "FAIL"), ("ON_HOLD", "PASS")}


def test_a_failing_reading_is_never_passed_over(person: APIClient) -> None:
    plant = make_plant(units=30)
    units = [fail_and_leave(person, sn) for sn in plant.sns]
    assert [unit.sn for unit in units if not is_caught(unit)] == []


def widen(slow: Callable[..., None]) -> None:
    slow(moves, "_advance", before=0.1)  # after the values were read, before the commit
    slow(consequences, "_find_failed_late", after=0.1)  # after the track was read, before the commit


def test_a_failing_reading_is_never_passed_over_though_both_take_long(
    person: APIClient, slow: Callable[..., None]
) -> None:
    plant = make_plant(units=5)
    widen(slow)
    units = [fail_and_leave(person, sn) for sn in plant.sns]
    assert [unit.sn for unit in units if not is_caught(unit)] == []


def test_control_without_locks_a_failing_reading_is_passed_over(
    person: APIClient, slow: Callable[..., None], without_locks: None
) -> None:
    plant = make_plant(units=5)
    widen(slow)
    units = [fail_and_leave(person, sn) for sn in plant.sns]
    assert not all(is_caught(unit) for unit in units)
