"""What people decide about boards that failed: a false call, the repair bench, or scrap."""

from demo.client import Client, Refused

FALSE_CALL, REPAIR, SCRAP = "FALSE_CALL", "REPAIR", "SCRAP"
NOT_FALSE = ("FALSE_CALL_OF_VALUE", "INVALID_TRANSITION")
REPAIRED, SCRAPPED, NOTHING = "Repaired by the technician", "Not worth another repair", "Nothing is wrong there"
PART = "IC-CTRL-U3"


class Bench:
    """Decides about boards one by one. Whoever decides has looked at the board as it is by then."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def decide(self, sn: str, fate: str) -> None:
        """Settle what is wrong with a board, so that it goes on or is scrapped."""
        found = self._open_defects(sn)
        if fate == SCRAP:
            self._scrap(sn, found)
        elif fate != FALSE_CALL or not found or not self._call_false(found):
            self._rework(sn, self._open_defects(sn))
            self.end_repair(sn)

    def end_repair(self, sn: str) -> None:
        """Do what the bench has to do with a board: the parts that are wrong are replaced."""
        for task in self._client.items("rework-tasks", query={"unitSn": sn, "status": "OPEN"}):
            for defect in task["defects"]:
                if defect["status"] == "OPEN":
                    body = _repair_of(defect)
                    self._client.post("rework-tasks", task["id"], "repair-record", body=body)
            self._client.post("rework-tasks", task["id"], "complete")

    def _open_defects(self, sn: str) -> list[dict[str, str]]:
        return list(self._client.items("defects", query={"unitSn": sn, "status": "OPEN"}))

    def _call_false(self, found: list[dict[str, str]]) -> bool:
        """Call all of it false; False where one is real after all."""
        try:
            for defect in found:
                self._dispose(defect, type=FALSE_CALL, reason=NOTHING)
        except Refused as refusal:
            if refusal.code in NOT_FALSE:
                return False
            raise
        unit = self._client.get("stations", "resolve-unit", found[0]["unitSn"])
        return unit["status"] not in ("OUT_FAILED", "ON_HOLD")

    def _rework(self, sn: str, found: list[dict[str, str]]) -> None:
        """Send a board back over the bench; one without a defect just back. Often enough is enough."""
        try:
            if found:
                self._dispose(found[0], type="REWORK", reason=REPAIRED)
            else:
                self._client.post("units", sn, "rework", body={"reason": REPAIRED})
        except Refused as refusal:
            if refusal.code != "REENTRY_LIMIT_REACHED":
                raise
            self._scrap(sn, found)

    def _scrap(self, sn: str, found: list[dict[str, str]]) -> None:
        if found:
            self._dispose(found[0], type=SCRAP, reason=SCRAPPED)
        else:
            self._client.post("units", sn, "scrap", body={"reason": SCRAPPED})

    def _dispose(self, defect: dict[str, str], **body: str) -> None:
        self._client.post("defects", defect["id"], "disposition", body=body)


def _repair_of(defect: dict[str, str]) -> dict[str, object]:
    """Return what is done about a defect."""
    body: dict[str, object] = {"defectId": defect["id"], "result": "FIXED"}
    if not defect["location"]:
        return {**body, "action": "ADJUSTED"}
    part = {"materialCode": PART, "lotNo": "L-2231", "location": defect["location"]}
    return {**body, "action": "REPLACED", "replaced": [part]}
