"""Units leaving stations: guards, required data, judging, where results lead, retests, holds, times."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from execution import (
    moves,
    moves_sql,
    tracking,
    unit_state,
)
from execution.models import Carrier, CarrierTrack, CarrierTrackUnit, DataValue, Defect, Track
from execution.quality.defects import ReportedDefect
from mes.plant.models import Equipment, Station
from mes.platform.outbox.models import MesEvent
from mes.production import locking
from mes.production.models import Run, Unit
from mes.routing.models import RoutingStep
from mes.specs.models import DataCollectionSpec
from tests.execution.support import (
    assert_done,
    assert_refused,
    decide,
    make_run,
    nothing_written,
    put_at,
    track_in,
    track_out,
)
from tests.factories import Plant, make_line, make_operation, make_spec, put_runs

STATION_OF = {10: "SMT-01", 20: "REF-01", 30: "TST-01"}


def value(name: str, number: float | None = None, **fields: Any) -> dict[str, Any]:
    return {"specName": name, **({} if number is None else {"valueNumber": number}), **fields}


def enter(client: Any, step_no: int, **call: Any) -> str:
    """Put a unit into the station of a step without passing the ones before; return the track's id."""
    put_at(step_no, call.get("sn", "SN-1"))
    return assert_done(track_in(client, STATION_OF[step_no], **call), 201)["trackId"]


def in_minutes(minutes: float) -> str:
    return (timezone.now() + timedelta(minutes=minutes)).isoformat()


def state_of(sn: str = "SN-1") -> tuple[str, int | None, str]:
    return Unit.objects.values_list("status", "current_step_no", "held_from").get(sn=sn)


def send(device: Any, track_id: str, *items: dict[str, Any], event_id: str = "evt-1", **fields: Any) -> Any:
    """Send device data for a track."""
    body = {"eventId": event_id, "eventTime": timezone.now().isoformat(), "source": "AUTO", "trackId": track_id}
    return device.post("/api/integration/device-data", {**body, "data": list(items), **fields})


@pytest.fixture
def rebuild(plant: Plant) -> Callable[[], dict[str, str]]:
    """Compile the plant as it was changed, with run RUN-2 and unit SN-9; return the names of both for a call."""

    def again() -> dict[str, str]:
        make_run(plant, run_no="RUN-2", sns=["SN-9"])
        return {"run_no": "RUN-2", "sn": "SN-9"}

    return again


# --- what it does ------------------------------------------------------------------------------------------


def test_an_item_of_typed_data_that_is_nothing_is_refused(operator: Any, plant: Plant) -> None:
    enter(operator, 30)
    with nothing_written():
        answer = track_out(operator, STATION_OF[30], data=[value("Supply Voltage", 3.3), None])
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"data.1": "This field may not be null."})


def test_track_out_closes_the_track_and_moves_the_unit_on(plant, operator):
    track_id = enter(operator, 10)
    data = assert_done(track_out(operator, operatorId="OP-7"))
    assert data == {
        "sn": "SN-1",
        "status": "QUEUED",
        "trackId": track_id,
        "result": "PASS",
        "resultOverride": None,
        "inspectionOverride": False,
        "nextStepNo": 20,
    }
    track = Track.objects.get()
    assert (track.result, track.claimed_result, track.result_override) == ("PASS", "PASS", "")
    assert (track.operator_out, track.out_at is not None) == ("OP-7", True)
    assert state_of() == ("QUEUED", 20, "")


def test_a_unit_goes_through_all_steps_and_is_done(plant, operator):
    for step_no, station in STATION_OF.items():
        assert assert_done(track_in(operator, station), 201)["stepNo"] == step_no
        data = [value("Supply Voltage", 3.3)] if step_no == 30 else []
        answer = assert_done(track_out(operator, station, data=data))
    assert (answer["status"], answer["nextStepNo"]) == ("DONE", None)
    assert state_of() == ("DONE", 30, "")
    assert list(Track.objects.order_by("id").values_list("step_no", "attempt")) == [(10, 1), (20, 1), (30, 1)]


