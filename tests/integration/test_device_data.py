"""Device data: which track, which spec, which values, when, from whom. Judging and sameness have their own files."""

from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Carrier, CarrierTrack, DataValue, Track
from integration.models import DeviceDataRecord, FailedMessage, SettledMessage
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import issue_token
from mes.platform.inbound.models import IdempotencyKey
from mes.production import runs
from mes.production.models import Run, Unit, WorkOrder
from tests.factories import Plant, api_client, make_operation, make_plant, make_run, make_spec
from tests.integration.helpers import (
    EVENTS,
    accept,
    by_track,
    into_oven,
    list_messages,
    make_event,
    moment,
    nothing_changes,
    reading,
    refuse,
    through_tests,
    trace_values,
    track_in,
    track_out,
)

FAR = 4_000_000_000
UNKNOWN_IDS = [str(FAR), "0", "-1", "abc", "1.0", "", "٣", " 1", "9" * 19, "9" * 400, "1e3"]


def make_second_run(plant: Plant, *, sns: list[str]) -> Run:
    WorkOrder.objects.filter(pk=plant.order.pk).update(planned_qty=200)
    run = runs.create(wo_no=plant.order.wo_no, line_code=plant.line.code, plan_qty=10, run_no="RUN-2")
    if sns:
        runs.register_units(run_no="RUN-2", sns=sns)
    runs.set_authorization(run_no="RUN-2", action="AUTHORIZE", by="test")
    return run


# --- which track ------------------------------------------------------------------------------------------


