"""Device data of source systems: each has ids of its own, and a clock that may be off."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from execution.models import DataValue
from integration.models import DeviceDataRecord, FailedMessage
from mes.platform.accounts.roles import Role
from mes.platform.inbound.models import Source
from mes.production_counts.models import CountReport
from tests.factories import api_client, make_plant
from tests.integration.helpers import EVENTS, MESSAGES, accept, into_oven, make_event, moment, reading, refuse
from tests.integration.test_production_counts import counts

HOUR = timedelta(hours=1)


@pytest.fixture
def device(db: None) -> APIClient:
    make_plant()
    into_oven(api_client(Role.ADMIN))
    return api_client(Role.INTEGRATION)


def source(code: str, seconds: float) -> None:
    Source.objects.create(code=code, clock_correction_seconds=seconds)


def test_event_ids_are_those_of_their_source(device: APIClient) -> None:
    for system in ("OVEN-A", "OVEN-B", ...):
        assert accept(device, make_event("evt-1", sourceSystem=system))["eventId"] == "evt-1"
    answer = device.post(EVENTS, make_event("evt-1", sourceSystem="OVEN-A", eventTime=moment(days=0)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "EVENT_ID_CONFLICT")
    assert "\x1f" not in answer.json()["error"]["message"]
    assert list(DeviceDataRecord.objects.values_list("event_id", flat=True)) == ["evt-1"] * 3


def test_a_repeat_is_one_of_its_source_in_batches_too(device: APIClient) -> None:
    first, other = make_event("evt-1", sourceSystem="OVEN-A"), make_event("evt-1", sourceSystem="OVEN-B")
    answer = device.post(f"{EVENTS}/batch", {"events": [first, other, first, {**other, "runNo": "RUN-9"}]}).json()[
        "data"
    ]
    assert [(result["eventId"], result["status"]) for result in answer["results"]] == [
        ("evt-1", "CREATED"),
        ("evt-1", "CREATED"),
        ("evt-1", "DUPLICATE"),
        ("evt-1", "CONFLICT"),
    ]
    assert accept(device, first, 200)["isDuplicate"]


def test_a_refused_one_is_kept_under_its_source_and_replayed_by_the_clock_of_now(device: APIClient) -> None:
    said = moment(hours=-1)
    late = make_event("evt-1", reading(collectedAt=said), sourceSystem="OVEN-A", eventTime=said)
    refuse(device, late, 422, "EVENT_TIME_IN_FUTURE")
    refuse(device, make_event("evt-1", sourceSystem="OVEN-B", eventTime=said), 422, "EVENT_TIME_IN_FUTURE")
    assert FailedMessage.objects.count() == 2
    found = api_client(Role.ADMIN).get(MESSAGES, {"key": "evt-1"}).json()["data"]["items"]
    assert [(message["dedupeKey"], message["status"]) for message in found] == [("evt-1", "FAILED")] * 2
    source("OVEN-A", 3600)
    message = FailedMessage.objects.get(payload__sourceSystem="OVEN-A")
    assert message.sent_key == "evt-1"
    answer = api_client(Role.ADMIN).post(f"{MESSAGES}/{message.pk}/replay")
    assert answer.status_code == 200, answer.json()
    record, value = DeviceDataRecord.objects.get(), DataValue.objects.get()
    assert record.event_time == value.collected_at == datetime.fromisoformat(said) - HOUR
    assert record.payload["eventTime"] == said
    assert accept(device, late, 200)["isDuplicate"]
    assert FailedMessage.objects.count() == 1


def test_the_windows_of_counts_are_put_right(device: APIClient) -> None:
    source("PLACER", -3600)
    window = {"windowStart": moment(minutes=70), "windowEnd": moment(minutes=65)}
    accept(device, counts(sourceSystem="PLACER", eventTime=moment(minutes=65), production=window))
    report = CountReport.objects.get()
    assert report.window_start == datetime.fromisoformat(window["windowStart"]) + HOUR
    assert report.window_end == datetime.fromisoformat(window["windowEnd"]) + HOUR


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"sourceSystem": ""}, "sourceSystem"),
        ({"sourceSystem": " OVEN"}, "sourceSystem"),
        ({"sourceSystem": "OVEN\x1fA"}, "sourceSystem"),
        ({"sourceSystem": "x" * 101}, "sourceSystem"),
        ({"sourceSystem": "OVEN", "eventId": "e" * 196}, "eventId"),
        ({"eventId": "OVEN\x1fevt-1"}, "eventId"),
    ],
)
def test_what_is_no_source_is_refused(device: APIClient, fields: dict[str, Any], place: str) -> None:
    error = refuse(device, make_event(**{"event_id": "evt-1"} | fields), 400, "VALIDATION_ERROR")
    assert list(error["details"]) == [place]
