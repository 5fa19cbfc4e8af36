"""Reports as tables."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from execution.quality.models import Defect
from mes.platform.http.tables import Table
from trace.reports.in_out import InOutReport
from trace.reports.json import names_of
from trace.reports.pareto import Pareto
from trace.reports.production import MachineRow, Report, Row


def production_table(report: Report) -> Table:
    """Return the heads and lines of a production report: a line for each machine of each row."""
    heads = [
        _("Date"), _("Line"), _("Shift"), _("Product"), _("Run"), _("Order"), _("Planned"), _("Made"),
        _("Made by tracks"), _("Checked by"), _("Start"), _("End"), *_machine_heads(), _("Remarks"), _("Kind"),
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
        yield [*head, machine.started_at, machine.ended_at, *_machine_cells(machine), " · ".join(remarks), row.kind]


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
        _("Out"), _("Cumulative out"), _("Doubtful"), _("Signed by"), _("Remarks"), _("Kind"),
    ]  # fmt: skip
    lines = (
        [
            row.date, row.line_code, row.shift, row.product_code, row.run_no, row.time, row.ended_at, row.boards_in,
            row.cumulative_in, row.boards_out, row.cumulative_out, _("doubtful") if row.doubtful else "",
            row.signed.written_by if row.signed else None, " · ".join(remark.now.text for remark in row.remarks),
            report.question.kind,
        ]
        for row in report.rows
    )  # fmt: skip
    return heads, lines


def pareto_table(report: Pareto) -> Table:
    """Return the heads and lines of a Pareto of defects."""
    heads = [report.question.by.label.capitalize(), _("Name"), _("Defects"), _("Units"), _("Share"), _("Up to here")]
    return heads, (
        [bar.label, bar.name, bar.defects, bar.units, bar.share, bar.cumulative_share] for bar in report.bars
    )


def defects_table(defects: Iterator[Defect]) -> Table:
    """Return the heads and lines of a list of defects."""
    heads = [
        _("Unit"), _("Found at"), _("Code"), _("Reported code"), _("Designator"), _("Quantity"), _("Step"),
        _("Station"), _("Run"), _("Product"), _("Status"), _("Remark"), _("Found by"),
    ]  # fmt: skip
    return heads, (
        [
            row.unit.sn, row.found_at, row.code, row.reported_code, row.location, row.quantity, row.step_no,
            row.station and row.station.code, row.run.run_no, row.run.work_order.product_code, row.status, row.remark,
            row.found_by,
        ]
        for row in defects
    )  # fmt: skip
