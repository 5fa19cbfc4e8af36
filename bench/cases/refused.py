"""Events that are refused: a passing one, and a failing one, which holds its unit."""

from datetime import UTC, datetime
from functools import partial

import msgspec

from bench.case import MARK, Case, Plant

BODIES = 16  # they differ in nothing but what takes the place of MARK


def _bodies(plant: Plant, result: str) -> list[bytes]:
    mark = MARK.decode()
    event = {
        "dedupeKey": f"{result}-{mark}",
        "sourceSystem": "BENCH",
        "eventType": "AUTO",
        "occurredAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "payload": {"sn": f"B{mark}-{result}", "station": plant.station_code, "result": result, "values": []},
    }
    return [msgspec.json.encode(event)] * BODIES


def _prepare(round_no: int, clients: int, each: int, *, result: str) -> None:
    from bench import plant

    plant.make_fresh_units(round_no, clients, each, suffix=f"-{result}")


def _case(name: str, result: str, *, holds: bool) -> Case:
    """Return a case whose units wait for the printer, while another station says that it printed them."""
    return Case(
        name=name,
        path="/api/ingest/events",
        status=409,
        bodies=partial(_bodies, result=result),
        statements=("ingest.context.CLAIM_AND_LOCK",),
        is_transaction=True,
        rows="ingest_openingestevent",
        floor_rows="mes_idempotencykey",
        unit="events/s",
        is_right=lambda body: b'"STATION_MISMATCH"' in body and (b'"held"' in body) == holds,
        prepare=partial(_prepare, result=result),
        fastest=1500,
    )


PASSING = _case("refused", "OK", holds=False)
FAILING = _case("refused-holding", "NG", holds=True)