def test_the_next_step_is_the_next_in_order_not_plus_one(plant, operator, rebuild):
    RoutingStep.objects.create(routing=plant.routing, step_no=17, operation=make_operation("REFLOW"))
    RoutingStep.objects.create(routing=plant.routing, step_no=3, operation=make_operation("PRINT"))
    for step_no, group in ((17, "OVENS"), (3, "PRINTERS")):
        plant.routing.configs.create(
            scope="STEP", step_no=step_no, station_type="MANUAL", station_group=plant.groups[group]
        )
    call = rebuild()
    seen = []
    for station in ("SMT-01", "SMT-01", "REF-01", "REF-01"):
        seen.append(assert_done(track_in(operator, station, **call), 201)["stepNo"])
        seen.append(assert_done(track_out(operator, station, **call))["nextStepNo"])
    assert seen == [3, 10, 10, 17, 17, 20, 20, 30]


def test_each_track_out_writes_its_event_at_its_time(plant, operator):
    track_id = enter(operator, 10, at=in_minutes(-60))
    assert_done(track_out(operator, result="FAIL", at=in_minutes(-30)))
    event = MesEvent.objects.get(event_type="TRACK_OUT")
    assert event.occurred_at == Track.objects.get().out_at
    assert (event.entity_id, event.payload["trackId"], event.payload["result"]) == ("SN-1", track_id, "FAIL")


def test_a_rollback_takes_track_values_and_events_back(plant, operator):
    enter(operator, 20)
    with nothing_written(), pytest.raises(ZeroDivisionError), transaction.atomic():
        tracking.track_out(
            run_no="RUN-1",
            sn="SN-1",
            station_code="REF-01",
            result="PASS",
            readings=[tracking.judging.Reading(spec_name="Peak Temperature", value_number=256)],
        )
        assert DataValue.objects.count() == 1
        raise ZeroDivisionError


# --- the guards --------------------------------------------------------------------------------------------


def test_a_unit_that_is_not_in_a_station_cannot_leave_it(plant, operator):
    with nothing_written():
        assert_refused(track_out(operator), "UNIT_NOT_IN_STATION")


def test_a_unit_cannot_leave_another_station_than_its_own(plant, operator):
    enter(operator, 10)
    with nothing_written():
        assert_refused(track_out(operator, "REF-01"), "UNIT_NOT_IN_STATION")


def test_a_second_track_out_is_refused(plant, operator):
    enter(operator, 10)
    track_out(operator)
    with nothing_written():
        assert_refused(track_out(operator), "UNIT_NOT_IN_STATION")


@pytest.mark.parametrize(
    ("call", "code", "status"),
    [
        ({"station": "NOWHERE"}, "STATION_NOT_FOUND", 404),
        ({"run_no": "NO-RUN"}, "RUN_NOT_FOUND", 404),
        ({"sn": "SN-X"}, "UNIT_NOT_FOUND", 404),
        ({"run_no": "RUN-2"}, "UNIT_RUN_MISMATCH", 409),
        ({"result": "OK"}, "VALIDATION_ERROR", 400),
        ({"result": "pass"}, "VALIDATION_ERROR", 400),
        ({"result": None}, "VALIDATION_ERROR", 400),
        ({"unheard": 1}, "VALIDATION_ERROR", 400),
    ],
)
def test_what_does_not_exist_or_fit_is_refused(plant, operator, call, code, status):
    make_run(plant, run_no="RUN-2", sns=["SN-9"])
    enter(operator, 10)
    with nothing_written():
        assert_refused(track_out(operator, **call), code, status)


def broken(plant: Plant) -> None:
    Equipment.objects.create(code="EQ-1", name="Printer", station=plant.stations["SMT-01"], status="broken")


FACTS: dict[str, Callable[[Plant], Any]] = {
    "equipment broke": broken,
    "run revoked": lambda plant: Run.objects.update(status="PREP"),
    "run held": lambda plant: put_runs("ON_HOLD"),
    "run closed": lambda plant: Run.objects.update(status="COMPLETED"),
    "station moved to another line": lambda plant: Station.objects.filter(code="SMT-01").update(line=make_line("B")),
    "station left the group": lambda plant: Station.objects.filter(code="SMT-01").update(group=None),
    "station of another type": lambda plant: Station.objects.filter(code="SMT-01").update(station_type="AUTO"),
}


@pytest.mark.parametrize("what", FACTS)
def test_leaving_is_a_fact(plant, operator, what):
    enter(operator, 10)
    FACTS[what](plant)
    assert_done(track_out(operator))
    assert state_of() == ("QUEUED", 20, "")


