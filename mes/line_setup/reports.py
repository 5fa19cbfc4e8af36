"""Taking in what other systems report: the state of stencils, solder paste and machines, and of their maintenance.

Each function is called once for each accepted report, inside the transaction that accepts it. It locks the row the
report is about, lets the report count where it is the latest by event time, and keeps it as history.
"""

from decimal import Decimal
from typing import Any, TypeVar

from mes import errors
from mes.line_setup import print_counts, usages
from mes.line_setup.get_or_create import lock_lot, lock_stencil
from mes.line_setup.lots import services as lots
from mes.line_setup.lots.hooks import tell
from mes.line_setup.lots.models import LotEvent, LotEventKind
from mes.line_setup.lots.services import Who
from mes.line_setup.models import (
    MaintenanceTask,
    MaterialLot,
    SolderPasteUsage,
    Tool,
)
from mes.line_setup.rules import find_issue
from mes.line_setup.tools import hooks
from mes.plant.models import Equipment
from mes.platform.database.lookup import get_or_raise
from mes.platform.outbox.emit import emit
from mes.platform.validators import check_new_code
from mes.status_reports.history import Report, keep
from mes.status_reports.models import ReportKind, StatusReport

T = TypeVar("T")
Recorded = tuple[StatusReport, T, bool]  # the report, its subject, whether its status counts


def report_stencil_status(report: Report, *, tool_id: str, **fields: Any) -> Recorded[Tool]:
    """Record the status of a stencil.

    `fields`: version, status, tension_value (N/cm), serviced_at. A later cleaning counts the uses after it.
    """
    stencil = lock_stencil(tool_id)
    cleaned_before = stencil.serviced_at
    applied = stencil.apply_report(fields, at=report.event_time, event_id=report.event_id)
    if "serviced_at" in applied and stencil.serviced_at != cleaned_before:
        print_counts.note_service(stencil, before=cleaned_before)
    stencil.save()
    hooks.tell([stencil.pk])
    return keep(report, kind=ReportKind.STENCIL_STATUS, subject=tool_id), stencil, "status" in applied


def report_solder_paste_status(report: Report, *, lot_id: str, **fields: Any) -> Recorded[MaterialLot]:
    """Record the status of a lot.

    `fields`: paste_status, expires_at, thawed_at, stirred_at.
    """
    lot = lock_lot(lot_id)
    applied = lot.apply_report(fields, at=report.event_time, event_id=report.event_id, status="paste_status")
    lot.save()
    if "expires_at" in applied:
        tell([lot.pk])
    if "thawed_at" in applied and lot.thawed_at is not None:
        emit(usages.thaw_event(lot, lot.thawed_at))
    return keep(report, kind=ReportKind.SOLDER_PASTE_STATUS, subject=lot_id), lot, "paste_status" in applied


def report_solder_paste_usage(report: Report, *, lot_id: str) -> tuple[StatusReport, SolderPasteUsage | None]:
    """Record a report of a lot's use (its content names it); return (report, the usage it belongs to).

    A return or receipt whose issue was not reported yet belongs to no usage until it is. Raises
    LineNotFound, RunNotFound.
    """
    usages.check_names(report.content)
    lot = lock_lot(lot_id)
    kept = keep(report, kind=ReportKind.SOLDER_PASTE_USAGE, subject=lot_id)
    usages_by_issue = {usage.issued_at: usage for usage in usages.refresh(lot)}
    usage_report = usages.read_report(report.event_time, report.event_id, report.content)
    issued_at = find_issue(usage_report, sorted(usages_by_issue))
    return kept, usages_by_issue[issued_at] if issued_at is not None else None


def report_lot_event(
    report: Report,
    *,
    lot_id: str,
    kind: str,
    quantity: Decimal | None = None,
    temperature_c: Decimal | None = None,
    new_lot_id: str | None = None,
) -> tuple[StatusReport, MaterialLot, LotEvent]:
    """Record what happened to a lot, which exists from its first mention; return (report, the lot, its event).

    Raises LotExists, LotStatusInvalid, QuantityExceeded, ScanTypeMismatch, ValidationFailed.
    """
    who = Who(report.recorded_by, operator=report.operator_id, source=report.source)
    if new_lot_id is not None and quantity is not None:
        lots.mention(lot_id)
        _new, event = lots.split(
            lot_id, new_lot_id=new_lot_id, quantity=quantity, who=who, at=report.event_time, may_be_known=True
        )
    else:
        lot = lots.lock_or_make(lot_id)
        event = lots.record(
            lot, LotEventKind(kind), who=who, at=report.event_time, quantity=quantity, temperature_c=temperature_c
        )
    return keep(report, kind=ReportKind.LOT_EVENT, subject=lot_id), event.lot, event


def report_equipment_status(report: Report, *, equipment_code: str, status: str) -> Recorded[Equipment]:
    """Record the status of a machine. Raises EquipmentNotFound."""
    equipment = _lock_equipment(equipment_code)
    applied = equipment.apply_report({"status": status}, at=report.event_time, event_id=report.event_id)
    equipment.save(update_fields=["status", "status_at", "field_sources"])
    return keep(report, kind=ReportKind.EQUIPMENT_STATUS, subject=equipment_code), equipment, bool(applied)


def report_maintenance_task(
    report: Report, *, equipment_code: str, number: str, **fields: Any
) -> Recorded[MaintenanceTask]:
    """Record the state of a maintenance task.

    `fields`: is_open, title, is_blocking, due_at. Raises EquipmentNotFound.
    """
    equipment = _lock_equipment(equipment_code)
    task = MaintenanceTask.objects.filter(equipment=equipment, number=number).first()
    if task is None:
        check_new_code("taskNo", number)
        task = MaintenanceTask(equipment=equipment, number=number)
    applied = task.apply_report(fields, at=report.event_time, event_id=report.event_id, status="is_open")
    task.save()
    return keep(report, kind=ReportKind.MAINTENANCE_TASK, subject=equipment_code), task, "is_open" in applied


def _lock_equipment(code: str) -> Equipment:
    rows = Equipment.objects.select_for_update(no_key=True, of=("self",))
    return get_or_raise(rows, errors.EquipmentNotFound, code=code)
