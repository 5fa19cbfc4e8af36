"""Tables for other programs: CSV, and XLSX for spreadsheets.

What people or machines wrote is never a formula. In a CSV file such a text gets an apostrophe before it, because a
spreadsheet that opens the file would run it; in an XLSX file it is written as a text cell. Numbers, days and times are
numbers, days and times; times are those of the plant. What is too long for a sheet goes on in a further one; a text
that is too long for a cell of a sheet is cut, and ends with "…" there: a CSV file has all of it.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from io import BytesIO
from itertools import chain, islice
from math import ceil, isfinite
from typing import Any
from unicodedata import east_asian_width

import xlsxwriter
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from mes.errors import ValidationFailed

BYTE_ORDER_MARK = "\ufeff"  # without it, spreadsheets read a CSV file in the alphabet of the country
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_GUARDABLE = re.compile(f"'*[{''.join(map(re.escape, DANGEROUS))}]")  # what begins so gets one more apostrophe
WIDEST = 40  # characters; longer texts are wrapped, for which not every program makes rows higher by itself
ROW, HIGHEST_ROW = 15, 405  # points
# What a spreadsheet can hold. Rows of a sheet, with its heads; characters of a cell, in UTF-16, and of a sheet's name;
# whole numbers beyond 15 digits would be rounded. xlsxwriter drops what is beyond the first two without a word.
MOST_ROWS, LONGEST_CELL, LONGEST_NAME, LARGEST_WHOLE = 1_048_576, 32_767, 31, 10**15
FORMATS = ("json", "csv", "xlsx")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
Table = tuple[list[str], Iterator[list[Any]]]  # heads, lines


def read_format(parameters: Mapping[str, str]) -> str:
    """Return the format that a query asks for; JSON where it asks for none. Raises ValidationFailed."""
    chosen = parameters.get("format") or "json"
    if chosen not in FORMATS:
        raise ValidationFailed({"format": _("Must be one of %(names)s.") % {"names": ", ".join(FORMATS)}})
    return chosen


def answer(
    chosen: str, *, name: str, table: Callable[[], Table], sheets: Callable[[], list[tuple[str, Table]]]
) -> HttpResponseBase:
    """Return a file of this name, `csv` (of `table`, as it comes) or `xlsx` (of `sheets`)."""
    response: HttpResponseBase
    if chosen == "csv":
        response = StreamingHttpResponse(as_csv(table()), content_type="text/csv; charset=utf-8")
    else:
        response = HttpResponse(as_xlsx(sheets()), content_type=XLSX)
    response["Content-Disposition"] = content_disposition_header(True, f"{name}.{chosen}")
    return response


# --- CSV ----------------------------------------------------------------------------------------------------


class _Echo:
    """Gives back what is written, for streaming."""

    def write(self, text: str) -> str:
        return text


def as_csv(table: Table) -> Iterator[str]:
    """Yield a table as lines of CSV: commas, times in RFC 3339."""
    heads, lines = table
    writer = csv.writer(_Echo())
    yield BYTE_ORDER_MARK
    yield writer.writerow(heads)
    for line in lines:
        yield writer.writerow([_csv_cell(cell) for cell in line])


def _csv_cell(cell: Any) -> Any:
    if isinstance(cell, datetime):
        return timezone.localtime(cell).isoformat(timespec="seconds")
    return guarded(cell) if isinstance(cell, str) else cell


def guarded(text: str) -> str:
    """Return a text as a CSV file has it, so that no spreadsheet runs it; `unguarded` takes it back."""
    return f"'{text}" if _GUARDABLE.match(text) else text


def unguarded(text: str) -> str:
    """Return the text that is guarded so; one that is not guarded, as it is."""
    return text[1:] if text.startswith("'") and _GUARDABLE.match(text) else text


# --- XLSX ---------------------------------------------------------------------------------------------------


def as_xlsx(sheets: Sequence[tuple[str, Table]], *, typed_as_text: Iterable[int] = ()) -> bytes:
    """Return tables as the sheets of a workbook. Rows are written to disk as they come, not kept in memory.

    What people type into the columns `typed_as_text` of the first sheet stays as they type it.
    """
    target = BytesIO()
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(target, options) as workbook:
        formats = {
            "head": workbook.add_format({"bold": True, "bottom": 1}),
            "number": workbook.add_format({"num_format": "#,##0", "align": "right", "indent": 1, "valign": "top"}),
            "fraction": workbook.add_format({"align": "right", "indent": 1, "valign": "top"}),
            "day": workbook.add_format({"num_format": "yyyy-mm-dd", "align": "left", "valign": "top"}),
            "time": workbook.add_format({"num_format": "yyyy-mm-dd hh:mm", "align": "left", "valign": "top"}),
            "text": workbook.add_format({"text_wrap": True, "valign": "top"}),
        }
        kept = workbook.add_format({"num_format": "@", "text_wrap": True, "valign": "top"})
        as_text = dict.fromkeys(typed_as_text, kept)
        for name, (heads, lines) in sheets:
            for number, part in enumerate(_parts(lines, MOST_ROWS - 1), start=1):
                _write_sheet(workbook.add_worksheet(_numbered(name, number)), heads, part, formats, as_text)
            as_text = {}
    return target.getvalue()


def _parts(lines: Iterator[list[Any]], size: int) -> Iterator[Iterator[list[Any]]]:
    """Yield parts of at most so many lines, one at least. Each must be read before the next."""
    yield islice(lines, size)
    for line in lines:
        yield chain([line], islice(lines, size - 1))


def _numbered(name: str, number: int) -> str:
    """Return what the nth sheet of a table is called."""
    suffix = "" if number == 1 else f" ({number})"
    return name[: LONGEST_NAME - len(suffix)] + suffix


def _write_sheet(
    sheet: Any, heads: list[str], lines: Iterable[list[Any]], formats: dict[str, Any], as_text: Mapping[int, Any]
) -> None:
    sheet.freeze_panes(1, 0)
    sheet.repeat_rows(0)
    sheet.set_landscape()
    sheet.set_paper(9)  # A4
    sheet.set_margins(left=0.4, right=0.4)
    sheet.set_header("&L&F&C&A&R&P / &N")
    sheet.fit_to_pages(1, 0)
    sheet.write_row(0, 0, heads, formats["head"])
    widths = [_width(head) for head in heads]
    for number, line in enumerate(lines, start=1):
        needed = [_width(cell) for cell in line]
        sheet.set_row(number, min(HIGHEST_ROW, ROW * max(1, ceil(max(needed) / WIDEST))))
        _write_line(sheet, number, line, formats, as_text)
        widths = [max(pair) for pair in zip(widths, needed, strict=True)]
    for column, width in enumerate(widths):
        sheet.set_column(column, column, min(WIDEST, width) + 2, as_text.get(column))


def _width(cell: Any) -> int:
    """Return how wide a cell is in characters; what is wider than its column is shown as ###."""
    if isinstance(cell, datetime):
        return len("2026-01-31 23:59")
    text = f"{cell:,}" if isinstance(cell, int) else str(cell or "")
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _write_line(
    sheet: Any, number: int, line: Iterable[Any], formats: dict[str, Any], as_text: Mapping[int, Any]
) -> None:
    for column, cell in enumerate(line):
        if isinstance(cell, datetime):
            sheet.write_datetime(number, column, timezone.localtime(cell).replace(tzinfo=None), formats["time"])
        elif isinstance(cell, date):
            sheet.write_datetime(number, column, cell, formats["day"])
        elif isinstance(cell, bool):  # before int, of which it is one
            sheet.write_boolean(number, column, cell, formats["text"])
        elif isinstance(cell, int) and abs(cell) < LARGEST_WHOLE:
            sheet.write_number(number, column, cell, formats["number"])
        elif isinstance(cell, float) and isfinite(cell):
            sheet.write_number(number, column, cell, formats["fraction"])
        elif cell is not None and cell != "":
            sheet.write_string(number, column, cut(str(cell)), as_text.get(column, formats["text"]))


def cut(text: str) -> str:
    """Return what a cell can hold of a text."""
    if len(text) <= LONGEST_CELL // 2:  # a character is two of UTF-16 at most
        return text
    units = text.encode("utf-16-le")
    if len(units) <= 2 * LONGEST_CELL:
        return text
    return units[: 2 * (LONGEST_CELL - 1)].decode("utf-16-le", "ignore") + "…"
