"""A hundred readings in one request: what a machine sends after an outage, or a gateway always."""

import msgspec

from bench.case import MARK, Case, Plant
from bench.cases.device_data_single import event

EVENTS = 100
_CREATED = b'"status":"CREATED"'
_ALL_CREATED = b'"created":%d' % EVENTS


def _bodies(plant: Plant) -> list[bytes]:
    """Return a body for each hundred units, an event for each unit."""
    halves = [plant.sns[first : first + EVENTS] for first in range(0, len(plant.sns), EVENTS)]
    return [
        msgspec.json.encode(
            {"events": [event(plant, sn, f"bench-{MARK.decode()}-{index:02}") for index, sn in enumerate(half)]}
        )
        for half in halves
    ]


CASE = Case(
    name="device-data-batch",
    path="/api/integration/device-data/batch",
    status=200,
    bodies=_bodies,
    statements=("integration.device_data.resolving.FIND", "integration.device_data.writing.WRITE"),
    rows="execution_datavalue",
    unit="events/s",
    events=EVENTS,
    is_right=lambda body: body.count(_CREATED) == EVENTS and _ALL_CREATED in body,
    least_rate=20_000,
)
