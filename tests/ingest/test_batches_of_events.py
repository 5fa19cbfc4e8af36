"""Many events in one request: each by itself, in order."""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import Track
from ingest.models import OpenIngestEvent
from mes.production.models import Unit
from tests.factories import api_client
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, final_test, inspected, make_ingest_plant, printed, reflowed
from tests.integration.helpers import nothing_changes

pytestmark = pytest.mark.django_db


def post(client: APIClient, events: Any, status: int = 200) -> Any:
    answer = client.post("/api/ingest/events/batch", {"events": events})
    assert answer.status_code == status, answer.content
    return answer.json()["data"]["results"] if status == 200 else answer.json()["error"]


def test_each_event_has_its_result_in_order(plant: IngestPlant, client: APIClient) -> None:
    one, two, _three = plant.sns
    body = printed(one)
    events = [
        body,
        body,
        {**body, "payload": {}},
        inspected(one, "start"),
        inspected(two, "end"),
        printed("nobody"),
        {"dedupeKey": "mine"},
        7,
        inspected(one, "end"),
    ]
    results = post(client, events)
    assert [result["status"] for result in results] == [
        "APPLIED",
        "DUPLICATE",
        "CONFLICT",
        "APPLIED",
        "WAITING",
        "REJECTED",
        "REJECTED",
        "REJECTED",
        "APPLIED",
    ]
    assert [result["dedupeKey"] for result in results] == [
        event.get("dedupeKey") if isinstance(event, dict) else None for event in events
    ]
    assert results[0]["eventId"] == results[1]["eventId"]
    assert results[5]["error"]["code"] == "UNIT_NOT_FOUND"
    assert results[6]["error"]["code"] == "VALIDATION_ERROR"
    assert OpenIngestEvent.objects.filter(status="REJECTED").count() == 3
    with nothing_changes(but=(OpenIngestEvent,)):
        again = post(client, events)
    assert {result["status"] for result in again} == {"DUPLICATE", "CONFLICT", "REJECTED"}


def test_a_thousand_events(db: None, client: APIClient) -> None:
    plant = make_ingest_plant(units=8)
    events = [body for sn in plant.sns for body in (printed(sn), inspected(sn, "start"), inspected(sn, "end"))]
    events += [reflowed(f"P-{index}", plant.sns[index : index + 2]) for index in range(0, 8, 2)]
    events += [final_test(sn) for sn in plant.sns]
    events += [events[0]] * (1000 - len(events))
    results = post(client, events)
    assert [result["status"] for result in results] == ["APPLIED"] * 36 + ["DUPLICATE"] * 964
    assert Unit.objects.filter(status="DONE").count() == 8
    assert Track.objects.count() == 32
    post(client, [events[0]] * 1001, 400)
    post(client, [], 400)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"events": {}}', b'{"events": [', b'{"events": [{]}', b"\xff"])
def test_malformed_batches_are_kept(plant: IngestPlant, client: APIClient, body: bytes) -> None:
    answer = client.post("/api/ingest/events/batch", body, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert OpenIngestEvent.objects.get().status == "REJECTED"


def test_a_poisoned_event_is_refused_alone(plant: IngestPlant, client: APIClient) -> None:
    poison: list[Any] = [
        {**printed("x"), "occurredAt": "no time"},
        printed("y" * 500),
        printed(plant.sns[0], values=[{"name": "Paste Height", "value": [1] * 1000}]),
        {**printed("z"), "payload": {"sn": {"deep": [[[[[]]]]]}}},
        None,
        [],
    ]
    results = post(client, [*poison, printed(plant.sns[0])])
    assert [result["status"] for result in results] == ["REJECTED"] * len(poison) + ["APPLIED"]
    assert OpenIngestEvent.objects.count() == len(poison)


@pytest.mark.parametrize("flaw", [b'"\\u0000"', b'"\\ud800"', b'"\xff"', b"9" * 400, b"[" * 200 + b"]" * 200, b"NaN"])
def test_what_no_event_may_hold_is_refused_alone(plant: IngestPlant, client: APIClient, flaw: bytes) -> None:
    good = json.dumps(printed(plant.sns[0])).encode()
    body = b'{"events": [{"dedupeKey": "bad", "payload": ' + flaw + b"}, " + good + b"]}"
    answer = client.post("/api/ingest/events/batch", body, content_type="application/json")
    if flaw == b"NaN":  # no JSON: nobody can tell where the event ends
        assert answer.status_code == 400
        return
    assert answer.status_code == 200, answer.content
    assert [result["status"] for result in answer.json()["data"]["results"]] == ["REJECTED", "APPLIED"]
    assert OpenIngestEvent.objects.get().status == "REJECTED"


def test_what_the_database_cannot_keep_is_refused_alone(
    plant: IngestPlant, client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A belt over the braces: no check foresaw it, and still it neither stops the others nor comes back for ever."""
    from django.db import connection

    from ingest import unit_moves

    decide_moves = unit_moves.decide_moves

    def poisoned(event: Any, *args: Any, **kwargs: Any) -> Any:
        if event.body["payload"].get("poison"):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1/0")
        return decide_moves(event, *args, **kwargs)

    monkeypatch.setattr(unit_moves, "decide_moves", poisoned)
    results = post(client, [printed(plant.sns[0], poison=True), printed(plant.sns[0])])
    assert [result["status"] for result in results] == ["REJECTED", "APPLIED"]
    assert results[0]["error"]["code"] == "INGEST_PAYLOAD_INVALID"


def test_a_batch_of_a_token_with_stations(plant: IngestPlant, send: Send) -> None:
    client = api_client("INTEGRATION", ["PRN-1"])
    allowed, other = printed(plant.sns[0]), inspected(plant.sns[1], "end")
    results = post(client, [other, allowed])
    assert [result["status"] for result in results] == ["REJECTED", "APPLIED"]
    assert results[0]["error"]["code"] == "PERMISSION_DENIED"
    assert not OpenIngestEvent.objects.exists()
