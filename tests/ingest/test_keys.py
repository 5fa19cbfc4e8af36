"""Keys and sameness: what counts as the same event, and which keys are spent."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import Track
from ingest.models import OpenIngestEvent, SettledIngestEvent
from mes.platform.inbound.models import IdempotencyKey
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, printed, push
from tests.integration.helpers import nothing_changes

pytestmark = pytest.mark.django_db
HEIGHT = {"name": "Paste Height", "value": 120, "unit": "µm"}


@pytest.fixture
def body(plant: IngestPlant) -> dict[str, Any]:
    """An event that can be applied."""
    return {**printed(plant.sns[0], values=[HEIGHT]), "occurredAt": "2026-01-24T10:00:00Z"}


def same(body: dict[str, Any], **payload: Any) -> dict[str, Any]:
    """Return the body with some of its payload changed."""
    return {**body, "payload": {**body["payload"], **payload}}


def test_the_same_content_is_a_duplicate_and_changes_nothing(body: dict[str, Any], send: Send) -> None:
    first = send(body, 201)
    variants = [
        body,
        dict(reversed(body.items())),
        {**body, "meta": {"sent": "again"}},
        {**body, "runNo": None, "sn": None},
        {**body, "occurredAt": "2026-01-24T12:00:00+02:00"},
        same(body, extra=None),
        same(body, values=[{**HEIGHT, "value": 120.0}]),
    ]
    with nothing_changes():
        for variant in variants:
            assert send(variant, 200) == {**first, "duplicate": True}


@pytest.mark.parametrize(
    "change",
    [
        {"occurredAt": "2026-01-24T10:00:01Z"},
        {"eventType": "TEST"},
        {"runNo": "RUN-1"},
        {"payload": {}},
        {"stationCode": "PRN-1"},
        {"sns": ["RUN-1-SN-1"]},
    ],
)
def test_other_content_under_a_spent_key_is_a_conflict(body: dict[str, Any], send: Send, change: Any) -> None:
    send(body, 201)
    with nothing_changes():
        assert send({**body, **change}, 409)["code"] == "DEDUPE_KEY_CONFLICT"


def test_keys_are_a_source_system_s_own(body: dict[str, Any], plant: IngestPlant, send: Send) -> None:
    send(body, 201)
    send({**same(body, sn=plant.sns[1]), "sourceSystem": "LINE-2"}, 201)
    assert Track.objects.count() == 2


def test_a_refused_key_is_not_spent(body: dict[str, Any], send: Send, client: APIClient) -> None:
    wrong = same(body, result="?")
    for _ in range(2):
        assert send(wrong, 422)["code"] == "INGEST_PAYLOAD_INVALID"
    kept = OpenIngestEvent.objects.get()
    assert (kept.count, kept.attempts) == (2, [])
    assert not IdempotencyKey.objects.filter(channel="ingest:LINE").exists()
    assert send(same(body, values="?"), 422)["code"] == "INGEST_PAYLOAD_INVALID"
    answer = send(body, 201)
    assert answer["eventId"] == str(kept.pk)  # it keeps its id
    assert not OpenIngestEvent.objects.exists()
    earlier = SettledIngestEvent.objects.get().attempts
    assert [one["error"]["code"] for one in earlier] == ["INGEST_PAYLOAD_INVALID"] * 2
    assert earlier[0]["payload"] == wrong
    shown = client.get(f"/api/ingest/events/{kept.pk}").json()["data"]
    assert (shown["status"], shown["payload"]["payload"]["result"]) == ("APPLIED", "OK")
    assert send(wrong, 409)["code"] == "DEDUPE_KEY_CONFLICT"
    assert send(body, 200)["duplicate"]


def test_all_earlier_payloads_of_a_key_are_kept(body: dict[str, Any], send: Send) -> None:
    for result in ("a", "b", "c"):
        send(same(body, result=result), 422)
    send(body, 201)
    earlier = SettledIngestEvent.objects.get().attempts
    assert [one["payload"]["payload"]["result"] for one in earlier] == ["a", "b", "c"]


def test_the_events_of_a_list(body: dict[str, Any], plant: IngestPlant, send: Send, client: APIClient) -> None:
    send(body, 201)
    send({**printed("nobody"), "stationCode": "PRN-1"}, 404)

    def keys(**filters: str) -> list[str]:
        answer = client.get("/api/ingest/events", filters)
        assert answer.status_code == 200, answer.content
        return [one["status"] for one in answer.json()["data"]["items"]]

    assert keys() == ["REJECTED", "APPLIED"]
    assert keys(status="APPLIED") == keys(sn=plant.sns[0]) == keys(runNo="RUN-1") == ["APPLIED"]
    assert keys(stationCode="PRN-1") == ["REJECTED", "APPLIED"]
    assert keys(to="2026-01-01") == keys(sn="x") == []
    assert client.get("/api/ingest/events/999999").status_code == 404
    assert client.get("/api/ingest/events/abc").status_code == 404


MALFORMED: list[Any] = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b'"x"',
    b"\xff\xfe",
    b'{"dedupeKey": "k", "payload": {"a": NaN}}',
    b'{"dedupeKey": "a", "dedupeKey": "b"}',
    b"[" * 100_000,
    b'{"payload": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
]


@pytest.mark.parametrize("raw", MALFORMED)
def test_malformed_bodies_are_kept(plant: IngestPlant, client: APIClient, raw: bytes) -> None:
    for count in (1, 2):
        with nothing_changes(but=(OpenIngestEvent,)):
            answer = client.post("/api/ingest/events", raw, content_type="application/json")
        assert answer.status_code == 400, answer.content
        kept = OpenIngestEvent.objects.get()
        assert (kept.status, kept.count, kept.error_code) == ("REJECTED", count, answer.json()["error"]["code"])
    replayed = client.post(f"/api/ingest/events/{kept.pk}/replay")
    assert replayed.status_code == 400, replayed.content


@pytest.mark.parametrize(
    "change",
    [
        {"dedupeKey": ""},
        {"dedupeKey": " "},
        {"dedupeKey": 7},
        {"dedupeKey": "x" * 201},
        {"dedupeKey": "a\nb"},
        {"dedupeKey": "a\x00b"},
        {"sourceSystem": ""},
        {"sourceSystem": "a "},
        {"eventType": "MANUAL"},
        {"eventType": None},
        {"occurredAt": "2026-01-24T10:00:00"},
        {"occurredAt": "1800-01-24T10:00:00Z"},
        {"occurredAt": 7},
        {"sn": ""},
        {"sn": " x"},
        {"sns": [None]},
        {"sns": "x"},
        {"sns": ["a"] * 1001},
        {"runNo": ["x"]},
        {"stationCode": {}},
        {"payload": []},
        {"payload": None},
        {"payload": {"a": "\x00"}},
        {"meta": 7},
    ],
)
def test_malformed_fields(body: dict[str, Any], client: APIClient, change: dict[str, Any]) -> None:
    with nothing_changes(but=(OpenIngestEvent,)):
        assert push(client, {**body, **change}, 400)["code"] == "VALIDATION_ERROR"
    assert OpenIngestEvent.objects.filter(status="REJECTED").count() == 1


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"sn": ["RUN-1-SN-1"]},
        {"sn": "RUN-1-SN-1", "station": ["PRN-1"]},
        {"sn": "x" * 300, "station": "PRN-1"},
        {"sn": "a//b", "station": "PRN-1"},
        {"sn": "RUN-1-SN-1", "station": "PRN-1", "result": {"a": [1]}},
        {"sn": "RUN-1-SN-1", "station": "PRN-1", "result": "OK", "values": [{"name": "Paste Height", "value": {}}]},
        {"sn": "RUN-1-SN-1", "station": "PRN-1", "result": "OK", "values": {"name": "x", "value": 1}},
        {"sn": "RUN-1-SN-1", "station": "P" * 500, "result": "OK"},
        {"sn": 10**300, "station": 7, "result": "OK"},
    ],
)
def test_strange_payloads_are_refused_and_kept(body: dict[str, Any], client: APIClient, payload: Any) -> None:
    with nothing_changes(but=(OpenIngestEvent,)):
        answer = client.post("/api/ingest/events", {**body, "payload": payload})
    assert answer.status_code in (404, 409, 422), answer.content
    assert OpenIngestEvent.objects.count() == 1
