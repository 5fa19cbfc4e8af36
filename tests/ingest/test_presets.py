"""Every preset reads its sample: pushed as a real event, on a route compiled with the preset's mapping."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from execution.models import DataValue, Track
from ingest.mapping.extract import EventReading
from ingest.mapping.paths import EventDocument
from ingest.mapping.presets import Preset, list_presets
from ingest.models import IngestEvent
from mes.production import orders, runs
from mes.production.models import Unit
from mes.routing.compilation import compile_route
from mes.routing.step_mapping import parse_mappings
from tests.factories import api_client, make_config, make_group, make_line, make_operation, make_route, make_spec
from tests.factories import make_station as make_station_of
from tests.ingest.support import push

pytestmark = pytest.mark.django_db

INGEST_PAGE = Path(settings.BASE_DIR) / "docs" / "ingest.md"
ZEROS = "00000000-0000-0000-0000-000000000000"
SNS = ["PNL-7001-1", "PNL-7001-2"]
SPECS: dict[str, list[dict[str, Any]]] = {
    "cfx-units-tested": [
        {"name": "R5_RESISTANCE", "lsl": 4.6, "usl": 4.8, "unit": "kOhm", "is_required": True},
        {"name": "RAIL_5V_VOLTAGE", "lsl": 4.9, "usl": 5.1, "unit": "V"},
    ],
    "cfx-units-processed": [
        {"name": name}
        for name in ("ConveyorSpeed", *(f"Zone {n} {of}" for n in (1, 2) for of in ("Top Temperature", "Bottom Power")))
    ],
    "cfx-units-inspected": [{"name": "U3_FILLET_HEIGHT", "lsl": 200, "usl": 500, "unit": "µm"}],
}


def preset_of(code: str) -> Preset:
    return next(preset for preset in list_presets() if preset.code == code)


def station_in(preset: Preset) -> str:
    """Return the station that the preset reads in its sample."""
    mapping, *_others = parse_mappings(preset.mapping)
    code = EventReading(EventDocument(preset.event), mapping).station_code
    assert code, "the sample names no station"
    return code


def make_route_of(preset: Preset, sns: Sequence[str] = SNS, *, specs: Sequence[dict[str, Any]] | None = None) -> None:
    """Make a route of the one step that the preset is for, and a run with these units."""
    line, group = make_line("SMT-A"), make_group("MACHINES")
    operation = make_operation("TEST" if preset.station_type == "TEST" else "AOI")
    make_station_of(station_in(preset), line=line, group=group, station_type=preset.station_type)
    for fields in SPECS.get(preset.code, []) if specs is None else specs:
        make_spec(operation, **fields)
    routing = make_route(steps=[(10, operation.code)])
    make_config(
        routing,
        step_no=10,
        station_type=preset.station_type,
        station_group=group,
        ingest_mapping=preset.mapping,
        retest_limit=3,
    )
    version, _changed = compile_route(code=routing.code)
    assert version.status == "READY", version.errors
    orders.receive(wo_no="WO-1", product_code="BOARD-1", planned_qty=10, optional={"routing_code": routing.code})
    orders.release(wo_no="WO-1", line_code=line.code)
    runs.create(wo_no="WO-1", line_code=line.code, plan_qty=10, run_no="RUN-1")
    runs.register_units(run_no="RUN-1", sns=list(sns))
    runs.set_authorization(run_no="RUN-1", action="AUTHORIZE", by="test")


def sample(preset: Preset, **body: Any) -> dict[str, Any]:
    """Return the preset's event, with fields of its message body replaced."""
    event = copy.deepcopy(preset.event)
    event["payload"]["MessageBody"] |= body
    return event


def results() -> dict[str, str]:
    return dict(Track.objects.order_by("id").values_list("unit__sn", "result"))


def values() -> list[tuple[str, str, float, str]]:
    rows = DataValue.objects.order_by("unit__sn", "name")
    return [(row.unit.sn, row.name, round(row.value_number, 6), row.judge) for row in rows]


