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
    ],
)
def test_sound_mappings(station_type: str, mapping: dict[str, Any]) -> None:
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
        ("BATCH", {"batchPolicy": "SOME"}, "batchPolicy"),
        ("BATCH", {"batchPolicy": []}, "batchPolicy"),
        ("AUTO", {"result": "OK"}, "result"),
        ("AUTO", {"result": {"path": "a", "passValues": ["OK"]}}, "result.failValues: missing"),
        ("AUTO", {"result": {**RESULT, "passValues": "OK"}}, "result.passValues"),
        ("AUTO", {"result": {**RESULT, "path": "a["}}, "result.path"),
        ("AUTO", {"result": {**RESULT, "extra": []}}, "result.extra: unknown"),
        ("AUTO", {"measurements": {"itemsPath": "a"}}, "measurements.namePath: missing"),
        ("AUTO", {"dataSpecMap": []}, "dataSpecMap"),
        ("AUTO", {"dataSpecMap": {"peak": 1}}, "dataSpecMap"),
    ],
)
def test_what_a_mapping_may_not_say(station_type: str, mapping: Any, expected: str) -> None:
    problems = [str(problem) for problem in find_mapping_problems(mapping, station_type=station_type)]
    assert any(expected in problem for problem in problems), problems
