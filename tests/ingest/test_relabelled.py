"""Machines go on naming a unit by the label that it had."""

import pytest
from rest_framework.test import APIClient

from execution import labels
from execution.models import Track
from ingest.models import IngestEvent, OpenIngestEvent, PartialIngestEvent
from mes.production.models import Run, Unit
from tests.ingest.conftest import Send
from tests.ingest.support import INSPECTING, IngestPlant, final_test, inspected, make_ingest_plant, printed, reflowed
from tests.ingest.test_panels import PANEL, panel

pytestmark = pytest.mark.django_db
SN, NEW = "RUN-1-SN-1", "NEW-1"


def relabel(sn: str = SN, new_sn: str = NEW) -> None:
    labels.relabel(sn=sn, new_sn=new_sn, reason="Burnt", by="quality")


def steps() -> list[int]:
    return list(Track.objects.filter(unit__sn=NEW).order_by("id").values_list("step_no", flat=True))


def test_an_event_by_the_old_label_moves_the_unit(plant: IngestPlant, send: Send) -> None:
    relabel()
    send(printed(SN), 201)
    assert steps() == [10]
    assert IngestEvent.objects.get().sns == [NEW]


def test_a_repeat_of_an_earlier_event_is_one_still(plant: IngestPlant, send: Send) -> None:
    body = printed(SN)
    send(body, 201)
    relabel()
    assert send(body, 200)["duplicate"] is True
    assert steps() == [10]


def test_a_test_result_told_again_under_another_key_is_the_same(plant: IngestPlant, send: Send) -> None:
    Unit.objects.update(current_step_no=40)
    body = final_test(SN)
    send(body, 201)
    relabel()
    assert send({**body, "dedupeKey": "another"}, 200)["duplicate"] is True
    assert steps() == [40]


def test_a_waiting_event_goes_on_under_the_new_label(plant: IngestPlant, send: Send) -> None:
    send(inspected(SN, "start"), 202)
    relabel()
    send(printed(NEW), 201)
    assert not OpenIngestEvent.objects.exists()
    assert steps() == [10, 20]


def test_an_event_refused_for_its_order_does_too(db: None, send: Send) -> None:
    make_ingest_plant(aoi={**INSPECTING, "waitSeconds": 0})
    assert send(inspected(SN, "start"), 409)["code"] == "STEP_MISMATCH"
    relabel()
    send(printed(SN), 201)
    assert not OpenIngestEvent.objects.exists()
    assert steps() == [10, 20]


def test_an_old_and_the_new_label_in_a_list_are_one_unit(plant: IngestPlant, send: Send) -> None:
    relabel()
    Unit.objects.update(current_step_no=30)
    send(reflowed("P-1", [SN, NEW]), 201)
    assert steps() == [30]


def test_two_reports_of_one_unit_under_two_labels_are_one_too_many(db: None, send: Send) -> None:
    make_ingest_plant(reflow={**PANEL, "waitSeconds": 0})
    relabel()
    Unit.objects.update(current_step_no=30)
    assert send(panel([SN, NEW], "OK", "NG"), 422)["code"] == "INGEST_PAYLOAD_INVALID"
    assert not Track.objects.exists()


def test_a_refused_report_of_a_failure_holds_the_unit_by_its_old_label(plant: IngestPlant, send: Send) -> None:
    relabel()
    Unit.objects.update(current_step_no=40)
    assert send(printed(SN, result="NG"), 409)["details"]["held"] == [NEW]
    unit = Unit.objects.get(sn=NEW)
    assert (unit.status, OpenIngestEvent.objects.get().held_unit_ids) == ("ON_HOLD", [unit.pk])


def test_one_that_no_open_run_reads_holds_it_too(plant: IngestPlant, send: Send) -> None:
    relabel()
    Run.objects.update(status="COMPLETED")
    assert send(printed(SN, result="NG"))["details"]["held"] == [NEW]


def test_what_was_left_out_is_replayed_after_relabelling(db: None, client: APIClient, send: Send) -> None:
    plant = make_ingest_plant(reflow={**PANEL, "waitSeconds": 0})
    Unit.objects.filter(sn=plant.sns[1]).update(current_step_no=30)
    answer = send(panel(plant.sns, "OK", "OK", "OK"), 201)
    assert [item["sn"] for item in answer["skipped"]] == [plant.sns[0], plant.sns[2]]
    relabel()
    relabel(plant.sns[1], "NEW-2")
    Unit.objects.update(current_step_no=30)
    again = client.post(f"/api/ingest/events/{answer['eventId']}/replay")
    assert again.status_code in (200, 201), again.json()
    assert not PartialIngestEvent.objects.exists()
    assert Track.objects.count() == 3


def test_events_are_listed_by_either_label(plant: IngestPlant, client: APIClient, send: Send) -> None:
    send(printed(SN), 201)
    relabel()
    send(inspected(SN, "start"), 201)
    for sn in (SN, NEW):
        assert len(client.get(f"/api/ingest/events?sn={sn}").json()["data"]["items"]) == 2
    trace = client.get(f"/api/trace/units/{SN}").json()["data"]
    assert len(trace["ingestEvents"]) == 2