def test_a_person_cannot_track_out_a_held_unit(plant, operator, supervisor):
    enter(operator, 10)
    decide(supervisor, "hold", reason="Look at it")
    with nothing_written():
        details = assert_refused(track_out(operator), "UNIT_ON_HOLD")
    assert details["reason"] == "Look at it"
    assert_done(decide(supervisor, "release"))
    assert_done(track_out(operator))


# --- required data -----------------------------------------------------------------------------------------


def test_a_pass_without_required_data_is_refused(plant, operator):
    enter(operator, 30)
    with nothing_written():
        details = assert_refused(track_out(operator, "TST-01"), "REQUIRED_DATA_MISSING", 422)
    assert details == {"names": ["Supply Voltage"]}


def test_required_data_may_come_with_the_track_out(plant, operator):
    enter(operator, 30)
    assert_done(track_out(operator, "TST-01", data=[value("Supply Voltage", 3.3)], operatorId="OP-7"))
    stored = DataValue.objects.get()
    assert (stored.value_number, stored.judge, stored.source, stored.operator) == (3.3, "PASS", "MANUAL", "OP-7")
    assert (stored.lsl, stored.usl, stored.measure, stored.step_no) == (3.2, 3.4, "V", 30)
    assert state_of() == ("DONE", 30, "")


def test_required_data_may_have_come_as_device_data(plant, operator, device):
    track_id = enter(operator, 30)
    assert_done(send(device, track_id, value("Supply Voltage", 3.3), source="MANUAL", operatorId="OP-7"), 201)
    assert_done(track_out(operator, "TST-01"))


def test_required_data_of_an_earlier_attempt_does_not_count(plant, operator, supervisor):
    enter(operator, 30)
    assert_done(track_out(operator, "TST-01", result="FAIL", data=[value("Supply Voltage", 3.3)]))
    assert_done(decide(supervisor, "rework"))
    assert_done(track_in(operator, "TST-01"), 201)
    with nothing_written():
        assert_refused(track_out(operator, "TST-01"), "REQUIRED_DATA_MISSING", 422)


def test_a_fail_needs_no_data(plant, operator):
    enter(operator, 30)
    assert assert_done(track_out(operator, "TST-01", result="FAIL"))["result"] == "FAIL"


@pytest.mark.parametrize("trigger", ["EVENT", "EACH_UNIT", "EACH_CARRIER"])
def test_required_specs_block_whatever_triggers_them(plant, operator, rebuild, trigger):
    DataCollectionSpec.objects.filter(name="Supply Voltage").update(trigger_type=trigger)
    call = rebuild()
    enter(operator, 30, **call)
    with nothing_written():
        assert_refused(track_out(operator, "TST-01", **call), "REQUIRED_DATA_MISSING", 422)


def test_a_required_spec_triggered_by_time_never_blocks(plant, operator, rebuild):
    DataCollectionSpec.objects.filter(name="Supply Voltage").update(trigger_type="TIME")
    call = rebuild()
    enter(operator, 30, **call)
    assert_done(track_out(operator, "TST-01", **call))


def carrier_pass(track_id: str) -> CarrierTrack:
    """Let the track be part of a carrier's pass."""
    track = Track.objects.get(pk=track_id)
    carrier_track = CarrierTrack.objects.create(
        carrier=Carrier.objects.create(carrier_no="PANEL-1"),
        run=track.run,
        step_no=track.step_no,
        operation_code=track.operation_code,
        station=track.station,
        in_at=track.in_at,
    )
    CarrierTrackUnit.objects.create(carrier_track=carrier_track, track=track)
    return carrier_track


def send_for_carrier(device: Any, carrier_track: CarrierTrack, *items: dict[str, Any]) -> Any:
    fields = {"trackId": None, "carrierTrackId": str(carrier_track.pk), "operationCode": carrier_track.operation_code}
    return send(device, "", *items, **fields, source="MANUAL", operatorId="OP-7")


def test_a_required_carrier_value_counts_on_the_pass_of_the_carrier(plant, operator, device, rebuild):
    DataCollectionSpec.objects.filter(name="Supply Voltage").update(trigger_type="EACH_CARRIER")
    call = rebuild()
    carrier_track = carrier_pass(enter(operator, 30, **call))
    assert_done(send_for_carrier(device, carrier_track, value("Supply Voltage", 3.3)), 201)
    assert_done(track_out(operator, "TST-01", **call))


