"""Reports as tables: CSV for programs, XLSX for spreadsheets.

What people or machines wrote is never a formula. In a CSV file such a text gets an apostrophe before it, because a
spreadsheet that opens the file would run it; in an XLSX file it is written as a text cell. Numbers, days and times are
numbers, days and times; times are those of the plant.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from io import BytesIO
from math import ceil
from typing import Any
from unicodedata import east_asian_width

import xlsxwriter
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.reports.in_out import InOutReport
from trace.reports.json import names_of
from trace.reports.production import MachineRow, Report, Row

BYTE_ORDER_MARK = "\ufeff"  # without it, spreadsheets read a CSV file in the alphabet of the country
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
WIDEST = 40  # characters; longer texts are wrapped, for which not every program makes rows higher by itself
ROW, HIGHEST_ROW = 15, 405  # points
Table = tuple[list[str], Iterator[list[Any]]]


# --- tables -------------------------------------------------------------------------------------------------


def production_table(report: Report) -> Table:
    """Return the heads and lines of a production report: a line for each machine of each row."""
    heads = [
        _("Date"), _("Line"), _("Shift"), _("Product"), _("Run"), _("Order"), _("Planned"), _("Made"),
        _("Made by tracks"), _("Checked by"), _("Start"), _("End"), *_machine_heads(), _("Remarks"),
    ]  # fmt: skip
    return heads, (line for row in report.rows for line in _production_lines(row))


def _machine_heads() -> list[str]:
    return [
        _("Station"), _("Step"), _("Machine"), _("Boards in"), _("Boards out"), _("Scrapped"), _("Picked"), _("Placed"),
        _("Loss"), _("Loss ppm"), _("Doubtful"),
    ]  # fmt: skip


def _production_lines(row: Row) -> Iterator[list[Any]]:
    run = row.run
    head = [row.date, row.line_code, row.shift, row.product_code, run and run.run_no, run and run.work_order.wo_no]
    head += [row.planned, row.made, row.tracked.made, row.checked.written_by if row.checked else None]
    for machine in row.machines:
        remarks = [
            remark.now.text
            for remark in row.remarks
            if remark.now.station is None or remark.now.station.code == machine.station_code
        ]
        yield [*head, machine.started_at, machine.ended_at, *_machine_cells(machine), " · ".join(remarks)]


def _machine_cells(machine: MachineRow) -> list[Any]:
    return [
        machine.station_code, machine.step_no, machine.equipment_id, machine.boards_in, machine.boards_out,
        machine.scrapped, machine.picked, machine.placed, machine.loss, machine.loss_ppm, " ".join(names_of(machine)),
    ]  # fmt: skip


def production_totals(report: Report) -> Table:
    """Return the totals of each machine of a production report."""
    return _machine_heads(), (_machine_cells(machine) for machine in report.totals)


def remarks_table(report: Report) -> Table:
    """Return the remarks on days as a whole, which are on no line of a production report."""
    heads = [_("Date"), _("Line"), _("Station"), _("Remark"), _("Written by"), _("Written at")]
    written = (remark.now for remark in report.remarks)
    return heads, (
        [row.date, row.line.code, row.station and row.station.code, row.text, row.written_by, row.written_at]
        for row in written
    )


def in_out_table(report: InOutReport) -> Table:
    """Return the heads and lines of an in/out report."""
    heads = [
        _("Date"), _("Line"), _("Shift"), _("Product"), _("Run"), _("Time"), _("Until"), _("In"), _("Cumulative in"),
        _("Out"), _("Cumulative out"), _("Doubtful"), _("Signed by"), _("Remarks"),
    ]  # fmt: skip
    lines = (
        [
            row.date, row.line_code, row.shift, row.product_code, row.run_no, row.time, row.ended_at, row.boards_in,
            row.cumulative_in, row.boards_out, row.cumulative_out, _("doubtful") if row.doubtful else "",
            row.signed.written_by if row.signed else None, " · ".join(remark.now.text for remark in row.remarks),
        ]
        for row in report.rows
    )  # fmt: skip
    return heads, lines


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
    if isinstance(cell, str) and cell.startswith(DANGEROUS):
        return f"'{cell}"
    return cell


# --- XLSX ---------------------------------------------------------------------------------------------------


def as_xlsx(sheets: Sequence[tuple[str, Table]]) -> bytes:
    """Return tables as the sheets of a workbook. Rows are written to disk as they come, not kept in memory."""
    target = BytesIO()
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(target, options) as workbook:
        formats = {
            "head": workbook.add_format({"bold": True, "bottom": 1}),
            "number": workbook.add_format({"num_format": "#,##0", "align": "right", "indent": 1, "valign": "top"}),
            "day": workbook.add_format({"num_format": "yyyy-mm-dd", "align": "left", "valign": "top"}),
            "time": workbook.add_format({"num_format": "yyyy-mm-dd hh:mm", "align": "left", "valign": "top"}),
            "text": workbook.add_format({"text_wrap": True, "valign": "top"}),
        }
        for name, (heads, lines) in sheets:
            sheet = workbook.add_worksheet(name)
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
                _write_line(sheet, number, line, formats)
                widths = [max(pair) for pair in zip(widths, needed, strict=True)]
            for column, width in enumerate(widths):
                sheet.set_column(column, column, min(WIDEST, width) + 2)
    return target.getvalue()


def _width(cell: Any) -> int:
    """Return how wide a cell is in characters; what is wider than its column is shown as ###."""
    if isinstance(cell, datetime):
        return len("2026-01-31 23:59")
    text = f"{cell:,}" if isinstance(cell, int) else str(cell or "")
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _write_line(sheet: Any, number: int, line: Iterable[Any], formats: dict[str, Any]) -> None:
    for column, cell in enumerate(line):
        if isinstance(cell, datetime):
            sheet.write_datetime(number, column, timezone.localtime(cell).replace(tzinfo=None), formats["time"])
        elif isinstance(cell, date):
            sheet.write_datetime(number, column, cell, formats["day"])
        elif isinstance(cell, int):
            sheet.write_number(number, column, cell, formats["number"])
        elif cell is not None and cell != "":
            sheet.write_string(number, column, str(cell), formats["text"])
