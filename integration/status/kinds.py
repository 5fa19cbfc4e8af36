"""The kinds of inbound status: for each its address, its body, and what applies it."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from execution.data.station_values import report_station_values
from execution.materials import uses
from execution.quality.inspections import report_inspection
from integration.status.bodies import (
    EquipmentStatusEvent,
    InspectionResultEvent,
    LotReportEvent,
    MaintenanceTaskEvent,
    MaterialLoadsEvent,
    MaterialUsesEvent,
    ReportedUse,
    SolderPasteStatusEvent,
    SolderPasteUsageEvent,
    StationDataEvent,
    StatusEvent,
    StencilStatusEvent,
)
from mes import errors
from mes.line_setup import reports
from mes.line_setup.loads.reports import ReportedLoad, report_loads
from mes.plant.models import Equipment
from mes.platform.http.serializers import OffsetDateTimeField
from mes.platform.inbound.sender import NO_STATION
from mes.routing.judging import Reading, event_judge
from mes.status_reports.history import Report, keep
from mes.status_reports.models import ReportKind

_time = OffsetDateTimeField().to_representation


@dataclass(frozen=True)
class Applied:
    """A report that was applied: its row, and what is answered beside the envelope."""

    report_id: int
    answer: dict[str, Any]


@dataclass(frozen=True)
class StatusKind:
    """A kind of inbound status. Its name is its address below `/api/integration/` and its channel of the key table.

    `subject` is the field that says what a report is about, `codes` are fields whose first mention makes something,
    `happened` times at which something happened, `past` others that cannot lie in the future. `station` returns the
    code of the station a report is about.
    """

    name: str
    report_kind: ReportKind
    body: type[StatusEvent]
    subject: str
    apply: Callable[[Any, Report], Applied]
    codes: tuple[str, ...] = ()
    happened: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    station: Callable[[Any], str] = lambda event: NO_STATION


def _stencil_status(event: StencilStatusEvent, report: Report) -> Applied:
    kept, stencil, counts = reports.report_stencil_status(
        report,
        tool_id=event.stencil_id,
        status=event.status,
        version=event.version,
        tension_value=event.tension_value,
        serviced_at=event.last_cleaned_at,
    )
    status = stencil.status or None
    answer = {"stencilId": stencil.tool_id, "status": status, "statusAt": _time(stencil.status_at)}
    return Applied(kept.pk, {**answer, "isCurrent": counts})


def _solder_paste_status(event: SolderPasteStatusEvent, report: Report) -> Applied:
    kept, lot, counts = reports.report_solder_paste_status(
        report,
        lot_id=event.lot_id,
        paste_status=event.status,
        expires_at=event.expires_at,
        thawed_at=event.thawed_at,
        stirred_at=event.stirred_at,
    )
    answer = {"lotId": lot.lot_id, "status": lot.paste_status, "statusAt": _time(lot.status_at)}
    return Applied(kept.pk, {**answer, "isCurrent": counts})


def _solder_paste_usage(event: SolderPasteUsageEvent, report: Report) -> Applied:
    kept, usage = reports.report_solder_paste_usage(report, lot_id=event.lot_id)
    answer = {
        "lotId": event.lot_id,
        "usageId": str(usage.pk) if usage else None,
        "issuedAt": _time(usage.issued_at) if usage else None,
        "returnedAt": _time(usage.returned_at) if usage else None,
        "lineCode": usage.line.code if usage and usage.line else None,
        "runNo": usage.run.run_no if usage and usage.run else None,
    }
    return Applied(kept.pk, answer)


def _lot_event(event: LotReportEvent, report: Report) -> Applied:
    kept, lot, told = reports.report_lot_event(
        report,
        lot_id=event.lot_id,
        kind=event.kind,
        quantity=_as_kept(event.quantity, 4),
        temperature_c=_as_kept(event.temperature_c, 2),
        new_lot_id=event.new_lot_id,
    )
    answer = {"lotId": lot.lot_id, "lotEventId": str(told.pk), "kind": told.kind, "status": lot.status}
    return Applied(kept.pk, answer)


def _material_loads(event: MaterialLoadsEvent, report: Report) -> Applied:
    loads = [
        ReportedLoad(
            item.action,
            item.slot or "",
            item.lot_id or "",
            item.tool_id or "",
            item.program or "",
            item.material_code or "",
            _as_kept(item.quantity, 4),
        )
        for item in event.loads
    ]
    recorded = report_loads(report, station_code=event.station_code, loads=loads)
    kept = keep(report, kind=ReportKind.MATERIAL_LOADS, subject=event.station_code)
    return Applied(kept.pk, {"stationCode": event.station_code, "recorded": recorded})


def _as_kept(number: float | None, places: int) -> Decimal | None:
    """Return a number as its column has it."""
    return None if number is None else round(Decimal(repr(number)), places)


def _equipment_status(event: EquipmentStatusEvent, report: Report) -> Applied:
    kept, equipment, counts = reports.report_equipment_status(
        report, equipment_code=event.equipment_code, status=event.status
    )
    answer = {"equipmentCode": equipment.code, "status": equipment.status, "statusAt": _time(equipment.status_at)}
    return Applied(kept.pk, {**answer, "isCurrent": counts})


def _maintenance_task(event: MaintenanceTaskEvent, report: Report) -> Applied:
    kept, task, counts = reports.report_maintenance_task(
        report,
        equipment_code=event.equipment_code,
        number=event.task_no,
        is_open=event.status == "OPEN",
        title=event.title,
        is_blocking=event.is_blocking,
        due_at=event.due_at,
    )
    answer = {
        "equipmentCode": event.equipment_code,
        "taskNo": task.number,
        "status": "OPEN" if task.is_open else "CLOSED",
        "statusAt": _time(task.status_at),
        "isBlocking": task.is_blocking,
        "isCurrent": counts,
    }
    return Applied(kept.pk, answer)


def _inspection_result(event: InspectionResultEvent, report: Report) -> Applied:
    try:
        inspected = report_inspection(
            report,
            run_no=event.run_no,
            station_code=event.station_code,
            unit_sn=event.unit_sn,
            step_no=event.step_no,
            inspection_type=event.inspection_type,
            result=event.result,
            defects=[
                {"code": defect.code, "location": defect.location, "remark": defect.remark} for defect in event.defects
            ],
        )
    except errors.SnIsReference:
        return _inspection_of_reference(event, report)
    answer = {
        "trackId": str(inspected.inspection.track_id),
        "inspectionType": inspected.inspection.inspection_type,
        "result": inspected.inspection.result,
        "unitStatus": inspected.unit.status,
        "isCurrent": inspected.counts,
    }
    return Applied(inspected.report.pk, answer)


def _inspection_of_reference(event: InspectionResultEvent, report: Report) -> Applied:
    """Keep the inspection of a reference unit: it is none of a unit, and nothing follows from it."""
    kept = keep(report, kind=ReportKind.INSPECTION_RESULT, subject=event.unit_sn)
    answer = {"trackId": None, "inspectionType": event.inspection_type, "result": event.result, "unitStatus": None}
    return Applied(kept.pk, {**answer, "isCurrent": False})


def _station_data(event: StationDataEvent, report: Report) -> Applied:
    readings = [Reading(**msgspec.structs.asdict(value)) for value in event.data]
    kept, judged = report_station_values(
        report, station_code=event.station_code, operation_code=event.operation_code, readings=readings
    )
    answer = {"stationCode": event.station_code, "dataValuesCreated": len(judged), "judge": event_judge(judged)}
    return Applied(kept.pk, {**answer, "alarms": [value.spec.name for value in judged if value.alarmed]})


def _material_uses(event: MaterialUsesEvent, report: Report) -> Applied:
    told = uses.Reported(
        station_code=event.station_code,
        at=event.event_time,
        by=report.operator_id or report.recorded_by[:150],
        recorded_by=report.recorded_by,
        event_id=report.event_id,
    )
    kept = keep(report, kind=ReportKind.MATERIAL_USES, subject=event.station_code)
    uses.report(told, [_use(use) for use in event.uses])
    return Applied(kept.pk, {"stationCode": event.station_code, "uses": len(event.uses)})


def _use(use: ReportedUse) -> uses.Use:
    return uses.Use(
        unit_sn=use.unit_sn,
        lot_id=use.lot_id,
        tool_id=use.tool_id,
        serial=use.serial,
        material_code=use.material_code,
        slot=use.slot or "",
        ref_des=use.ref_des or "",
        quantity=_as_kept(use.quantity, 4),
        is_removed=use.is_removed,
    )


def _station_of_machine(event: EquipmentStatusEvent | MaintenanceTaskEvent) -> str:
    codes = Equipment.objects.filter(code=event.equipment_code).values_list("station__code", flat=True)
    return codes.first() or NO_STATION


KINDS = {
    kind.name: kind
    for kind in (
        StatusKind(
            "stencil-status",
            ReportKind.STENCIL_STATUS,
            StencilStatusEvent,
            "stencil_id",
            _stencil_status,
            codes=("stencil_id",),
            past=("last_cleaned_at",),
        ),
        StatusKind(
            "solder-paste-status",
            ReportKind.SOLDER_PASTE_STATUS,
            SolderPasteStatusEvent,
            "lot_id",
            _solder_paste_status,
            codes=("lot_id",),
            past=("thawed_at", "stirred_at"),
        ),
        StatusKind(
            "solder-paste-usage",
            ReportKind.SOLDER_PASTE_USAGE,
            SolderPasteUsageEvent,
            "lot_id",
            _solder_paste_usage,
            codes=("lot_id",),
            happened=("issued_at", "returned_at"),
            past=("received_at", "thawed_at"),
        ),
        StatusKind(
            "material-loads",
            ReportKind.MATERIAL_LOADS,
            MaterialLoadsEvent,
            "station_code",
            _material_loads,
            station=lambda event: event.station_code,
        ),
        StatusKind("lot-events", ReportKind.LOT_EVENT, LotReportEvent, "lot_id", _lot_event, codes=("lot_id",)),
        StatusKind(
            "equipment-status",
            ReportKind.EQUIPMENT_STATUS,
            EquipmentStatusEvent,
            "equipment_code",
            _equipment_status,
            station=_station_of_machine,
        ),
        StatusKind(
            "maintenance-task",
            ReportKind.MAINTENANCE_TASK,
            MaintenanceTaskEvent,
            "equipment_code",
            _maintenance_task,
            codes=("task_no",),
            station=_station_of_machine,
        ),
        StatusKind(
            "inspection-result",
            ReportKind.INSPECTION_RESULT,
            InspectionResultEvent,
            "unit_sn",
            _inspection_result,
            station=lambda event: event.station_code,
        ),
        StatusKind(
            "station-data",
            ReportKind.STATION_DATA,
            StationDataEvent,
            "station_code",
            _station_data,
            station=lambda event: event.station_code,
        ),
        StatusKind(
            "material-uses",
            ReportKind.MATERIAL_USES,
            MaterialUsesEvent,
            "station_code",
            _material_uses,
            station=lambda event: event.station_code,
        ),
    )
}
