"""One event that takes a unit into a machine and out: what an AUTO station sends for each board."""

from datetime import UTC, datetime

import msgspec

from bench.case import MARK, Case, Plant

BODIES = 16  # they differ in nothing but what takes the place of MARK


def _bodies(plant: Plant) -> list[bytes]:
    mark = MARK.decode()
    event = {
        "dedupeKey": f"bench-{mark}",
        "sourceSystem": "BENCH",
        "eventType": "AUTO",
        "occurredAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "payload": {
            "sn": f"B{mark}",
            "station": plant.auto_station_code,
            "result": "OK",
            "values": [{"name": plant.auto_spec_name, "value": 120.5, "unit": "µm"}],
        },
    }
    return [msgspec.json.encode(event)] * BODIES


def _prepare(round_no: int, clients: int, each: int) -> None:
    from bench import plant

    plant.make_fresh_units(round_no, clients, each)


CASE = Case(
    name="auto-single",
    path="/api/ingest/events",
    status=201,
    bodies=_bodies,
    statements=("ingest.context.CLAIM_AND_LOCK", "ingest.settled_events.SETTLE"),
    is_transaction=True,
    rows="ingest_settledingestevent",
    unit="events/s",
    is_right=lambda body: b'"status":"APPLIED"' in body,
    prepare=_prepare,
    fastest=3000,
    least_rate=400,
)
