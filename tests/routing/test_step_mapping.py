"""The typed mapping: read once from its document, whatever was stored."""

from typing import Any

import pytest

from mes import errors
from mes.routing import snapshots
from mes.routing.compilation import compile_route
from mes.routing.mapping_problems import ANY_TYPE_KEYS, PARTS, find_mapping_problems
from mes.routing.models import RouteVersion
from mes.routing.step_mapping import (
    LONGEST_WAIT_SECONDS,
    Conversion,
    StepMapping,
    list_paths,
    parse_mapping,
    parse_mappings,
)
from mes.specs.measures import canonical_measure, is_same_measure
from tests.factories import make_config, make_group, make_route

WHOLE: dict[str, Any] = {
    "when": "payload.kind == 'end'",
    "occurredAtPath": "payload.at",
    "timeFormat": "%d.%m.%Y %H:%M",
    "timeZone": "Europe/Berlin",
    "stationCodePath": "payload.station",
    "lineCodePath": "payload.line",
    "unitsPath": "payload.units",
    "snPath": "sn",
    "snListPath": "payload.sns",
    "positionPath": "pos",
    "carrierCodePath": "payload.carrier",
    "testResultIdPath": "payload.id",
    "transactionIdPath": "payload.transaction",
    "result": {"path": "result", "passValues": ["OK", True], "failValues": ["NG", 0], "skipValues": ["X"]},
    "phase": {"path": "payload.phase", "inValues": ["in"], "outValues": ["out"], "dataValues": ["values"]},
    "measurements": {
        "itemsPath": "values",
        "namePath": "name",
        "valuePath": "value",
        "unitPath": "unit",
        "judgePath": "judge",
        "unitFactors": {"mV": {"V": 0.001}},
        "of": "event",
    },
    "defects": {
        "itemsPath": "defects",
        "codePath": "code",
        "locationPath": "at",
        "remarkPath": "text",
        "falseCallPath": "no",
    },
    "dataSpecMap": {"U": "Supply Voltage"},
    "batchPolicy": "PARTIAL",
    "waitSeconds": 60,
}
BLOCK = {"itemsPath": "a", "namePath": "b", "valuePath": "c"}
READ_ELSEWHERE = {"eventType"}  # says nothing that the step does not say itself


def parsed(document: Any) -> StepMapping:
    return parse_mapping(document)


def test_a_whole_mapping() -> None:
    mapping = parsed(WHOLE)
    assert mapping.document is WHOLE
    assert mapping.result is not None
    assert (mapping.result.path.expression, mapping.result.pass_values) == ("result", ("OK", True))
    assert mapping.result.fail_values == ("NG", 0)
    assert mapping.phase is not None
    assert (mapping.phase.in_values, mapping.phase.out_values) == (("in",), ("out",))
    (block,) = mapping.measurements
    assert (block.unit_factors, block.of_event) == ({"mV": {"V": Conversion(0.001)}}, True)
    assert (mapping.result.skip_values, mapping.phase.data_values) == (("X",), ("values",))
    assert mapping.defects is not None
    assert mapping.defects.code_path.expression == "code"
    assert (mapping.time_format, mapping.time_zone) == ("%d.%m.%Y %H:%M", "Europe/Berlin")
    assert mapping.data_spec_map == {"U": "Supply Voltage"}
    assert (mapping.is_partial, mapping.wait_seconds) == (True, 60)
    assert mapping.units_path is not None
    assert mapping.units_path.search({"payload": {"units": [1]}}) == [1]


def test_an_empty_mapping_has_the_defaults() -> None:
    mapping = parsed({})
    assert (mapping.sn_path, mapping.result, mapping.phase, mapping.measurements) == (None, None, None, ())
    assert (mapping.data_spec_map, mapping.is_partial, mapping.wait_seconds) == ({}, False, 0)
    assert (mapping.when, mapping.defects, mapping.time_format, mapping.time_zone) == (None, None, "ISO", None)
    assert parse_mappings(None) == ()


def test_one_mapping_is_a_list_of_one() -> None:
    assert [mapping.document for mapping in parse_mappings(WHOLE)] == [WHOLE]
    assert [mapping.document for mapping in parse_mappings([{"snPath": "a"}, 7])] == [{"snPath": "a"}, 7]


