"""The shapes of reports in JSON."""

from typing import Any

from mes.production_counts.models import RecordSignature
from mes.production_counts.windows import Doubt
from trace.reports.in_out import InOutReport, InOutRow
from trace.reports.production import Counted, MachineRow, Report, Row
from trace.reports.remarks import Remark


def production_as_json(report: Report) -> dict[str, Any]:
    """Return a production report as the interface sends it."""
    return {
        "rows": [_row(row) for row in report.rows],
        "totals": _totals(report),
        "remarks": [_day_remark(remark) for remark in report.remarks],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "date": row.date,
        "lineCode": row.line_code,
        "shift": row.shift or None,
        "productCode": row.product_code,
        "runNo": row.run.run_no if row.run else None,
        "runKind": row.kind,
        "woNo": row.run.work_order.wo_no if row.run else None,
        "quantity": {"planned": row.planned, "made": row.made, "madeByTracks": row.tracked.made},
        "checkedBy": _signature(row.checked),
        "startedAt": row.started_at,
        "endedAt": row.ended_at,
        "machines": [_machine(machine) for machine in row.machines],
        "boardsByTracks": [
            {
                "stationCode": difference.station_code,
                "stepNo": difference.step_no,
                "tracked": difference.tracked,
                "counted": difference.counted,
                "difference": difference.difference,
            }
            for difference in row.differences
        ],
        "remarks": [_remark(remark) for remark in row.remarks],
    }


def _machine(machine: MachineRow) -> dict[str, Any]:
    return {
        "stationCode": machine.station_code,
        "stepNo": machine.step_no,
        "equipmentId": machine.equipment_id or None,
        **_counted(machine),
    }


def _counted(counted: Counted) -> dict[str, Any]:
    return {
        "boardsIn": counted.boards_in,
        "boardsOut": counted.boards_out,
        "scrapped": counted.scrapped,
        "picked": counted.picked,
        "placed": counted.placed,
        "loss": counted.loss,
        "lossPpm": counted.loss_ppm,
        "doubtful": counted.doubtful,
        "doubts": names_of(counted),
    }


def names_of(counted: Counted) -> list[str]:
    """Return why a sum is doubtful; nothing when it is not."""
    return [str(doubt.name) for doubt in Doubt if doubt in counted.doubts] if counted.doubtful else []


def _totals(report: Report) -> dict[str, Any]:
    sums = report.sums
    return {
        "made": report.made,
        "scrapped": sums.scrapped,
        "picked": sums.picked,
        "placed": sums.placed,
        "loss": sums.loss,
        "lossPpm": sums.loss_ppm,
        "doubtful": sums.doubtful,
        "machines": [_machine(machine) for machine in report.totals],
    }


def in_out_as_json(report: InOutReport) -> dict[str, Any]:
    """Return an in/out report as the interface sends it."""
    return {
        "rows": [{**_in_out_row(row), "runKind": report.question.kind} for row in report.rows],
        "totals": {"in": report.boards_in, "out": report.boards_out, "doubtful": report.doubtful},
    }


def _in_out_row(row: InOutRow) -> dict[str, Any]:
    return {
        "date": row.date,
        "lineCode": row.line_code,
        "shift": row.shift or None,
        "runNo": row.run_no,
        "productCode": row.product_code,
        "time": row.time,
        "until": row.ended_at,
        "in": row.boards_in,
        "cumulativeIn": row.cumulative_in,
        "out": row.boards_out,
        "cumulativeOut": row.cumulative_out,
        "doubtful": row.doubtful,
        "signedBy": _signature(row.signed),
        "remarks": [_remark(remark) for remark in row.remarks],
    }


def _signature(signature: RecordSignature | None) -> str | None:
    return signature.written_by if signature else None


def _day_remark(remark: Remark) -> dict[str, Any]:
    return {"date": remark.now.date, "lineCode": remark.now.line.code, **_remark(remark)}


def _remark(remark: Remark) -> dict[str, Any]:
    return {
        **_text(remark.now),
        "stationCode": remark.now.station.code if remark.now.station else None,
        "earlier": [_text(earlier) for earlier in remark.earlier],
    }


def _text(remark: Any) -> dict[str, Any]:
    return {"text": remark.text, "by": remark.written_by, "at": remark.written_at}
