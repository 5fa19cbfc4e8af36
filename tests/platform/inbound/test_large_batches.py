"""One event of a batch is as large as a single one may be; how many there are is known before they are read."""

import codecs
import json
from time import perf_counter
from typing import Any

import pytest
from rest_framework.test import APIClient

from ingest.models import OpenIngestEvent
from integration.models import DeviceDataRecord, FailedMessage
from mes.errors import ValidationFailed
from mes.platform.accounts.roles import Role
from mes.platform.http import parsing
from tests.factories import api_client, make_plant
from tests.ingest.support import make_ingest_plant, printed
from tests.integration.helpers import into_oven, make_event
from tests.integration.test_production_counts import counts

MANY = b'{"events": [' + b"0," * 1_000_000 + b"0]}"
LARGE = "x" * (1024 * 1024)
SOON = 0.1  # seconds: a list of so many takes half of one, and a second for each further look at it


def send(address: str, body: bytes) -> tuple[int, Any]:
    answer = api_client(Role.ADMIN).post(address, body, content_type="application/json")
    return answer.status_code, answer.json()


def test_a_million_events_are_counted_in_no_time() -> None:
    parsing.split(b'{"events": [0]}', most=1000)  # makes the decoder
    start = perf_counter()
    with pytest.raises(ValidationFailed):
        parsing.split(MANY, most=1000)
    assert perf_counter() - start < SOON


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "log"),
    [
        ("/api/integration/device-data/batch", FailedMessage),
        ("/api/ingest/events/batch", OpenIngestEvent),
    ],
)
def test_a_batch_of_a_million_is_refused_and_kept_at_once(address: str, log: Any) -> None:
    send(address, b'{"events": []}')
    start = perf_counter()
    status, answer = send(address, MANY)
    assert perf_counter() - start < 5 * SOON
    assert (status, answer["error"]["details"]) == (400, {"events": "Must be a list of 1 to 1000 events."})
    assert log.objects.count() == 2
    assert len(log.objects.latest("id").payload["raw"]) == 64 * 1024


@pytest.mark.django_db
def test_a_reading_that_is_too_large_is_refused_alone() -> None:
    make_plant()
    into_oven(api_client(Role.ADMIN))
    events = [make_event("evt-1"), make_event("evt-2", meta={"log": LARGE}), make_event("evt-3")]
    status, answer = send("/api/integration/device-data/batch", json.dumps({"events": events}).encode())
    assert status == 200
    results = answer["data"]["results"]
    assert [(result["eventId"], result["status"]) for result in results] == [
        ("evt-1", "CREATED"),
        ("evt-2", "REJECTED"),
        ("evt-3", "CREATED"),
    ]
    assert results[1]["error"]["code"] == "PAYLOAD_TOO_LARGE"
    kept = FailedMessage.objects.get()
    assert (kept.error_code, kept.dedupe_key) == ("PAYLOAD_TOO_LARGE", "evt-2")


@pytest.mark.django_db
def test_a_count_that_is_too_large_is_refused_alone() -> None:
    make_plant()
    into_oven(api_client(Role.ADMIN))
    event = {**counts(), "eventId": "evt-large", "meta": {"log": LARGE}}
    _status, answer = send("/api/integration/device-data/batch", json.dumps({"events": [event]}).encode())
    [result] = answer["data"]["results"]
    assert (result["eventId"], result["error"]["code"]) == ("evt-large", "PAYLOAD_TOO_LARGE")


@pytest.mark.django_db
def test_a_machine_event_may_be_as_large_as_a_batch(settings: Any) -> None:
    plant = make_ingest_plant()
    large = printed(plant.sns[1], log=LARGE)
    _status, answer = send("/api/ingest/events/batch", json.dumps({"events": [large, printed(plant.sns[0])]}).encode())
    assert [result["status"] for result in answer["data"]["results"]] == ["APPLIED", "APPLIED"]
    status, answer = send("/api/ingest/events", json.dumps(printed(plant.sns[2], log=LARGE)).encode())
    assert (status, answer["data"]["status"]) == (201, "APPLIED")
    settings.MES_BATCH_BODY_LIMIT = len(LARGE)
    status, answer = send("/api/ingest/events", json.dumps(printed(plant.sns[2], log=LARGE)).encode())
    assert (status, answer["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/integration/device-data", "/api/integration/device-data/batch"])
def test_a_byte_order_mark_is_skipped(path: str) -> None:
    make_plant()
    into_oven(api_client(Role.ADMIN))
    body = {"events": [make_event("evt-1")]} if path.endswith("batch") else make_event("evt-1")
    status, answer = send(path, codecs.BOM_UTF8 + json.dumps(body).encode())
    assert status == (200 if path.endswith("batch") else 201), answer
    assert DeviceDataRecord.objects.get().payload["eventId"] == "evt-1"


@pytest.mark.django_db
def test_an_event_as_large_as_a_single_one_may_be_is_taken(settings: Any) -> None:
    """The limit is of the event, not of the batch."""
    client: APIClient = api_client(Role.ADMIN)
    make_plant()
    into_oven(client)
    event = make_event("evt-1", meta={"log": ""})
    event["meta"]["log"] = "x" * (settings.MES_BODY_LIMIT - len(json.dumps(event)))
    single = json.dumps(event).encode()
    assert len(single) == settings.MES_BODY_LIMIT
    _status, answer = send("/api/integration/device-data/batch", b'{"events": [' + single + b"]}")
    assert answer["data"]["created"] == 1
