"""Sampling plans are those of ISO 2859-1, cell by cell, and of the other schemes."""

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from execution.quality.oqc import plan
from execution.quality.oqc.plan import Plan, plan_by_rule, plan_by_tables
from mes.errors import ValidationFailed
from tests.factories import api_client

FILES = Path(plan.__file__).parent / "tables"
LETTERS = ["A", "B", "C", "D", "E", "F", "G", "H", "J", "K", "L", "M", "N", "P", "Q", "R"]
LEVELS = ["S-1", "S-2", "S-3", "S-4", "I", "II", "III"]
# A lot and level that lead to each letter, typed from table 1; the level III of the largest lots leads to R.
LOT_OF = {
    "A": (8, "I"), "B": (3, "III"), "C": (20, "II"), "D": (50, "II"), "E": (90, "II"), "F": (150, "II"),
    "G": (280, "II"), "H": (281, "II"), "J": (1200, "II"), "K": (1201, "II"), "L": (10000, "II"), "M": (35000, "II"),
    "N": (150000, "II"), "P": (500000, "II"), "Q": (500001, "II"), "R": (600000, "III"),
}  # fmt: skip
PUBLISHED = [  # as they are published: lot, level, AQL, state, then letter used, sample size, Ac, Re
    (501, "II", "1.0", "NORMAL", ("J", 80, 2, 3)),
    (281, "II", "0.65", "NORMAL", ("J", 80, 1, 2)),
    (500, "II", "0.40", "NORMAL", ("G", 32, 0, 1)),
    (500_001, "II", "0.025", "TIGHTENED", ("S", 3150, 1, 2)),
    (3200, "II", "1.0", "REDUCED", ("K", 50, 2, 3)),
    (35_000, "II", "6.5", "REDUCED", ("L", 80, 10, 11)),
]


def rows(name: str) -> list[list[str]]:
    return list(csv.reader((FILES / f"iso2859-1-{name}.csv").read_text().splitlines()))


def test_each_lot_has_its_code_letter():
    head, *lines = rows("code-letters")
    assert head == ["lot_from", "lot_to", *LEVELS]
    asked = 0
    for first, last, *letters in lines:
        for level, letter in zip(LEVELS, letters, strict=True):
            asked += 1
            for lot in (int(first), int(last or 10**6)):
                assert plan.code_letter(lot, level) == letter, (lot, level)
    assert asked == 105


@pytest.mark.parametrize("state", ["normal", "tightened", "reduced"])
def test_each_cell_of_the_tables_is_the_plan(state):
    _head, *lines = rows(f"single-{state}")
    assert len(lines) == 256
    normal = {(row[0], row[1]): row for row in rows("single-normal")}
    for letter, aql, *cell in lines:
        lot, level = LOT_OF[letter]
        found = plan_by_tables(lot_size=lot, level=level, aql=aql, state=state.upper())
        if not cell[1] and state == "tightened":
            assert found == Plan(lot, 0, 1, letter=letter, used_letter=letter, is_all=True)
            continue
        used, size, ac, re = cell if cell[1] else normal[letter, aql][2:]
        assert (found.letter, found.used_letter, found.ac, found.re) == (letter, used, int(ac), int(re))
        assert (found.sample_size, found.is_all) == (min(int(size), lot), int(size) >= lot)


def test_published_plans():
    for lot, level, aql, state, expected in PUBLISHED:
        found = plan_by_tables(lot_size=lot, level=level, aql=aql, state=state)
        assert (found.used_letter, found.sample_size, found.ac, found.re) == expected
    assert [plan.code_letter(lot, "II") for lot in (281, 500, 501, 1200, 1201, 3200)] == list("HHJJKK")


def test_the_other_schemes_take_their_number_and_accept_none():
    for told, size, is_all in [
        ({"scheme": "ALL", "lot_size": 7}, 7, True),
        ({"scheme": "FIXED", "lot_size": 7, "n": 5}, 5, False),
        ({"scheme": "FIXED", "lot_size": 4, "n": 5}, 4, True),
        ({"scheme": "PERCENT", "lot_size": 250, "percent": Decimal("0.80")}, 2, False),
        ({"scheme": "PERCENT", "lot_size": 251, "percent": Decimal("0.80")}, 3, False),  # rounded up
        ({"scheme": "PERCENT", "lot_size": 10, "percent": Decimal("0.01")}, 1, False),  # at least one
        ({"scheme": "PERCENT", "lot_size": 10, "percent": Decimal(100)}, 10, True),
        ({"scheme": "ISO2859", "lot_size": 1, "level": "II", "aql": "10"}, 1, True),  # below the tables
    ]:
        found = plan_by_rule(**told)
        assert (found.sample_size, found.ac, found.re, found.is_all) == (size, 0, 1, is_all), told
    all_of_it = plan_by_tables(lot_size=4, level="II", aql="10", state="NORMAL")
    assert (all_of_it.sample_size, all_of_it.ac, all_of_it.re, all_of_it.is_all) == (4, 1, 2, True)  # same Ac


def test_an_aql_may_be_written_otherwise():
    assert [plan.printed_aql(text) for text in ("1", "1.0", "0.1", "10", "10.0", ".65")] == [
        "1.0", "1.0", "0.10", "10", "10", "0.65",
    ]  # fmt: skip
    for text in ("", "0.5", "15", "abc", "NaN", "Infinity", "-1", "1e999999999", "٠٫٦٥"):
        with pytest.raises(ValidationFailed):
            plan.printed_aql(text)


def test_the_plan_is_told_over_http(db):
    client = api_client()

    def ask(**told):
        return client.get("/api/oqc/sampling-plan", {"lotSize": "501", "aql": "1.0", **told})

    plain = {"letter": "J", "usedLetter": "J", "sampleSize": 80, "ac": 2, "re": 3, "all": False}
    assert ask().json()["data"] == ask(level="II", state="NORMAL").json()["data"] == plain
    assert ask(lotSize="60", aql="0.10").json()["data"]["all"] is True
    for told in (
        {"lotSize": "0"}, {"lotSize": "1"}, {"lotSize": str(10**9)}, {"lotSize": "many"}, {"lotSize": ""},
        {"lotSize": "5.5"}, {"lotSize": "-5"}, {"lotSize": "٥٠"}, {"lotSize": "9" * 400},
        {"aql": "0.5"}, {"aql": ""}, {"level": "IV"}, {"state": "DISCONTINUED"}, {"state": "odd"},
    ):  # fmt: skip
        answer = ask(**told)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR"), told
        assert list(answer.json()["error"]["details"]) == list(told)
