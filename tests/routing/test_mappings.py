"""What an ingest mapping may say, per station type."""

from typing import Any

import pytest

from mes.routing.mapping_problems import find_mapping_problems

BLOCK = {"itemsPath": "a", "namePath": "b", "valuePath": "c"}
RESULT = {"path": "payload.result", "passValues": ["OK"], "failValues": ["NG"]}


@pytest.mark.parametrize(
    ("station_type", "mapping"),
    [
        ("AUTO", {}),
        ("AUTO", {"eventType": "AUTO", "snPath": "payload.units[*].sn", "result": RESULT}),
        ("AUTO", {"phase": {"path": "payload.phase", "inValues": ["in"], "outValues": ["out"]}}),
        ("TEST", {"testResultIdPath": "payload.id", "waitSeconds": 0}),
        ("BATCH", {"snListPath": "payload.sns", "carrierCodePath": "payload.tray", "batchPolicy": "PARTIAL"}),
        ("AUTO", {"measurements": {"itemsPath": "a", "namePath": "b", "valuePath": "c", "judgePath": "d"}}),
        ("AUTO", {"dataSpecMap": {"peak": "Peak Temperature"}}),
        (None, {"snListPath": "a", "testResultIdPath": "b", "phase": {"path": "a", "inValues": [], "outValues": []}}),
        (None, {"eventType": "AUTO", "snPath": "payload.sn"}),
        ("AUTO", [{"when": "payload.kind == 'a'"}, {}]),
        ("AUTO", [{}] * 20),
        ("AUTO", {"measurements": [BLOCK, {**BLOCK, "of": "event"}], "batchPolicy": "PARTIAL", "carrierCodePath": "a"}),
        ("TEST", {"testResultIdPath": "a", "batchPolicy": "ALL_OR_NOTHING", "positionPath": "b"}),
        ("AUTO", {"measurements": {**BLOCK, "unitFactors": {"[degF]": {"Cel": {"factor": 0.5, "offset": -32}}}}}),
        ("AUTO", {"timeFormat": "%d.%m.%Y %H:%M:%S", "timeZone": "Europe/Berlin"}),
        ("AUTO", {"timeFormat": "EPOCH_MS"}),
        ("BATCH", {"defects": {"itemsPath": "a", "codePath": "b", "locationPath": "c", "remarkPath": "d"}}),
    ],
)
def test_sound_mappings(station_type: str | None, mapping: dict[str, Any]) -> None:
    assert find_mapping_problems(mapping, station_type=station_type) == []


