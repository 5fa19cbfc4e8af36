"""A unit leaves a hand station: what somebody there says of each board."""

import msgspec

from bench.case import MARK, Case, Plant

BODIES = 16  # they differ in nothing but what takes the place of MARK


def _bodies(plant: Plant) -> list[bytes]:
    return [msgspec.json.encode({"sn": f"B{MARK.decode()}-OUT", "result": "PASS"})] * BODIES


def _prepare(round_no: int, clients: int, each: int) -> None:
    from bench import by_hand

    by_hand.make_leaving(round_no, clients, each)


CASE = Case(
    name="track-out",
    path="/api/stations/BENCH-HAND/track-out",
    status=200,
    bodies=_bodies,
    statements=("mes.production.locking.LOCK", "execution.unit_state.READ"),
    is_transaction=True,
    unit="requests/s",
    is_right=lambda answer: b'"nextStepNo":20' in answer and b'"result":"PASS"' in answer,
    prepare=_prepare,
    fastest=1500,
)
