"""One reading in one request: what most machines send."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from bench.case import MARK, Case, Plant


def event(plant: Plant, sn: str, event_id: str) -> dict[str, Any]:
    """Return a reading within its limits for a unit's open track."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "eventId": event_id,
        "eventTime": now,
        "source": "AUTO",
        "runNo": plant.run_no,
        "unitSn": sn,
        "stationCode": plant.station_code,
        "stepNo": plant.step_no,
        "equipmentId": "OVEN-1",
        "data": [{"specName": plant.spec_name, "valueNumber": plant.good_value, "collectedAt": now}],
    }


def _bodies(plant: Plant) -> list[bytes]:
    return [msgspec.json.encode(event(plant, sn, f"bench-{MARK.decode()}")) for sn in plant.sns]


CASE = Case(
    name="device-data-single",
    path="/api/integration/device-data",
    status=201,
    bodies=_bodies,
    statements=("integration.device_data.resolving.FIND", "integration.device_data.writing.WRITE"),
    rows="execution_datavalue",
    unit="requests/s",
    least_rate=1200,
    least_share=0.15,
)
