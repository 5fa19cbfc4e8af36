"""A panel of eight boards, each with a result and a value of its own."""

from datetime import UTC, datetime

import msgspec

from bench.case import MARK, Case, Plant

BOARDS = 8
BODIES = 16  # they differ in nothing but what takes the place of MARK


def _bodies(plant: Plant) -> list[bytes]:
    mark = MARK.decode()
    values = [{"name": plant.auto_spec_name, "value": 120.5, "unit": "µm"}]
    boards = [{"sn": f"B{mark}-{board}", "result": "OK", "values": values} for board in range(1, BOARDS + 1)]
    event = {
        "dedupeKey": f"panel-{mark}",
        "sourceSystem": "BENCH",
        "eventType": "BATCH",
        "occurredAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "payload": {"station": plant.panel_station_code, "boards": boards},
    }
    return [msgspec.json.encode(event)] * BODIES


def _prepare(round_no: int, clients: int, each: int) -> None:
    from bench import plant

    plant.make_fresh_panels(round_no, clients, each)


CASE = Case(
    name="panel",
    path="/api/ingest/events",
    status=201,
    bodies=_bodies,
    statements=("ingest.context.CLAIM_AND_LOCK",),  # the floor cannot give eight boards ids of their own
    is_transaction=True,
    rows="ingest_settledingestevent",
    floor_rows="mes_idempotencykey",
    unit="events/s",
    is_right=lambda body: b'"status":"APPLIED"' in body and b"skipped" not in body,
    prepare=_prepare,
    fastest=1000,
)
