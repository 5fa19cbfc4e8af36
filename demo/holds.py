"""Boards are held by what they have in common, and stations by rules; somebody lets them go on, and signs it."""

from demo.client import Client, Refused
from demo.signing import SUPERVISOR, Signers


class Holds:
    """Boards are held by what they have in common, and released again by somebody who signs."""

    def __init__(self, client: Client, signers: Signers) -> None:
        self._client = client
        self._signers = signers

    def hold(self, condition: dict[str, str], reason: str) -> tuple[str, list[str]]:
        """Hold what fits; return the number of the hold, "" where nothing fits, and the boards."""
        count = self._client.post("holds", "preview", body={"condition": condition})["count"]
        if not count:
            return "", []
        body = {"scope": "UNITS", "condition": condition, "reason": reason, "catches": False, "expectedCount": count}
        held = self._client.post("holds", body=body)
        return held["holdNo"], [unit["sn"] for unit in held["items"]]

    def release(self, hold_no: str, reason: str) -> None:
        """End a hold, unless somebody has ended it."""
        address, body = ("holds", hold_no, "release"), {"reason": reason}
        try:
            self._signers.post(self._client, *address, body=body, who=SUPERVISOR, meaning="Released")
        except Refused as refusal:
            if refusal.code != "INVALID_TRANSITION":
                raise

    def list_open(self, **query: str) -> list[dict[str, str]]:
        """Return the holds that are open."""
        return list(self._client.items("holds", query={"status": "OPEN", **query}))
