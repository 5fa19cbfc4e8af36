"""May it run here, beside what it spares: a refused track-in. Both are about a unit that is in another station."""

from functools import partial

import msgspec

from bench.case import Case, Plant

STATION = "BENCH-PRINT"


def _bodies(plant: Plant) -> list[bytes]:
    return [msgspec.json.encode({"sn": sn}) for sn in plant.sns[:16]]


_case = partial(Case, bodies=_bodies, unit="requests/s")
REASONS = (b'"UNIT_ALREADY_IN_STATION"', b'"STATION_MISMATCH"')

PERMIT = _case(
    name="permit",
    path=f"/api/stations/{STATION}/permit",
    status=200,
    statements=("execution.permits.READ",),
    is_right=lambda answer: all(reason in answer for reason in REASONS),
)
REFUSED = _case(
    name="track-in-refused",
    path=f"/api/stations/{STATION}/track-in",
    status=409,
    statements=("mes.production.locking.LOCK", "execution.unit_state.READ"),
    is_transaction=True,
    is_right=lambda answer: REASONS[0] in answer,
)