@pytest.mark.parametrize("preset", list_presets(), ids=lambda preset: preset.code)
def test_every_preset_compiles_and_is_complete(preset):
    make_route_of(preset)
    assert preset.name
    assert preset.description
    assert preset.event["eventType"] == preset.station_type
    assert f"`{preset.code}`" in INGEST_PAGE.read_text()


def test_units_tested():
    preset = preset_of("cfx-units-tested")
    make_route_of(preset)
    push(api_client(), sample(preset), 201)
    assert results() == {"PNL-7001-1": "PASS", "PNL-7001-2": "FAIL"}
    assert values() == [
        ("PNL-7001-1", "R5_RESISTANCE", 4.71, "PASS"),  # 4710 Ohm
        ("PNL-7001-1", "RAIL_5V_VOLTAGE", 5.02, "PASS"),
        ("PNL-7001-2", "R5_RESISTANCE", 4.95, "FAIL"),  # only told with the symptom
        ("PNL-7001-2", "RAIL_5V_VOLTAGE", 5.01, "PASS"),
    ]
    event = IngestEvent.objects.get()
    assert (event.test_result_id, event.transaction_id) == (preset.event["payload"]["UniqueID"], "")


def test_a_unit_that_passed_with_a_failed_test_inside_fails():
    preset = preset_of("cfx-units-tested")
    make_route_of(preset)
    event = sample(preset)
    units = event["payload"]["MessageBody"]["TestedUnits"]
    units[1]["Tests"][0]["SymptomsFound"] = None  # no value fails: it is the result of the test that counts
    units[0]["Tests"][0]["Result"] = None
    push(api_client(), event, 201)
    tracks = {track.unit.sn: (track.claimed_result, track.result_override) for track in Track.objects.all()}
    assert tracks == {"PNL-7001-1": ("FAIL", ""), "PNL-7001-2": ("FAIL", "")}


def test_transactions_of_zeros_make_no_two_reports_the_same():
    preset = preset_of("cfx-units-tested")
    make_route_of(preset)
    client = api_client()
    first = sample(preset, TransactionId=ZEROS)
    second = copy.deepcopy(first)
    second["dedupeKey"] = second["payload"]["UniqueID"] = "another"
    second["payload"]["MessageBody"]["TestedUnits"] = first["payload"]["MessageBody"]["TestedUnits"][1:]
    push(client, first, 201)
    push(client, second, 201)
    assert list(Track.objects.order_by("id").values_list("unit__sn", "attempt")) == [
        ("PNL-7001-1", 1),
        ("PNL-7001-2", 1),
        ("PNL-7001-2", 2),
    ]


@pytest.mark.parametrize("empty", [None, []])
def test_nulls_and_empty_lists_of_a_test_report(empty):
    preset = preset_of("cfx-units-tested")
    make_route_of(preset)
    event = sample(preset, TransactionId=None)
    for unit in event["payload"]["MessageBody"]["TestedUnits"]:
        unit["Tests"] = empty
        unit["OverallResult"] = "Failed"
    push(api_client(), event, 201)
    assert results() == dict.fromkeys(SNS, "FAIL")


def test_an_overall_result_that_nobody_knows_is_refused():
    preset = preset_of("cfx-units-tested")
    make_route_of(preset)
    event = sample(preset)
    event["payload"]["MessageBody"]["TestedUnits"][0]["OverallResult"] = "Perhaps"
    assert push(api_client(), event, 422)["code"] == "INGEST_PAYLOAD_INVALID"
    assert not Track.objects.exists()


def test_units_inspected():
    preset = preset_of("cfx-units-inspected")
    make_route_of(preset)
    push(api_client(), sample(preset), 201)
    assert results() == {"PNL-7001-1": "PASS", "PNL-7001-2": "FAIL"}
    assert values() == [
        ("PNL-7001-1", "U3_FILLET_HEIGHT", 310, "PASS"),  # 0.31 mm
        ("PNL-7001-2", "U3_FILLET_HEIGHT", 290, "PASS"),
    ]
    assert IngestEvent.objects.get().transaction_id == preset.event["payload"]["MessageBody"]["TransactionId"]


