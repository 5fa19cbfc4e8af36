"""How values are judged, by which limits, and what follows: alarms, holds, late failures."""

from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Carrier, CarrierTrack, CarrierTrackUnit, DataValue, Track
from mes.platform.outbox.models import MesEvent
from mes.production.models import Unit
from tests.factories import Plant, make_spec
from tests.integration.helpers import (
    accept,
    by_track,
    into_oven,
    make_event,
    moment,
    nothing_changes,
    reading,
    through_tests,
    trace_values,
    track_in,
    track_out,
)

PRINTER: dict[str, Any] = {"stationCode": "SMT-01", "stepNo": 10}


def unit(sn: str = "SN-1") -> Unit:
    return Unit.objects.get(sn=sn)


# --- judging ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "judge"), [(235, "PASS"), (250, "PASS"), (234.999, "FAIL"), (250.001, "FAIL"), (235.0000000001, "PASS")]
)
def test_limits_include_their_bounds(person: APIClient, device: APIClient, value: float, judge: str) -> None:
    into_oven(person)
    assert accept(device, make_event("evt-1", reading(value)))["judge"] == judge
    [kept] = trace_values(person)
    assert kept["judge"] == judge
    assert kept["limits"] == {
        "lsl": 235,
        "usl": 250,
        "target": 245,
        "unit": "°C",
        "alarmMin": 230,
        "alarmMax": 255,
    }


@pytest.mark.parametrize("bounds", [{"lsl": 10}, {"usl": 10}])
def test_a_missing_bound_bounds_nothing(
    plant: Plant, person: APIClient, device: APIClient, bounds: dict[str, float]
) -> None:
    make_spec(plant.operations["PRINT"], "Half", **bounds)
    track_in(person, "SMT-01")
    assert accept(device, make_event("at", reading(10, "Half"), **PRINTER))["judge"] == "PASS"
    beyond = {"lsl": "FAIL", "usl": "PASS"}[next(iter(bounds))]
    assert accept(device, make_event("below", reading(-1e9, "Half"), **PRINTER))["judge"] == beyond


def test_runs_judge_by_the_limits_frozen_in_their_version(plant: Plant, person: APIClient, device: APIClient) -> None:
    into_oven(person)
    accept(device, make_event("before", reading(240)))
    narrow = {"limits": {"lsl": 244, "usl": 246, "target": 245, "unit": "K"}, "alarm": {"min": 243, "max": 247}}
    assert person.patch(f"/api/data-collection-specs/{plant.peak.pk}", narrow).status_code == 200
    assert person.post("/api/routes/ROUTE-1/compile", {}).json()["data"]["changed"]

    answer = accept(device, make_event("after", reading(240)))
    assert (answer["judge"], answer["alarms"]) == ("PASS", [])
    limits = {"lsl": 235, "usl": 250, "target": 245, "unit": "°C", "alarmMin": 230, "alarmMax": 255}
    assert [(v["judge"], v["limits"]) for v in trace_values(person)] == [("PASS", limits)] * 2


@pytest.mark.parametrize(("value", "claimed", "judge"), [(260, "PASS", "FAIL"), (245, "FAIL", "PASS")])
def test_the_system_judges_by_limits_and_keeps_what_the_device_claimed(
    person: APIClient, device: APIClient, value: float, claimed: str, judge: str
) -> None:
    into_oven(person)
    assert accept(device, make_event("evt-1", reading(value, judge=claimed)))["judge"] == judge
    [kept] = trace_values(person)
    assert (kept["judge"], kept["reportedJudge"]) == (judge, claimed)


@pytest.mark.parametrize("claimed", ["PASS", "FAIL", None])
def test_without_limits_the_devices_judge_stands(
    plant: Plant, person: APIClient, device: APIClient, claimed: str | None
) -> None:
    make_spec(plant.operations["PRINT"], "Vision", data_type="TEXT")
    track_in(person, "SMT-01")
    item = {"specName": "Vision", "valueText": "ok", "judge": claimed}
    assert accept(device, make_event("evt-1", item, **PRINTER))["judge"] == claimed
    [kept] = trace_values(person)
    assert (kept["judge"], kept["reportedJudge"]) == (claimed, claimed)


@pytest.mark.parametrize("claimed", ["pass", "OK", "", True, 1])
def test_a_judge_is_pass_or_fail(person: APIClient, device: APIClient, claimed: Any) -> None:
    into_oven(person)
    with nothing_changes():
        answer = device.post("/api/integration/device-data", make_event("evt-1", reading(judge=claimed)))
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["data.0.judge"])