def test_a_value_of_the_carrier_does_not_stand_for_each_unit(plant, operator, device, rebuild):
    call = rebuild()
    carrier_track = carrier_pass(enter(operator, 30, **call))
    assert_done(send_for_carrier(device, carrier_track, value("Supply Voltage", 3.3)), 201)
    with nothing_written():
        assert_refused(track_out(operator, "TST-01", **call), "REQUIRED_DATA_MISSING", 422)


def test_a_spec_that_became_required_later_does_not_bind_a_run(plant, operator):
    make_spec("PRINT", "Paste Height", is_required=True, method="MANUAL")
    enter(operator, 10)
    assert_done(track_out(operator))


# --- types and names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"valueText": "3.3"}, {"valueBoolean": False}, {"valueJson": {"volt": 3.3}}], ids=str
)
def test_a_value_of_another_type_is_refused(plant, operator, wrong):
    enter(operator, 30)
    with nothing_written():
        details = assert_refused(
            track_out(operator, "TST-01", data=[value("Supply Voltage", **wrong)]), "DATA_TYPE_MISMATCH", 422
        )
    assert details == {"names": ["Supply Voltage"]}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "data.0"),
        ({"valueNumber": 1, "valueText": "1"}, "data.0"),
        ({"valueNumber": "3.3"}, "data.0.valueNumber"),
        ({"valueNumber": True}, "data.0.valueNumber"),
        ({"valueNumber": 3.3, "unheard": 1}, "data.0.unheard"),
        ({"valueNumber": 3.3, "judge": "OK"}, "data.0.judge"),
    ],
)
def test_a_value_that_is_malformed_is_refused_with_its_path(plant, operator, fields, path):
    enter(operator, 30)
    with nothing_written():
        response = track_out(operator, "TST-01", data=[value("Supply Voltage", **fields)])
        assert path in assert_refused(response, "VALIDATION_ERROR", 400)


def test_missing_data_is_told_before_wrong_types(plant, operator, rebuild):
    make_spec("TEST", "Firmware", data_type="TEXT", method="MANUAL", is_required=True)
    call = rebuild()
    enter(operator, 30, **call)
    wrong = value("Supply Voltage", valueText="3.3")
    with nothing_written():
        details = assert_refused(track_out(operator, "TST-01", data=[wrong], **call), "REQUIRED_DATA_MISSING", 422)
        assert details == {"names": ["Firmware"]}
        both = [wrong, value("Firmware", valueText="1.0")]
        assert_refused(track_out(operator, "TST-01", data=both, **call), "DATA_TYPE_MISMATCH", 422)


def test_an_open_track_is_asked_for_before_data(plant, operator):
    put_at(30)
    with nothing_written():
        assert_refused(track_out(operator, "TST-01", data=[value("Unheard", 1)]), "UNIT_NOT_IN_STATION")


def test_unknown_names_are_refused_and_all_named(plant, operator):
    enter(operator, 30)
    data = [value("Supply Voltage", 3.3), value("Colour", 1), value("Smell", 2)]
    with nothing_written():
        details = assert_refused(track_out(operator, "TST-01", data=data), "DATA_SPEC_NOT_FOUND", 422)
    assert details == {"names": ["Colour", "Smell"]}


def test_a_spec_of_the_operation_that_the_version_does_not_bind_is_refused(plant, operator):
    make_spec("TEST", "New Spec")
    enter(operator, 30)
    data = [value("Supply Voltage", 3.3), value("New Spec", 1)]
    with nothing_written():
        details = assert_refused(track_out(operator, "TST-01", data=data), "SPEC_NOT_BOUND", 422)
    assert details == {"names": ["New Spec"]}


def test_a_step_without_bound_specs_takes_the_live_ones_of_its_operation(plant, operator):
    make_spec("PRINT", "Paste Height", data_type="TEXT")
    enter(operator, 10)
    assert_done(track_out(operator, data=[value("Paste Height", valueText="fine")]))
    assert DataValue.objects.get().value_text == "fine"


