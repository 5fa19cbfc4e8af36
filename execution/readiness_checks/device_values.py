"""Where readiness finds the device values that confirm a preparation."""

from datetime import datetime

from execution.models import DataValue, Judge
from mes.readiness.device_values import DeviceValue


def find(spec_id: int, line_id: int, since: datetime, until: datetime) -> DeviceValue | None:
    """Return the latest value that a device collected for a spec at a station of the line between two times."""
    values = DataValue.objects.filter(
        spec=spec_id, source="AUTO", station__line=line_id, collected_at__gte=since, collected_at__lte=until
    )
    value = values.select_related("station").order_by("-collected_at", "-id").first()
    if value is None or value.station is None:
        return None
    fields = (value.value_number, value.value_text, value.value_boolean, value.value_json)
    return DeviceValue(
        id=value.pk,
        value=next(content for content in fields if content is not None),
        unit=value.measure,
        is_good=value.judge != Judge.FAIL and not value.alarmed,
        collected_at=value.collected_at,
        station_code=value.station.code,
    )