def test_values_are_written_for_the_track_of_run_unit_station_and_step(person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    at = moment(seconds=1)
    answer = accept(device, make_event("evt-1", reading(245.1, collectedAt=at), equipmentId="EQ-1", meta={"a": [1]}))

    assert (answer["eventId"], answer["trackId"], answer["carrierTrackId"]) == ("evt-1", track_id, None)
    assert (answer["dataValuesCreated"], answer["isDuplicate"]) == (1, False)
    assert (answer["judge"], answer["alarms"]) == ("PASS", [])
    [value] = trace_values(person)
    assert (value["trackId"], value["valueNumber"], value["deviceDataId"]) == (track_id, 245.1, answer["id"])
    record = DeviceDataRecord.objects.get()
    assert (record.equipment_id, record.meta, record.values_count) == ("EQ-1", {"a": [1]}, 1)
    assert [m["status"] for m in list_messages(person)] == ["SUCCESS"]


def test_a_value_never_creates_or_moves_a_track(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    with nothing_changes_but_values():
        accept(device, make_event())


def nothing_changes_but_values() -> AbstractContextManager[None]:
    return nothing_changes(but=(DataValue, DeviceDataRecord, FailedMessage, SettledMessage, IdempotencyKey))


def test_the_latest_track_of_the_four_names_is_meant(person: APIClient, device: APIClient) -> None:
    first = into_oven(person)
    track_out(person, "REF-01", result="FAIL")
    assert person.post("/api/units/SN-1/rework", {"reason": "again"}).status_code == 200
    second = track_in(person, "REF-01")
    assert accept(device, make_event("by-names"))["trackId"] == second
    assert accept(device, by_track("by-id", first))["trackId"] == first
    for attempt in (9, 1):  # of an index, so that the first now lies behind the second in table and indexes
        Track.objects.filter(pk=first).update(attempt=attempt)
    assert accept(device, make_event("again"))["trackId"] == second


def test_a_track_is_named_by_its_id_alone_or_with_names_that_agree(person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    assert accept(device, by_track("alone", track_id))["trackId"] == track_id
    assert accept(device, make_event("agreeing", trackId=track_id))["trackId"] == track_id


@pytest.mark.parametrize(
    ("names", "code", "status"),
    [
        ({"runNo": "RUN-9"}, "UNIT_RUN_MISMATCH", 409),
        ({"unitSn": "SN-2"}, "UNIT_RUN_MISMATCH", 409),
        ({"stationCode": "SMT-01"}, "TRACK_NOT_FOUND", 404),
        ({"stepNo": 10}, "TRACK_NOT_FOUND", 404),
    ],
)
def test_names_beside_a_track_id_must_agree(
    person: APIClient, device: APIClient, names: dict[str, Any], code: str, status: int
) -> None:
    refuse(device, by_track("evt-1", into_oven(person), **names), status, code)


def test_a_track_id_and_a_carrier_track_id_are_one_too_many(person: APIClient, device: APIClient) -> None:
    error = refuse(device, by_track("evt-1", into_oven(person), carrierTrackId="1"), 400, "VALIDATION_ERROR")
    assert list(error["details"]) == ["carrierTrackId"]


@pytest.mark.parametrize("left_out", [..., None])
@pytest.mark.parametrize("name", ["unitSn", "stationCode", "stepNo"])
def test_each_of_the_three_names_is_needed(person: APIClient, device: APIClient, name: str, left_out: Any) -> None:
    into_oven(person)
    error = refuse(device, make_event(**{name: ...}), 400, "VALIDATION_ERROR")
    assert list(error["details"]) == [name]


@pytest.mark.parametrize("left_out", [..., None])
def test_without_a_run_it_is_the_latest_such_track_of_any(
    plant: Plant, person: APIClient, device: APIClient, left_out: Any
) -> None:
    first = into_oven(person)
    assert accept(device, make_event("of the first", runNo=left_out))["trackId"] == first
    other = make_run(plant.version, plant.line, run_no="RUN-2")
    of_first = Track.objects.get(pk=first)
    second = Track.objects.create(
        unit_id=of_first.unit_id,
        run=other,
        station_id=of_first.station_id,
        step_no=20,
        operation_code="REFLOW",
        source="MANUAL",
        in_at=of_first.in_at,
        out_at=of_first.in_at,
        result="PASS",
    )
    answer = accept(device, make_event("of the second", runNo=left_out))
    assert answer["trackId"] == str(second.pk)
    assert DataValue.objects.get(track=second).run_id == other.pk
    for names, code in (
        ({"unitSn": "SN-9"}, "UNIT_NOT_FOUND"),
        ({"stationCode": "REF-09"}, "STATION_NOT_FOUND"),
        ({"stepNo": 30}, "TRACK_NOT_FOUND"),
    ):
        refuse(device, make_event(f"{names}", runNo=left_out, **names), 404, code)


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ({"runNo": "RUN-9"}, "RUN_NOT_FOUND"),
        ({"unitSn": "SN-9"}, "UNIT_NOT_FOUND"),
        ({"unitSn": "sn-1"}, "UNIT_NOT_FOUND"),
        ({"stationCode": "REF-09"}, "STATION_NOT_FOUND"),
        ({"stepNo": 30}, "TRACK_NOT_FOUND"),
        ({"stepNo": 11}, "TRACK_NOT_FOUND"),
        ({"stationCode": "SMT-01"}, "TRACK_NOT_FOUND"),
        ({"unitSn": "SN-2"}, "TRACK_NOT_FOUND"),
    ],
)
def test_what_is_named_must_exist(person: APIClient, device: APIClient, names: dict[str, Any], code: str) -> None:
    into_oven(person)
    refuse(device, make_event(**names), 404, code)


@pytest.mark.parametrize("track_id", UNKNOWN_IDS)
def test_an_unknown_track_id_is_not_found(person: APIClient, device: APIClient, track_id: str) -> None:
    into_oven(person)
    refuse(device, by_track("evt-1", track_id), 404, "TRACK_NOT_FOUND")


@pytest.mark.parametrize("track_id", UNKNOWN_IDS)
def test_an_unknown_carrier_track_id_is_not_found(person: APIClient, device: APIClient, track_id: str) -> None:
    into_oven(person)
    body = by_track("evt-1", track_id, trackId=..., carrierTrackId=track_id)
    refuse(device, body, 404, "CARRIER_TRACK_NOT_FOUND")


def test_an_id_is_a_string(person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    error = refuse(device, by_track("evt-1", int(track_id)), 400, "VALIDATION_ERROR")  # type: ignore[arg-type]
    assert list(error["details"]) == ["trackId"]


def test_the_unit_must_belong_to_the_run(plant: Plant, person: APIClient, device: APIClient) -> None:
    make_second_run(plant, sns=["SN-21"])
    into_oven(person)
    refuse(device, make_event(runNo="RUN-2"), 409, "UNIT_RUN_MISMATCH")
    refuse(device, make_event("evt-2", unitSn="SN-21"), 409, "UNIT_RUN_MISMATCH")


def test_a_track_keeps_the_run_it_was_made_in(plant: Plant, person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    track_out(person, "REF-01")
    other = make_second_run(plant, sns=["SN-21"])
    Unit.objects.filter(sn="SN-1").update(run=other)  # as a rework after an MRB decision does
    assert accept(device, make_event())["trackId"] == track_id
    refuse(device, make_event("evt-2", runNo="RUN-2"), 404, "TRACK_NOT_FOUND")


def test_a_carrier_pass_takes_values_of_its_own(plant: Plant, device: APIClient) -> None:
    carrier_track = CarrierTrack.objects.create(
        carrier=Carrier.objects.create(carrier_no="PANEL-1"),
        run=plant.run,
        step_no=20,
        operation_code="REFLOW",
        in_at=timezone.now(),
    )
    body = by_track("evt-1", "", trackId=..., carrierTrackId=str(carrier_track.pk))
    answer = accept(device, body)
    assert (answer["trackId"], answer["carrierTrackId"]) == (None, str(carrier_track.pk))
    value = DataValue.objects.get()
    assert (value.carrier_track_id, value.track_id, value.unit_id) == (carrier_track.pk, None, None)


# --- which spec -------------------------------------------------------------------------------------------


def test_a_spec_is_named_by_its_id_or_its_name(plant: Plant, person: APIClient, device: APIClient) -> None:
    into_oven(person)
    by_id = {"specId": str(plant.speed.pk), "valueNumber": 60}
    accept(device, make_event("evt-1", by_id, reading(245)))
    assert {v["name"]: v["value"] for v in trace_values(person)} == {"Conveyor Speed": 60, "Peak Temperature": 245}


@pytest.mark.parametrize("item", [{"valueNumber": 1}, {"specName": "", "valueNumber": 1}])
def test_a_reading_names_its_spec(person: APIClient, device: APIClient, item: dict[str, Any]) -> None:
    into_oven(person)
    error = refuse(device, make_event("evt-1", reading(), item), 400, "VALIDATION_ERROR")
    assert list(error["details"]) == ["data.1.specName"]


def test_unknown_and_inactive_specs_are_named_each(plant: Plant, person: APIClient, device: APIClient) -> None:
    make_spec(plant.operations["REFLOW"], "Retired", is_active=False)
    make_spec(plant.operations["PRINT"], "Of Another Operation")
    into_oven(person)
    names = ["Peak Temprature", "peak temperature", "Retired", "Of Another Operation"]
    error = refuse(device, make_event("evt-1", reading(), *(reading(1, n) for n in names)), 422, "DATA_SPEC_NOT_FOUND")
    assert error["details"] == {"names": names}
    assert all(name in error["message"] for name in names)


@pytest.mark.parametrize("spec_id", ["0", "x", "9" * 30, str(FAR)])
def test_an_unknown_spec_id_is_refused(person: APIClient, device: APIClient, spec_id: str) -> None:
    into_oven(person)
    error = refuse(device, make_event("evt-1", {"specId": spec_id, "valueNumber": 1}), 422, "DATA_SPEC_NOT_FOUND")
    assert error["details"] == {"names": [spec_id]}


def test_the_id_of_another_operations_spec_is_refused(plant: Plant, person: APIClient, device: APIClient) -> None:
    into_oven(person)
    item = {"specId": str(plant.voltage.pk), "valueNumber": 3.3}
    refuse(device, make_event("evt-1", item), 422, "DATA_SPEC_NOT_FOUND")


def test_a_spec_that_is_not_bound_is_told_apart(plant: Plant, person: APIClient, device: APIClient) -> None:
    later = make_spec(plant.operations["REFLOW"], "Oxygen")
    into_oven(person)
    error = refuse(device, make_event("evt-1", reading(), reading(1, "Oxygen")), 422, "SPEC_NOT_BOUND")
    assert error["details"] == {"names": ["Oxygen"]}
    refuse(device, make_event("evt-2", {"specId": str(later.pk), "valueNumber": 1}), 422, "SPEC_NOT_BOUND")
    both = make_event("evt-3", reading(1, "Oxygen"), reading(1, "Nobody's"))
    assert refuse(device, both, 422, "DATA_SPEC_NOT_FOUND")["details"] == {"names": ["Nobody's"]}


def test_a_bound_spec_counts_though_it_was_deactivated_since(
    plant: Plant, person: APIClient, device: APIClient
) -> None:
    into_oven(person)
    plant.peak.is_active = False
    plant.peak.save(update_fields=["is_active"])
    accept(device, make_event())


def test_where_a_step_binds_none_specs_are_looked_up_live(plant: Plant, person: APIClient, device: APIClient) -> None:
    paste = make_spec(plant.operations["PRINT"], "Paste Height", lsl=100, usl=150)
    track_in(person, "SMT-01")
    at_printer: dict[str, Any] = {"stationCode": "SMT-01", "stepNo": 10}
    accept(device, make_event("evt-1", reading(120, "Paste Height"), **at_printer))
    paste.usl = 110
    paste.save(update_fields=["usl"])
    by_id = {"specId": str(paste.pk), "valueNumber": 120}
    assert accept(device, make_event("evt-2", by_id, **at_printer))["judge"] == "FAIL"
    assert [(v["limits"]["usl"], v["judge"]) for v in trace_values(person)] == [(150, "PASS"), (110, "FAIL")]

    paste.is_active = False
    paste.save(update_fields=["is_active"])
    refuse(device, make_event("evt-3", reading(120, "Paste Height"), **at_printer), 422, "DATA_SPEC_NOT_FOUND")
    refuse(device, make_event("evt-4", reading(245), **at_printer), 422, "DATA_SPEC_NOT_FOUND")


# --- which values -----------------------------------------------------------------------------------------


@pytest.fixture
def printer(plant: Plant, person: APIClient) -> dict[str, Any]:
    """One spec of each type at the printer, where SN-1 is."""
    for data_type in ("NUMBER", "TEXT", "BOOLEAN", "JSON"):
        make_spec(plant.operations["PRINT"], data_type, data_type=data_type)
    track_in(person, "SMT-01")
    return {"stationCode": "SMT-01", "stepNo": 10}


GOOD = {
    "NUMBER": ("valueNumber", [0, -0.5, 1e300, 1e30, 2**53]),
    "TEXT": ("valueText", ["", "245", " päss\U0001f600\n", "x" * 100_000]),
    "BOOLEAN": ("valueBoolean", [True, False]),
    "JSON": ("valueJson", [{}, [], False, 0, "", {"a": [None, {"b": 1.5}]}]),
}


@pytest.mark.parametrize(("spec", "field", "value"), [(s, f, v) for s, (f, values) in GOOD.items() for v in values])
def test_a_value_of_its_specs_type_is_kept_as_it_is(
    printer: dict[str, Any], person: APIClient, device: APIClient, spec: str, field: str, value: Any
) -> None:
    accept(device, make_event("evt-1", {"specName": spec, field: value}, **printer))
    [kept] = trace_values(person)
    assert {name: kept[name] for name in ("valueNumber", "valueText", "valueBoolean", "valueJson")} == {
        "valueNumber": None,
        "valueText": None,
        "valueBoolean": None,
        "valueJson": None,
        field: value,
    }


@pytest.mark.parametrize(
    ("spec", "field", "value"),
    [
        ("NUMBER", "valueText", "245"),
        ("NUMBER", "valueBoolean", True),
        ("NUMBER", "valueJson", 245),
        ("TEXT", "valueNumber", 1),
        ("BOOLEAN", "valueText", "false"),
        ("BOOLEAN", "valueNumber", 0),
        ("JSON", "valueText", "{}"),
    ],
)
def test_a_value_of_another_type_is_refused(
    printer: dict[str, Any], device: APIClient, spec: str, field: str, value: Any
) -> None:
    body = make_event("evt-1", reading(1, "NUMBER"), {"specName": spec, field: value}, **printer)
    assert refuse(device, body, 422, "DATA_TYPE_MISMATCH")["details"] == {"names": [spec]}


@pytest.mark.parametrize(
    ("field", "value"), [("valueNumber", "245"), ("valueNumber", True), ("valueBoolean", "false"), ("valueText", 1)]
)
def test_nothing_is_coerced(printer: dict[str, Any], device: APIClient, field: str, value: Any) -> None:
    body = make_event("evt-1", {"specName": "NUMBER", field: value}, **printer)
    assert list(refuse(device, body, 400, "VALIDATION_ERROR")["details"]) == [f"data.0.{field}"]


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"valueNumber": None},
        {"valueJson": None, "valueText": None},
        {"valueNumber": 1, "valueText": "1"},
        {"valueBoolean": False, "valueJson": 0},
    ],
)
def test_a_reading_has_exactly_one_value(printer: dict[str, Any], device: APIClient, item: dict[str, Any]) -> None:
    body = make_event("evt-1", reading(1, "NUMBER"), {"specName": "NUMBER", **item}, **printer)
    assert list(refuse(device, body, 400, "VALIDATION_ERROR")["details"]) == ["data.1"]


