"""A place where a person works: one hand station, at which a few boards wait until somebody assembles them.

No machine and no simulator works there. There is one run of `BOARDS` boards at a time: the next is made when none of
them waits any more, so that they do not pile up while nobody comes.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from demo.client import Client, Refused

LINE, STATION = "HAND-A", "HND-A1"
GROUP, OPERATION, ROUTE, PRODUCT = "HAND", "ASSEMBLE", "HAND-BOX", "BOX-200"
RUN_PREFIX = "HAND-"
BOARDS = 10
STEP_NO = 10
WAITS = ("QUEUED", "IN_STATION")
OPEN = ("PREP", "AUTHORIZED", "IN_PROGRESS")
SPECS: tuple[dict[str, Any], ...] = (
    {
        "name": "Screw Torque",
        "itemType": "KEY",
        "dataType": "NUMBER",
        "limits": {"lsl": 0.9, "usl": 1.1, "target": 1.0, "unit": "Nm"},
    },
    {"name": "Cover Closed", "itemType": "OBSERVATION", "dataType": "BOOLEAN"},
)
CONFIG = {"scope": "STEP", "stepNo": STEP_NO, "stationType": "MANUAL", "stationGroupCode": GROUP, "retestLimit": 1}


def make(client: Client, *, shifts: Sequence[dict[str, Any]]) -> bool:
    """Create the place with its route unless its route is there; return whether it was not."""
    if any(route["code"] == ROUTE for route in client.items("routes")):
        return False
    line = {"code": LINE, "name": "Hand assembly A", "processType": "DIP", "shifts": list(shifts)}
    operation = {"code": OPERATION, "name": "Assembly", "kind": "ASSEMBLE", "defaultStationType": "MANUAL"}
    station = {"code": STATION, "name": "Assembly place A1", "stationType": "MANUAL"}
    route = {"code": ROUTE, "name": "Box with a board", "sourceSystem": "MES", "productCode": PRODUCT, "isActive": True}
    things: tuple[tuple[str, dict[str, Any]], ...] = (
        ("lines", line),
        ("materials", {"code": PRODUCT, "name": "Box with controller board", "unit": "pcs"}),
        ("station-groups", {"code": GROUP, "name": "Assembly places"}),
        ("operations", operation),
        ("stations", {**station, "lineCode": LINE, "groupCode": GROUP}),
    )
    for collection, body in things:
        _ensure(client, collection, body)
    known = {spec["name"] for spec in client.items("data-collection-specs", query={"operationCode": OPERATION})}
    for spec in SPECS:
        if spec["name"] not in known:
            by_hand = {"method": "MANUAL", "triggerType": "EACH_UNIT", "isRequired": True, "isActive": True}
            client.post("data-collection-specs", body={"operationCode": OPERATION, **by_hand, **spec})
    client.post("routes", body={**route, "steps": [{"stepNo": STEP_NO, "operationCode": OPERATION}]})
    client.post("routes", ROUTE, "execution-config", body=CONFIG)
    client.post("routes", ROUTE, "compile")
    return True


def _ensure(client: Client, collection: str, body: dict[str, Any]) -> None:
    try:
        client.post(collection, body=body)
    except Refused as refusal:
        if refusal.status != 409:
            raise


class HandWork:
    """Sees to it that boards wait for a person, and not too many. The first look makes the place."""

    def __init__(self, client: Client, say: Callable[[str], None], *, shifts: Sequence[dict[str, Any]]) -> None:
        self._client = client
        self._say = say
        self._shifts = shifts
        self._is_made = False
        self._settled: set[str] = set()  # runs in which nothing waits

    def look(self) -> None:
        """Close what is done, and have the next run wait where none does. Raises Refused."""
        if not self._is_made:
            make(self._client, shifts=self._shifts)
            self._is_made = True
        if not any([self._is_waiting(run_no) for run_no in self._list_runs()]):
            self._offer(f"{datetime.now(UTC):%y%m%d-%H%M%S}")

    def _list_runs(self) -> list[str]:
        runs = (
            run for status in OPEN for run in self._client.items("runs", query={"status": status, "lineCode": LINE})
        )
        ours = (run["runNo"] for run in runs if run["runNo"].startswith(RUN_PREFIX))
        return [run_no for run_no in ours if run_no not in self._settled]

    def _is_waiting(self, run_no: str) -> bool:
        """Say whether boards of a run wait; one in which none does is closed, unless people must decide about some."""
        counts = self._client.get("runs", run_no)["unitCounts"]
        if any(counts[status] for status in WAITS):
            return True
        self._settled.add(run_no)
        try:
            self._client.post("runs", run_no, "close", body={"reason": f"{counts['DONE']} boxes are assembled"})
            self._say(f"{run_no} is closed: {counts['DONE']} boxes are assembled")
        except Refused as refusal:
            self._say(f"{run_no} stays open: {refusal}")
        return False

    def _offer(self, stamp: str) -> None:
        order, run = f"WO-HAND-{stamp}", f"{RUN_PREFIX}{stamp}"
        sns = [f"HB-{stamp}-{number:02}" for number in range(1, BOARDS + 1)]
        post = self._client.post
        post("integration", "work-orders", body={"woNo": order, "productCode": PRODUCT, "plannedQty": BOARDS})
        post("work-orders", order, "release", body={"lineCode": LINE})
        post("work-orders", order, "runs", body={"lineCode": LINE, "planQty": BOARDS, "runNo": run})
        post("runs", run, "units", body={"sns": sns})
        post("runs", run, "authorize", body={"action": "AUTHORIZE"})
        self._say(f"{BOARDS} boards of {run} wait for you: open station {STATION} under “Stations”")
