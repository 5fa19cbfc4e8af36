"""What keys of mappings make of an event: several mappings, skipped units, reports of values, defects, times."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import Carrier, CarrierTrack, DataValue, Defect, DefectAlias, DefectCode, Disposition, Track
from ingest.models import OpenIngestEvent, SettledIngestEvent
from ingest.processing import catch_up
from mes.platform.inbound.models import IdempotencyKey
from mes.production.models import Unit
from mes.routing.compilation import compile_route
from mes.specs.models import DataCollectionSpec
from tests.factories import api_client, make_operation, make_spec
from tests.ingest.conftest import Send
from tests.ingest.support import (
    MEASUREMENTS,
    PRINTING,
    RESULT,
    IngestPlant,
    event,
    make_ingest_plant,
    printed,
)

pytestmark = pytest.mark.django_db
HEIGHT = {"name": "Paste Height", "value": 120, "unit": "µm"}
SKIPPING = {**RESULT, "skipValues": ["SKIP", None]}
PHASES = {"path": "payload.phase", "inValues": ["start"], "outValues": ["end"], "dataValues": ["values"]}
PANEL = {
    "unitsPath": "payload.boards",
    "snPath": "sn",
    "positionPath": "at",
    "stationCodePath": "payload.station",
    "result": {**SKIPPING, "path": "result", "skipValues": ["SKIP"]},
    "measurements": [
        {**MEASUREMENTS, "itemsPath": "values"},
        {**MEASUREMENTS, "itemsPath": "payload.values", "of": "event"},
    ],
}


def make_printer(mapping: Any, **fields: Any) -> IngestPlant:
    return make_ingest_plant(only=10, print=mapping, **fields)


def panel(*boards: dict[str, Any], **payload: Any) -> dict[str, Any]:
    return event("AUTO", {"station": "PRN-1", "boards": list(boards), **payload})


def results() -> dict[str, tuple[str, str]]:
    tracks = Track.objects.order_by("id").values_list("unit__sn", "result", "result_override")
    return {sn: (result, override) for sn, result, override in tracks}


def statuses() -> dict[str, str]:
    return dict(Unit.objects.values_list("sn", "status"))


def unmapped_of(answer: dict[str, Any]) -> int:
    return SettledIngestEvent.objects.get(pk=answer["eventId"]).unmapped_count


# --- several mappings -------------------------------------------------------------------------------------

BY_KIND = [
    {**PRINTING, "when": "payload.kind == 'A'", "snPath": "payload.board"},
    {**PRINTING, "when": "payload.kind == 'B'"},
]


@pytest.mark.parametrize(("kind", "key"), [("A", "board"), ("B", "sn")])
def test_the_first_mapping_whose_when_is_true_reads_the_event(send: Send, kind: str, key: str) -> None:
    plant = make_printer(BY_KIND)
    body = printed("nobody", kind=kind, board="nobody")
    body["payload"][key] = plant.sns[0]
    send(body, 201)
    assert results() == {plant.sns[0]: ("PASS", "")}


def test_an_event_that_no_mapping_reads_is_refused_and_kept(refuse: Send) -> None:
    plant = make_printer(BY_KIND)
    error = refuse(printed(plant.sns[0], kind="C"), "INGEST_MAPPING_MISSING")
    assert "reads this event" in error["message"]


@pytest.mark.parametrize(
    "when",
    [
        "payload.kind",
        "`1`",
        "'true'",
        "payload.nothing",
        "`[true]`",
        "contains(payload.nothing, 'x')",
        "sum(payload.kind)",
    ],
)
def test_only_true_holds(send: Send, when: str) -> None:
    """Neither other values nor what cannot be evaluated: the next mapping is asked."""
    plant = make_printer([{**PRINTING, "when": when, "result": {**RESULT, "passValues": ["NG", "OK"]}}, PRINTING])
    send(printed(plant.sns[0], kind="x", result="NG"), 201)
    assert results() == {plant.sns[0]: ("FAIL", "")}


def test_a_when_that_cannot_be_evaluated_is_named_where_nothing_else_reads(refuse: Send) -> None:
    plant = make_printer({**PRINTING, "when": "sum(payload.kind)"})
    error = refuse(printed(plant.sns[0], kind="x"), "INGEST_MAPPING_MISSING")
    assert error["details"]["problems"][0].startswith("sum(payload.kind): ")


def test_a_when_that_costs_too_much_refuses(refuse: Send) -> None:
    plant = make_printer({**PRINTING, "when": "length(to_string(" + " | ".join(["[@, @]"] * 9) + ")) == `1`"})
    many = [{"name": "n" * 50, "value": number} for number in range(500)]
    refuse(printed(plant.sns[0], values=many), "INGEST_MAPPING_TOO_COSTLY")


def test_a_mapping_that_asks_for_nothing_compiles_with_a_warning() -> None:
    plant = make_printer([{"when": "payload.a == 'b'", "snPath": "payload.sn"}, {"snPath": "payload.sn"}])
    data = api_client().post(f"/api/routes/{plant.version.routing.code}/compile").json()["data"]
    assert [(one["stepNo"], one["code"]) for one in data["warnings"]] == [(10, "INGEST_MAPPING_PASSES_ALL")]
    assert data["errors"] == []


# --- skipped units ----------------------------------------------------------------------------------------


def test_a_skipped_unit_is_left_out_and_fails_nobody(send: Send) -> None:
    plant = make_printer(PANEL)
    good, skipped, bad = plant.sns
    boards = [
        {"sn": good, "result": "OK"},
        {"sn": skipped, "result": "SKIP", "values": [HEIGHT]},
        {"sn": bad, "result": "NG"},
    ]
    answer = send(panel(*boards), 201)
    assert answer["leftOut"] == 1
    assert results() == {good: ("PASS", ""), bad: ("FAIL", "")}
    assert statuses() == {good: "DONE", skipped: "QUEUED", bad: "OUT_FAILED"}
    assert unmapped_of(answer) == 1


def test_an_event_of_skipped_units_only_is_taken_and_moves_nobody(send: Send) -> None:
    plant = make_printer({**PRINTING, "result": SKIPPING})
    answer = send(printed(plant.sns[0], result="SKIP", values=[HEIGHT]), 201)
    assert (answer["leftOut"], answer["trackIds"], unmapped_of(answer)) == (1, [], 1)
    assert statuses()[plant.sns[0]] == "QUEUED"
    assert not Track.objects.exists()


def test_a_skipped_unit_that_nobody_knows_is_left_out_too(send: Send) -> None:
    plant = make_printer(PANEL)
    answer = send(panel({"sn": plant.sns[0], "result": "OK"}, {"sn": "NOBODY", "result": "SKIP"}), 201)
    assert answer["leftOut"] == 1
    assert not Unit.objects.filter(sn="NOBODY").exists()


@pytest.mark.parametrize("phase", ["start", "end", "values"])
def test_a_skipped_unit_in_its_station_failed_there(send: Send, phase: str) -> None:
    plant = make_printer({**PRINTING, "result": SKIPPING, "phase": PHASES})
    sn = plant.sns[0]
    send(printed(sn, phase="start"), 201)
    answer = send(printed(sn, phase=phase, result="SKIP"), 201)
    assert "leftOut" not in answer
    track = Track.objects.get()
    assert (track.result, track.claimed_result, track.result_override) == ("FAIL", "", "SKIP")
    assert statuses()[sn] == "OUT_FAILED"


def test_values_of_an_event_are_counted_where_all_of_its_units_were_skipped_in_their_station(send: Send) -> None:
    plant = make_printer({**PANEL, "phase": PHASES})
    sn = plant.sns[0]
    send(panel({"sn": sn}, phase="start"), 201)
    answer = send(panel({"sn": sn, "result": "SKIP", "values": [HEIGHT]}, values=[HEIGHT], phase="end"), 201)
    assert results() == {sn: ("FAIL", "SKIP")}
    assert (DataValue.objects.count(), unmapped_of(answer)) == (0, 2)


@pytest.mark.parametrize("phase", ["start", "end", "values"])
def test_a_skipped_unit_outside_its_station_stays_in_every_phase(send: Send, phase: str) -> None:
    plant = make_printer({**PRINTING, "result": SKIPPING, "phase": PHASES})
    answer = send(printed(plant.sns[0], phase=phase, result="SKIP"), 201)
    assert answer["leftOut"] == 1
    assert not Track.objects.exists()


def test_where_a_skipped_unit_stands_holds_up_no_other(send: Send) -> None:
    """It is a step behind, and the event waits for nobody."""
    plant = make_ingest_plant(print=PANEL, aoi={**PANEL, "waitSeconds": 60})
    ahead, behind, _other = plant.sns
    Unit.objects.filter(sn=ahead).update(current_step_no=20)
    body = panel({"sn": ahead, "result": "OK"}, {"sn": behind, "result": "SKIP"}, station="AOI-1")
    assert send(body, 201)["leftOut"] == 1
    assert results() == {ahead: ("PASS", "")}


# --- reports of values ------------------------------------------------------------------------------------

BRINGING = {**PRINTING, "phase": PHASES, "waitSeconds": 60}


def test_values_go_to_the_open_pass(send: Send) -> None:
    plant = make_printer(BRINGING)
    sn = plant.sns[0]
    send(printed(sn, phase="start"), 201)
    answer = send(printed(sn, phase="values", result="OK", values=[HEIGHT, {"name": "x", "value": 1}]), 201)
    track = Track.objects.get()
    assert answer["trackIds"] == [str(track.pk)]
    assert (track.out_at, track.result, track.result_override) == (None, "", "")
    assert DataValue.objects.values_list("track_id", "value_number").get() == (track.pk, 120)
    assert unmapped_of(answer) == 1
    send(printed(sn, phase="end"), 201)
    assert results() == {sn: ("PASS", "")}


def test_values_go_to_the_latest_pass_at_the_station(send: Send) -> None:
    plant = make_printer(BRINGING)
    sn = plant.sns[0]
    send(printed(sn, phase="start"), 201)
    send(printed(sn, phase="end"), 201)
    send(printed(sn, phase="values", result=None, values=[HEIGHT]), 201)
    assert DataValue.objects.get().track_id == Track.objects.get().pk
    assert statuses()[sn] == "DONE"


def test_values_wait_for_their_pass(send: Send) -> None:
    """They overtook the report that the unit entered, which says that this was before."""
    plant = make_printer(BRINGING)
    sn = plant.sns[0]
    entered = printed(sn, phase="start")
    assert send(printed(sn, phase="values", values=[HEIGHT]), 202)["status"] == "WAITING"
    assert OpenIngestEvent.objects.get().error_code == "TRACK_NOT_FOUND"
    send(entered, 201)
    assert not OpenIngestEvent.objects.exists()
    assert DataValue.objects.get().track_id == Track.objects.get().pk


def test_values_that_may_not_wait_are_refused_without_a_pass(refuse: Send) -> None:
    plant = make_printer({**BRINGING, "waitSeconds": 0})
    refuse(printed(plant.sns[0], phase="values", values=[HEIGHT]), "TRACK_NOT_FOUND", 404)


@pytest.mark.parametrize("seconds", [0, 60])
def test_values_without_a_pass_stay_refused_until_it_comes(send: Send, seconds: int) -> None:
    """The unit is at their step, and they are tried again: that is no new wait, and nobody sent them again."""
    plant = make_printer({**BRINGING, "waitSeconds": seconds})
    sn = plant.sns[0]
    entered = printed(sn, phase="start")
    send(printed(sn, phase="values", values=[HEIGHT]), 202 if seconds else 404)
    OpenIngestEvent.objects.update(wait_until=timezone.now() - timedelta(seconds=1))
    catch_up()
    kept = OpenIngestEvent.objects.values_list("status", "error_code", "count").get()
    assert kept[:2] == ("REJECTED", "TRACK_NOT_FOUND")
    for _time in range(2):
        catch_up()
        assert OpenIngestEvent.objects.values_list("status", "error_code", "count").get() == kept
    assert not IdempotencyKey.objects.exists()
    send(entered, 201)
    assert not OpenIngestEvent.objects.exists()
    assert DataValue.objects.get().track_id == Track.objects.get().pk


def test_values_make_no_units(refuse: Send) -> None:
    make_printer({**BRINGING, "waitSeconds": 0})
    refuse({**printed("NEW-1", phase="values"), "runNo": "RUN-1"}, "UNIT_NOT_FOUND", 404)


@pytest.mark.parametrize("said", ["OK", "NG"])
def test_a_report_that_fails_fails_the_open_pass_when_it_is_left(send: Send, said: str) -> None:
    plant = make_printer({**BRINGING, "defects": {"itemsPath": "payload.defects", "codePath": "code"}})
    sn = plant.sns[0]
    send(printed(sn, phase="start"), 201)
    send(printed(sn, phase="values", result="NG", defects=[{"code": "D1"}]), 201)
    assert statuses()[sn] == "IN_STATION"
    send(printed(sn, phase="end", result=said), 201)
    assert results() == {sn: ("FAIL", "REPORT")}
    assert Track.objects.get().claimed_result == ("PASS" if said == "OK" else "FAIL")
    assert statuses()[sn] == "OUT_FAILED"
    assert list(Defect.objects.values_list("code", "status")) == [("D1", "OPEN")]


def test_a_report_that_fails_afterwards_holds(send: Send) -> None:
    plant = make_printer(BRINGING)
    sn = plant.sns[0]
    send(printed(sn, phase="start"), 201)
    send(printed(sn, phase="end"), 201)
    answer = send(printed(sn, phase="values", result="NG"), 201)
    unit = Unit.objects.get(sn=sn)
    assert (unit.status, unit.held_from) == ("ON_HOLD", "DONE")
    decision = Disposition.objects.get()
    assert (decision.about_step_no, decision.about_event_id) == (10, int(answer["eventId"]))
    assert "after the unit had left" in decision.reason
    assert results() == {sn: ("PASS", "")}


def test_a_report_that_fails_afterwards_stands_against_a_review_of_the_inspection(send: Send) -> None:
    plant = make_printer(BRINGING)
    sn = plant.sns[0]
    send(printed(sn, phase="start"), 201)
    Track.objects.update(inspection_override=True)  # as an inspection's FAIL does
    send(printed(sn, phase="end"), 201)
    send(printed(sn, phase="values", result="NG"), 201)
    assert (results(), statuses()[sn]) == ({sn: ("FAIL", "REPORT")}, "OUT_FAILED")


def test_a_key_value_that_fails_counts_before_and_after(send: Send) -> None:
    plant = make_ingest_plant(only=10, print=BRINGING)
    DataCollectionSpec.objects.filter(name="Paste Height").update(item_type="KEY")
    plant = recompiled(plant)
    first, second, _third = plant.sns
    for sn in (first, second):
        send(printed(sn, phase="start"), 201)
    bad = [{**HEIGHT, "value": 10}]
    send(printed(first, phase="values", values=bad), 201)
    send(printed(first, phase="end"), 201)
    send(printed(second, phase="end"), 201)
    send(printed(second, phase="values", values=bad), 201)
    assert results() == {first: ("FAIL", "DATA"), second: ("PASS", "")}
    assert statuses() | {first: "OUT_FAILED", second: "ON_HOLD"} == statuses()


def recompiled(plant: IngestPlant) -> IngestPlant:
    version, _changed = compile_route(code=plant.version.routing.code)
    plant.run.route_version = version
    plant.run.save()
    return plant


# --- measurements -----------------------------------------------------------------------------------------


def test_values_of_the_event_go_to_each_unit_and_its_own_to_it(send: Send) -> None:
    plant = make_printer(PANEL)
    boards = [{"sn": sn, "result": "OK", "values": [{**HEIGHT, "value": 100 + n}]} for n, sn in enumerate(plant.sns)]
    send(panel(*boards, values=[{**HEIGHT, "value": 150}]), 201)
    stored = DataValue.objects.order_by("unit__sn", "value_number").values_list("unit__sn", "value_number")
    assert list(stored) == [(sn, value) for n, sn in enumerate(plant.sns) for value in (100 + n, 150)]


def test_values_at_entry_are_kept_with_the_pass_and_judged_at_its_end(send: Send) -> None:
    plant = make_printer({**PRINTING, "phase": PHASES})
    sn = plant.sns[0]
    answer = send(printed(sn, phase="start", values=[HEIGHT, {"value": 1}]), 201)
    assert (DataValue.objects.get().track_id, unmapped_of(answer)) == (Track.objects.get().pk, 1)


def test_values_of_an_event_that_names_only_its_transaction_go_to_the_units_of_that(send: Send) -> None:
    mapping = {**PRINTING, "phase": PHASES, "transactionIdPath": "payload.transaction"}
    plant = make_printer(mapping)
    sn = plant.sns[0]
    send(printed(sn, phase="start", transaction="T-1"), 201)
    send(printed("", phase="end", transaction="T-1", values=[HEIGHT]), 201)
    assert DataValue.objects.get().unit.sn == sn
    assert results() == {sn: ("PASS", "")}


def test_a_carrier_has_one_pass_from_entry_to_exit(send: Send) -> None:
    mapping = {**PANEL, "phase": PHASES, "carrierCodePath": "payload.pallet"}
    plant = make_printer(mapping)
    boards = [{"sn": sn, "at": str(n), "result": "OK"} for n, sn in enumerate(plant.sns)]
    for phase in ("start", "values", "end"):
        send(panel(*boards, pallet="PAL-1", phase=phase), 201)
    carrier_track = CarrierTrack.objects.get()
    assert carrier_track.unit_tracks.count() == 3
    assert carrier_track.out_at is not None
    assert carrier_track.out_at > carrier_track.in_at
    assert set(statuses().values()) == {"DONE"}
    assert Carrier.objects.get().loads.filter(unloaded_at=None).count() == 0


@pytest.mark.parametrize("items", ["text", {"a": 1}, 7])
@pytest.mark.parametrize("block", [0, 1])
def test_blocks_that_find_no_list_refuse(refuse: Send, items: Any, block: int) -> None:
    plant = make_printer(PANEL)
    board = {"sn": plant.sns[0], "result": "OK", "values": items if block == 0 else []}
    error = refuse(panel(board, values=items if block else []), "INGEST_PAYLOAD_INVALID")
    assert "finds no list" in error["message"]


@pytest.mark.parametrize(
    ("measure", "value"), [("Cel", 21.5), ("°C", 21.5), ("℃", 21.5), ("[degF]", 70.7), ("°F", 70.7)]
)
def test_units_of_measure_by_any_name_and_with_an_offset(send: Send, measure: str, value: float) -> None:
    make_spec(make_operation("PRINT"), name="Temperature", unit="°C", lsl=20, usl=23)
    factors = {"[degF]": {"Cel": {"factor": 5 / 9, "offset": -32}}}
    plant = make_printer({**PRINTING, "measurements": {**MEASUREMENTS, "unitFactors": factors}})
    send(printed(plant.sns[0], values=[{"name": "Temperature", "value": value, "unit": measure}]), 201)
    stored = DataValue.objects.get()
    assert (stored.value_number, stored.measure, stored.judge) == (pytest.approx(21.5), "°C", "PASS")


# --- defects ----------------------------------------------------------------------------------------------

DEFECTS = {"itemsPath": "defects", "codePath": "code", "locationPath": "at.part", "remarkPath": "text"}


def test_defects_of_a_unit_are_made_and_fail_it_whatever_the_machine_says(send: Send) -> None:
    plant = make_printer({**PANEL, "defects": {**DEFECTS, "falseCallPath": "isFalse"}})
    good, indicated, bad = plant.sns
    DefectAlias.objects.create(reported="B1", code=DefectCode.objects.get(code="BRIDGE"))
    DefectAlias.objects.create(source_system="other", reported="B1", code=DefectCode.objects.get(code="OPEN"))
    found = [
        {"code": "B1", "at": {"part": ["u3", "U4\u200f", "u3"]}, "text": "pins 1\n2"},
        {"at": {"part": "R7"}},
        {"code": "X" * 300, "text": "y" * 900},
        {"code": "TOMBSTONE", "isFalse": True},
        None,
    ]
    harmless = [{"code": "SOLDER_BALL"}, {"code": "bridge", "isFalse": True}]
    send(
        panel(
            {"sn": good, "result": "OK", "defects": found},
            {"sn": indicated, "result": "OK", "defects": harmless},
            {"sn": bad, "result": "NG", "defects": []},
        ),
        201,
    )
    assert results() == {good: ("FAIL", "DEFECT"), indicated: ("PASS", ""), bad: ("FAIL", "")}
    assert Track.objects.get(unit__sn=good).claimed_result == "PASS"
    columns = ("unit__sn", "code", "reported_code", "location", "remark", "status", "source")
    assert list(Defect.objects.order_by("id").values_list(*columns)) == [
        (good, "BRIDGE", "B1", "U3", "pins 1 2", "OPEN", "MACHINE"),
        (good, "BRIDGE", "B1", "U4", "pins 1 2", "OPEN", "MACHINE"),
        (good, "UNSPECIFIED", "UNSPECIFIED", "R7", "", "OPEN", "MACHINE"),
        (good, "X" * 100, "X" * 100, "", "y" * 500, "OPEN", "MACHINE"),
        (good, "TOMBSTONE", "TOMBSTONE", "", "", "FALSE_CALL", "MACHINE"),
        (indicated, "SOLDER_BALL", "SOLDER_BALL", "", "", "OPEN", "MACHINE"),
        (indicated, "bridge", "bridge", "", "", "FALSE_CALL", "MACHINE"),
        (bad, "UNSPECIFIED", "", "", "", "OPEN", "MACHINE"),
    ]


def test_a_pass_that_is_refused_and_names_a_defect_holds_its_unit(send: Send) -> None:
    plant = make_printer({**PANEL, "defects": DEFECTS})
    sn = plant.sns[0]
    Unit.objects.filter(sn=sn).update(current_step_no=10, status="DONE")
    send(panel({"sn": sn, "result": "OK", "defects": [{"code": "SOLDER_BALL"}]}), 409)
    assert statuses()[sn] == "DONE"
    send({**panel({"sn": sn, "result": "OK", "defects": [{"code": "TOMBSTONE"}]}), "dedupeKey": "second"}, 409)
    assert statuses()[sn] == "ON_HOLD"
    assert "TOMBSTONE" in Unit.objects.get(sn=sn).hold_reason


def test_defects_of_a_unit_that_a_key_value_fails_are_made(send: Send) -> None:
    plant = make_ingest_plant(
        test={**PRINTING, "testResultIdPath": "payload.id", "defects": {**DEFECTS, "itemsPath": "payload.defects"}}
    )
    Unit.objects.update(current_step_no=40)
    values = [{"name": "Supply Voltage", "value": 5, "unit": "V"}]
    body = event(
        "TEST",
        {
            "sn": plant.sns[0],
            "station": "TST-1",
            "id": "T1",
            "result": "OK",
            "values": values,
            "defects": [{"code": "V"}],
        },
    )
    send(body, 201)
    assert results() == {plant.sns[0]: ("FAIL", "DATA")}
    assert Defect.objects.get().code == "V"


def test_defects_that_are_no_list_refuse(refuse: Send) -> None:
    plant = make_printer({**PANEL, "defects": DEFECTS})
    refuse(panel({"sn": plant.sns[0], "result": "OK", "defects": {"code": "X"}}), "INGEST_PAYLOAD_INVALID")


# --- times ------------------------------------------------------------------------------------------------


def written(pattern: str, **ago: float) -> Any:
    moment = timezone.now().replace(microsecond=0) - timedelta(**ago)
    if pattern == "EPOCH_S":
        return int(moment.timestamp())
    if pattern == "EPOCH_MS":
        return int(moment.timestamp() * 1000)
    return moment.strftime("%d/%m/%y %H:%M:%S" if pattern != "ISO" else "%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize("pattern", ["ISO", "EPOCH_S", "EPOCH_MS", "%d/%m/%y %H:%M:%S"])
def test_when_it_happened(send: Send, pattern: str) -> None:
    mapping = {**PRINTING, "occurredAtPath": "payload.at", "timeFormat": pattern, "timeZone": "UTC"}
    plant = make_printer(mapping)
    send(printed(plant.sns[0], at=written(pattern, minutes=10)), 201)
    track = Track.objects.get()
    assert abs(timezone.now() - timedelta(minutes=10) - track.out_at) < timedelta(seconds=30)
    assert not track.is_time_doubtful


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({}, "2026-01-24T10:00:00"),
        ({"timeFormat": "%d.%m.%Y %H:%M"}, "24.01.2026 10:00"),
        ({"timeFormat": "EPOCH_S"}, "soon"),
        ({"timeFormat": "%d.%m.%Y %H:%M", "timeZone": "UTC"}, "31.02.2026 10:00"),
        ({"timeZone": "UTC"}, None),
    ],
)
def test_a_time_that_tells_no_instant_refuses(refuse: Send, fields: dict[str, Any], at: Any) -> None:
    plant = make_printer({**PRINTING, "occurredAtPath": "payload.at", **fields})
    refuse(printed(plant.sns[0], at=at), "INGEST_PAYLOAD_INVALID")


def test_an_hour_that_comes_twice_is_doubtful(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 10, 25, 2, 0, tzinfo=UTC))
    plant = make_printer({**PRINTING, "occurredAtPath": "payload.at", "timeZone": "Europe/Berlin"})
    send(printed(plant.sns[0], at="2026-10-25T02:30:00"), 201)
    track = Track.objects.get()
    assert (track.out_at, track.is_time_doubtful) == (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), True)


# --- panels -----------------------------------------------------------------------------------------------


def test_a_panel_is_taken_unit_by_unit(send: Send) -> None:
    plant = make_printer(PANEL)
    Unit.objects.filter(sn=plant.sns[1]).update(status="SCRAPPED")
    answer = send(panel(*({"sn": sn, "result": "OK"} for sn in plant.sns)), 201)
    assert [one["sn"] for one in answer["skipped"]] == [plant.sns[1]]
    assert set(results()) == {plant.sns[0], plant.sns[2]}


# --- all is counted ---------------------------------------------------------------------------------------


def reported(*numbers: int) -> Iterator[dict[str, Any]]:
    names = ["Paste Height", "nobody knows it", None, ["odd"], ""]
    for number in numbers:
        yield {
            "name": names[number % len(names)],
            "value": None if number % 7 == 6 else 100 + number % 20,
            "unit": "µm",
        }


@pytest.mark.parametrize("phase", ["start", "values", "end"])
@pytest.mark.parametrize("sizes", [(0, 0, 0), (3, 0, 2), (12, 5, 9), (1, 30, 0)])
def test_every_measurement_is_stored_or_counted(send: Send, phase: str, sizes: tuple[int, int, int]) -> None:
    """Of units, of one that was skipped, of a position without a unit, of the event itself (stored with each unit)."""
    plant = make_printer({**PANEL, "phase": PHASES, "waitSeconds": 0})
    first, second, skipped = plant.sns
    if phase != "start":
        send(panel({"sn": first}, {"sn": second}, phase="start"), 201)
    of_first, of_second, of_event = (list(reported(*range(size))) for size in sizes)
    boards = [
        {"sn": first, "result": "OK", "values": of_first},
        {"sn": second, "result": "OK", "values": of_second},
        {"sn": skipped, "result": "SKIP", "values": list(reported(0, 1, 2))},
        {"sn": None, "result": "OK", "values": list(reported(0, 2))},
    ]
    answer = send(panel(*boards, phase=phase, values=of_event), 201)
    of_each = sum(one["name"] == "Paste Height" and one["value"] is not None for one in of_event)
    said = len(of_first) + len(of_second) + 5 + len(of_event) + of_each  # those of the event are stored twice
    assert DataValue.objects.count() + unmapped_of(answer) == said


def test_what_is_measured_of_a_unit_that_is_refused_is_counted_until_it_is_taken(send: Send, client: APIClient) -> None:
    plant = make_ingest_plant(print=PRINTING, aoi=PANEL)
    make_spec(make_operation("AOI"), name="Paste Height", unit="µm")
    recompiled(plant)
    first, second, third = plant.sns
    Unit.objects.filter(sn=first).update(current_step_no=20)
    boards = [{"sn": sn, "result": "OK", "values": list(reported(0, 1, 5))} for sn in (first, second, third)]
    answer = send(panel(*boards, {"sn": "NOBODY", "result": "OK", "values": list(reported(0))}, station="AOI-1"), 201)
    assert len(answer["skipped"]) == 3
    assert (DataValue.objects.count(), unmapped_of(answer)) == (2, 8)
    Unit.objects.filter(sn=second).update(current_step_no=20)
    replayed = client.post(f"/api/ingest/events/{answer['eventId']}/replay")
    assert replayed.status_code == 200, replayed.content
    assert (DataValue.objects.count(), unmapped_of(answer)) == (4, 6)


def test_a_failing_report_of_values_without_a_pass_holds(send: Send) -> None:
    plant = make_printer({**BRINGING, "waitSeconds": 0})
    error = send(printed(plant.sns[0], phase="values", result="NG"), 404)
    assert (error["code"], error["details"]["held"]) == ("TRACK_NOT_FOUND", [plant.sns[0]])
    assert statuses()[plant.sns[0]] == "ON_HOLD"


def test_a_skipped_unit_is_held_by_no_refusal(send: Send) -> None:
    """Its values were not measured of it as it is."""
    plant = make_ingest_plant(test={**PANEL, "testResultIdPath": "payload.id", "batchPolicy": "ALL_OR_NOTHING"})
    bad = [{"name": "Supply Voltage", "value": 9, "unit": "V"}]
    boards = [
        {"sn": plant.sns[0], "result": "SKIP", "values": bad},
        {"sn": plant.sns[1], "result": "NG", "values": bad},
    ]
    error = send(event("TEST", {"station": "TST-1", "id": "T-1", "boards": boards}), 409)
    assert error["details"]["held"] == [plant.sns[1]]
    assert statuses()[plant.sns[0]] == "QUEUED"


@pytest.mark.parametrize("value", ["1" * 400, "NaN", "none"])
def test_a_text_that_makes_no_number_is_counted(send: Send, value: str) -> None:
    """Also digits of a number that is larger than any value."""
    plant = make_printer({**PRINTING, "measurements": {**MEASUREMENTS, "valuePath": "to_number(value)"}})
    answer = send(printed(plant.sns[0], values=[{**HEIGHT, "value": value}, {**HEIGHT, "value": "120"}]), 201)
    assert (DataValue.objects.count(), unmapped_of(answer)) == (1, 1)