@pytest.mark.parametrize(
    ("station_type", "document", "is_partial"),
    [
        ("AUTO", {"unitsPath": "a"}, True),
        ("TEST", {"unitsPath": "a"}, True),
        (None, {"unitsPath": "a", "eventType": "AUTO"}, True),
        ("AUTO", {"unitsPath": "a", "batchPolicy": "ALL_OR_NOTHING"}, False),
        ("AUTO", {"snPath": "a"}, False),
        ("BATCH", {"unitsPath": "a"}, False),
        ("BATCH", {"unitsPath": "a", "batchPolicy": "PARTIAL"}, True),
    ],
)
def test_a_panel_is_taken_unit_by_unit_if_nothing_else_is_said(
    station_type: str | None, document: dict[str, Any], is_partial: bool
) -> None:
    assert parse_mapping(document, station_type=station_type).is_partial == is_partial


@pytest.mark.parametrize(
    ("document", "owners"),
    [
        ({"measurements": BLOCK}, [False]),
        ({"measurements": BLOCK, "unitsPath": "a", "carrierCodePath": "b"}, [False]),
        ({"measurements": BLOCK, "carrierCodePath": "b"}, [True]),
        ({"measurements": BLOCK, "snListPath": "b"}, [True]),
        ({"measurements": [BLOCK, {**BLOCK, "of": "event"}], "unitsPath": "a"}, [False, True]),
        ({"measurements": {**BLOCK, "of": "unit"}, "snListPath": "b"}, [False]),
    ],
)
def test_whose_measurements_are(document: dict[str, Any], owners: list[bool]) -> None:
    assert [block.of_event for block in parse_mapping(document).measurements] == owners


@pytest.mark.parametrize(
    ("reported", "unit", "value", "converted"),
    [
        ("[degF]", "Cel", 212, 100),
        ("°F", "°C", 212, 100),
        ("mV", "V", 5000, 5),
        ("kΩ", "Ohm", 1, 1000),
        ("um", "mm", 250, 0.25),
        ("µm", "mm", 250, 0.25),
        ("μm", "mm", 250, 0.25),
    ],
)
def test_conversions_go_by_any_name_of_a_unit_of_measure(
    reported: str, unit: str, value: float, converted: float
) -> None:
    factors = {
        "[degF]": {"Cel": {"factor": 5 / 9, "offset": -32}},
        "mV": {"V": 0.001},
        "kOhm": {"Ω": 1000},
        "um": {"mm": 0.001},
    }
    (block,) = parse_mapping({"measurements": {**BLOCK, "unitFactors": factors}}).measurements
    conversion = block.find_conversion(reported, unit)
    assert conversion is not None
    assert conversion.apply(value) == pytest.approx(converted)


@pytest.mark.parametrize(
    "names", [("Cel", "°C", "℃"), ("[degF]", "°F"), ("um", "µm", "μm"), ("Ohm", "Ω", "\u2126"), ("kOhm", "kΩ"), ("V",)]
)
def test_units_of_measure_have_several_names(names: tuple[str, ...]) -> None:
    assert {canonical_measure(name) for name in names} == {canonical_measure(names[0])}
    assert all(is_same_measure(name, names[0]) for name in names)
    assert not is_same_measure(names[0], "mV")


def test_every_key_that_may_be_said_is_read() -> None:
    """A key that is checked but not read would be accepted and have no effect."""
    assert set(WHOLE) == ANY_TYPE_KEYS - READ_ELSEWHERE
    assert all(set(WHOLE[part]) == set(keys) for part, keys in PARTS.items())
    for part in PARTS:
        for key in WHOLE[part]:
            within = {name: value for name, value in WHOLE[part].items() if name != key}
            assert differing(parsed(WHOLE), parsed({**WHOLE, part: within})) == 1, (part, key)
    for key in WHOLE:
        without = parsed({name: value for name, value in WHOLE.items() if name != key})
        assert differing(parsed(WHOLE), without) == 1, key


def differing(one: StepMapping, other: StepMapping) -> int:
    names = [name for name in StepMapping.__dataclass_fields__ if name != "document"]
    return sum(getattr(one, name) != getattr(other, name) for name in names)


def test_paths_are_listed_as_they_are_written() -> None:
    listed = {key: path.expression for key, path in list_paths(parsed(WHOLE))}
    assert listed["snPath"] == "sn"
    assert listed["result.path"] == "result"
    assert listed["measurements.itemsPath"] == "values"
    assert list(listed)[:2] == ["when", "occurredAtPath"]
    of_parts = {f"{part}.{key}" for part, keys in PARTS.items() for key in keys if key.lower().endswith("path")}
    assert set(listed) == of_parts | {key for key in WHOLE if key == "when" or key.endswith("Path")}
    of_list = {key for key, _path in list_paths(parsed({"measurements": [BLOCK, BLOCK]}))}
    assert {"measurements[0].itemsPath", "measurements[1].valuePath"} <= of_list


