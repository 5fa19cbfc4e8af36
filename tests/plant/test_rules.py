"""Shifts and readiness checks: every way to get them wrong."""

from typing import Any

import pytest

from mes.plant import rules

DAY = {"code": "DAY", "start": "06:00", "end": "18:00", "weekdays": [1, 2]}


@pytest.mark.parametrize(
    "shifts",
    [
        [],
        [DAY],
        [DAY, {**DAY, "code": "NIGHT", "start": "18:00", "end": "06:00"}],
        [DAY, {**DAY, "end": "12:00", "weekdays": [6]}],
        [{**DAY, "start": "00:00", "end": "23:59", "weekdays": [7, 1]}],
    ],
)
def test_sound_shifts(shifts: Any) -> None:
    assert rules.find_shift_problems(shifts) == {}


@pytest.mark.parametrize(
    ("shifts", "places"),
    [
        ({}, [""]),
        (None, [""]),
        (["DAY"], ["0"]),
        ([{}], ["0.code", "0.start", "0.end", "0.weekdays"]),
        ([DAY, {**DAY, "start": "6:00"}], ["1.start"]),
        ([{**DAY, "end": "24:00"}], ["0.end"]),
        ([{**DAY, "end": 1800}], ["0.end"]),
        ([{**DAY, "end": "06:00"}], ["0.end"]),
        ([{**DAY, "code": " DAY"}], ["0.code"]),
        ([{**DAY, "code": ""}], ["0.code"]),
        ([{**DAY, "weekdays": []}], ["0.weekdays"]),
        ([{**DAY, "weekdays": [0]}], ["0.weekdays"]),
        ([{**DAY, "weekdays": [8]}], ["0.weekdays"]),
        ([{**DAY, "weekdays": [1, 1]}], ["0.weekdays"]),
        ([{**DAY, "weekdays": [True]}], ["0.weekdays"]),
        ([{**DAY, "weekdays": "1"}], ["0.weekdays"]),
        ([{**DAY, "weekdays": [[1]]}], ["0.weekdays"]),
        ([{**DAY, "break": 30}], ["0.break"]),
        ([DAY, {**DAY, "start": "18:00", "end": "19:00"}], ["1.code"]),
    ],
)
def test_what_is_wrong_is_told_by_its_place(shifts: Any, places: list[str]) -> None:
    assert list(rules.find_shift_problems(shifts)) == places


@pytest.mark.parametrize(
    ("checks", "places"),
    [
        ([], []),
        (["ROUTE", "STENCIL", "PREP_FEEDERS", "PREP_1"], []),
        (["route"], ["0"]),
        (["ROUTE", "PREP_"], ["1"]),
        (["ROUTE", "ROUTE"], ["1"]),
    ],
)
def test_readiness_checks(checks: list[str], places: list[str]) -> None:
    assert list(rules.find_readiness_problems(checks, known=["ROUTE", "STENCIL"])) == places