def test_an_event_has_a_reading(printer: dict[str, Any], device: APIClient) -> None:
    assert list(refuse(device, make_event(data=[]), 400, "VALIDATION_ERROR")["details"]) == ["data"]


def test_a_device_does_not_fill_in_what_people_type(plant: Plant, person: APIClient, device: APIClient) -> None:
    into_oven(person)
    track_out(person, "REF-01")
    track_in(person, "TST-01")
    at_tester: dict[str, Any] = {"stationCode": "TST-01", "stepNo": 30}
    voltage = reading(3.3, "Supply Voltage")
    error = refuse(device, make_event("evt-1", voltage, **at_tester), 422, "SPEC_NOT_AUTO")
    assert error["details"] == {"names": ["Supply Voltage"]}
    accept(device, make_event("evt-2", voltage, source="MANUAL", operatorId="anna", **at_tester))
    [value] = trace_values(person)
    assert (value["source"], value["operatorId"]) == ("MANUAL", "anna")


@pytest.mark.parametrize("operator", [..., None, ""])
def test_values_typed_by_hand_name_the_operator(person: APIClient, device: APIClient, operator: Any) -> None:
    into_oven(person)
    body = make_event(source="MANUAL", operatorId=operator)
    assert list(refuse(device, body, 400, "VALIDATION_ERROR")["details"]) == ["operatorId"]


