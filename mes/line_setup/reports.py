"""Taking in what other systems report: the state of stencils, solder paste and machines, and of their maintenance.

Each function is called once for each accepted report, inside the transaction that accepts it. It locks the row the
report is about, lets the report count where it is the latest by event time, and keeps it as history.
"""

from typing import Any, TypeVar

from mes import errors
from mes.line_setup import usages
from mes.line_setup.get_or_create import lock_lot, lock_stencil
from mes.line_setup.models import (
    MaintenanceTask,
    SolderPasteLot,
    SolderPasteUsage,
    Stencil,
)
from mes.line_setup.rules import find_issue
from mes.plant.models import Equipment
from mes.platform.database.lookup import get_or_raise
from mes.status_reports.history import Report, keep
from mes.status_reports.models import ReportKind, StatusReport

T = TypeVar("T")
Taken = tuple[StatusReport, T, bool]  # the report, what it is about, whether its status counts


def report_stencil_status(report: Report, *, stencil_id: str, **said: Any) -> Taken[Stencil]:
    """Take the status of a stencil.

    `said`: version, status, tension_value (N/cm), last_cleaned_at. A later cleaning begins a new count of uses.
    """
    stencil = lock_stencil(stencil_id)
    cleaned_before = stencil.last_cleaned_at
    taken = stencil.apply_report(said, at=report.event_time, event_id=report.event_id)
    if "last_cleaned_at" in taken and stencil.last_cleaned_at != cleaned_before:
        stencil.usage_count = 0
    stencil.save()
    return keep(report, kind=ReportKind.STENCIL_STATUS, subject=stencil_id), stencil, "status" in taken


def report_solder_paste_status(report: Report, *, lot_id: str, **said: Any) -> Taken[SolderPasteLot]:
    """Take the status of a lot.

    `said`: status, expires_at, thawed_at, stirred_at.
    """
    lot = lock_lot(lot_id)
    taken = lot.apply_report(said, at=report.event_time, event_id=report.event_id)
    lot.save()
    return keep(report, kind=ReportKind.SOLDER_PASTE_STATUS, subject=lot_id), lot, "status" in taken


def report_solder_paste_usage(report: Report, *, lot_id: str) -> tuple[StatusReport, SolderPasteUsage | None]:
    """Take a report of a lot's use (its content names it); return (report, the usage it belongs to).

    A return whose issue is not known yet, and what is told before the issue, belong to no usage until it is. Raises
    LineNotFound, RunNotFound.
    """
    usages.check_names(report.content)
    lot = lock_lot(lot_id)
    kept = keep(report, kind=ReportKind.SOLDER_PASTE_USAGE, subject=lot_id)
    known = {usage.issued_at: usage for usage in usages.refresh(lot)}
    issued_at = find_issue(usages.read_report(report.event_time, report.event_id, report.content), sorted(known))
    return kept, known[issued_at] if issued_at is not None else None


def report_equipment_status(report: Report, *, equipment_code: str, status: str) -> Taken[Equipment]:
    """Take the status of a machine. Raises EquipmentNotFound."""
    equipment = _lock_equipment(equipment_code)
    taken = equipment.apply_report({"status": status}, at=report.event_time, event_id=report.event_id)
    equipment.save(update_fields=["status", "status_at", "field_sources"])
    return keep(report, kind=ReportKind.EQUIPMENT_STATUS, subject=equipment_code), equipment, bool(taken)


def report_maintenance_task(report: Report, *, equipment_code: str, number: str, **said: Any) -> Taken[MaintenanceTask]:
    """Take the state of a maintenance task.

    `said`: is_open, title, is_blocking, due_at. Raises EquipmentNotFound.
    """
    equipment = _lock_equipment(equipment_code)
    task = MaintenanceTask.objects.filter(equipment=equipment, number=number).first()
    task = task or MaintenanceTask(equipment=equipment, number=number)
    taken = task.apply_report(said, at=report.event_time, event_id=report.event_id, status="is_open")
    task.save()
    return keep(report, kind=ReportKind.MAINTENANCE_TASK, subject=equipment_code), task, "is_open" in taken


def _lock_equipment(code: str) -> Equipment:
    rows = Equipment.objects.select_for_update(no_key=True, of=("self",))
    return get_or_raise(rows, errors.EquipmentNotFound, code=code)
