"""The outgoing inspection of finished runs, and what the material review board decides about a lot that failed it."""

from collections.abc import Callable
from typing import Any

from demo import plant
from demo.client import Client, Refused
from demo.signing import QUALITY, Signers

OPEN = ("CREATED", "INSPECTING")
REWORK_REASON = "Joints of U3: the whole lot goes through again"


class Outgoing:
    """The inspector of what leaves."""

    def __init__(self, client: Client, signers: Signers, say: Callable[[str], None]) -> None:
        self._client = client
        self._signers = signers
        self._say = say

    def find_untouched(self, run_no: str) -> dict[str, Any] | None:
        """Return the inspection of a run with which nobody has begun."""
        return next(self._client.items("oqc", query={"runNo": run_no, "status": "CREATED"}), None)

    def list_open(self) -> list[dict[str, Any]]:
        """Return what is to be inspected of the line, or is."""
        line = {"lineCode": plant.LINE}
        return [one for status in OPEN for one in self._client.items("oqc", query={"status": status, **line})]

    def is_decided(self, run_no: str) -> bool:
        """Whether the latest inspection of a run has passed."""
        latest = next(iter(self._client.items("oqc", query={"runNo": run_no})), None)
        return latest is not None and latest["status"] == "PASSED"

    def find(self, run_no: str) -> dict[str, Any] | None:
        """Return the inspection of a run that is open; drawn if it is not yet. None where none can be drawn now."""
        found = next((one for one in self._client.items("oqc", query={"runNo": run_no}) if one["status"] in OPEN), None)
        if found is not None:
            return found
        try:
            drawn: dict[str, Any] = self._client.post("oqc", "run", run_no)
        except Refused as refusal:
            self._say(f"No sample of {run_no} is drawn: {refusal}")
            return None
        return drawn

    def inspect(self, inspection: dict[str, Any], *, is_bad: bool = False) -> str:
        """Inspect a lot that nobody has begun with, and decide; return what became of it. `is_bad`: it fails."""
        number, run_no = str(inspection["id"]), inspection["runNo"]
        asked = self._client.get("oqc", number)["itemsAsked"] or [{"itemName": "Board"}]
        self._client.post("oqc", number, "start")
        bad = set(inspection["sampleSns"][: inspection["re"]]) if is_bad else set()
        for sn in inspection["sampleSns"]:
            for item in asked:
                body = _seen(item, is_bad=sn in bad)
                self._client.post("oqc", number, "items", body={"unitSn": sn, **body})
        decided = self._signers.post(
            self._client, "oqc", number, "complete", body={}, who=QUALITY, meaning="Lot inspected"
        )
        count = f"{inspection['sampleQty']} of {inspection['lotSize']} boards"
        self._say(f"{run_no}: the outgoing inspection of {count} is {decided['status']}")
        return str(decided["status"])

    def send_to_rework(self, run_no: str) -> str:
        """Have a lot that failed made again; return the run that does it."""
        body = {"decision": "REWORK", "reworkType": "FULL_PREP", "reason": REWORK_REASON}
        address = ("runs", run_no, "mrb-decision")
        decided = self._signers.post(self._client, *address, body=body, who=QUALITY, meaning="Decided by the MRB")
        rework_run = str(decided["reworkRun"]["runNo"])
        self._say(f"{run_no} failed its outgoing inspection: {rework_run} makes its boards again")
        return rework_run


def _seen(item: dict[str, Any], *, is_bad: bool) -> dict[str, Any]:
    """Return what is seen of an item: where it has limits a number, which is good."""
    name, low, high = item["itemName"], item.get("lsl"), item.get("usl")
    if item.get("specName"):
        return {"itemName": name}
    if low is not None or high is not None:
        return {"itemName": name, "actualNumber": high if low is None else low if high is None else (low + high) / 2}
    if is_bad:
        return {"itemName": name, "result": "FAIL", "defectCode": "BRIDGE", "location": "U3"}
    return {"itemName": name, "result": "PASS"}
