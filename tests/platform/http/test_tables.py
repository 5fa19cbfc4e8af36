"""Tables as files: what a spreadsheet cannot hold is not dropped without a word."""

from io import BytesIO
from typing import Any

import openpyxl
import pytest

from mes.platform.http import tables


def workbook_of(*lines: list[Any], name: str = "Changes") -> Any:
    heads = [f"H{column}" for column in range(len(lines[0]) if lines else 1)]
    return openpyxl.load_workbook(BytesIO(tables.as_xlsx([(name, (heads, iter(lines)))])))


@pytest.mark.parametrize("count, sheets", [(0, [0]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [2, 2, 1])])
def test_what_is_too_long_for_a_sheet_goes_on_in_another(
    monkeypatch: pytest.MonkeyPatch, count: int, sheets: list[int]
) -> None:
    monkeypatch.setattr(tables, "MOST_ROWS", 3)
    workbook = workbook_of(*([number] for number in range(count)))
    assert workbook.sheetnames == ["Changes", "Changes (2)", "Changes (3)"][: len(sheets)]
    read = [[cell for (cell,) in sheet.iter_rows(values_only=True)] for sheet in workbook]
    assert [rows[0] for rows in read] == ["H0"] * len(sheets)
    assert [len(rows) - 1 for rows in read] == sheets
    assert [cell for rows in read for cell in rows[1:]] == list(range(count))


def test_names_of_further_sheets_are_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_ROWS", 2)
    assert workbook_of([1], [2], name="x" * 31).sheetnames == ["x" * 31, "x" * 27 + " (2)"]


@pytest.mark.parametrize(
    "text, kept",
    [
        ("x" * 32_767, "x" * 32_767),
        ("x" * 32_768, "x" * 32_766 + "…"),
        ("😀" * 16_383, "😀" * 16_383),
        ("😀" * 16_384, "😀" * 16_383 + "…"),
        ("x" + "😀" * 16_384, "x" + "😀" * 16_382 + "…"),
    ],
    ids=["longest", "longer", "longest of pairs", "longer of pairs", "no half of a pair"],
)
def test_a_cut_text_says_so(text: str, kept: str) -> None:
    assert workbook_of([text]).worksheets[0]["A2"].value == kept


def test_numbers_are_numbers() -> None:
    line = [5, -1.5, True, 1e300, 10**18 + 1, float("nan"), None, ""]
    row = next(workbook_of(line).worksheets[0].iter_rows(min_row=2, values_only=True))
    assert list(row)[:6] == [5, -1.5, True, 1e300, "1000000000000000001", "nan"]
    assert row[2] is True and row[6:] in {(), (None, None)}
