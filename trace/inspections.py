"""The inspections of a unit and its defects."""

from typing import Any

from mes.platform.files.serializers import AttachedFileAnswer
from trace.unit_rows import DefectRow, InspectionRow


def as_json(inspection: InspectionRow) -> dict[str, Any]:
    """An inspection as the interface tells it."""
    return {
        "id": str(inspection.pk),
        "trackId": str(inspection.track_id),
        "stepNo": inspection.track.step_no,
        "stationCode": inspection.track.station.code,
        "inspectionType": inspection.inspection_type,
        "result": inspection.result,
        "at": inspection.status_at,
        "source": inspection.source,
        "operatorId": inspection.operator_id or None,
        "recordedBy": inspection.recorded_by or None,
        "defects": inspection.defects,
    }


def defect_as_json(defect: DefectRow) -> dict[str, Any]:
    """A defect as the interface tells it."""
    return {
        "id": str(defect.pk),
        "trackId": None if defect.track_id is None else str(defect.track_id),
        "runNo": defect.run.run_no,
        "stepNo": defect.step_no,
        "stationCode": defect.station.code if defect.station else None,
        "code": defect.code,
        "reportedCode": defect.reported_code or None,
        "category": defect.category,
        "location": defect.location or None,
        "quantity": defect.quantity,
        "remark": defect.remark or None,
        "inspectionType": defect.inspection.inspection_type if defect.inspection else None,
        "source": defect.source,
        "status": defect.status,
        "foundBy": defect.found_by or None,
        "foundAt": defect.found_at,
        "settledBy": defect.settled_by or None,
        "settledAt": defect.settled_at,
        "settledReason": defect.settled_reason or None,
        "files": AttachedFileAnswer(defect.files, many=True).data if defect.files else [],
    }
