"""Replaying what was refused, once its cause is mended."""

import pytest
from rest_framework.test import APIClient

from execution.models import CarrierLoad, CarrierTrack, Track
from ingest.models import IngestEventUnit, OpenIngestEvent, SettledIngestEvent
from mes.production import runs
from mes.production.models import Run, Unit
from tests.factories import api_client
from tests.ingest.conftest import Send
from tests.ingest.support import REFLOWING, IngestPlant, inspected, make_ingest_plant, printed, reflowed
from tests.ingest.test_batch import BY_POSITION, boards, load

pytestmark = pytest.mark.django_db


def test_a_replay_applies_what_was_mended(plant: IngestPlant, client: APIClient, send: Send) -> None:
    body = printed("LATE-1")
    send(body, 404)
    kept = OpenIngestEvent.objects.get()
    url = f"/api/ingest/events/{kept.pk}/replay"
    assert client.post(url).json()["error"]["code"] == "UNIT_NOT_FOUND"
    assert OpenIngestEvent.objects.get().count == 2
    runs.register_units(run_no="RUN-1", sns=["LATE-1"])
    answer = client.post(url)
    assert answer.status_code == 200
    assert (answer.json()["data"]["status"], answer.json()["data"]["eventId"]) == ("APPLIED", str(kept.pk))
    assert client.post(url).json()["error"]["code"] == "INVALID_TRANSITION"
    assert send(body, 200)["duplicate"]
    assert Track.objects.count() == 1


def test_a_replay_may_have_to_wait(plant: IngestPlant, client: APIClient, send: Send) -> None:
    send(inspected("LATE-1", "end"), 404)
    runs.register_units(run_no="RUN-1", sns=["LATE-1"])
    answer = client.post(f"/api/ingest/events/{OpenIngestEvent.objects.get().pk}/replay")
    assert (answer.status_code, answer.json()["data"]["status"]) == (202, "WAITING")


def test_who_may_replay(plant: IngestPlant, client: APIClient, send: Send) -> None:
    send(printed(plant.sns[0], result="?"), 422)
    kept = OpenIngestEvent.objects.get()
    assert api_client("OPERATOR").post(f"/api/ingest/events/{kept.pk}/replay").status_code == 403
    assert client.post("/api/ingest/events/99999999999999999999/replay").status_code == 404
    assert client.post("/api/ingest/events/9223372036854775807/replay").status_code == 404
    assert client.post("/api/ingest/events/x/replay").status_code == 404


def test_a_replay_of_a_partial_batch_applies_those_left_out(db: None, client: APIClient, send: Send) -> None:
    plant = make_ingest_plant(reflow={**REFLOWING, "batchPolicy": "PARTIAL"})
    one, two, three = plant.sns
    Unit.objects.filter(sn__in=[one, two]).update(current_step_no=30)
    Unit.objects.filter(sn=two).update(status="OUT_FAILED")
    answer = send(reflowed("PANEL-1", [one, two, three, "NOBODY"]), 201)
    assert answer["skipped"] == [
        {"sn": "NOBODY", "code": "UNIT_NOT_FOUND"},
        {"sn": two, "code": "UNIT_OUT_FAILED"},
        {"sn": three, "code": "STEP_MISMATCH"},
    ]
    url = f"/api/ingest/events/{answer['eventId']}/replay"
    assert client.post(url).json()["error"]["code"] in ("STEP_MISMATCH", "UNIT_OUT_FAILED")
    Unit.objects.filter(sn=two).update(status="QUEUED")
    again = client.post(url)
    assert again.status_code == 200, again.content
    assert [left["sn"] for left in again.json()["data"]["skipped"]] == ["NOBODY", three]
    assert len(again.json()["data"]["trackIds"]) == 2
    Unit.objects.filter(sn=three).update(current_step_no=30)
    runs.register_units(run_no="RUN-1", sns=["NOBODY"])
    Unit.objects.filter(sn="NOBODY").update(current_step_no=30)
    last = client.post(url)
    assert (last.status_code, last.json()["data"].get("skipped")) == (200, None)
    assert client.post(url).json()["error"]["code"] == "INVALID_TRANSITION"
    settled = SettledIngestEvent.objects.get()
    assert (set(settled.sns), settled.skipped) == ({*plant.sns, "NOBODY"}, [])
    assert IngestEventUnit.objects.count() == 4
    assert Track.objects.filter(step_no=30, result="PASS").count() == 4
    passed = CarrierTrack.objects.get()
    assert passed.unit_tracks.count() == 4
    assert CarrierLoad.objects.filter(unloaded_at=None).count() == 3  # UNKNOWN was no unit when it was seen


def test_a_replay_of_positions_means_what_was_there_then(db: None, client: APIClient, send: Send) -> None:
    """The carrier went on: it carries another board at that place, and the one left out at the place of a bad one."""
    plant = make_ingest_plant(reflow={**BY_POSITION, "batchPolicy": "PARTIAL"})
    one, two, three = plant.sns
    Unit.objects.update(current_step_no=30)
    Unit.objects.filter(sn=two).update(status="OUT_FAILED")
    load(client, "PANEL-1", (one, "1"), (two, "2"))
    items = [{"pos": "1", "result": "NG"}, {"pos": "2", "result": "OK"}]
    answer = send(boards("PANEL-1", *items), 201)
    assert [left["sn"] for left in answer["skipped"]] == [two]
    Unit.objects.filter(sn=two).update(status="QUEUED")
    assert client.post("/api/carriers/PANEL-1/unload", {}).status_code == 200
    load(client, "PANEL-1", (two, "1"), (three, "2"))
    again = client.post(f"/api/ingest/events/{answer['eventId']}/replay")
    assert again.status_code == 200, again.content
    assert list(Track.objects.order_by("id").values_list("unit__sn", "result")) == [(one, "FAIL"), (two, "PASS")]


def test_a_route_that_had_no_mapping(plant: IngestPlant, client: APIClient, send: Send) -> None:
    Run.objects.update(status="COMPLETED")
    send(printed(plant.sns[0]), 422)
    Run.objects.update(status="AUTHORIZED")
    assert client.post(f"/api/ingest/events/{OpenIngestEvent.objects.get().pk}/replay").status_code == 200