def test_specs_for_devices_may_be_typed_by_hand(plant, operator):
    enter(operator, 20)
    assert_done(track_out(operator, "REF-01", data=[value("Peak Temperature", 245)]))
    assert DataValue.objects.get().source == "MANUAL"


@pytest.mark.parametrize(
    ("data_type", "field", "given"),
    [
        ("TEXT", "value_text", "ΔT µm “ok”"),
        ("TEXT", "value_text", ""),
        ("BOOLEAN", "value_boolean", False),
        ("JSON", "value_json", {"b": [1, None, {"c": "d"}], "a": 1.5}),
        ("JSON", "value_json", []),
        ("NUMBER", "value_number", 0),
        ("NUMBER", "value_number", -1e300),
    ],
)
def test_values_of_every_type_are_kept_exactly(plant, operator, rebuild, data_type, field, given):
    make_spec("PRINT", "Thing", data_type=data_type, method="MANUAL")
    call = rebuild()
    enter(operator, 10, **call)
    name = "value" + field.removeprefix("value_").capitalize()
    assert_done(track_out(operator, data=[{"specName": "Thing", name: given}], **call))
    stored = DataValue.objects.get()
    assert getattr(stored, field) == given
    others = {"value_number", "value_text", "value_boolean", "value_json"} - {field}
    assert all(getattr(stored, other) is None for other in others)


# --- judging -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "judge"), [(235, "PASS"), (250, "PASS"), (234.999, "FAIL"), (250.001, "FAIL")])
def test_limits_include_their_bounds(plant, operator, number, judge):
    enter(operator, 20)
    data = assert_done(track_out(operator, "REF-01", data=[value("Peak Temperature", number)]))
    assert (data["result"], data["resultOverride"]) == (judge, None if judge == "PASS" else "DATA")


def test_a_failing_key_value_forces_fail_and_keeps_what_was_claimed(plant, operator):
    enter(operator, 20)
    data = assert_done(track_out(operator, "REF-01", data=[value("Peak Temperature", 251, judge="PASS")]))
    assert (data["result"], data["resultOverride"], data["status"]) == ("FAIL", "DATA", "OUT_FAILED")
    assert data["nextStepNo"] is None
    track = Track.objects.get()
    assert (track.result, track.claimed_result, track.result_override) == ("FAIL", "PASS", "DATA")
    stored = DataValue.objects.get()
    assert (stored.judge, stored.reported_judge, stored.lsl, stored.usl) == ("FAIL", "PASS", 235, 250)
    assert MesEvent.objects.get(event_type="TRACK_OUT").payload["result"] == "FAIL"


def test_a_failing_key_value_sent_by_a_device_before_forces_fail(plant, operator, device):
    track_id = enter(operator, 20)
    assert_done(send(device, track_id, value("Peak Temperature", 251)), 201)
    assert assert_done(track_out(operator, "REF-01"))["resultOverride"] == "DATA"


def test_a_claimed_fail_is_not_overridden(plant, operator):
    enter(operator, 20)
    data = assert_done(track_out(operator, "REF-01", result="FAIL", data=[value("Peak Temperature", 251)]))
    assert (data["result"], data["resultOverride"]) == ("FAIL", None)
    assert Track.objects.get().claimed_result == "FAIL"


@pytest.mark.parametrize(
    ("numbers_by_minute", "result"),
    [({-20: 251, -10: 245}, "PASS"), ({-10: 251, -20: 245}, "FAIL"), ({-10: 245, -20: 251}, "PASS")],
)
def test_the_latest_collected_decides_whatever_came_first(plant, operator, device, numbers_by_minute, result):
    track_id = enter(operator, 20, at=in_minutes(-30))
    for index, (minute, number) in enumerate(numbers_by_minute.items()):
        item = value("Peak Temperature", number, collectedAt=in_minutes(minute))
        assert_done(send(device, track_id, item, event_id=f"evt-{index}"), 201)
    assert assert_done(track_out(operator, "REF-01"))["result"] == result
    assert DataValue.objects.count() == 2


def test_a_value_typed_at_the_end_lifts_an_earlier_failure(plant, operator, device):
    track_id = enter(operator, 20, at=in_minutes(-30))
    assert_done(send(device, track_id, value("Peak Temperature", 251, collectedAt=in_minutes(-20))), 201)
    assert assert_done(track_out(operator, "REF-01", data=[value("Peak Temperature", 245)]))["result"] == "PASS"