def test_a_required_value_that_came_from_a_device_is_there_at_track_out(
    plant: Plant, person: APIClient, device: APIClient
) -> None:
    into_oven(person)
    track_out(person, "REF-01")
    track_in(person, "TST-01")
    body = {"runNo": "RUN-1", "sn": "SN-1", "result": "PASS"}
    with nothing_changes():
        answer = person.post("/api/stations/TST-01/track-out", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "REQUIRED_DATA_MISSING")
    voltage = reading(3.3, "Supply Voltage")
    accept(
        device,
        make_event("evt-1", voltage, source="MANUAL", operatorId="anna", stationCode="TST-01", stepNo=30),
    )
    assert track_out(person, "TST-01")["status"] == "DONE"


# --- when -------------------------------------------------------------------------------------------------


def test_a_value_was_collected_at_the_time_of_the_event_unless_it_says_otherwise(
    person: APIClient, device: APIClient
) -> None:
    into_oven(person)
    body = make_event("evt-1", reading(1, "Conveyor Speed"), reading(245, collectedAt="2026-02-01T07:30:00+05:30"))
    accept(device, body)
    collected = {v.name: v.collected_at.isoformat() for v in DataValue.objects.all()}
    assert collected["Conveyor Speed"] == body["eventTime"]
    assert collected["Peak Temperature"] == "2026-02-01T02:00:00+00:00"


