"""Collected values in the words of the HTTP interface."""

from datetime import timedelta
from typing import Any

from execution.models import DataValue
from trace.unit_rows import ValueRow

CLOCKS_DIFFER = timedelta(days=1)  # of web servers; what was received and what was made may be stamped by two
VALUE_FIELDS = ("value_number", "value_text", "value_boolean", "value_json")


def value_of(value: DataValue | ValueRow) -> Any:
    """Return the one typed value."""
    return next((content for name in VALUE_FIELDS if (content := getattr(value, name)) is not None), None)


def value_as_json(value: DataValue | ValueRow) -> dict[str, Any]:
    """Return a value in the words of the HTTP interface."""
    return {
        "id": str(value.pk),
        "stepNo": value.step_no,
        "operationCode": value.operation_code,
        "name": value.name,
        "itemType": value.item_type,
        "value": value_of(value),
        "valueNumber": value.value_number,
        "valueText": value.value_text,
        "valueBoolean": value.value_boolean,
        "valueJson": value.value_json,
        "unit": value.measure,
        "limits": {
            "lsl": value.lsl,
            "usl": value.usl,
            "target": value.target,
            "unit": value.measure,
            "alarmMin": value.alarm_min,
            "alarmMax": value.alarm_max,
        },
        "judge": value.judge or None,
        "reportedJudge": value.reported_judge or None,
        "alarmed": value.alarmed,
        "source": value.source,
        "operatorId": value.operator or None,
        "recordedBy": value.recorded_by or None,
        "collectedAt": value.collected_at,
        "trackId": None if value.track_id is None else str(value.track_id),
        "carrierTrackId": None if value.carrier_track_id is None else str(value.carrier_track_id),
        "deviceDataId": None if value.record_id is None else str(value.record_id),
    }