ODD: list[Any] = [
    [],
    "text",
    7,
    True,
    {"unknown": 1},
    {"snPath": "((("},
    {"snPath": 7},
    {"snPath": "nope(@)"},
    {"snPath": ""},
    {"result": "OK"},
    {"result": {}},
    {"result": {"path": 7, "passValues": "OK"}},
    {"phase": []},
    {"measurements": {"itemsPath": "a"}},
    {"measurements": {"unitFactors": [], "itemsPath": "a", "namePath": "b", "valuePath": "c"}},
    {"measurements": {"unitFactors": {"mV": [], "V": {"mV": "x", "kV": True, "MV": 10**400}}}},
    {"dataSpecMap": [1]},
    {"dataSpecMap": {"a": 1}},
    {"batchPolicy": "SOME"},
    {"batchPolicy": []},
    {"waitSeconds": "60"},
    {"waitSeconds": True},
    {"waitSeconds": -1},
    {"waitSeconds": 1e400},
    {"waitSeconds": 10**30},
    {"when": 7},
    {"when": ["true"]},
    {"timeFormat": 7, "timeZone": ["x"]},
    {"timeFormat": "%Q", "timeZone": "Mars/Base"},
    {"measurements": [7, None, [], {"of": 7}]},
    {"measurements": {"unitFactors": {"F": {"C": {"factor": "x", "offset": []}}}}},
    {"defects": "all"},
    {"defects": {"itemsPath": 7}},
]


@pytest.mark.parametrize("document", ODD, ids=range(len(ODD)))
def test_whatever_was_stored_is_read(document: Any) -> None:
    mapping = parsed(document)
    assert mapping.document is document
    assert 0 <= mapping.wait_seconds <= LONGEST_WAIT_SECONDS
    assert list(list_paths(mapping)) is not None


@pytest.mark.parametrize("document", ["OK", {}, {"path": 7, "passValues": "OK"}, {"passValues": [None]}, []])
def test_a_result_that_cannot_be_read_passes_nothing(document: Any) -> None:
    """It does not count as absent, for without `result` leaving is passing."""
    rule = parsed({"result": document}).result
    assert rule is not None
    with pytest.raises(errors.IngestPayloadInvalid):
        rule.path.search({"path": "OK", "result": "OK"})


def test_a_version_that_would_be_refused_today_still_loads(db: None) -> None:
    """It was compiled before functions were looked at."""
    mapping = {"snPath": "payload.sn || lenght(@)", "waitSeconds": 10**12}
    assert find_mapping_problems(mapping, station_type="AUTO")
    routing = make_route(code="OLD", steps=[(10, "PRINT")])
    make_config(routing, station_type="AUTO", station_group=make_group(), ingest_mapping={"snPath": "payload.sn"})
    version, _changed = compile_route(code="OLD")
    document = {**version.snapshot}
    document["steps"][0]["ingestMapping"] = mapping
    digest = snapshots.digest_of(document, [])
    old = RouteVersion.objects.create(
        routing=routing, version_no=2, status="READY", snapshot=document, digest=digest, compiled_by=""
    )
    snapshot = snapshots.load(version_id=old.pk, digest=digest)
    step = snapshot.steps[0]
    (parsed_mapping,) = step.mappings
    assert parsed_mapping.sn_path is not None
    assert parsed_mapping.sn_path.search({"payload": {"sn": "SN-1"}}) == "SN-1"
    assert step.ingest_mapping == mapping
    assert snapshots.digest_of(snapshots.to_document(snapshot), []) == digest


def test_factors_under_two_names_of_one_unit_of_measure_are_one_table() -> None:
    factors = {"um": {"mm": 0.001}, "\u00b5m": {"nm": 1000}, "\u03bcm": "no table"}
    block = {"itemsPath": "a", "namePath": "b", "valuePath": "c", "unitFactors": factors}
    [rule] = parse_mapping({"measurements": block}).measurements
    assert rule.find_conversion("um", "mm") == Conversion(0.001)
    assert rule.find_conversion("\u03bcm", "nm") == Conversion(1000)