@pytest.mark.parametrize("field", ["eventTime", "collectedAt"])
def test_a_time_beyond_the_skew_of_clocks_is_in_the_future(person: APIClient, device: APIClient, field: str) -> None:
    into_oven(person)
    skew = settings.MES_CLOCK_SKEW.total_seconds()
    near, far = moment(seconds=10 - skew), moment(seconds=-skew - 10)

    def body(event_id: str, at: str) -> dict[str, Any]:
        if field == "eventTime":
            return make_event(event_id, eventTime=at)
        return make_event(event_id, reading(collectedAt=at))

    refuse(device, body("evt-1", far), 422, "EVENT_TIME_IN_FUTURE")
    accept(device, body("evt-2", near))


def test_events_older_than_the_keys_live_are_refused(person: APIClient, device: APIClient) -> None:
    into_oven(person)
    days = settings.MES_KEY_LIFETIME / timedelta(days=1)
    assert days == 400
    refuse(device, make_event(eventTime=moment(days=days, seconds=10)), 422, "EVENT_TOO_OLD")
    refuse(device, make_event("evt-2", eventTime="1900-01-01T00:00:00Z"), 422, "EVENT_TOO_OLD")
    accept(device, make_event("evt-3", eventTime=moment(days=days, seconds=-10)))