def test_a_unit_without_a_position_is_its_identifier():
    preset = preset_of("cfx-units-inspected")
    make_route_of(preset, ["PNL-7001"])
    event = sample(preset)
    event["payload"]["MessageBody"]["InspectedUnits"] = [
        {"UnitIdentifier": "PNL-7001", "UnitPositionNumber": None, "OverallResult": "Passed", "Inspections": None},
        {"UnitIdentifier": None, "UnitPositionNumber": 2, "OverallResult": "Passed", "Inspections": []},
    ]
    push(api_client(), event, 201)
    assert results() == {"PNL-7001": "PASS"}


@pytest.mark.parametrize(("said", "result"), [("Completed", "PASS"), ("Failed", "FAIL"), ("Aborted", "FAIL")])
def test_work_started_and_completed_are_joined_by_their_transaction(said, result):
    started, completed = preset_of("cfx-work-started"), preset_of("cfx-work-completed")
    assert started.mapping == completed.mapping
    make_route_of(started)
    client = api_client()
    push(client, sample(started), 201)
    assert set(Unit.objects.values_list("status", flat=True)) == {"IN_STATION"}
    push(client, sample(completed, Result=said), 201)
    assert results() == dict.fromkeys(SNS, result)
    assert not Track.objects.filter(out_at=None).exists()
    assert Track.objects.count() == 2


def test_work_completed_that_names_its_units_is_joined_alike():
    started, completed = preset_of("cfx-work-started"), preset_of("cfx-work-completed")
    make_route_of(started)
    client = api_client()
    push(client, sample(started), 201)
    push(client, sample(completed, Units=started.event["payload"]["MessageBody"]["Units"]), 201)
    assert results() == dict.fromkeys(SNS, "PASS")


def test_work_completed_without_a_transaction_must_name_its_units():
    started, completed = preset_of("cfx-work-started"), preset_of("cfx-work-completed")
    make_route_of(started)
    client = api_client()
    push(client, sample(started, TransactionID=ZEROS), 201)
    assert push(client, sample(completed, TransactionID=ZEROS), 422)["code"] == "INGEST_PAYLOAD_INVALID"
    assert Track.objects.filter(out_at=None).count() == 2
    units = started.event["payload"]["MessageBody"]["Units"]
    push(client, sample(completed, TransactionID=ZEROS, Units=units, Result="Failed"), 201)
    assert results() == dict.fromkeys(SNS, "FAIL")


def test_work_completed_that_names_some_units_is_for_those():
    started, completed = preset_of("cfx-work-started"), preset_of("cfx-work-completed")
    make_route_of(started)
    client = api_client()
    push(client, sample(started), 201)
    push(client, sample(completed, Units=started.event["payload"]["MessageBody"]["Units"][:1]), 201)
    assert results() == {SNS[0]: "PASS", SNS[1]: ""}


def test_a_result_that_nobody_says_is_refused():
    started, completed = preset_of("cfx-work-started"), preset_of("cfx-work-completed")
    make_route_of(started)
    client = api_client()
    push(client, sample(started), 201)
    units = started.event["payload"]["MessageBody"]["Units"]
    assert push(client, sample(completed, Units=units, Result=None), 422)["code"] == "INGEST_PAYLOAD_INVALID"


def test_a_message_of_another_kind_is_refused():
    started = preset_of("cfx-work-started")
    make_route_of(started)
    event = sample(started)
    event["payload"]["MessageName"] = "CFX.Production.UnitsDeparted"
    assert push(api_client(), event, 422)["code"] == "INGEST_MAPPING_MISSING"


def test_presets_are_listed_for_everyone():
    items = api_client("OPERATOR").get("/api/ingest/presets").json()["data"]["items"]
    assert [item["code"] for item in items] == sorted(preset.code for preset in list_presets())
    assert {frozenset(item) for item in items} == {
        frozenset({"code", "name", "description", "stationType", "mapping", "event"})
    }


@pytest.mark.parametrize("preset", list_presets(), ids=lambda preset: preset.code)
def test_a_preview_of_the_sample_has_no_problem_but_a_missing_transaction(preset):
    make_route_of(preset)
    body = {"stepNo": 10, "event": preset.event}
    data = api_client().post("/api/routes/ROUTE-1/ingest-preview", body).json()["data"]
    assert data["problems"] == []
    assert data["unmapped"] == []
