"""Limits that contradict each other are refused where they are typed."""

from typing import Any

import pytest

from mes.specs.display import describe_alarm, describe_limits
from mes.specs.models import DataCollectionSpec
from mes.specs.rules import find_limit_problems


def spec(**fields: Any) -> DataCollectionSpec:
    return DataCollectionSpec(**{"data_type": "NUMBER", **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"lsl": 1},
        {"usl": 1},
        {"lsl": 1, "usl": 1, "target": 1},
        {"lsl": 235, "usl": 250, "target": 245, "alarm_min": 230, "alarm_max": 255, "alarm_action": "HOLD"},
        {"lsl": 235, "alarm_min": 235},
        {"usl": 0, "alarm_max": 0},
        {"alarm_min": -1, "alarm_max": 1},
        {"target": 5},
        {"data_type": "TEXT"},
        {"data_type": "TEXT", "unit": "°C"},
    ],
)
def test_limits_that_agree(fields: dict[str, Any]) -> None:
    assert find_limit_problems(spec(**fields)) == {}


@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({"lsl": 2, "usl": 1}, ["usl"]),
        ({"lsl": 1, "target": 0}, ["target"]),
        ({"usl": 1, "target": 2}, ["target"]),
        ({"lsl": 1, "usl": 2, "target": 3}, ["target"]),
        ({"alarm_min": 2, "alarm_max": 1}, ["alarm_max"]),
        ({"lsl": 1, "alarm_min": 1.5}, ["alarm_min"]),
        ({"usl": 2, "alarm_max": 1.5}, ["alarm_max"]),
        ({"lsl": float("nan")}, ["lsl"]),
        ({"usl": float("inf")}, ["usl"]),
        ({"alarm_action": "HOLD"}, ["alarm_action"]),
        ({"alarm_action": "HOLD", "lsl": 1}, ["alarm_action"]),
        ({"data_type": "TEXT", "lsl": 1}, ["lsl"]),
        ({"data_type": "BOOLEAN", "alarm_max": 1, "target": 0}, ["target", "alarm_max"]),
        ({"data_type": "JSON", "usl": 0}, ["usl"]),
    ],
)
def test_limits_that_contradict_each_other(fields: dict[str, Any], blamed: list[str]) -> None:
    assert list(find_limit_problems(spec(**fields))) == blamed


@pytest.mark.parametrize(
    ("fields", "limits", "alarm"),
    [
        ({}, "-", "-"),
        ({"unit": "°C"}, "- °C", "-"),
        ({"lsl": 235, "usl": 250.0, "target": 245, "unit": "°C"}, "235 … 245 … 250 °C", "-"),
        ({"lsl": 3.2, "alarm_min": 3, "alarm_action": "HOLD"}, "3.2 … -", "3 … - HOLD"),
    ],
)
def test_limits_in_words(fields: dict[str, Any], limits: str, alarm: str) -> None:
    assert (describe_limits(spec(**fields)), describe_alarm(spec(**fields))) == (limits, alarm)
