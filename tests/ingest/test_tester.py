"""TEST events: the test result's own key, required values, retests."""

from typing import Any

import pytest

from execution.models import DataValue, Track
from ingest.models import OpenIngestEvent, SettledIngestEvent
from mes.production import runs
from mes.production.models import Run, Unit
from mes.routing.compilation import compile_route
from tests.factories import make_config, make_group, make_operation, make_station
from tests.ingest.conftest import Send
from tests.ingest.support import TESTING, IngestPlant, final_test, make_ingest_plant, reflowed

pytestmark = pytest.mark.django_db


@pytest.fixture
def sn(plant: IngestPlant) -> str:
    """A unit that waits for its test."""
    Unit.objects.update(current_step_no=40)
    return plant.sns[0]


def under_another_key(body: dict[str, Any], **payload: Any) -> dict[str, Any]:
    """Return the same report, sent again by a tester that makes new keys."""
    return {**body, "dedupeKey": body["dedupeKey"] + "-again", "payload": {**body["payload"], **payload}}


def test_a_test_passes_the_unit(sn: str, send: Send) -> None:
    assert send(final_test(sn), 201)["unitStatus"] == "DONE"
    assert DataValue.objects.get().value_number == 3.3
    assert SettledIngestEvent.objects.get().test_result_id


def test_the_same_result_under_another_key_is_a_duplicate(sn: str, send: Send) -> None:
    body = final_test(sn)
    first = send(body, 201)
    assert send(under_another_key(body), 200) == {**first, "duplicate": True}
    assert send(under_another_key(body), 200) == {**first, "duplicate": True}
    assert Track.objects.count() == DataValue.objects.count() == SettledIngestEvent.objects.count() == 1
    assert not OpenIngestEvent.objects.exists()


@pytest.fixture
def tested_midway(db: None) -> IngestPlant:
    """A line whose units are packed after their test."""
    plant = make_ingest_plant()
    make_operation("PACK")
    make_station("PCK-1", group=make_group("PACK-GROUP"), line=plant.run.line)
    routing = plant.version.routing
    routing.steps.create(step_no=50, operation=make_operation("PACK"))
    make_config(routing, step_no=50, station_type="MANUAL", station_group=make_group("PACK-GROUP"))
    version, _changed = compile_route(code=routing.code)
    Run.objects.update(route_version=version)
    assert runs.snapshot_of(Run.objects.get()).next_step_no(40) == 50
    return plant


def test_it_is_one_also_when_the_unit_went_on(tested_midway: IngestPlant, send: Send) -> None:
    sn = tested_midway.sns[0]
    Unit.objects.update(current_step_no=40)
    body = final_test(sn)
    first = send(body, 201)
    assert Unit.objects.get(sn=sn).current_step_no == 50
    assert send(under_another_key(body), 200) == {**first, "duplicate": True}
    assert send(under_another_key(body, result="NG"), 409)["code"] == "DEDUPE_KEY_CONFLICT"


def test_it_is_one_also_when_both_waited_and_the_unit_went_on(tested_midway: IngestPlant, send: Send) -> None:
    sn = tested_midway.sns[0]
    Unit.objects.update(current_step_no=30)
    body = final_test(sn)
    first = send(body, 202)
    send(under_another_key(body), 202)
    send(reflowed("PANEL-1", [sn]), 201)
    assert Unit.objects.get(sn=sn).current_step_no == 50
    assert not OpenIngestEvent.objects.exists()
    assert send(under_another_key(body), 200)["eventId"] == first["eventId"]


@pytest.mark.parametrize("change", [{"result": "NG"}, {"values": []}, {"sn": "RUN-1-SN-2"}])
def test_other_content_under_a_used_result_id_is_a_conflict(sn: str, send: Send, change: dict[str, Any]) -> None:
    body = final_test(sn)
    send(body, 201)
    assert send(under_another_key(body, **change), 409)["code"] == "DEDUPE_KEY_CONFLICT"
    assert Track.objects.count() == 1


def test_result_ids_are_a_source_system_s_own(sn: str, plant: IngestPlant, send: Send) -> None:
    body = final_test(sn)
    send(body, 201)
    other = under_another_key(body, sn=plant.sns[1])
    send({**other, "sourceSystem": "OTHER"}, 201)
    assert Track.objects.count() == 2


def test_a_refused_result_does_not_spend_its_id(sn: str, send: Send, refuse: Send) -> None:
    body = final_test(sn, result="?")
    refuse(body, "INGEST_PAYLOAD_INVALID")
    refuse(under_another_key(final_test(sn, testId=body["payload"]["testId"]), values=[]), "REQUIRED_DATA_MISSING")
    send({**body, "dedupeKey": "third", "payload": {**body["payload"], "result": "OK"}}, 201)


@pytest.mark.parametrize("test_id", [None, "", 1.5, "x" * 201, ["a"]])
def test_a_result_needs_an_id(sn: str, refuse: Send, test_id: Any) -> None:
    refuse(final_test(sn, testId=test_id), "INGEST_PAYLOAD_INVALID")


def test_required_values(sn: str, send: Send, refuse: Send) -> None:
    refuse(final_test(sn, values=[]), "REQUIRED_DATA_MISSING")
    refuse(final_test(sn, volts="3.3"), "DATA_TYPE_MISMATCH")
    send(final_test(sn, values=[], result="NG"), 201)  # a failure needs no values


def test_a_failing_key_value_forces_fail_and_a_retest_is_another_attempt(sn: str, send: Send, refuse: Send) -> None:
    assert send(final_test(sn, volts=3.9), 201)["unitStatus"] == "QUEUED"  # one retest
    assert send(final_test(sn, result="NG"), 201)["unitStatus"] == "OUT_FAILED"
    tracks = Track.objects.order_by("id").values_list("attempt", "result", "claimed_result", "result_override")
    assert list(tracks) == [(1, "FAIL", "PASS", "DATA"), (2, "FAIL", "FAIL", "")]
    refuse(final_test(sn), "UNIT_OUT_FAILED", 409)


def test_a_retest_that_passes(sn: str, send: Send) -> None:
    send(final_test(sn, result="NG"), 201)
    assert send(final_test(sn), 201)["unitStatus"] == "DONE"


def test_done_units_are_done(sn: str, send: Send, refuse: Send) -> None:
    send(final_test(sn), 201)
    refuse(final_test(sn), "UNIT_ALREADY_DONE", 409)


def test_a_waiting_result_and_its_repeat_under_another_key_are_applied_once(db: None, send: Send) -> None:
    plant = make_ingest_plant(test={**TESTING, "waitSeconds": 60})
    sn = plant.sns[0]
    Unit.objects.update(current_step_no=30)
    body = final_test(sn)
    send(body, 202)
    send(under_another_key(body), 202)
    send(reflowed("PANEL-1", [sn]), 201)
    assert Unit.objects.get(sn=sn).status == "DONE"
    assert Track.objects.filter(step_no=40).count() == 1
    assert not OpenIngestEvent.objects.exists()
    assert send(under_another_key(body), 200)["status"] == "APPLIED"