BAD_TIMES = [
    "2026-01-24T10:00:00",
    "2026-01-24",
    "1899-12-31T23:59:59Z",
    "2201-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-02-30T10:00:00Z",
    "2026-01-24T25:00:00Z",
    "yesterday",
    "",
    1769248800,
    1769248800.5,
    True,
]


@pytest.mark.parametrize("at", BAD_TIMES)
def test_times_have_an_offset_and_a_sensible_year(person: APIClient, device: APIClient, at: Any) -> None:
    into_oven(person)
    error = refuse(device, make_event(eventTime=at), 400, "VALIDATION_ERROR")
    assert list(error["details"]) == ["eventTime"]
    error = refuse(device, make_event("evt-2", reading(collectedAt=at)), 400, "VALIDATION_ERROR")
    assert list(error["details"]) == ["data.0.collectedAt"]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_at_the_end_of_the_calendar_do_no_harm_where_nobody_reads_them(
    printer: dict[str, Any], device: APIClient, at: str
) -> None:
    accept(device, make_event("evt-1", {"specName": "JSON", "valueJson": {"eventTime": at}}, **printer))
    accept(device, make_event("evt-2", reading(1, "NUMBER"), occurredAt=at, **printer))


# --- after the fact ---------------------------------------------------------------------------------------


def test_data_for_closed_tracks_and_closed_runs_is_accepted(plant: Plant, person: APIClient, device: APIClient) -> None:
    track_id = into_oven(person)
    track_out(person, "REF-01")
    assert accept(device, make_event("after the track"))["trackId"] == track_id
    through_tests(person)
    assert person.post("/api/runs/RUN-1/close", {"reason": "done"}).status_code == 200
    with nothing_changes_but_values():
        assert accept(device, make_event("after the run"))["trackId"] == track_id
    assert DataValue.objects.filter(track_id=track_id).count() == 2


# --- from whom --------------------------------------------------------------------------------------------


def test_a_token_for_some_stations_sends_for_those_only(person: APIClient, plant: Plant) -> None:
    track_id = into_oven(person)
    own, other = api_client(Role.INTEGRATION, ["REF-01"]), api_client(Role.INTEGRATION, ["SMT-01", "TST-01"])
    for body in (make_event(), by_track("evt-1", track_id), make_event(trackId=track_id)):
        with nothing_changes(but=()):
            answer = other.post(EVENTS, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    accept(own, make_event())
    assert accept(own, by_track("evt-2", track_id))["trackId"] == track_id
    with nothing_changes(but=()):  # a known key is no way around
        assert other.post(EVENTS, by_track("evt-2", track_id)).status_code == 403


@pytest.mark.parametrize("role", [Role.QUALITY, Role.ENGINEER])
def test_other_roles_send_no_data(person: APIClient, plant: Plant, role: Role) -> None:
    into_oven(person)
    client = api_client(role)
    with nothing_changes(but=()):
        answer = client.post(EVENTS, make_event())
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PERMISSION_DENIED")


def test_nobody_sends_data_without_signing_in(person: APIClient) -> None:
    into_oven(person)
    with nothing_changes(but=()):
        answer = APIClient().post(EVENTS, make_event())
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "NOT_AUTHENTICATED")


def test_operators_may_send_readings(person: APIClient, plant: Plant) -> None:
    into_oven(person)
    accept(api_client(Role.OPERATOR), make_event(source="MANUAL", operatorId="anna"))


def test_the_name_of_a_token_may_be_as_long_as_it_can_be(person: APIClient, plant: Plant) -> None:
    into_oven(person)
    client = APIClient()
    text = issue_token(name="x" * 100, role=Role.INTEGRATION)[1]
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    accept(client, make_event())


# --- what is listed ---------------------------------------------------------------------------------------


