"""A preview says what a real event would do, and stores nothing."""

import pickle
from typing import Any

import pytest

from execution.models import DataValue, Track
from ingest.mapping.extract import Extracted
from ingest.mapping.preview import PARTS
from ingest.models import IngestEvent
from mes.platform.accounts.roles import Role
from mes.platform.http.envelope import camel_case
from mes.platform.inbound import sources
from mes.platform.inbound.models import IdempotencyKey, Source
from mes.routing.models import RouteExecutionConfig
from mes.routing.step_mapping import StepMapping
from tests.factories import api_client
from tests.ingest.support import (
    MEASUREMENTS,
    PRINTING,
    IngestPlant,
    final_test,
    inspected,
    make_ingest_plant,
    printed,
    reflowed,
)

pytestmark = pytest.mark.django_db
NOT_OF_AN_EVENT = (
    "when",
    "document",
    "batch_policy",
    "wait_seconds",
)  # they say what becomes of it, not what stands in it


@pytest.fixture(scope="module")
def made(around_all: None) -> bytes:
    return pickle.dumps(make_ingest_plant())


@pytest.fixture
def plant(made: bytes, db: None) -> IngestPlant:
    return pickle.loads(made)  # each its own


def preview(plant: IngestPlant, step_no: int, event: Any, expect: int = 200, **fields: Any) -> dict[str, Any]:
    code = plant.version.routing.code
    answer = api_client(Role.ENGINEER).post(
        f"/api/routes/{code}/ingest-preview", {"stepNo": step_no, "event": event, **fields}
    )
    assert answer.status_code == expect, answer.content
    return answer.json().get("data") or answer.json()["error"]


def codes(data: dict[str, Any]) -> list[str]:
    return [problem["code"] for problem in data["problems"]]


def found(data: dict[str, Any]) -> dict[str, Any]:
    return {entry["key"]: entry["found"] for entry in data["paths"]}


def set_live(plant: IngestPlant, step_no: int, **fields: Any) -> None:
    RouteExecutionConfig.objects.filter(routing=plant.version.routing, step_no=step_no).update(**fields)


def test_everything_an_event_says_is_shown_and_nothing_is_stored(plant):
    sn = plant.sns[0]
    data = preview(
        plant,
        10,
        printed(
            sn, values=[{"name": "Paste Height", "value": 170, "unit": "µm", "judge": "OK"}, {"name": "x", "value": 1}]
        ),
    )
    assert data["problems"] == []
    assert (data["stepNo"], data["version"], data["mapping"]) == (10, 1, PRINTING)
    extracted = data["extracted"]
    assert extracted | {"stationCode": "PRN-1", "carrierNo": None, "phase": None, "testResultId": None} == extracted
    (unit,) = extracted["units"]
    assert unit | {"sn": sn, "result": "PASS", "resultOverride": None, "isKnown": True, "currentStepNo": 10} == unit
    assert [one["name"] for one in unit["measurements"]] == ["Paste Height", "x"]
    (value,) = data["values"]
    assert (value["specName"], value["value"], value["unit"], value["judge"]) == ("Paste Height", 170, "µm", "FAIL")
    assert (value["reportedJudge"], value["limits"]["usl"], value["alarmed"]) == ("PASS", 160, False)
    assert [(one["name"], one["value"]) for one in data["unmapped"]] == [("x", 1)]
    assert found(data) == {
        "snPath": sn,
        "stationCodePath": "PRN-1",
        "result.path": "OK",
        "measurements.itemsPath": found(data)["measurements.itemsPath"],
        "measurements.namePath": ["Paste Height", "x"],
        "measurements.valuePath": [170, 1],
        "measurements.unitPath": ["µm", None],
        "measurements.judgePath": ["OK", None],
    }
    assert not (Track.objects.exists() or DataValue.objects.exists() or IngestEvent.objects.exists())
    assert not IdempotencyKey.objects.exists()


def test_all_that_a_mapping_extracts_is_shown_and_each_part_is_tried(plant):
    extracted = preview(plant, 10, printed(plant.sns[0]))["extracted"]
    assert extracted.keys() == set(map(camel_case, Extracted.__dataclass_fields__))
    tried = [name for names in PARTS for name in names]
    assert sorted([*tried, *NOT_OF_AN_EVENT]) == sorted(StepMapping.__dataclass_fields__)


def test_a_key_value_that_fails_overrides_the_result(plant):
    data = preview(plant, 40, final_test(plant.sns[0], volts=3.9))
    assert (data["problems"], data["values"][0]["judge"]) == ([], "FAIL")
    assert data["extracted"]["units"][0]["resultOverride"] == "DATA"
    assert data["extracted"]["testResultId"].startswith("test-")