def test_of_several_key_specs_one_failure_is_enough(plant, operator, rebuild):
    make_spec("REFLOW", "Time Above Liquidus", lsl=40, usl=90)
    call = rebuild()
    enter(operator, 20, **call)
    data = [value("Peak Temperature", 251), value("Time Above Liquidus", 60)]
    assert assert_done(track_out(operator, "REF-01", data=data, **call))["resultOverride"] == "DATA"


def test_an_observation_never_decides(plant, operator):
    enter(operator, 20)
    data = [value("Conveyor Speed", 70), value("Peak Temperature", 245)]
    assert assert_done(track_out(operator, "REF-01", data=data))["result"] == "PASS"
    assert DataValue.objects.get(name="Conveyor Speed").judge == "FAIL"


def test_without_limits_the_reported_judge_stands(plant, operator, rebuild):
    make_spec("PRINT", "Looks", data_type="TEXT", method="MANUAL")
    call = rebuild()
    enter(operator, 10, **call)
    data = [value("Looks", valueText="smeared", judge="FAIL")]
    assert assert_done(track_out(operator, data=data, **call))["resultOverride"] == "DATA"


def test_without_limits_and_judge_nothing_is_judged(plant, operator, rebuild):
    make_spec("PRINT", "Looks", data_type="TEXT", method="MANUAL")
    call = rebuild()
    enter(operator, 10, **call)
    assert assert_done(track_out(operator, data=[value("Looks", valueText="?")], **call))["result"] == "PASS"
    assert DataValue.objects.get().judge == ""


def test_limits_edited_after_the_compile_judge_nothing(plant, operator):
    DataCollectionSpec.objects.filter(name="Peak Temperature").update(lsl=236, usl=244, target=240, is_active=False)
    enter(operator, 20)
    assert assert_done(track_out(operator, "REF-01", data=[value("Peak Temperature", 245)]))["result"] == "PASS"
    stored = DataValue.objects.get()
    assert (stored.lsl, stored.usl, stored.target, stored.judge) == (235, 250, 245, "PASS")


def test_a_key_failure_after_the_pass_holds_the_unit(plant, operator, device):
    track_id = enter(operator, 20)
    assert_done(track_out(operator, "REF-01"))
    assert_done(send(device, track_id, value("Peak Temperature", 251)), 201)
    assert state_of() == ("ON_HOLD", 30, "QUEUED")
    assert Track.objects.get().result == "PASS"


# --- retests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_after_the_retests_are_used_the_unit_fails(plant, operator, rebuild, limit):
    plant.routing.configs.filter(step_no=10).update(retest_limit=limit)
    call = rebuild()
    for attempt in range(1, limit + 2):
        assert assert_done(track_in(operator, **call), 201)["attempt"] == attempt
        data = assert_done(track_out(operator, result="FAIL", **call))
        last = attempt == limit + 1
        expected = ("OUT_FAILED", None) if last else ("QUEUED", 10)
        assert (data["status"], data["nextStepNo"]) == expected
    assert state_of("SN-9") == ("OUT_FAILED", 10, "")
    with nothing_written():
        assert_refused(track_in(operator, **call), "UNIT_OUT_FAILED")


def test_a_retest_that_passes_leads_on(plant, operator, rebuild):
    plant.routing.configs.filter(step_no=10).update(retest_limit=1)
    call = rebuild()
    for result in ("FAIL", "PASS"):
        assert_done(track_in(operator, **call), 201)
        data = assert_done(track_out(operator, result=result, **call))
    assert (data["status"], data["nextStepNo"]) == ("QUEUED", 20)
    assert list(Track.objects.order_by("id").values_list("attempt", "result")) == [(1, "FAIL"), (2, "PASS")]


def test_a_failure_by_data_uses_a_retest_too(plant, operator, rebuild):
    plant.routing.configs.filter(step_no=20).update(retest_limit=1)
    call = rebuild()
    states = []
    put_at(20, "SN-9")
    for _attempt in range(2):
        assert_done(track_in(operator, "REF-01", **call), 201)
        answer = track_out(operator, "REF-01", data=[value("Peak Temperature", 251)], **call)
        states.append(assert_done(answer)["status"])
    assert states == ["QUEUED", "OUT_FAILED"]