@pytest.fixture
def listed(db: None) -> APIClient:
    """A machine at a plant with three events."""
    make_three_events()
    return api_client(Role.INTEGRATION)


def make_three_events() -> None:
    """Make a plant and three events: SN-1 and SN-2 in the oven, SN-1 at the printer by hand, a day before."""
    make_plant()
    person, device = api_client(Role.ADMIN), api_client(Role.INTEGRATION)
    make_spec(make_operation("PRINT"), "Paste Height")
    into_oven(person)
    into_oven(person, "SN-2")
    accept(device, make_event("evt-1", eventTime="2026-03-10T00:00:00Z"))
    accept(device, make_event("evt-2", unitSn="SN-2", eventTime="2026-03-10T23:59:59Z"))
    accept(
        device,
        make_event(
            "evt-3",
            reading(1, "Paste Height"),
            stationCode="SMT-01",
            stepNo=10,
            source="MANUAL",
            operatorId="anna",
            eventTime="2026-03-09T23:59:59.999Z",
        ),
    )


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["evt-3", "evt-2", "evt-1"]),
        ({"eventId": "evt-1"}, ["evt-1"]),
        ({"eventId": "evt"}, []),
        ({"runNo": "RUN-1"}, ["evt-3", "evt-2", "evt-1"]),
        ({"runNo": "RUN-2"}, []),
        ({"unitSn": "SN-1"}, ["evt-3", "evt-1"]),
        ({"stationCode": "REF-01"}, ["evt-2", "evt-1"]),
        ({"stepNo": "10"}, ["evt-3"]),
        ({"source": "MANUAL"}, ["evt-3"]),
        ({"unitSn": "SN-1", "stepNo": "20"}, ["evt-1"]),
        ({"eventFrom": "2026-03-10"}, ["evt-2", "evt-1"]),
        ({"eventTo": "2026-03-09"}, ["evt-3"]),
        ({"eventFrom": "2026-03-10", "eventTo": "2026-03-10"}, ["evt-2", "evt-1"]),
        ({"eventFrom": "2026-03-10T01:00:00+01:00", "eventTo": "2026-03-10T23:59:59Z"}, ["evt-1"]),
    ],
)
def test_events_are_listed_newest_first_by_what_is_asked_for(
    listed: APIClient, filters: dict[str, str], expected: list[str]
) -> None:
    answer = listed.get(EVENTS, filters)
    assert answer.status_code == 200
    assert [item["eventId"] for item in answer.json()["data"]["items"]] == expected


def test_an_item_of_the_list_tells_what_the_event_was_resolved_to(listed: APIClient) -> None:
    [item] = listed.get(EVENTS, {"eventId": "evt-2"}).json()["data"]["items"]
    track = Track.objects.get(unit__sn="SN-2", step_no=20)
    assert item["trackId"] == str(track.pk)
    names = ("runNo", "unitSn", "stationCode", "stepNo", "source", "judge", "valuesCount")
    assert [item[name] for name in names] == ["RUN-1", "SN-2", "REF-01", 20, "AUTO", "PASS", 1]
    assert item["eventTime"] == "2026-03-10T23:59:59Z"
    assert item["data"] == [reading()]


def test_the_list_comes_in_pages(listed: APIClient) -> None:
    seen, url = [], f"{EVENTS}?pageSize=2"
    while url:
        page = listed.get(url).json()["data"]
        seen.append([item["eventId"] for item in page["items"]])
        url = page["next"]
    assert seen == [["evt-3", "evt-2"], ["evt-1"]]
    assert [i["eventId"] for i in listed.get(page["previous"]).json()["data"]["items"]] == ["evt-3", "evt-2"]


@pytest.mark.parametrize("name", ["stepNo", "eventFrom", "eventTo", "pageSize", "cursor"])
@pytest.mark.parametrize("text", ["x", "1.5", "99999999999999999999", "2026-13-01", "2026-01-01T10:00:00", "-1"])
def test_filters_that_cannot_be_understood_are_refused(listed: APIClient, name: str, text: str) -> None:
    answer = listed.get(EVENTS, {name: text})
    if name == "stepNo" and text == "-1":
        assert answer.json()["data"]["items"] == []
        return
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR"), answer.content
    assert list(answer.json()["error"]["details"]) == [name]
