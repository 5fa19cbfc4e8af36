"""What an ingest mapping may say, per station type."""

from typing import Any

import pytest

from mes.routing.mapping_problems import find_mapping_problems

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
    ],
)
def test_sound_mappings(station_type: str | None, mapping: dict[str, Any]) -> None:
    assert find_mapping_problems(mapping, station_type=station_type) == []


@pytest.mark.parametrize(
    ("station_type", "mapping", "expected"),
    [
        ("MANUAL", {}, "takes no mapping"),
        ("AUTO", [], "is an object"),
        ("AUTO", None, "is an object"),
        ("AUTO", "snPath", "is an object"),
        ("AUTO", {"sn": "a"}, "“sn”"),
        ("AUTO", {"testResultIdPath": "a"}, "“testResultIdPath”"),
        ("AUTO", {"batchPolicy": "PARTIAL"}, "“batchPolicy”"),
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
        ("AUTO", {"dataSpecMap": []}, "dataSpecMap"),
        ("AUTO", {"dataSpecMap": {"peak": 1}}, "dataSpecMap"),
    ],
)
def test_what_a_mapping_may_not_say(station_type: str | None, mapping: Any, expected: str) -> None:
    problems = [str(problem) for problem in find_mapping_problems(mapping, station_type=station_type)]
    assert any(expected in problem for problem in problems), problems