def test_values_of_a_carrier_raise_alarms(plant):
    event = reflowed("PANEL-1", plant.sns, values=[{"name": "Peak Temperature", "value": 260}])
    data = preview(plant, 30, event)
    assert data["problems"] == []
    (value,) = data["values"]
    assert (value["alarmed"], value["judge"], value["alarm"]["action"]) == (True, "FAIL", "HOLD")
    assert (data["extracted"]["carrierNo"], len(data["extracted"]["units"])) == ("PANEL-1", 3)


def test_a_phase_is_read_and_entering_needs_no_result(plant):
    data = preview(plant, 20, inspected(plant.sns[0], "start", result=None))
    assert (data["problems"], data["extracted"]["phase"]) == ([], "IN")
    assert data["extracted"]["units"][0]["result"] is None


def test_what_does_not_fit_leaves_the_rest(plant):
    event = printed(plant.sns[0], result="perhaps", values=[{"name": "Paste Height", "value": "120"}])
    data = preview(plant, 10, event)
    assert codes(data) == ["INGEST_PAYLOAD_INVALID", "DATA_TYPE_MISMATCH"]
    assert "perhaps" in data["problems"][0]["message"]
    (unit,) = data["extracted"]["units"]
    assert (unit["sn"], unit["result"]) == (plant.sns[0], None)
    assert data["values"][0]["problem"]["code"] == "DATA_TYPE_MISMATCH"


def test_another_unit_of_measure_needs_a_factor(plant):
    values = [{"name": "Supply Voltage", "value": 3300, "unit": "mV"}]
    data = preview(plant, 40, final_test(plant.sns[0], values=values))
    assert codes(data) == ["INGEST_PAYLOAD_INVALID", "REQUIRED_DATA_MISSING"]
    assert data["values"][0]["problem"]["code"] == "INGEST_PAYLOAD_INVALID"
    mapping = dict(plant.mappings[40])
    mapping["measurements"] = {**mapping["measurements"], "unitFactors": {"mV": {"V": 0.001}}}
    set_live(plant, 40, ingest_mapping=mapping)
    live = preview(plant, 40, final_test(plant.sns[0], values=values), version="live")
    assert (live["problems"], live["version"]) == ([], "live")
    (value,) = live["values"]
    assert (value["value"], value["reportedValue"], value["reportedUnit"]) == (pytest.approx(3.3), 3300, "mV")


def test_required_values_that_are_missing_are_named(plant):
    data = preview(plant, 40, final_test(plant.sns[0], values=[]))
    assert codes(data) == ["REQUIRED_DATA_MISSING"]


def test_a_version_or_the_live_configuration_may_be_asked_for(plant):
    set_live(plant, 10, ingest_mapping={"snPath": "payload.board"})
    event = printed(plant.sns[0], board="LIVE-1")
    assert preview(plant, 10, event, version=1)["extracted"]["units"][0]["sn"] == plant.sns[0]
    live = preview(plant, 10, event, version="live")
    assert live["extracted"]["units"][0]["sn"] == "LIVE-1"
    assert live["extracted"]["units"][0]["isKnown"] is False
    assert codes(live) == ["INGEST_PAYLOAD_INVALID"]  # no station


@pytest.mark.parametrize(
    "mapping",
    [
        {"snPath": "((("},
        {"snPath": 7},
        {"result": []},
        {"measurements": {"itemsPath": "a"}},
        [],
        "text",
        {"unknown": 1},
    ],
)
def test_a_live_mapping_that_is_none_is_said_so(plant, mapping):
    set_live(plant, 10, ingest_mapping=mapping)
    data = preview(plant, 10, printed(plant.sns[0]), version="live")
    assert set(codes(data)) == {"INGEST_MAPPING_INVALID"}
    assert (data["extracted"], data["paths"]) == (None, [])


def test_a_step_without_a_mapping(plant):
    set_live(plant, 10, ingest_mapping=None)
    assert codes(preview(plant, 10, printed(plant.sns[0]), version="live")) == ["INGEST_MAPPING_MISSING"]


def test_an_event_of_another_type(plant):
    assert codes(preview(plant, 40, printed(plant.sns[0])))[0] == "INGEST_MAPPING_MISSING"


def test_what_is_not_there_is_refused(plant):
    event = printed(plant.sns[0])
    assert preview(plant, 11, event, 400)["details"].keys() == {"stepNo"}
    assert preview(plant, 10, event, 404, version=9)["code"] == "ROUTE_VERSION_NOT_FOUND"
    assert preview(plant, 10, event, 400, version="latest")["code"] == "VALIDATION_ERROR"
    answer = api_client().post("/api/routes/NONE/ingest-preview", {"stepNo": 10, "event": event})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ROUTE_NOT_FOUND")
    answer = api_client(Role.OPERATOR).post("/api/routes/NONE/ingest-preview", {"stepNo": 10, "event": event})
    assert answer.status_code == 403


