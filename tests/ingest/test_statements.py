"""How many statements an event takes, and that what the process remembers of runs never gives a wrong answer."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from execution.models import Disposition, Track
from ingest import candidates
from ingest.models import OpenIngestEvent
from mes.platform.inbound.models import IdempotencyKey
from mes.production.models import Run, Unit
from tests.ingest.conftest import Send
from tests.ingest.support import (
    INSPECTING,
    PRINTING,
    IngestPlant,
    final_test,
    inspected,
    make_ingest_plant,
    printed,
    push,
    reflowed,
)

pytestmark = pytest.mark.django_db
HEIGHT = {"name": "Paste Height", "value": 120, "unit": "µm"}
FRAME = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")


def count(client: APIClient, body: dict[str, Any]) -> int:
    """Return how many statements an event takes, without the frames of transactions."""
    with CaptureQueriesContext(connection) as queries:
        push(client, body, 201)
    return sum(not query["sql"].startswith(FRAME) for query in queries)


def test_an_event_is_claimed_read_and_written(plant: IngestPlant, client: APIClient) -> None:
    one, two, three = plant.sns
    push(client, printed(one), 201)  # starts the run, warms what is remembered
    assert count(client, printed(two, values=[HEIGHT])) == 3
    assert count(client, {**printed(three), "runNo": "RUN-1"}) <= 4
    assert count(client, inspected(one, "start")) == 3
    assert count(client, inspected(one, "end")) == 4  # values that came while it was inside
    Unit.objects.update(current_step_no=40)
    assert count(client, final_test(one)) == 4  # its result has a key of its own


def test_a_batch_takes_the_same_statements_however_many_units(client: APIClient) -> None:
    plant = make_ingest_plant(units=30)
    Unit.objects.update(current_step_no=30)
    peak = [{"name": "Peak Temperature", "value": 245.0}]
    push(client, reflowed("P-0", plant.sns[:1], values=peak), 201)
    few = count(client, reflowed("P-1", plant.sns[1:3], values=peak))
    many = count(client, reflowed("P-2", plant.sns[3:], values=peak))
    assert few == many < 20
    assert Track.objects.count() == 30


def test_a_run_that_was_opened_since_is_found(plant: IngestPlant, send: Send) -> None:
    send(printed(plant.sns[0]), 201)
    other = make_ingest_plant(run_no="RUN-2", print={**PRINTING, "snPath": "payload.board"})
    body = printed(other.sns[0])
    body["payload"] = {**body["payload"], "board": other.sns[0], "sn": None}
    send(body, 201)
    Run.objects.filter(run_no="RUN-1").update(status="COMPLETED")
    assert send(printed(plant.sns[1]), 422)["code"] == "INGEST_MAPPING_MISSING"


def test_a_number_that_was_given_to_another_run_is_that_run_s(plant: IngestPlant, send: Send) -> None:
    send({**printed(plant.sns[0]), "runNo": "RUN-1"}, 201)
    Run.objects.filter(run_no="RUN-1").update(run_no="RUN-0")
    other = make_ingest_plant(run_no="RUN-2", print={**PRINTING, "snPath": "payload.board"})
    Run.objects.filter(run_no="RUN-2").update(run_no="RUN-1")
    body = {**printed(other.sns[0]), "runNo": "RUN-1"}
    body["payload"] = {**body["payload"], "board": other.sns[0], "sn": None}
    send(body, 201)
    assert Track.objects.filter(run__run_no="RUN-1").count() == 1
    Run.objects.filter(run_no="RUN-1").update(run_no="RUN-9")
    assert send({**printed(other.sns[1]), "runNo": "RUN-1"}, 404)["code"] == "RUN_NOT_FOUND"


def test_what_is_remembered_of_runs_is_bounded(plant: IngestPlant, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "REMEMBERED_RUNS", 2)
    candidates.forget()
    for number in range(5):
        Run.objects.update(run_no=f"R-{number}")
        send({**printed("nobody"), "runNo": f"R-{number}"}, 404)
    assert len(candidates._Remembered.named) <= 3


# --- repeats ------------------------------------------------------------------------------------------------


def statements_of(client: APIClient, address: str, body: Any) -> tuple[int, Any]:
    with CaptureQueriesContext(connection) as queries:
        answer = client.post(address, body)
    assert answer.status_code < 500, answer.content
    return sum(not query["sql"].startswith(FRAME) for query in queries), answer.json()


def test_a_batch_of_a_thousand_repeats(client: APIClient) -> None:
    plant = make_ingest_plant(units=40)
    bodies = [printed(sn) for sn in plant.sns]
    batch = "/api/ingest/events/batch"
    assert client.post(batch, {"events": bodies}).json()["data"]["counts"] == {"APPLIED": 40}
    number, answer = statements_of(client, batch, {"events": bodies * 25})
    assert answer["data"]["counts"] == {"DUPLICATE": 1000}
    assert number <= 20
    assert number == 1
    assert Track.objects.count() == 40


def test_a_thousand_of_one_event_in_a_batch(plant: IngestPlant, client: APIClient) -> None:
    push(client, printed(plant.sns[0]), 201)
    number, answer = statements_of(client, "/api/ingest/events/batch", {"events": [printed(plant.sns[1])] * 1000})
    assert answer["data"]["counts"] == {"APPLIED": 1, "DUPLICATE": 999}
    assert number <= 20


@pytest.mark.parametrize("step_no", [10, 40], ids=["ahead of its unit", "past the step"])
def test_a_repeat_about_a_held_unit(client: APIClient, step_no: int) -> None:
    """It counts up, and nothing else is done again. Other content, or of a unit that is free again, is tried afresh."""
    at_once = {key: value for key, value in INSPECTING.items() if key not in ("waitSeconds", "phase")}
    plant = make_ingest_plant(aoi=at_once)
    sn = plant.sns[0]
    Unit.objects.filter(sn=sn).update(current_step_no=step_no)
    body = inspected(sn, "end", result="NG")
    first = push(client, body, 409)
    assert first["details"]["held"] == [sn]
    kept = OpenIngestEvent.objects.get()
    number, answer = statements_of(client, "/api/ingest/events", body)
    assert (answer["error"]["code"], answer["error"]["details"]["held"]) == (first["code"], [sn])
    assert number == 3
    again = OpenIngestEvent.objects.get()
    assert (again.pk, again.count, again.status) == (kept.pk, 2, "REJECTED")
    assert (again.error["details"]["held"], again.blocked_unit_id) == ([sn], kept.blocked_unit_id)
    assert not IdempotencyKey.objects.filter(key=body["dedupeKey"]).exists()
    assert Disposition.objects.count() == 1
    push(client, {**body, "payload": {**body["payload"], "more": 1}}, 409)
    assert (OpenIngestEvent.objects.get().count, len(OpenIngestEvent.objects.get().attempts)) == (3, 1)
