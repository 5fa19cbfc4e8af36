"""Machine events of reference units: kept as passes, and nothing else follows from them."""

import pytest
from rest_framework.test import APIClient

from execution.models import DataValue, Track
from ingest.models import IngestEvent, OpenIngestEvent, PartialIngestEvent
from mes.platform.outbox.models import MesEvent
from mes.production.identity_models import ReferencePass, ReferenceUnit
from mes.production.models import Run, Unit
from mes.time_rules.models import TimeRuleInstance
from tests.ingest.conftest import Send
from tests.ingest.support import IngestPlant, event, final_test, inspected, make_ingest_plant, printed, push, reflowed
from tests.ingest.test_panels import PANEL, panel

pytestmark = pytest.mark.django_db
VALUES = [{"name": "Paste Height", "value": 120, "unit": "µm"}]


@pytest.fixture
def gold(db: None) -> ReferenceUnit:
    return ReferenceUnit.objects.create(sn="GOLD", kind="GOLDEN")


def told() -> list[tuple[str | None, str]]:
    return list(ReferencePass.objects.order_by("id").values_list("station__code", "result"))


def nothing_followed() -> None:
    assert not Track.objects.exists() and not DataValue.objects.exists() and not MesEvent.objects.exists()
    assert not TimeRuleInstance.objects.exists() and not OpenIngestEvent.objects.exists()
    assert not Unit.objects.filter(sn="GOLD").exists()


def test_a_report_of_one_is_applied_as_its_pass(plant: IngestPlant, gold: ReferenceUnit, send: Send) -> None:
    body = printed("GOLD", result="NG", values=VALUES)
    answer = send(body, 201)
    assert (answer["status"], answer["trackIds"], answer["referenceSns"]) == ("APPLIED", [], ["GOLD"])
    assert told() == [("PRN-1", "FAIL")]
    assert ReferencePass.objects.get().event_id == int(answer["eventId"])
    kept = IngestEvent.objects.get()
    assert (kept.status, kept.sns, kept.run_id, kept.result) == ("APPLIED", ["GOLD"], None, "FAIL")
    assert send(body, 200)["duplicate"] is True
    assert len(told()) == 1
    nothing_followed()


def test_its_entry_has_no_result(plant: IngestPlant, gold: ReferenceUnit, send: Send) -> None:
    Unit.objects.update(current_step_no=20)
    send(inspected("GOLD", "start"), 201)
    assert told()[0][1] in ("", "PASS")  # the first mapping that finds it decides, which reads no phase
    nothing_followed()


def test_a_test_result_of_one_is_recognised_under_another_key(
    plant: IngestPlant, gold: ReferenceUnit, send: Send
) -> None:
    body = final_test("GOLD")
    send(body, 201)
    assert send({**body, "dedupeKey": "another"}, 200)["duplicate"] is True
    assert told() == [("TST-1", "PASS")]


def test_no_unit_is_made_of_one_on_the_fly(gold: ReferenceUnit, send: Send) -> None:
    make_ingest_plant(units=0)
    send({**printed("GOLD"), "runNo": "RUN-1"}, 201)
    assert told() == [("PRN-1", "PASS")]
    nothing_followed()


def test_it_works_when_no_run_is_open(plant: IngestPlant, gold: ReferenceUnit, send: Send) -> None:
    Run.objects.update(status="COMPLETED")
    send(printed("GOLD", result="NG"), 201)
    assert told() == [("PRN-1", "FAIL")]
    nothing_followed()


def test_and_when_there_is_no_run_at_all(gold: ReferenceUnit, send: Send) -> None:
    answer = send({**event("AUTO", {"x": 1}), "sn": "GOLD"}, 201)
    assert answer["referenceSns"] == ["GOLD"]
    assert told() == [(None, "")]
    nothing_followed()


def test_an_event_that_no_mapping_reads_goes_by_its_envelope(gold: ReferenceUnit, send: Send) -> None:
    make_ingest_plant(only=10, print={**printed_when_true()})
    send({**event("AUTO", {"station": "PRN-1"}), "sn": "GOLD", "stationCode": "PRN-1"}, 201)
    assert told() == [("PRN-1", "")]


def printed_when_true() -> dict:
    return {"when": "payload.type == 'print'", "snPath": "payload.sn", "stationCodePath": "payload.station"}


def test_an_unknown_run_does_not_matter(plant: IngestPlant, gold: ReferenceUnit, send: Send) -> None:
    send({**printed("GOLD"), "runNo": "NO-SUCH-RUN"}, 201)
    assert told() == [("PRN-1", "PASS")]


def test_an_unknown_unit_is_refused_as_before(plant: IngestPlant, gold: ReferenceUnit, client: APIClient) -> None:
    assert push(client, printed("NOBODY"), 404)["code"] == "UNIT_NOT_FOUND"
    Run.objects.update(status="COMPLETED")
    assert push(client, printed("NOBODY"), 422)["code"] == "INGEST_MAPPING_MISSING"
    assert told() == []


def test_in_a_list_it_is_left_out_and_that_is_no_open_work(gold: ReferenceUnit, send: Send) -> None:
    plant = make_ingest_plant(reflow={**PANEL, "waitSeconds": 0})
    Unit.objects.update(current_step_no=30)
    answer = send(panel([plant.sns[0], "GOLD", plant.sns[1]], "OK", "NG", "OK"), 201)
    assert answer["skipped"] == [{"sn": "GOLD", "code": "SN_IS_REFERENCE"}]
    assert Track.objects.count() == 2
    assert told() == [("OVN-1", "FAIL")]
    assert not PartialIngestEvent.objects.exists()


def test_in_a_list_of_all_or_nothing_too(plant: IngestPlant, gold: ReferenceUnit, send: Send) -> None:
    Unit.objects.update(current_step_no=30)
    answer = send(reflowed("P-1", [plant.sns[0], "GOLD"]), 201)
    assert answer["skipped"] == [{"sn": "GOLD", "code": "SN_IS_REFERENCE"}]
    assert (Track.objects.count(), told()) == (1, [("OVN-1", "PASS")])


def test_a_failing_event_that_was_refused_before_it_was_registered_is_replayed(
    plant: IngestPlant, client: APIClient, send: Send
) -> None:
    push(client, printed("GOLD"), 404)
    ReferenceUnit.objects.create(sn="GOLD", kind="GOLDEN")
    answer = client.post(f"/api/ingest/events/{OpenIngestEvent.objects.get().pk}/replay")
    assert answer.status_code in (200, 201), answer.json()
    assert told() == [("PRN-1", "PASS")]
    nothing_followed()
