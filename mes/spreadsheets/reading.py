"""From the bytes of a file to its rows: limits first, then heads and cells. What they say is read later.

Row 1 is the first below the heads, which are row 0: row 7 of an answer is line 8 of a spreadsheet.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from itertools import islice
from typing import Any

from django.utils.translation import gettext as _

from mes.errors import SheetUnreadable, TooManyRows, ValidationFailed
from mes.platform.http.parsing import without_bom
from mes.spreadsheets import workbooks
from mes.spreadsheets.columns import Source, is_blank, shown

MOST_ROWS = workbooks.MOST_ROWS
MOST_BYTES = 16 * 1024 * 1024
MOST_COLUMNS = workbooks.MOST_COLUMNS
LONGEST_HEAD = 200
MOST_LINES = workbooks.MOST_LINES  # with blank ones
_DELIMITERS = (",", ";", "\t")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")
csv.field_size_limit(MOST_BYTES)  # a mapping may be longer than what Python takes by itself


@dataclass(frozen=True)
class Row:
    """A row: its number, and its cells by column."""

    number: int
    cells: Mapping[str, Any]


@dataclass(frozen=True)
class Sheet:
    """What a file has: heads as they stand there, rows that are not blank, and cells that say nothing by themselves:
    (row, head, what it is) with `what` a formula or an error of the spreadsheet program.
    """

    source: Source
    heads: list[str]
    rows: list[Row]
    faulty: list[tuple[int, str, str]] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)  # rows with a cell that has no head
    first: int = 0  # lines above that of the heads


def read_file(data: bytes, *, known: Iterable[str], name: str = "") -> Sheet:
    """Return what an XLSX or CSV file has; which it is, its first bytes say. Of a CSV file, the delimiter is the one
    by which most heads are `known`. Raises SheetUnreadable, TooManyRows.
    """
    if not data:
        raise SheetUnreadable(reason=_("it is empty."))
    if workbooks.is_zip(data):
        return _from_lines(Source.XLSX, *workbooks.read(data))
    if name.lower().endswith((".xlsx", ".xlsm", ".xls", ".ods")) or workbooks.is_of_another_kind(data):
        raise SheetUnreadable(reason=workbooks.describe(data))
    return _from_lines(Source.CSV, _read_csv(data, frozenset(known)), [])


def read_rows(body: Any) -> Sheet:
    """Return the rows of a JSON body `{"rows": [{…}]}`: fields as in the interface, nested or by their paths.

    Raises ValidationFailed, TooManyRows.
    """
    rows = body.get("rows") if isinstance(body, Mapping) else None
    if not isinstance(rows, list) or len(body) != 1:
        raise ValidationFailed({"rows": _("Send an object with a list of rows, and nothing else.")})
    if len(rows) > MOST_ROWS:
        raise TooManyRows(most=MOST_ROWS)
    if wrong := {f"rows.{index}": _("Must be an object.") for index, row in enumerate(rows) if type(row) is not dict}:
        raise ValidationFailed(dict(islice(wrong.items(), 20)))
    found = [Row(number, row) for number, row in enumerate(rows, start=1)]
    heads = list(dict.fromkeys(name for row in rows for name in row))
    if len(heads) > MOST_COLUMNS:
        raise ValidationFailed(
            {"rows": _("The rows have more than %(most)d different fields.") % {"most": MOST_COLUMNS}}
        )
    return Sheet(Source.JSON, heads, found)


def _from_lines(source: Source, lines: Iterable[list[Any]], marked: Iterable[tuple[int, int, str]]) -> Sheet:
    """Return the sheet of lines, of which the first that is not blank has the heads."""
    heads: list[str] = []
    rows: list[Row] = []
    extra: list[int] = []
    first = 0
    for number, line in enumerate(lines):
        _refuse_unkeepable(number, line)
        if all(map(is_blank, line)):
            continue
        if not heads:
            heads, first = _heads_of(line), number
            continue
        if len(rows) == MOST_ROWS:
            raise TooManyRows(most=MOST_ROWS)
        rows.append(Row(number - first, _cells_of(heads, line)))
        if not all(map(is_blank, line[len(heads) :])) or any(
            not head and not is_blank(cell) for head, cell in zip(heads, line, strict=False)
        ):
            extra.append(number - first)
    if not heads:
        raise SheetUnreadable(reason=_("it has no line of heads."))
    faulty = [(line - first, heads[at] if at < len(heads) else "", what) for line, at, what in marked if line >= first]
    return Sheet(source, heads, rows, faulty, extra, first)


def _heads_of(line: list[Any]) -> list[str]:
    heads = ["" if is_blank(cell) else str(cell)[:LONGEST_HEAD] for cell in line]
    while heads and not heads[-1]:
        heads.pop()
    if len(heads) > MOST_COLUMNS:
        raise SheetUnreadable(reason=_("it has more than %(most)d columns.") % {"most": MOST_COLUMNS})
    return heads


def _cells_of(heads: list[str], line: list[Any]) -> dict[str, Any]:
    """Return the cells by head; of two columns with the same head, which is told of, the first."""
    cells: dict[str, Any] = {}
    for index, head in enumerate(heads):
        if head:
            cells.setdefault(head, line[index] if index < len(line) else None)
    return cells


def _refuse_unkeepable(number: int, line: Iterable[Any]) -> None:
    for cell in line:
        if isinstance(cell, str) and _UNKEEPABLE.search(cell):
            reason = _("line %(line)d has a NUL character or half a character: “%(cell)s”.")
            raise SheetUnreadable(reason=reason % {"line": number + 1, "cell": shown(cell)})


# --- CSV ----------------------------------------------------------------------------------------------------


def _read_csv(data: bytes, known: frozenset[str]) -> Iterator[list[Any]]:
    text = _decode(data)
    return _lines(text, _delimiter_of(text, known))


def _decode(data: bytes) -> str:
    if data.startswith(_UTF_16) or b"\0" in data[:1000]:
        raise SheetUnreadable(reason=_("it is UTF-16: save it as “CSV UTF-8”."))
    try:
        return without_bom(data).decode()
    except UnicodeDecodeError as error:
        reason = _("it is not UTF-8 (byte %(position)d): save it as “CSV UTF-8”, not in the alphabet of the country.")
        raise SheetUnreadable(reason=reason % {"position": error.start}) from None


def _delimiter_of(text: str, known: frozenset[str]) -> str:
    """Return the delimiter by which most heads are known; of equals, the first of comma, semicolon and tab."""
    numbers = {}
    for delimiter in _DELIMITERS:
        line = next(filter(any, _lines(text[:100_000], delimiter, is_whole=False)), [])
        numbers[delimiter] = len(known.intersection(line))
    return max(_DELIMITERS, key=lambda delimiter: numbers[delimiter])


def _lines(text: str, delimiter: str, *, is_whole: bool = True) -> Iterator[list[str]]:
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for number, line in enumerate(reader):
            if number > MOST_LINES:
                raise TooManyRows(most=MOST_ROWS)
            yield line
    except csv.Error as error:
        if is_whole:
            reason = _("line %(line)d cannot be read: look at its quotes (%(error)s).")
            raise SheetUnreadable(reason=reason % {"line": reader.line_num, "error": error}) from None