@pytest.mark.parametrize(
    ("readings", "judge"),
    [
        ([reading(245)], "PASS"),
        ([reading(260)], "FAIL"),
        ([reading(245), reading(90, "Conveyor Speed")], "PASS"),
        ([reading(245), reading(251)], "FAIL"),
        ([reading(90, "Conveyor Speed")], None),
        ([reading(60, "Conveyor Speed")], None),
    ],
)
def test_an_event_is_judged_by_its_key_values(
    person: APIClient, device: APIClient, readings: list[dict[str, Any]], judge: str | None
) -> None:
    into_oven(person)
    assert accept(device, make_event("evt-1", *readings))["judge"] == judge


# --- what a key value does to its track -------------------------------------------------------------------


def test_a_failed_key_value_forces_its_track_to_fail(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    accept(device, make_event("evt-1", reading(251)))
    answer = track_out(person, "REF-01", result="PASS")
    assert (answer["result"], answer["resultOverride"], answer["status"]) == ("FAIL", "DATA", "OUT_FAILED")
    assert Track.objects.get(step_no=20).claimed_result == "PASS"


def test_a_failed_observation_forces_nothing(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    accept(device, make_event("evt-1", reading(90, "Conveyor Speed")))
    answer = track_out(person, "REF-01")
    assert (answer["result"], answer["resultOverride"], answer["status"]) == ("PASS", None, "QUEUED")


@pytest.mark.parametrize(("first", "second", "result"), [(251, 245, "PASS"), (245, 251, "FAIL")])
@pytest.mark.parametrize("arrive", ["in order", "in reverse", "together"])
def test_the_latest_collected_value_of_a_spec_decides(
    person: APIClient, device: APIClient, first: float, second: float, result: str, arrive: str
) -> None:
    into_oven(person)
    early, late = (reading(first, collectedAt=moment(minutes=9)), reading(second, collectedAt=moment(minutes=2)))
    if arrive == "together":
        accept(device, make_event("evt-1", late, early))
    else:
        order = [early, late] if arrive == "in order" else [late, early]
        for number, item in enumerate(order):
            accept(device, make_event(f"evt-{number}", item))
    assert track_out(person, "REF-01")["result"] == result
    assert DataValue.objects.count() == 2


# --- alarms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "alarmed"), [(230, False), (255, False), (229.99, True), (255.01, True)])
def test_the_alarm_band_includes_its_bounds(person: APIClient, device: APIClient, value: float, alarmed: bool) -> None:
    into_oven(person)
    answer = accept(device, make_event("evt-1", reading(value)))
    assert [v["alarmed"] for v in trace_values(person)] == [alarmed]
    assert bool(answer["alarms"]) == MesEvent.objects.filter(event_type="DATA_ALARM").exists() == alarmed
    assert (unit().status == "ON_HOLD") == alarmed


def test_an_alarm_with_hold_holds_the_unit_and_is_told_once(person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    body = make_event("evt-1", reading(260))
    answer = accept(device, body)
    assert answer["alarms"] == [
        {"specName": "Peak Temperature", "value": 260, "min": 230, "max": 255, "action": "HOLD"}
    ]
    assert (unit().status, unit().held_from) == ("ON_HOLD", "IN_STATION")
    assert "Peak Temperature" in unit().hold_reason
    accept(device, body, 200)
    event = MesEvent.objects.get(event_type="DATA_ALARM")
    assert (event.status, event.entity_id, event.run_id) == ("COMPLETED", "SN-1", unit().run_id)
    assert (event.payload["trackId"], event.payload["value"], event.payload["action"]) == (track_id, 260, "HOLD")


def test_an_alarm_only_is_told_and_holds_nothing(plant: Plant, person: APIClient, device: APIClient) -> None:
    make_spec(plant.operations["PRINT"], "Pressure", item_type="OBSERVATION", alarm_max=5, alarm_action="ALARM_ONLY")
    track_in(person, "SMT-01")
    answer = accept(device, make_event("evt-1", reading(6, "Pressure"), reading(7, "Pressure"), **PRINTER))
    assert [(a["value"], a["min"], a["max"], a["action"]) for a in answer["alarms"]] == [
        (6, None, 5, "ALARM_ONLY"),
        (7, None, 5, "ALARM_ONLY"),
    ]
    assert MesEvent.objects.filter(event_type="DATA_ALARM").count() == 2
    assert unit().status == "IN_STATION"


def test_alarms_of_events_with_like_ids_are_all_told(plant: Plant, person: APIClient, device: APIClient) -> None:
    make_spec(plant.operations["PRINT"], "Pressure", item_type="OBSERVATION", alarm_max=5, alarm_action="ALARM_ONLY")
    track_in(person, "SMT-01")
    for event_id in ("e", "e:0", "E", "x" * 199 + "a", "x" * 199 + "b"):
        accept(device, make_event(event_id, reading(6, "Pressure"), **PRINTER))
    assert MesEvent.objects.filter(event_type="DATA_ALARM").count() == 5


def test_a_held_unit_can_be_released_to_where_it_was(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    accept(device, make_event("evt-1", reading(260)))
    with nothing_changes():
        answer = person.post("/api/stations/REF-01/track-out", {"runNo": "RUN-1", "sn": "SN-1", "result": "PASS"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "UNIT_ON_HOLD")
    assert person.post("/api/units/SN-1/release", {"reason": "looked at"}).json()["data"]["status"] == "IN_STATION"
    assert track_out(person, "REF-01")["resultOverride"] == "DATA"


def test_a_scrapped_unit_takes_values_and_stays_scrapped(person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    assert person.post("/api/units/SN-1/scrap", {"reason": "burnt"}).status_code == 200
    accept(device, by_track("evt-1", track_id, reading(260)))
    assert unit().status == "SCRAPPED"
    assert MesEvent.objects.filter(event_type="DATA_ALARM").count() == 1


def test_an_alarm_on_a_carrier_pass_holds_every_unit_of_it(plant: Plant, person: APIClient, device: APIClient) -> None:
    carrier_track = CarrierTrack.objects.create(
        carrier=Carrier.objects.create(carrier_no="PANEL-1"),
        run=plant.run,
        step_no=20,
        operation_code="REFLOW",
        in_at=timezone.now(),
    )
    for sn in plant.sns:
        track = Track.objects.get(pk=into_oven(person, sn))
        CarrierTrackUnit.objects.create(carrier_track=carrier_track, track=track)
    accept(device, by_track("evt-1", "", reading(260), trackId=..., carrierTrackId=str(carrier_track.pk)))
    assert [unit(sn).status for sn in plant.sns] == ["ON_HOLD", "ON_HOLD"]
    event = MesEvent.objects.get(event_type="DATA_ALARM")
    assert (event.entity_type, event.entity_id) == ("CARRIER_TRACK", str(carrier_track.pk))


# --- late failures ----------------------------------------------------------------------------------------


def test_a_key_value_that_fails_after_its_track_passed_holds_the_unit(person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    track_out(person, "REF-01")
    accept(device, by_track("evt-1", track_id, reading(251)))
    held = unit()
    assert (held.status, held.held_from, held.current_step_no) == ("ON_HOLD", "QUEUED", 30)
    assert "Peak Temperature" in held.hold_reason
    assert Track.objects.get(pk=track_id).result == "PASS"  # what happened stays as it was
    with nothing_changes():
        answer = person.post("/api/stations/TST-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"})
    assert answer.json()["error"]["code"] == "UNIT_ON_HOLD"


def test_a_late_failure_reaches_a_unit_that_is_done_and_its_run_closed(person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    track_out(person, "REF-01")
    through_tests(person)
    assert person.post("/api/runs/RUN-1/close", {"reason": "done"}).status_code == 200
    accept(device, by_track("evt-1", track_id, reading(251)))
    assert (unit().status, unit().held_from) == ("ON_HOLD", "DONE")


def test_a_late_failure_that_is_not_the_latest_collected_holds_nothing(person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    accept(device, make_event("evt-1", reading(245, collectedAt=moment(minutes=1))))
    track_out(person, "REF-01")
    answer = accept(device, by_track("evt-2", track_id, reading(251, collectedAt=moment(minutes=2))))
    assert answer["judge"] == "FAIL"
    assert unit().status == "QUEUED"
    both = [reading(251, collectedAt=moment(seconds=20)), reading(246, collectedAt=moment(seconds=10))]
    accept(device, by_track("evt-3", track_id, *both))
    assert unit().status == "QUEUED"


def test_other_late_values_hold_nothing(person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    track_out(person, "REF-01")
    accept(device, by_track("evt-1", track_id, reading(90, "Conveyor Speed"), reading(245)))
    assert unit().status == "QUEUED"


def test_a_late_failure_of_a_track_that_failed_changes_nothing_more(person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    track_out(person, "REF-01", result="FAIL")
    accept(device, by_track("evt-1", track_id, reading(251)))
    assert unit().status == "OUT_FAILED"
