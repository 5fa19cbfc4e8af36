"""How many statements an event takes, and that what the process remembers of runs never gives a wrong answer."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from execution.models import Track
from ingest import candidates
from mes.production.models import Run, Unit
from tests.ingest.conftest import Send
from tests.ingest.support import (
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
FRAME = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")


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
