"""AUTO events: which step is meant, in and out apart, what is measured."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution import dispositions
from execution.models import DataValue, Disposition, Track
from ingest import attempts
from ingest.envelope import ReceivedEvent
from ingest.models import OpenIngestEvent, SettledIngestEvent
from mes.plant.models import Line
from mes.production import runs
from mes.production.models import Run, Unit
from tests.execution.support import track_in, track_out
from tests.factories import api_client, make_group, make_line, make_spec, make_station, put_runs
from tests.ingest.conftest import Send
from tests.ingest.support import (
    INSPECTING,
    PRINTING,
    IngestPlant,
    event,
    final_test,
    inspected,
    make_ingest_plant,
    printed,
    push,
)

HEIGHT = {"name": "Paste Height", "value": 120, "unit": "µm"}
pytestmark = pytest.mark.django_db


def put(sn: str, step_no: int) -> None:
    """Let a unit stand at a step without having passed the ones before."""
    Unit.objects.filter(sn=sn).update(current_step_no=step_no)


def unit(sn: str) -> Unit:
    return Unit.objects.get(sn=sn)


# --- which step -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runNo", [None, "RUN-1"])
def test_the_current_step_is_meant(plant: IngestPlant, send: Send, runNo: str | None) -> None:
    send({**printed(plant.sns[0]), "runNo": runNo}, 201)
    track = Track.objects.get()
    assert (track.step_no, track.source, track.result, track.station.code) == (10, "AUTO", "PASS", "PRN-1")
    assert not track.is_entry_inferred
    unit, run = Unit.objects.get(sn=plant.sns[0]), Run.objects.get()
    assert (unit.current_step_no, unit.status, run.status) == (20, "QUEUED", "IN_PROGRESS")


def test_a_later_step_that_takes_waiting_events_lets_them_wait(plant: IngestPlant, send: Send) -> None:
    answer = send(inspected(plant.sns[0], "start"), 202)
    assert (answer["status"], answer["duplicate"]) == ("WAITING", False)
    assert not Track.objects.exists()


def test_a_later_step_without_waiting_is_a_mismatch_whatever_the_payload(db: None, refuse: Send) -> None:
    mapping = {key: value for key, value in INSPECTING.items() if key != "waitSeconds"}
    plant = make_ingest_plant(aoi=mapping)
    error = refuse(inspected(plant.sns[0], "never heard of", result="unreadable"), "STEP_MISMATCH", 409)
    assert error["details"]["missingSteps"] == [10]
    assert (error["details"]["current"], error["details"]["stepNo"]) == (10, 20)


def test_all_missing_steps_are_named(db: None, refuse: Send) -> None:
    from tests.ingest.support import TESTING

    plant = make_ingest_plant(test={key: value for key, value in TESTING.items() if key != "waitSeconds"})
    error = refuse(final_test(plant.sns[0]), "STEP_MISMATCH", 409)
    assert error["details"]["missingSteps"] == [10, 20, 30]


def test_a_station_of_no_step_is_a_mismatch_at_the_current_one(plant: IngestPlant, refuse: Send) -> None:
    make_station("AUX-1", station_type="AUTO")
    refuse(printed(plant.sns[0], station="AUX-1"), "STATION_MISMATCH", 409)


def test_a_printer_does_not_do_what_the_inspection_should(plant: IngestPlant, send: Send, refuse: Send) -> None:
    send(printed(plant.sns[0]), 201)
    refuse(printed(plant.sns[0]), "STATION_MISMATCH", 409)


def test_a_report_of_an_earlier_pass_does_not_wait(plant: IngestPlant, send: Send, refuse: Send) -> None:
    sn = plant.sns[0]
    send(printed(sn), 201)
    before = timezone.now()
    send(inspected(sn, "end"), 201)
    dispositions.hold_unit(sn=sn, reason="x", by="test")
    dispositions.rework_unit(sn=sn, reason="x", by="test", to_step_no=10)
    late = {**inspected(sn, "end"), "occurredAt": before.isoformat()}
    assert refuse(late, "STEP_MISMATCH", 409)["details"]["missingSteps"] == []
    send(inspected(sn, "end"), 202)


def test_no_mapping_no_unit_no_sn(plant: IngestPlant, refuse: Send) -> None:
    refuse(printed("nobody"), "UNIT_NOT_FOUND", 404)
    error = refuse(event("AUTO", {"sn": 7.5, "station": "PRN-1"}), "INGEST_PAYLOAD_INVALID")
    assert "payload.sn" in str(error["details"]["problems"])
    refuse({**printed(plant.sns[0]), "runNo": "RUN-9"}, "RUN_NOT_FOUND", 404)
    Run.objects.update(status="COMPLETED")
    refuse(printed(plant.sns[0]), "INGEST_MAPPING_MISSING")


def test_another_run_than_the_unit_s(plant: IngestPlant, refuse: Send) -> None:
    make_ingest_plant(run_no="RUN-2", units=1)
    refuse({**printed(plant.sns[0]), "runNo": "RUN-2"}, "UNIT_RUN_MISMATCH", 409)


@pytest.mark.parametrize(
    ("status", "code"), [("PREP", "RUN_IN_PREP"), ("ON_HOLD", "RUN_ON_HOLD"), ("COMPLETED", "RUN_CLOSED")]
)
def test_machines_need_a_run_that_is_under_way(plant: IngestPlant, refuse: Send, status: str, code: str) -> None:
    put_runs(status)
    refuse({**printed(plant.sns[0]), "runNo": "RUN-1"}, code, 409)


def test_the_envelope_goes_before_paths(plant: IngestPlant, send: Send, refuse: Send) -> None:
    body = printed("nobody", station="nowhere")
    refuse(body, "UNIT_NOT_FOUND", 404)
    send({**printed("nobody", station="nowhere"), "sn": plant.sns[0], "stationCode": "PRN-1"}, 201)
    send({**printed("nobody", station="nowhere"), "sns": plant.sns[1:], "stationCode": "PRN-1"}, 201)
    assert Track.objects.filter(station__code="PRN-1").count() == 3


def test_an_unknown_station(plant: IngestPlant, refuse: Send) -> None:
    refuse(printed(plant.sns[0], station="nowhere"), "STATION_NOT_FOUND", 404)
    refuse(printed(plant.sns[0], station=None), "INGEST_PAYLOAD_INVALID")


def test_a_station_of_another_line(plant: IngestPlant, refuse: Send) -> None:
    make_station("PRN-B", line=make_line("SMT-B"), group=make_group("PRINT-GROUP"), station_type="AUTO")
    refuse(printed(plant.sns[0], station="PRN-B"), "STATION_LINE_MISMATCH", 409)


# --- result and values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["ok", "", None, True, 1, ["OK"], {"OK": "OK"}, "PASS"])
def test_an_unknown_result_never_passes(plant: IngestPlant, refuse: Send, result: Any) -> None:
    refuse(printed(plant.sns[0], result=result), "INGEST_PAYLOAD_INVALID")


@pytest.mark.parametrize("value", ["245", "false", True, False, [120], {"value": 120}])
def test_nothing_is_coerced(plant: IngestPlant, refuse: Send, value: Any) -> None:
    refuse(printed(plant.sns[0], values=[{"name": "Paste Height", "value": value}]), "DATA_TYPE_MISMATCH")


@pytest.mark.parametrize("value", ["false", 0, 1, "true"])
def test_a_boolean_is_a_boolean(db: None, refuse: Send, send: Send, value: Any) -> None:
    make_spec("PRINT", "Wiped", data_type="BOOLEAN")
    plant = make_ingest_plant()
    refuse(printed(plant.sns[0], values=[{"name": "Wiped", "value": value}]), "DATA_TYPE_MISMATCH")
    send(printed(plant.sns[0], values=[{"name": "Wiped", "value": False}]), 201)
    assert DataValue.objects.get().value_boolean is False


def test_values_are_judged_by_the_frozen_limits(plant: IngestPlant, send: Send) -> None:
    values = [{**HEIGHT, "value": 170, "judge": "OK"}, {"name": "Unheard of", "value": 1}, {"name": "x", "value": "y"}]
    send(printed(plant.sns[0], values=values), 201)
    value = DataValue.objects.get()
    assert (value.judge, value.reported_judge, value.value_number, value.usl) == ("FAIL", "PASS", 170, 160)
    assert (value.track_id, value.source) == (Track.objects.get().pk, "AUTO")
    assert Track.objects.get().result == "PASS"  # an observation does not decide
    kept = SettledIngestEvent.objects.get()
    assert (kept.unmapped_count, len(kept.payload["payload"]["values"])) == (2, 3)


def test_names_are_mapped_and_units_of_measure_converted(db: None, send: Send, refuse: Send) -> None:
    measurements = {**PRINTING["measurements"], "unitFactors": {"mm": {"µm": 1000}}}
    mapping = {**PRINTING, "measurements": measurements, "dataSpecMap": {"h": "Paste Height"}}
    plant = make_ingest_plant(print=mapping)
    refuse(printed(plant.sns[0], values=[{"name": "h", "value": 0.12, "unit": "inch"}]), "INGEST_PAYLOAD_INVALID")
    refuse(printed(plant.sns[0], values=[{"name": "h", "value": 1e306, "unit": "mm"}]), "INGEST_PAYLOAD_INVALID")
    refuse(printed(plant.sns[0], values=[{"name": "h", "value": "0.12", "unit": "mm"}]), "DATA_TYPE_MISMATCH")
    send(printed(plant.sns[0], values=[{"name": "h", "value": 0.12, "unit": "mm"}]), 201)
    assert DataValue.objects.get().value_number == pytest.approx(120)


def test_values_typed_by_hand_are_not_a_machine_s(db: None, refuse: Send) -> None:
    make_spec("PRINT", "Operator's Eye", data_type="TEXT", method="MANUAL", item_type="OBSERVATION")
    plant = make_ingest_plant()
    refuse(printed(plant.sns[0], values=[{"name": "Operator's Eye", "value": "fine"}]), "SPEC_NOT_AUTO")


@pytest.mark.parametrize("text", ["NaN", "nan", "Infinity", "-inf", "1e999", "none"])
def test_what_is_no_number_is_none(db: None, send: Send, text: str) -> None:
    """`to_number` of JMESPath makes a float of "NaN", which the database keeps in no limits."""
    measurements = {**PRINTING["measurements"], "valuePath": "to_number(value)"}
    plant = make_ingest_plant(print={**PRINTING, "measurements": measurements})
    send(printed(plant.sns[0], values=[{"name": "Paste Height", "value": text}]), 201)
    assert (DataValue.objects.count(), SettledIngestEvent.objects.get().unmapped_count) == (0, 1)
    send(printed(plant.sns[1], values=[{"name": "Paste Height", "value": "120"}]), 201)
    assert DataValue.objects.get().value_number == 120


def test_what_breaks_a_constraint_is_refused_alone(plant: IngestPlant, monkeypatch: pytest.MonkeyPatch) -> None:
    settle = attempts.settle

    def settle_one_badly(event: ReceivedEvent, *given: Any, **more: Any) -> Any:
        answer = settle(event, *given, **more)
        if event.envelope.payload["sn"] == plant.sns[1]:
            Line.objects.create(code="SMT-A")  # there is one
        return answer

    monkeypatch.setattr(attempts, "settle", settle_one_badly)
    batch = {"events": [printed(sn) for sn in plant.sns]}
    answer = api_client().post("/api/ingest/events/batch", batch)
    assert answer.status_code == 200, answer.content
    assert Track.objects.count() == 2
    assert OpenIngestEvent.objects.get().error_code == "INGEST_PAYLOAD_INVALID"


@pytest.mark.parametrize(
    "values", [[{"value": 1}], [1], [None], [{"name": ["x"], "value": 1}], [{"name": "", "value": 1}]]
)
def test_measurements_without_a_name_are_counted(plant: IngestPlant, send: Send, values: Any) -> None:
    answer = send(printed(plant.sns[0], values=values), 201)
    assert SettledIngestEvent.objects.get(pk=answer["eventId"]).unmapped_count == 1


@pytest.mark.parametrize("values", ["none", {"a": 1}, 7])
def test_malformed_measurements(plant: IngestPlant, refuse: Send, values: Any) -> None:
    refuse(printed(plant.sns[0], values=values), "INGEST_PAYLOAD_INVALID")


# --- in and out -------------------------------------------------------------------------------------------


def test_in_and_out_are_two_events_of_one_track(plant: IngestPlant, send: Send) -> None:
    sn = plant.sns[0]
    put(sn, 20)
    first = send(inspected(sn, "start", result=None), 201)
    assert first["unitStatus"] == "IN_STATION"
    again = send(inspected(sn, "start"), 201)  # another key: the same unit is still there
    assert again["trackIds"] == first["trackIds"]
    second = send(inspected(sn, "end", result="NG"), 201)
    assert (second["unitStatus"], second["trackIds"]) == ("OUT_FAILED", first["trackIds"])
    track = Track.objects.get()
    assert (track.result, track.is_entry_inferred, track.attempt) == ("FAIL", False, 1)


def test_out_without_in_is_marked(plant: IngestPlant, send: Send) -> None:
    put(plant.sns[0], 20)
    send(inspected(plant.sns[0], "end"), 201)
    track = Track.objects.get()
    assert (track.is_entry_inferred, track.result, track.in_at) == (True, "PASS", track.out_at)


def test_in_at_another_station(plant: IngestPlant, send: Send, refuse: Send) -> None:
    sn = plant.sns[0]
    make_station("AOI-2", line=plant.run.line, group=make_group("AOI-GROUP"), station_type="AUTO")
    put(sn, 20)
    send(inspected(sn, "start"), 201)
    refuse(inspected(sn, "start", station="AOI-2"), "UNIT_ALREADY_IN_STATION", 409)
    refuse(inspected(sn, "end", station="AOI-2"), "UNIT_ALREADY_IN_STATION", 409)
    assert Track.objects.get(out_at=None).station.code == "AOI-1"


def test_an_unknown_phase(plant: IngestPlant, refuse: Send) -> None:
    put(plant.sns[0], 20)
    refuse(inspected(plant.sns[0], "middle"), "INGEST_PAYLOAD_INVALID")


def test_hand_in_machine_out_and_machine_in_hand_out(plant: IngestPlant, send: Send, client: APIClient) -> None:
    one, two, three = plant.sns
    for sn in (one, two):
        put(sn, 20)
    assert track_in(client, "AOI-1", one).status_code == 201
    send(inspected(one, "end"), 201)
    send(inspected(two, "start"), 201)
    assert track_out(client, "AOI-1", two).status_code == 200
    assert track_in(client, "PRN-1", three).status_code == 201
    send(printed(three), 201)
    assert list(Track.objects.order_by("id").values_list("source", "result", "is_entry_inferred")) == [
        ("MANUAL", "PASS", False),
        ("AUTO", "PASS", False),
        ("MANUAL", "PASS", False),
    ]


def test_a_held_unit_moves_by_machine_behind_its_hold(plant: IngestPlant, send: Send, client: APIClient) -> None:
    """In, out, and both at once: it stays held, and is released to where the machines had it. A person is refused."""
    sn = plant.sns[0]
    put(sn, 20)
    send(inspected(sn, "start"), 201)
    dispositions.hold_unit(sn=sn, reason="look at it", by="test")
    assert send(inspected(sn, "end"), 201)["unitStatus"] == "ON_HOLD"
    assert dispositions.release_unit(sn=sn, reason="fine", by="test").status == "QUEUED"
    assert Unit.objects.get(sn=sn).current_step_no == 30
    other = plant.sns[1]
    dispositions.hold_unit(sn=other, reason="look at it", by="test")
    assert track_in(client, "PRN-1", other).json()["error"]["code"] == "UNIT_ON_HOLD"
    send(printed(other), 201)
    send(inspected(other, "start"), 201)
    assert (unit(other).status, unit(other).held_from, unit(other).current_step_no) == ("ON_HOLD", "IN_STATION", 20)
    assert track_out(client, "AOI-1", other).json()["error"]["code"] == "UNIT_ON_HOLD"
    send(inspected(other, "end", result="NG"), 201)
    assert (unit(other).status, unit(other).held_from, unit(other).current_step_no) == ("ON_HOLD", "OUT_FAILED", 20)
    assert Disposition.objects.filter(unit__sn=other).count() == 1
    assert dispositions.release_unit(sn=other, reason="fine", by="test").status == "OUT_FAILED"


def test_guards_are_asked_behind_a_hold_too(plant: IngestPlant, send: Send, refuse: Send) -> None:
    sn = plant.sns[0]
    put(sn, 40)
    Unit.objects.filter(sn=sn).update(status="DONE")
    dispositions.hold_unit(sn=sn, reason="look at it", by="test")
    refuse(final_test(sn), "UNIT_ALREADY_DONE", 409)
    put(sn, 10)
    Unit.objects.filter(sn=sn).update(held_from="QUEUED")
    put_runs("ON_HOLD")
    refuse(printed(sn), "RUN_ON_HOLD", 409)


def test_leaving_is_a_fact(plant: IngestPlant, send: Send) -> None:
    sn = plant.sns[0]
    put(sn, 20)
    send(inspected(sn, "start"), 201)
    put_runs("ON_HOLD")
    send(inspected(sn, "end"), 201)


def test_times(plant: IngestPlant, send: Send, refuse: Send) -> None:
    sn = plant.sns[0]

    def at(**ago: float) -> dict[str, Any]:
        return {"occurredAt": (timezone.now() - timedelta(**ago)).isoformat()}

    refuse({**printed(sn), **at(minutes=-6)}, "EVENT_TIME_IN_FUTURE")
    refuse({**printed(sn), **at(days=401)}, "EVENT_TOO_OLD")
    send({**printed(sn), **at(minutes=1)}, 201)
    refuse({**inspected(sn, "end"), **at(minutes=20)}, "EVENT_TIME_OUT_OF_ORDER")
    send({**inspected(sn, "end"), **at(minutes=3)}, 201)
    assert Track.objects.get(step_no=20).is_time_doubtful


def test_equipment_that_is_not_normal_keeps_units_out(plant: IngestPlant, send: Send, refuse: Send) -> None:
    from mes.plant.models import Equipment, Station

    put(plant.sns[0], 20)
    send(inspected(plant.sns[0], "start"), 201)
    Equipment.objects.create(code="EQ-1", name="x", station=Station.objects.get(code="AOI-1"), status="down")
    send(inspected(plant.sns[0], "end"), 201)
    put(plant.sns[1], 20)
    refuse(inspected(plant.sns[1], "start"), "EQUIPMENT_UNAVAILABLE", 409)


# --- who may, and units made on the fly -------------------------------------------------------------------


def test_a_token_is_for_its_stations(plant: IngestPlant) -> None:
    sn = plant.sns[0]
    printer = api_client("INTEGRATION", ["PRN-1"])
    put(sn, 20)
    for body in (inspected(sn, "end"), {**inspected(sn, "end"), "stationCode": "AOI-1"}):
        assert push(printer, body, 403)["code"] == "PERMISSION_DENIED"
    put(sn, 10)
    # Nor may it leave an event behind that is applied later, when nobody asks who sent it.
    assert push(printer, inspected(sn, "end"), 403)["code"] == "PERMISSION_DENIED"
    push(printer, printed(sn), 201)
    assert Track.objects.get().station.code == "PRN-1"
    viewer = api_client("OPERATOR")
    assert push(viewer, printed(sn), 403)["code"] == "PERMISSION_DENIED"


def test_units_are_made_on_the_fly(db: None, send: Send, refuse: Send) -> None:
    make_ingest_plant(units=0)
    refuse(printed("FRESH-1"), "UNIT_NOT_FOUND", 404)  # no run is named
    refuse({**inspected("FRESH-1", "end"), "runNo": "RUN-1"}, "UNIT_NOT_FOUND", 404)  # not the first step
    refuse({**printed("FRESH-1", result="?"), "runNo": "RUN-1"}, "INGEST_PAYLOAD_INVALID")
    send({**printed("FRESH-1"), "runNo": "RUN-1"}, 201)
    assert Unit.objects.get(sn="FRESH-1").current_step_no == 20
    Run.objects.update(plan_qty=1)
    refuse({**printed("FRESH-2"), "runNo": "RUN-1"}, "RUN_QTY_EXCEEDED", 409)


def test_a_run_with_registered_units_takes_no_others(plant: IngestPlant, refuse: Send) -> None:
    refuse({**printed("FRESH-1"), "runNo": "RUN-1"}, "UNIT_NOT_FOUND", 404)


def test_units_of_several_runs(db: None, refuse: Send) -> None:
    one, two = make_ingest_plant(units=1), make_ingest_plant(run_no="RUN-2", units=1)
    runs.register_units(run_no="RUN-2", sns=["B"])
    refuse({**printed(one.sns[0]), "sns": [one.sns[0], two.sns[0]]}, "RUN_MISMATCH", 409)


@pytest.mark.parametrize("value", [3, 3.5, "text", True, False, {"a": 1}, [1], 0, ""])
def test_a_json_spec_takes_any_value(db: None, send: Send, value: Any) -> None:
    make_spec("PRINT", "Offsets", data_type="JSON", item_type="OBSERVATION")
    plant = make_ingest_plant()
    send(printed(plant.sns[0], values=[{"name": "Offsets", "value": value}]), 201)
    stored = DataValue.objects.get()
    assert stored.value_json == value and type(stored.value_json) is type(value)
    assert (stored.value_number, stored.value_text, stored.value_boolean) == (None, None, None)
