"""The trace of a unit: its shape, its steps, and that it costs the same whatever there is."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from execution.models import DataValue, Track
from mes.production.models import Unit
from mes.specs.models import DataCollectionSpec
from tests.execution.support import assert_done, assert_refused, decide, make_run, put_at, track_in, track_out
from tests.factories import Plant, api_client, make_plant
from trace.units import get_unit_trace

TOP = {
    "unit",
    "route",
    "routeVersion",
    "steps",
    "tracks",
    "dataValues",
    "ingestEvents",
    "deviceData",
    "carrierTracks",
    "carrierLoads",
    "carrierDataValues",
    "defects",
    "inspections",
    "timeRules",
    "readiness",
    "materials",
}
UNIT = {"sn", "status", "currentStepNo", "woNo", "runNo", "productCode", "holdReason"}
TRACK = {
    "id",
    "runNo",
    "stepNo",
    "operationCode",
    "stationCode",
    "source",
    "attempt",
    "inAt",
    "outAt",
    "result",
    "resultOverride",
    "operatorId",
}
VALUE = {
    "id",
    "stepNo",
    "operationCode",
    "name",
    "value",
    "valueNumber",
    "valueText",
    "valueBoolean",
    "valueJson",
    "unit",
    "limits",
    "judge",
    "reportedJudge",
    "alarmed",
    "source",
    "collectedAt",
    "trackId",
}
STATION_OF = {10: "SMT-01", 20: "REF-01", 30: "TST-01"}


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


@pytest.fixture
def admin(db: None) -> Any:
    client = api_client()
    client.get("/api/lines")  # the token is known from now on
    return client


def trace(client: Any, sn: str = "SN-1") -> dict[str, Any]:
    return assert_done(client.get(f"/api/trace/units/{quote(sn, safe='')}"))


def make(client: Any, step_no: int, result: str = "PASS", **fields: Any) -> dict[str, Any]:
    assert_done(track_in(client, STATION_OF[step_no]), 201)
    return assert_done(track_out(client, STATION_OF[step_no], result=result, **fields))


def states(client: Any) -> list[tuple[int, str, bool]]:
    return [(step["stepNo"], step["state"], step["isCurrent"]) for step in trace(client)["steps"]]


# --- shape -------------------------------------------------------------------------------------------------


def test_every_documented_part_is_there_for_a_unit_nothing_happened_to(plant, admin):
    data = trace(admin)
    assert set(data) >= TOP
    assert set(data["unit"]) >= UNIT
    assert [(one["status"], one["isAuthorization"]) for one in data["readiness"]] == [("PASSED", True)]
    for name in TOP - {"unit", "route", "routeVersion", "steps", "readiness"}:
        assert data[name] == [], name
    assert (
        data["unit"]
        | {
            "sn": "SN-1",
            "status": "QUEUED",
            "currentStepNo": 10,
            "woNo": "WO-RUN-1",
            "runNo": "RUN-1",
            "productCode": "BOARD-1",
            "holdReason": None,
        }
        == data["unit"]
    )
    assert (data["route"]["code"], data["route"]["sourceSystem"]) == ("ROUTE-1", "MES")
    assert (data["routeVersion"]["id"], data["routeVersion"]["versionNo"]) == (str(plant.version.pk), 1)
    assert [step["operationCode"] for step in data["steps"]] == ["PRINT", "REFLOW", "TEST"]


def test_every_documented_key_of_a_track_is_there(plant, admin):
    out = make(admin, 10, result="FAIL", operatorId="OP-7", defectCode="BRIDGE", defectLocation="U7")
    (track,) = trace(admin)["tracks"]
    assert set(track) >= TRACK
    assert (
        track
        | {
            "id": out["trackId"],
            "runNo": "RUN-1",
            "stepNo": 10,
            "operationCode": "PRINT",
            "stationCode": "SMT-01",
            "source": "MANUAL",
            "attempt": 1,
            "result": "FAIL",
            "resultOverride": None,
            "operatorId": "OP-7",
        }
        == track
    )
    assert track["inAt"].endswith("Z")
    assert track["outAt"].endswith("Z")
    (defect,) = trace(admin)["defects"]
    assert (defect["trackId"], defect["code"], defect["location"]) == (out["trackId"], "BRIDGE", "U7")


def test_every_documented_key_of_a_value_is_there_with_the_limits_it_was_judged_by(plant, admin):
    put_at(20)
    data = [{"specName": "Peak Temperature", "valueNumber": 251, "judge": "PASS"}]
    out = make(admin, 20, data=data, operatorId="OP-7")
    DataCollectionSpec.objects.filter(name="Peak Temperature").update(lsl=None, usl=None, target=None, name="Renamed")
    (value,) = trace(admin)["dataValues"]
    assert set(value) >= VALUE
    assert (
        value
        | {
            "stepNo": 20,
            "operationCode": "REFLOW",
            "name": "Peak Temperature",
            "value": 251,
            "valueNumber": 251,
            "valueText": None,
            "valueBoolean": None,
            "valueJson": None,
            "unit": "°C",
            "judge": "FAIL",
            "reportedJudge": "PASS",
            "alarmed": False,
            "source": "MANUAL",
            "trackId": out["trackId"],
        }
        == value
    )
    assert value["limits"] | {"lsl": 235, "usl": 250, "target": 245, "unit": "°C"} == value["limits"]
    assert isinstance(value["id"], str)


def test_false_and_empty_values_are_values(plant, admin):
    for name, data_type in (("Flag", "BOOLEAN"), ("Note", "TEXT"), ("Curve", "JSON"), ("Count", "NUMBER")):
        DataCollectionSpec.objects.create(
            operation=plant.operations["PRINT"], name=name, item_type="OBSERVATION", data_type=data_type, method="AUTO"
        )
    data = [
        {"specName": "Flag", "valueBoolean": False},
        {"specName": "Note", "valueText": ""},
        {"specName": "Curve", "valueJson": []},
        {"specName": "Count", "valueNumber": 0},
    ]
    make(admin, 10, data=data)
    assert {item["name"]: item["value"] for item in trace(admin)["dataValues"]} == {
        "Flag": False,
        "Note": "",
        "Curve": [],
        "Count": 0,
    }


def test_device_records_link_to_what_they_made(plant, admin):
    put_at(20)
    track_id = assert_done(track_in(admin, "REF-01"), 201)["trackId"]
    body = {
        "eventId": "evt-1",
        "eventTime": timezone.now().isoformat(),
        "source": "AUTO",
        "trackId": track_id,
        "data": [{"specName": "Peak Temperature", "valueNumber": 245}],
    }
    record_id = assert_done(admin.post("/api/integration/device-data", body), 201)["id"]
    data = trace(admin)
    assert [(item["id"], item["eventId"], item["trackId"]) for item in data["deviceData"]] == [
        (record_id, "evt-1", track_id)
    ]
    assert [item["deviceDataId"] for item in data["dataValues"]] == [record_id]


def test_decisions_and_holds_are_shown(plant, admin):
    decide(admin, "hold", reason="Look")
    data = trace(admin)
    assert (data["unit"]["status"], data["unit"]["holdReason"]) == ("ON_HOLD", "Look")
    assert [(item["action"], item["reason"]) for item in data["dispositions"]] == [("HOLD", "Look")]


def test_a_unit_without_a_run_has_no_route(plant, admin):
    Unit.objects.filter(sn="SN-1").update(run=None, current_step_no=None)
    data = trace(admin)
    assert (data["unit"]["runNo"], data["route"], data["routeVersion"], data["steps"]) == (None, None, None, [])


def test_tracks_keep_the_run_they_were_made_in(plant, admin):
    make(admin, 10)
    other = make_run(plant, run_no="RUN-2", sns=[])
    Unit.objects.filter(sn="SN-1").update(run=other, current_step_no=10)
    data = trace(admin)
    assert data["unit"]["runNo"] == "RUN-2"
    assert [track["runNo"] for track in data["tracks"]] == ["RUN-1"]
    assert [step["state"] for step in data["steps"]] == ["NEXT", "AHEAD", "AHEAD"]


def test_only_the_unit_s_own_rows_are_shown(plant, admin):
    put_at(20, "SN-2")
    assert_done(track_in(admin, "REF-01", sn="SN-2"), 201)
    data = [{"specName": "Peak Temperature", "valueNumber": 245}]
    assert_done(track_out(admin, "REF-01", sn="SN-2", data=data))
    assert (trace(admin)["tracks"], trace(admin)["dataValues"]) == ([], [])


def test_an_unknown_unit_is_refused(plant, admin):
    assert_refused(admin.get("/api/trace/units/SN-X"), "UNIT_NOT_FOUND", 404)


@pytest.mark.parametrize("sn", ["SN.1", "SN.json", "SN+1", "SN:1", "SN#1", "SN 1", "板-①ß", "100%25", "a?b=c&d", "..x"])
def test_serial_numbers_hold_any_letter(db, admin, sn):
    make_plant(units=0)
    assert_done(track_in(admin, sn=sn), 201)
    assert trace(admin, sn)["unit"]["sn"] == sn


# --- the states of the steps -------------------------------------------------------------------------------


def test_steps_before_anything_happened(plant, admin):
    assert states(admin) == [(10, "NEXT", True), (20, "AHEAD", False), (30, "AHEAD", False)]


def test_steps_while_the_unit_is_in_a_station(plant, admin):
    make(admin, 10)
    track_in(admin, "REF-01")
    assert states(admin) == [(10, "PASSED", False), (20, "HERE", True), (30, "AHEAD", False)]


def test_steps_after_a_failure(plant, admin):
    make(admin, 10)
    make(admin, 20, result="FAIL")
    assert states(admin) == [(10, "PASSED", False), (20, "FAILED", True), (30, "AHEAD", False)]


def test_steps_of_a_unit_that_is_done(plant, admin):
    make(admin, 10)
    make(admin, 20)
    make(admin, 30, data=[{"specName": "Supply Voltage", "valueNumber": 3.3}])
    assert states(admin) == [(10, "PASSED", False), (20, "PASSED", False), (30, "PASSED", False)]
    decide(admin, "hold")
    assert states(admin) == [(10, "PASSED", False), (20, "PASSED", False), (30, "PASSED", False)]


def test_later_steps_lie_ahead_again_after_rework(plant, admin):
    make(admin, 10)
    make(admin, 20, result="FAIL")
    decide(admin, "rework", toStepNo=10)
    assert states(admin)[1:] == [(20, "AHEAD", False), (30, "AHEAD", False)]
    assert states(admin)[0][::2] == (10, True)
    make(admin, 10)
    assert [step["attempts"] for step in trace(admin)["steps"]] == [2, 1, 0]


# --- what it costs -----------------------------------------------------------------------------------------


def fill(plant: Plant, *, tracks: int, values_each: int) -> None:
    """Give SN-1 many passes with many values."""
    unit = Unit.objects.get(sn="SN-1")
    now = timezone.now()
    made = Track.objects.bulk_create(
        Track(
            unit=unit,
            run=plant.run,
            step_no=20,
            operation_code="REFLOW",
            station=plant.stations["REF-01"],
            source="AUTO",
            attempt=number + 1,
            in_at=now + timedelta(seconds=number),
            out_at=now + timedelta(seconds=number),
            result="PASS",
        )
        for number in range(tracks)
    )
    DataValue.objects.bulk_create(
        DataValue(
            received_at=now,
            unit=unit,
            run=plant.run,
            track=track,
            spec=plant.peak,
            step_no=20,
            operation_code="REFLOW",
            name="Peak Temperature",
            item_type="KEY",
            value_number=240 + number,
            source="AUTO",
            collected_at=now,
        )
        for track in made
        for number in range(values_each)
    )


def test_the_trace_takes_the_same_queries_for_a_thousand_values(plant, admin, django_assert_num_queries):
    trace(admin)
    with CaptureQueriesContext(connection) as empty:
        trace(admin)
    assert len(empty) == 3  # the unit with all that is few, its reports, and its values
    fill(plant, tracks=100, values_each=10)
    with django_assert_num_queries(len(empty)):
        data = trace(admin)
    assert (len(data["tracks"]), len(data["dataValues"])) == (100, 1000)


def test_tracks_and_values_come_in_the_order_things_happened(plant, admin):
    fill(plant, tracks=5, values_each=2)
    result = get_unit_trace(sn="SN-1")
    assert [track.attempt for track in result.tracks] == [1, 2, 3, 4, 5]
    assert len(result.values_of(result.tracks[0])) == 2