# --- alarms and holds --------------------------------------------------------------------------------------


def test_an_alarm_in_the_closing_values_takes_effect_after_the_move(plant, operator, supervisor, rebuild):
    make_spec("REFLOW", "Oxygen", item_type="OBSERVATION", alarm_max=1000, alarm_action="HOLD", unit="ppm")
    call = rebuild()
    enter(operator, 20, **call)
    data = assert_done(track_out(operator, "REF-01", data=[value("Oxygen", 1200)], **call))
    assert (data["result"], data["status"], data["nextStepNo"]) == ("PASS", "ON_HOLD", 30)
    assert state_of("SN-9") == ("ON_HOLD", 30, "QUEUED")
    assert DataValue.objects.get().alarmed is True
    alarm = MesEvent.objects.get(event_type="DATA_ALARM")
    assert (alarm.payload["specName"], alarm.payload["value"], alarm.payload["action"]) == ("Oxygen", 1200, "HOLD")
    assert "Oxygen" in Unit.objects.get(sn="SN-9").hold_reason
    assert_done(decide(supervisor, "release", sn="SN-9"))
    assert state_of("SN-9") == ("QUEUED", 30, "")


def test_an_alarm_that_only_alarms_holds_nothing(plant, operator, rebuild):
    make_spec("REFLOW", "Oxygen", item_type="OBSERVATION", alarm_max=1000, alarm_action="ALARM_ONLY")
    call = rebuild()
    enter(operator, 20, **call)
    assert assert_done(track_out(operator, "REF-01", data=[value("Oxygen", 1200)], **call))["status"] == "QUEUED"
    assert MesEvent.objects.filter(event_type="DATA_ALARM").count() == 1


def test_an_alarm_with_a_failing_key_value_holds_the_failed_unit(plant, operator, supervisor):
    enter(operator, 20)
    data = assert_done(track_out(operator, "REF-01", data=[value("Peak Temperature", 256)]))
    assert (data["result"], data["status"]) == ("FAIL", "ON_HOLD")
    assert_done(decide(supervisor, "release"))
    assert state_of() == ("OUT_FAILED", 20, "")


def test_an_alarm_at_the_last_step_holds_the_unit_that_is_done(plant, operator, supervisor, rebuild):
    DataCollectionSpec.objects.filter(name="Supply Voltage").update(
        item_type="OBSERVATION", alarm_min=3.1, alarm_max=3.5, alarm_action="HOLD"
    )
    call = rebuild()
    enter(operator, 30, **call)
    assert_done(track_out(operator, "TST-01", data=[value("Supply Voltage", 3.6)], **call))
    assert state_of("SN-9") == ("ON_HOLD", 30, "DONE")
    assert assert_done(decide(supervisor, "release", sn="SN-9"))["status"] == "DONE"


@pytest.mark.parametrize(
    ("step_no", "result", "led_to"),
    [(10, "PASS", ("QUEUED", 20)), (10, "FAIL", ("OUT_FAILED", 10)), (20, "PASS", ("QUEUED", 30))],
)
def test_a_machine_takes_a_held_unit_out_and_release_sends_it_where_the_result_led(
    plant, operator, supervisor, step_no, result, led_to
):
    enter(operator, step_no)
    decide(supervisor, "hold")
    departure = machine_out(result)
    assert departure.track.out_at is not None
    assert (departure.track.result, departure.unit.status) == (result, "ON_HOLD")
    assert state_of() == ("ON_HOLD", led_to[1], led_to[0])
    assert MesEvent.objects.filter(event_type="TRACK_OUT").count() == 1
    assert_done(decide(supervisor, "release"))
    assert state_of() == (*led_to, "")


def machine_out(result: str, defects: Sequence[ReportedDefect] = ()) -> moves.Move:
    with transaction.atomic():
        stands = unit_state.load_states(["SN-1"], locked=locking.lock(["SN-1"])).unit_states["SN-1"]
        assert stands.open_track is not None
        move = moves.of_open_track(stands, unit_state.find_earlier([stands])[stands.open_track.pk])
        moves.leave(move, claimed_result=result, at=timezone.now(), by="token:aoi", source="AUTO", defects=defects)
        moves_sql.write([move], now=timezone.now())
        return move


