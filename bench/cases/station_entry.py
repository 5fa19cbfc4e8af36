"""An entry of a person at a station, with its key: a unit that is in already, so that no round needs fresh ones."""

from datetime import UTC, datetime

import msgspec

from bench.case import MARK, Case, Plant


def _bodies(plant: Plant) -> list[bytes]:
    said = {"entryId": f"entry-{MARK.decode()}", "at": datetime.now(UTC).isoformat(timespec="seconds")}
    return [msgspec.json.encode({"sn": sn, **said}) for sn in plant.sns[:16]]


CASE = Case(
    name="station-entry",
    path="/api/stations/BENCH-REFLOW/track-in",
    status=200,
    bodies=_bodies,
    statements=("mes.platform.inbound.keys.CLAIM", "mes.production.locking.LOCK", "execution.unit_state.READ"),
    is_transaction=True,
    rows="integration_settledmessage",
    floor_rows="mes_idempotencykey",
    unit="entries/s",
    is_right=lambda answer: b'"isDuplicate":false' in answer,
)
