"""Readings in batches: each event is applied or refused by itself, in few statements, and said in order."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from execution.data import values
from execution.models import DataValue, Track
from integration.device_data import writing
from integration.models import DeviceDataRecord, FailedMessage, IntegrationMessage
from mes.platform.outbox.models import MesEvent
from mes.routing.snapshots import KEPT_WITH_VALUES
from tests.factories import Plant, make_spec
from tests.integration.helpers import EVENTS, into_oven, list_messages, make_event, moment, reading

BATCH = f"{EVENTS}/batch"


def send(client: APIClient, *events: Any) -> list[tuple[str | None, str]]:
    """Send a batch; return the event id and the status of each result."""
    answer = client.post(BATCH, {"events": events})
    assert answer.status_code == 200, answer.content
    return [(one["eventId"], one["status"]) for one in answer.json()["data"]["results"]]


def send_raw(client: APIClient, *events: bytes) -> list[tuple[str | None, str]]:
    """Send a batch as bytes."""
    body = b'{"events": [' + b", ".join(events) + b"]}"
    answer = client.post(BATCH, body, content_type="application/json")
    assert answer.status_code == 200, answer.content
    return [
        (one["eventId"], one.get("error", {}).get("code", one["status"])) for one in answer.json()["data"]["results"]
    ]


def raw(event_id: str, **fields: Any) -> bytes:
    return json.dumps(make_event(event_id, **fields)).encode()


POISONED = {
    "NUL": (raw("bad").replace(b'"RUN-1"', b'"RUN\\u0000"'), "VALIDATION_ERROR"),
    "NUL in what nobody reads": (raw("bad").replace(b'"AUTO"', b'"AUTO", "x": "\\u0000"'), "VALIDATION_ERROR"),
    "a lone surrogate": (raw("bad").replace(b'"RUN-1"', b'"\\ud800"'), "VALIDATION_ERROR"),
    "no UTF-8": (raw("bad").replace(b'"RUN-1"', b'"\xff"'), "PARSE_ERROR"),
    "too deep": (b"[" * 70 + b"]" * 70, "PARSE_ERROR"),
    "a number out of range": (raw("bad").replace(b"245.0", b"1e999"), "PARSE_ERROR"),
    "no object": (b'"nonsense"', "VALIDATION_ERROR"),
}


def test_a_malformed_event_is_answered_with_the_id_it_carries(device: APIClient) -> None:
    results = send(device, {"eventId": "no-time", "source": "AUTO"}, {"eventId": 7}, {})
    assert results == [("no-time", "REJECTED"), (None, "REJECTED"), (None, "REJECTED")]


def test_each_event_of_a_batch_belongs_to_its_own_unit_and_place(
    plant: Plant, person: APIClient, device: APIClient
) -> None:
    make_spec(plant.operations["PRINT"], "Paste Height")
    at_oven = {sn: into_oven(person, sn) for sn in ("SN-1", "SN-2")}
    printer = {"stationCode": "SMT-01", "stepNo": 10}
    at_printer = {track.unit.sn: str(track.pk) for track in Track.objects.filter(step_no=10).select_related("unit")}
    height = reading(120, "Paste Height")
    events = [
        make_event("1", unitSn="SN-2"),
        make_event("2", height, unitSn="SN-1", **printer),
        make_event("3", unitSn="SN-1"),
        make_event("4", height, unitSn="SN-2", **printer),
        make_event("5", unitSn="SN-2"),
    ]
    results = device.post(BATCH, {"events": events}).json()["data"]["results"]
    expected = [at_oven["SN-2"], at_printer["SN-1"], at_oven["SN-1"], at_printer["SN-2"], at_oven["SN-2"]]
    assert [one["trackId"] for one in results] == expected
    assert [str(record.track_id) for record in DeviceDataRecord.objects.order_by("event_id")] == expected


@pytest.mark.django_db(transaction=True)  # a refused statement must not end the test's
def test_a_number_that_is_too_small_to_be_kept_word_for_word_refuses_nothing(
    device: APIClient, person: APIClient
) -> None:
    into_oven(person)
    tiny = raw("tiny", meta={"n": "@"}).replace(b'"@"', b"1e-20000")
    assert send_raw(device, raw("evt-1"), tiny) == [("evt-1", "CREATED"), ("tiny", "CREATED")]
    assert DeviceDataRecord.objects.get(event_id="tiny").meta == {"n": 0}


@pytest.mark.parametrize("name", POISONED)
def test_a_poisoned_event_fails_alone_and_is_kept(device: APIClient, person: APIClient, name: str) -> None:
    into_oven(person)
    poison, code = POISONED[name]
    results = send_raw(device, raw("evt-1"), poison, raw("evt-2"))
    assert [(results[0]), results[1][1], results[2]] == [("evt-1", "CREATED"), code, ("evt-2", "CREATED")]
    assert FailedMessage.objects.get().error_code == code
    assert DataValue.objects.count() == 2


def test_text_that_is_no_ascii_is_kept_as_it_is(device: APIClient, person: APIClient) -> None:
    into_oven(person)
    meta = {"Messgerät": "Öl 250 °C \N{SNOWMAN}"}
    assert send(device, make_event(meta=meta)) == [("evt-1", "CREATED")]
    assert DeviceDataRecord.objects.get().meta == meta


def test_repeats_within_a_batch_count_once(device: APIClient, person: APIClient) -> None:
    into_oven(person)
    at = moment(seconds=1)
    first, other = make_event(eventTime=at), make_event("evt-1", reading(246), eventTime=at)
    late = make_event("evt-2", reading(260), eventTime=at)  # alarms
    assert send(device, first, late, first, other, late) == [
        ("evt-1", "CREATED"),
        ("evt-2", "CREATED"),
        ("evt-1", "DUPLICATE"),
        ("evt-1", "CONFLICT"),
        ("evt-2", "DUPLICATE"),
    ]
    assert DataValue.objects.count() == DeviceDataRecord.objects.count() == 2
    assert MesEvent.objects.filter(event_type="DATA_ALARM").count() == 1


def test_a_repeat_is_answered_as_the_first_time(device: APIClient, person: APIClient) -> None:
    into_oven(person)
    events = [make_event("evt-1"), make_event("evt-2", reading(260)), make_event("evt-3", reading(name="Nobody's"))]
    first, again = (device.post(BATCH, {"events": events}).json()["data"] for _time in range(2))
    assert (first["created"], first["rejected"]) == (2, 1)
    assert (again["duplicates"], again["rejected"]) == (2, 1)
    for one, other in zip(first["results"][:2], again["results"], strict=False):
        assert other == one | {"status": "DUPLICATE", "isDuplicate": True}
    assert first["results"][1]["alarms"][0]["value"] == 260
    assert FailedMessage.objects.get().count == 2


def test_each_message_has_an_id_of_its_own(device: APIClient, person: APIClient) -> None:
    into_oven(person)
    wrong = make_event("evt-2", reading(name="Nobody's"))
    send(device, make_event("evt-1"), wrong, make_event("evt-3"), make_event("evt-1"))
    shown = list_messages(person)
    assert sorted((one["dedupeKey"], one["status"]) for one in shown) == [
        ("evt-1", "CONFLICT"),
        ("evt-1", "SUCCESS"),
        ("evt-2", "FAILED"),
        ("evt-3", "SUCCESS"),
    ]
    assert len({one["id"] for one in shown}) == len(shown)
    [success] = [one for one in shown if one["dedupeKey"] == "evt-3"]
    assert success["payload"]["eventId"] == "evt-3"
    assert success["recordId"] == success["id"] == str(DeviceDataRecord.objects.get(event_id="evt-3").pk)
    replay = person.post(f"/api/integration/messages/{success['id']}/replay", {})
    assert replay.json()["error"]["code"] == "INVALID_TRANSITION"
    assert IntegrationMessage.objects.filter(status="SUCCESS", dedupe_key="evt-1").count() == 1


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_has_1_to_1000_events(device: APIClient, count: int) -> None:
    answer = device.post(BATCH, {"events": [make_event()] * count})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert not DeviceDataRecord.objects.exists()


def test_a_large_batch_takes_few_queries(
    device: APIClient, person: APIClient, django_assert_max_num_queries: Any
) -> None:
    into_oven(person)
    send(device, make_event("warm"))
    with django_assert_max_num_queries(8):
        results = send(device, *(make_event(f"evt-{number}") for number in range(300)))
    assert {status for _id, status in results} == {"CREATED"}


def test_a_sender_without_a_token_is_refused(plant: Any) -> None:
    answer = Client().post(BATCH, b"{}", content_type="application/json")
    assert answer.status_code == 401


def test_what_the_statement_is_given_is_in_its_order() -> None:
    assert tuple(writing.GIVEN_TYPES) == writing._Row.__struct_fields__
    assert ("spec", *values.READING_COLUMNS) == values.Row.__struct_fields__
    columns = {"id": "spec_id", "unit": "measure"}
    assert tuple(values.SPEC_COLUMNS) == tuple(columns.get(name, name) for name in KEPT_WITH_VALUES)


@pytest.mark.django_db
def test_a_page_of_messages_is_read_in_the_order_of_ids_not_sorted() -> None:
    """With a condition in the view, PostgreSQL would read and sort all records of years."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    plan = IntegrationMessage.objects.all()[:50].explain()
    assert "Merge Append" in plan
    assert "Sort  (" not in plan