@pytest.mark.parametrize(
    ("station_type", "mapping", "expected"),
    [
        ("MANUAL", {}, "takes no mapping"),
        ("AUTO", [], "between 1 and 20"),
        ("AUTO", [{}] * 21, "between 1 and 20"),
        ("AUTO", [{}, 7], "[1] A mapping is an object"),
        ("AUTO", [{}, [{}]], "[1] A mapping is an object"),
        ("AUTO", [{}, {"snPath": "a["}], "[1] snPath"),
        ("TEST", [{"testResultIdPath": "a"}, {}], "[1] “testResultIdPath” is required"),
        ("MANUAL", [{}], "takes no mapping"),
        ("AUTO", {"when": "a ="}, "when: is not a JMESPath"),
        ("AUTO", {"when": True}, "when: must be a JMESPath"),
        ("AUTO", {"when": "nope(a)"}, "when: there is no function"),
        ("AUTO", None, "is an object"),
        ("AUTO", "snPath", "is an object"),
        ("AUTO", {"sn": "a"}, "“sn”"),
        ("AUTO", {"testResultIdPath": "a"}, "“testResultIdPath”"),
        ("AUTO", {"snListPath": "a"}, "“snListPath”"),
        ("TEST", {"batchPolicy": "SOME", "testResultIdPath": "a"}, "batchPolicy"),
        ("BATCH", {"phase": {}}, "“phase”"),
        ("TEST", {}, "“testResultIdPath” is required"),
        ("AUTO", {"eventType": "TEST"}, "eventType"),
        ("AUTO", {"snPath": "payload.["}, "snPath"),
        ("AUTO", {"snPath": ""}, "snPath"),
        ("AUTO", {"snPath": 5}, "snPath"),
        ("AUTO", {"snPath": None}, "snPath"),
        ("AUTO", {"snPath": "[" * 5000}, "snPath"),
        ("AUTO", {"waitSeconds": -1}, "waitSeconds"),
        ("AUTO", {"waitSeconds": 1.5}, "waitSeconds"),
        ("AUTO", {"waitSeconds": True}, "waitSeconds"),
        ("AUTO", {"waitSeconds": 10**30}, "waitSeconds"),
        ("AUTO", {"snPath": "lenght(payload.sn)"}, "snPath: there is no function “lenght”"),
        ("AUTO", {"snPath": "a || length(b, c)"}, "snPath: the function “length” takes 1 argument(s), not 2"),
        ("AUTO", {"result": {**RESULT, "path": "nope(@)"}}, "result.path: there is no function"),
        (None, {"snPath": "lenght(payload.sn)"}, "snPath: there is no function “lenght”"),
        (None, {"snpath": "a"}, "“snpath”"),
        (None, {"eventType": "MANUAL"}, "eventType: must be one of"),
        (None, {"eventType": "TEST"}, "“testResultIdPath” is required"),
        ("BATCH", {"batchPolicy": "SOME"}, "batchPolicy"),
        ("BATCH", {"batchPolicy": []}, "batchPolicy"),
        ("AUTO", {"result": "OK"}, "result"),
        ("AUTO", {"result": {"path": "a", "passValues": ["OK"]}}, "result.failValues: missing"),
        ("AUTO", {"result": {**RESULT, "passValues": "OK"}}, "result.passValues"),
        ("AUTO", {"result": {**RESULT, "path": "a["}}, "result.path"),
        ("AUTO", {"result": {**RESULT, "extra": []}}, "result.extra: unknown"),
        ("AUTO", {"measurements": {"itemsPath": "a"}}, "measurements.namePath: missing"),
        ("AUTO", {"measurements": {"unitFactors": {"mV": {"V": 10**400}}}}, "unitFactors"),
        ("AUTO", {"result": {**RESULT, "skipValues": "SKIP"}}, "result.skipValues"),
        ("AUTO", {"phase": {"path": "a", "inValues": [], "outValues": [], "dataValues": 1}}, "phase.dataValues"),
        ("AUTO", {"measurements": []}, "measurements: must have between 1 and 50"),
        ("AUTO", {"measurements": [BLOCK] * 51}, "measurements: must have between 1 and 50"),
        ("AUTO", {"measurements": [BLOCK, {}]}, "measurements[1].itemsPath: missing"),
        ("AUTO", {"measurements": [BLOCK, 5]}, "measurements[1]: must be an object"),
        ("AUTO", {"measurements": {**BLOCK, "of": "carrier"}}, "measurements.of: must be one of unit, event"),
        ("AUTO", {"measurements": {**BLOCK, "of": ["unit"]}}, "measurements.of"),
        ("AUTO", {"measurements": {**BLOCK, "unitFactors": {"F": {"C": {"factor": "x"}}}}}, "unitFactors"),
        ("AUTO", {"measurements": {**BLOCK, "unitFactors": {"F": {"C": {"offset": 1}}}}}, "unitFactors"),
        ("AUTO", {"measurements": {**BLOCK, "unitFactors": {"F": {"C": {"factor": 1, "plus": 1}}}}}, "unitFactors"),
        ("AUTO", {"measurements": {**BLOCK, "unitFactors": {"F": {"C": {"factor": 1, "offset": 10**400}}}}}, "unitF"),
        ("AUTO", {"defects": []}, "defects: must be an object"),
        ("AUTO", {"defects": {"itemsPath": "a"}}, "defects.codePath: missing"),
        ("AUTO", {"defects": {"itemsPath": "a", "codePath": "b", "of": "unit"}}, "defects.of: unknown"),
        ("AUTO", {"defects": {"itemsPath": "a", "codePath": "b("}}, "defects.codePath"),
        ("AUTO", {"timeFormat": "%Q"}, "timeFormat: there is no directive “%Q”"),
        ("AUTO", {"timeFormat": "%H:%M"}, "timeFormat: is neither"),
        ("AUTO", {"timeFormat": 7}, "timeFormat: must be a text"),
        ("AUTO", {"timeZone": "Mars/Base"}, "timeZone: there is no time zone “Mars/Base”"),
        ("AUTO", {"timeZone": 1}, "timeZone"),
        ("AUTO", {"dataSpecMap": []}, "dataSpecMap"),
        ("AUTO", {"dataSpecMap": {"peak": 1}}, "dataSpecMap"),
    ],
)
def test_what_a_mapping_may_not_say(station_type: str | None, mapping: Any, expected: str) -> None:
    problems = [str(problem) for problem in find_mapping_problems(mapping, station_type=station_type)]
    assert any(expected in problem for problem in problems), problems