def test_a_unit_that_finished_while_held_is_done_after_its_release(plant, operator, supervisor, device):
    track_id = enter(operator, 30)
    assert_done(send(device, track_id, value("Supply Voltage", 3.3), source="MANUAL", operatorId="OP-7"), 201)
    decide(supervisor, "hold")
    machine_out("PASS")
    assert state_of() == ("ON_HOLD", 30, "DONE")
    assert assert_done(decide(supervisor, "release"))["status"] == "DONE"


def test_a_machine_too_needs_the_required_data(plant, operator, supervisor):
    enter(operator, 30)
    decide(supervisor, "hold")
    with nothing_written(), pytest.raises(tracking.errors.RequiredDataMissing):
        machine_out("PASS")


# --- defects -----------------------------------------------------------------------------------------------


def test_a_failing_track_out_with_a_defect_makes_it(plant, operator):
    enter(operator, 10)
    out = assert_done(track_out(operator, result="FAIL", defectCode="BRIDGE", defectLocation="u7", defectRemark="left"))
    defect = Defect.objects.get()
    assert (defect.unit.sn, str(defect.track_id), defect.step_no, defect.status) == ("SN-1", out["trackId"], 10, "OPEN")
    assert (defect.code, defect.location, defect.remark) == ("BRIDGE", "U7", "left")
    [told] = assert_done(operator.get("/api/trace/units/SN-1"))["defects"]
    assert (told["code"], told["status"], told["inspectionType"]) == ("BRIDGE", "OPEN", None)


def test_a_remark_alone_makes_a_defect_that_is_unspecified(plant, operator):
    enter(operator, 10)
    assert_done(track_out(operator, result="FAIL", defectRemark="looks odd"))
    assert (Defect.objects.get().code, Defect.objects.get().remark) == ("UNSPECIFIED", "looks odd")


def test_a_machine_may_report_several_defects(plant, operator):
    enter(operator, 10)
    machine_out("FAIL", [ReportedDefect("BRIDGE", "U7"), ReportedDefect(location="R1"), ReportedDefect()])
    assert list(Defect.objects.order_by("id").values_list("code", "location")) == [
        ("BRIDGE", "U7"),
        ("UNSPECIFIED", "R1"),
    ]


@pytest.mark.parametrize(("field", "longest"), [("defectCode", 100), ("defectLocation", 100), ("defectRemark", 500)])
def test_a_defect_that_is_too_long_is_refused(plant, operator, field, longest):
    enter(operator, 10)
    with nothing_written():
        response = track_out(operator, result="FAIL", **{field: "x" * (longest + 1)})
        assert field in assert_refused(response, "VALIDATION_ERROR", 400)
    if field != "defectCode":
        assert_done(track_out(operator, result="FAIL", **{field: "x" * longest}))


# --- time --------------------------------------------------------------------------------------------------


def test_a_time_before_the_track_in_is_doubtful_within_the_skew(plant, operator):
    enter(operator, 10, at=in_minutes(-60))
    assert_done(track_out(operator, at=in_minutes(-64.5)))
    assert Track.objects.get().is_time_doubtful is True


def test_a_time_long_before_the_track_in_is_out_of_order(plant, operator):
    enter(operator, 10, at=in_minutes(-60))
    with nothing_written():
        assert_refused(track_out(operator, at=in_minutes(-65.5)), "EVENT_TIME_OUT_OF_ORDER", 422)


def test_a_time_in_the_future_is_refused_beyond_the_skew(plant, operator):
    enter(operator, 10)
    with nothing_written():
        assert_refused(track_out(operator, at=in_minutes(5.5)), "EVENT_TIME_IN_FUTURE", 422)
    assert_done(track_out(operator, at=in_minutes(4.5)))


def test_missing_data_is_told_before_a_wrong_time(plant, operator):
    enter(operator, 30)
    with nothing_written():
        assert_refused(track_out(operator, "TST-01", at=in_minutes(60)), "REQUIRED_DATA_MISSING", 422)


def test_values_are_collected_at_the_time_of_the_track_out(plant, operator):
    enter(operator, 30, at=in_minutes(-60))
    assert_done(track_out(operator, "TST-01", at=in_minutes(-30), data=[value("Supply Voltage", 3.3)]))
    stored = DataValue.objects.get()
    assert stored.collected_at == Track.objects.get().out_at
    assert stored.received_at > stored.collected_at
