"""The inspections of a unit and its defects."""

from collections.abc import Sequence
from typing import Any

from trace.unit_rows import DefectRow, InspectionRow, TrackRow


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


def defects_as_json(tracks: Sequence[TrackRow], defects: Sequence[DefectRow]) -> list[dict[str, Any]]:
    """The defects of a unit. What a person saw at a track-out that passed is told too: it is no defect to be mended."""
    with_defect = {defect.track_id for defect in defects if defect.inspection_id is None}
    typed = [
        {
            "trackId": str(track.pk),
            "stepNo": track.step_no,
            "code": track.defect_code or None,
            "location": track.defect_location or None,
            "remark": track.defect_remark or None,
            "inspectionType": None,
            "status": None,
        }
        for track in tracks
        if (track.defect_code or track.defect_remark) and track.pk not in with_defect
    ]
    recorded = [
        {
            "trackId": str(defect.track_id),
            "stepNo": defect.step_no,
            "code": defect.code,
            "location": defect.location or None,
            "remark": defect.remark or None,
            "inspectionType": defect.inspection.inspection_type if defect.inspection else None,
            "status": defect.status,
        }
        for defect in defects
    ]
    return typed + recorded
