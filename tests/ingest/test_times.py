"""When an event occurred: by its mapping, its envelope or its receipt, its source's clock put right."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import DataValue, Track
from ingest.models import IngestEvent, OpenIngestEvent
from mes.platform.inbound.models import Source
from mes.production.models import Run
from tests.ingest.conftest import Send
from tests.ingest.support import PRINTING, IngestPlant, inspected, make_ingest_plant, printed
from tests.integration.helpers import moment

HOUR = timedelta(hours=1)
BY_PATH = {**PRINTING, "occurredAtPath": "payload.at"}


def source(seconds: float) -> Source:
    return Source.objects.create(code="LINE", clock_correction_seconds=seconds)


def at(said: str, body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "occurredAt": said}


def without_time(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "occurredAt"}


def read(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_clock_that_is_behind_is_put_right_and_what_it_said_is_kept(
    plant: IngestPlant, send: Send, client: APIClient
) -> None:
    source(-3600)
    said = moment(hours=1, seconds=10)
    event_id = send(at(said, printed(plant.sns[0])), 201)["eventId"]
    track = Track.objects.get()
    assert (track.in_at, track.out_at, track.reported_at) == (read(said) + HOUR, read(said) + HOUR, read(said))
    answer = client.get(f"/api/ingest/events/{event_id}").json()["data"]
    assert (read(answer["occurredAt"]), read(answer["reportedAt"])) == (track.in_at, read(said))
    trace = client.get(f"/api/trace/units/{plant.sns[0]}").json()["data"]
    assert read(trace["tracks"][0]["reportedAt"]) == read(said)
    assert read(trace["ingestEvents"][0]["reportedAt"]) == read(said)


def test_the_time_of_a_mapping_is_put_right_too(client: APIClient, send: Send) -> None:
    plant = make_ingest_plant(print=BY_PATH)
    source(3600)
    said = moment(hours=-1, seconds=10)
    body = printed(plant.sns[0])
    send({**body, "payload": {**body["payload"], "at": said}}, 201)
    assert Track.objects.get().in_at == read(said) - HOUR


def test_values_are_collected_when_the_unit_moved(plant: IngestPlant, send: Send) -> None:
    source(-3600)
    send(at(moment(hours=1), printed(plant.sns[0], values=[{"name": "Paste Height", "value": 120}])), 201)
    track = Track.objects.get()
    assert DataValue.objects.get().collected_at == track.out_at


def test_a_refused_event_is_replayed_by_the_clock_that_was_entered_since(
    plant: IngestPlant, send: Send, client: APIClient, committed: Any
) -> None:
    said = moment(hours=-1)
    assert send(at(said, printed(plant.sns[0])), 422)["code"] == "EVENT_TIME_IN_FUTURE"
    refused = OpenIngestEvent.objects.get()
    assert (refused.occurred_at, refused.reported_at) == (read(said), read(said))
    source(3600)
    with committed():
        answer = client.post(f"/api/ingest/events/{refused.pk}/replay")
    assert answer.json()["data"]["status"] == "APPLIED", answer.json()
    assert Track.objects.get().out_at == read(said) - HOUR
    event = IngestEvent.objects.get()
    assert (event.occurred_at, event.reported_at) == (read(said) - HOUR, read(said))


def test_an_event_that_says_no_time_occurred_when_it_came(plant: IngestPlant, send: Send) -> None:
    source(3600)
    before = timezone.now()
    body = without_time(printed(plant.sns[0]))
    send(body, 201)
    track, event = Track.objects.get(), IngestEvent.objects.get()
    assert before <= track.in_at <= timezone.now()
    assert (event.occurred_at, event.reported_at, track.reported_at) == (track.in_at, None, None)
    assert send({**body, "occurredAt": None}, 200)["duplicate"]


def test_one_that_waited_occurred_when_it_came_first(plant: IngestPlant, send: Send) -> None:
    start, end = (without_time(inspected(plant.sns[0], phase)) for phase in ("start", "end"))
    send(start, 202)
    received_at = OpenIngestEvent.objects.get().received_at
    send(end, 202)
    send(without_time(printed(plant.sns[0])) | {"occurredAt": moment(seconds=20)}, 201)
    track = Track.objects.get(step_no=20)
    assert abs(track.in_at - received_at) < timedelta(milliseconds=100)
    assert not track.is_time_doubtful


def test_a_mapping_that_names_a_time_needs_it(client: APIClient, send: Send) -> None:
    plant = make_ingest_plant(print=BY_PATH)
    assert send(printed(plant.sns[0]), 422)["code"] == "INGEST_PAYLOAD_INVALID"


@pytest.mark.parametrize(
    ("said", "code"), [({"days": 401}, "EVENT_TOO_OLD"), ({"minutes": -6}, "EVENT_TIME_IN_FUTURE")]
)
def test_the_time_that_a_mapping_reads_has_the_bounds(
    client: APIClient, send: Send, said: dict[str, float], code: str
) -> None:
    plant = make_ingest_plant(print=BY_PATH)
    body = printed(plant.sns[0])
    assert send({**body, "payload": {**body["payload"], "at": moment(**said)}}, 422)["code"] == code
    in_time = {**body, "payload": {**body["payload"], "at": moment(seconds=5)}, "occurredAt": moment(**said)}
    send(in_time, 201)


def test_what_lies_ahead_does_not_wait_for_its_unit(plant: IngestPlant, send: Send) -> None:
    late = at(moment(minutes=-6), inspected(plant.sns[0], "start"))
    assert send(late, 422)["code"] == "EVENT_TIME_IN_FUTURE"


def test_a_track_before_its_run_was_made_is_doubtful_and_the_run_starts_no_earlier_than_it_was_authorized(
    plant: IngestPlant, send: Send
) -> None:
    Run.objects.update(created_at=timezone.now() - HOUR, authorized_at=timezone.now() - HOUR / 2)
    send(at(moment(hours=2), printed(plant.sns[0])), 201)
    send(at(moment(minutes=45), printed(plant.sns[1])), 201)
    doubtful = Track.objects.order_by("id").values_list("is_time_doubtful", flat=True)
    assert list(doubtful) == [True, False]
    run = Run.objects.get()
    assert run.started_at == run.authorized_at


def test_a_run_starts_with_its_first_track(plant: IngestPlant, send: Send) -> None:
    Run.objects.update(authorized_at=timezone.now() - HOUR)
    said = moment(minutes=5)
    send(at(said, printed(plant.sns[0])), 201)
    assert Run.objects.get().started_at == read(said)