ODD: list[Any] = [
    None,
    7,
    "text",
    [],
    {},
    {"payload": None},
    {"payload": []},
    {"payload": {"sn": None, "values": None}},
    {"payload": {"sn": ["SN-1"], "result": ["OK"], "station": {}}},
    {"sn": 5, "sns": 7, "stationCode": [], "occurredAt": 3, "payload": {"values": 5}},
    {"sn": {"a": 1}, "sns": [None, 4], "occurredAt": "yesterday", "eventType": 5},
    {"sns": ["a//b", "", " x", "\u2028"], "occurredAt": "2026-01-24T10:00:00"},
    {"sn": "x" * 5000, "occurredAt": "9999-12-31T23:59:59Z"},
    {"payload": {"sn": 10**300, "result": "OK", "values": [{"name": "Supply Voltage", "value": 10**300, "unit": "V"}]}},
    {"payload": {"values": [None, 1, "x", [], {"name": 5}, {"name": "Paste Height", "value": {"a": 1}}]}},
    {"payload": {"values": [{"name": "Paste Height", "value": True}, {"name": "Paste Height", "value": 1e308}]}},
]


@pytest.mark.parametrize("event", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("step_no", [10, 20, 30, 40])
def test_no_event_whatever_is_an_error_of_the_server(plant, event, step_no):
    data = preview(plant, step_no, event)
    assert data["problems"]


def test_factors_that_lead_nowhere_are_no_error_of_the_server(plant):
    mapping = dict(plant.mappings[40])
    mapping["measurements"] = {**mapping["measurements"], "unitFactors": {"mV": {"V": 10**308}}}
    set_live(plant, 40, ingest_mapping=mapping)
    for value in (10**300, 1e300):
        event = final_test(plant.sns[0], values=[{"name": "Supply Voltage", "value": value, "unit": "mV"}])
        assert preview(plant, 40, event, version="live")["values"][0]["problem"]


# --- several mappings, and what else they say --------------------------------------------------------------

SEVERAL: list[dict[str, Any]] = [
    {**PRINTING, "when": "payload.kind == 'other'"},
    {**PRINTING, "when": "sum(payload.kind)"},
    {
        **PRINTING,
        "when": "payload.kind == 'panel'",
        "snPath": "sn",
        "unitsPath": "payload.boards",
        "result": {"path": "result", "passValues": ["OK"], "failValues": ["NG"], "skipValues": ["SKIP"]},
        "phase": {"path": "payload.phase", "inValues": [], "outValues": [], "dataValues": ["values"]},
        "measurements": [
            {"itemsPath": "values", "namePath": "name", "valuePath": "value"},
            {
                "of": "event",
                "itemsPath": "payload.values",
                "namePath": "name",
                "valuePath": "value",
                "unitPath": "unit",
            },
        ],
        "defects": {"itemsPath": "defects", "codePath": "code", "locationPath": "at"},
    },
    {**PRINTING, "snPath": "payload.other"},
]


def a_panel(plant: Any, **payload: Any) -> dict[str, Any]:
    good, bad, skipped = plant.sns
    boards = [
        {"sn": good, "result": "OK", "values": [{"name": "Paste Height", "value": 120}]},
        {"sn": bad, "result": "NG", "values": [{"value": 3}], "defects": [{"code": "D1", "at": "U3"}, {}]},
        {"sn": skipped, "result": "SKIP"},
    ]
    height = {"name": "Paste Height", "value": 0.3, "unit": "mm"}
    return printed(good, kind="panel", phase="values", boards=boards, values=[height], **payload)


def test_the_mapping_that_reads_is_shown_with_what_it_reads(plant):
    set_live(plant, 10, ingest_mapping=SEVERAL)
    data = preview(plant, 10, a_panel(plant), version="live")
    assert data["mapping"] == SEVERAL[2]
    assert [(one["index"], one["found"], one["reads"]) for one in data["mappings"]] == [
        (0, False, False),
        (1, None, False),
        (2, True, True),
        (3, None, False),
    ]
    assert data["mappings"][1]["problem"].startswith("The mapping does not fit")
    extracted = data["extracted"]
    assert (extracted["phase"], [unit["result"] for unit in extracted["units"]]) == ("DATA", ["PASS", "FAIL", "SKIP"])
    assert extracted["units"][1]["defects"] == [
        {"code": "D1", "location": "U3", "remark": "", "isFalseCall": False},
        {"code": "UNSPECIFIED", "location": "", "remark": "", "isFalseCall": False},
    ]
    paths = {entry["key"]: (entry["at"], entry["found"]) for entry in data["paths"]}
    assert paths["when"] == ("event", True)
    assert paths["measurements[0].namePath"] == ("measurements[0].itemsPath", ["Paste Height", None])
    assert paths["measurements[1].unitPath"] == ("measurements[1].itemsPath", ["mm"])
    assert paths["defects.codePath"] == ("defects.itemsPath", ["D1", None])
    assert [one["name"] for one in data["unmapped"]] == [None]
    assert data["values"][0]["problem"]["code"] == "INGEST_PAYLOAD_INVALID"  # no factor from mm


def test_an_event_that_no_mapping_reads(plant):
    set_live(plant, 10, ingest_mapping=SEVERAL[:3])
    data = preview(plant, 10, printed(plant.sns[0], kind="?"), version="live")
    assert [problem["code"] for problem in data["problems"]] == ["INGEST_MAPPING_MISSING"]
    assert (data["mapping"], data["extracted"]) == (None, None)
    assert not any(one["reads"] for one in data["mappings"])


def test_too_many_mappings_are_told(plant):
    set_live(plant, 10, ingest_mapping=[PRINTING] * 21)
    data = preview(plant, 10, printed(plant.sns[0]), version="live")
    assert [problem["code"] for problem in data["problems"]] == ["INGEST_MAPPING_INVALID"]


def test_times_are_read_by_the_clock_of_the_source(plant):
    Source.objects.create(code="LINE", time_zone="Asia/Tokyo")
    sources.forget_sources()
    set_live(plant, 10, ingest_mapping={**PRINTING, "occurredAtPath": "payload.at", "timeFormat": "%Y-%m-%d %H:%M"})
    data = preview(plant, 10, printed(plant.sns[0], at="2026-11-30 10:00"), version="live")
    assert data["extracted"]["occurredAt"] == "2026-11-30T01:00:00Z"


@pytest.mark.parametrize("event", ODD, ids=range(len(ODD)))
def test_no_event_whatever_is_an_error_of_the_server_by_several_mappings(plant, event):
    set_live(plant, 10, ingest_mapping=SEVERAL)
    assert preview(plant, 10, event, version="live")["problems"]


# --- a mapping that is not saved yet ----------------------------------------------------------------------


def test_a_typed_mapping_is_read_in_place_of_the_steps(plant):
    event = printed(plant.sns[0])
    event["payload"]["board"] = event["payload"].pop("sn")
    assert preview(plant, 10, event)["extracted"]["units"] == []
    typed = {**PRINTING, "snPath": "payload.board"}
    data = preview(plant, 10, event, mapping=typed)
    assert (data["problems"], data["mapping"]) == ([], typed)
    assert data["outcome"]["units"][0]["sn"] == plant.sns[0]
    assert preview(plant, 10, event, mapping=None)["mapping"] == PRINTING
    assert preview(plant, 10, event, mapping=[{**typed, "when": "`false`"}, typed], version="live")["mapping"] == typed
    assert RouteExecutionConfig.objects.filter(ingest_mapping__snPath="payload.board").count() == 0


@pytest.mark.parametrize(
    ("mapping", "places"),
    [
        ({**PRINTING, "snPath": "payload.["}, ["snPath"]),
        ({**PRINTING, "serial": "x", "waitSeconds": -1}, ["serial", "waitSeconds"]),
        ({**PRINTING, "result": {"path": "a", "passValues": 1}}, ["result.failValues", "result.passValues"]),
        ({**PRINTING, "measurements": [{**MEASUREMENTS, "unitPath": "("}]}, ["measurements.0.unitPath"]),
        ([PRINTING, {"when": 5}], ["1.when"]),
        ([PRINTING, 5], ["1"]),
        ([], [""]),
        (5, [""]),
        ("text", [""]),
        (True, [""]),
    ],
)  # fmt: skip
def test_what_may_not_be_in_a_typed_mapping_is_told_with_its_place(plant, mapping, places):
    data = preview(plant, 10, printed(plant.sns[0]), mapping=mapping)
    told = [problem for problem in data["problems"] if problem["code"] == "INGEST_MAPPING_INVALID"]
    assert [problem["path"] for problem in told] == places
    assert data["outcome"] == {"code": "INGEST_MAPPING_INVALID"}


def test_a_typed_mapping_that_cannot_be_kept_is_refused_with_its_place(plant):
    error = preview(plant, 10, printed(plant.sns[0]), expect=400, mapping={"snPath": "a\0"})
    assert (error["code"], list(error["details"])) == ("VALIDATION_ERROR", ["mapping.snPath"])
    deep: Any = "x"
    for _level in range(100):
        deep = [deep]
    assert preview(plant, 10, printed(plant.sns[0]), expect=400, mapping={"when": deep})["code"] == "PARSE_ERROR"
