"""How much there is of everything."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

LINES = 4
STEPS = {  # by number: the operation's kind; machines report the values of AUTO ones with their events
    10: "PRINT",
    20: "SPI",
    30: "PLACE",
    40: "REFLOW",
    50: "AOI",
    60: "WASH",
    70: "INSERT",
    80: "WAVE",
    90: "TEST",
    100: "PACK",
}
AUTO_STEPS = (10, 60)
VALUES_OF_STEP = 5
VALUES_OF_UNIT = VALUES_OF_STEP * len(STEPS)
UNITS_OF_RUN = 100
WAITING_ORDERS = 40
READER = "grown"  # a person who may see everything, password `secret`


@dataclass(frozen=True)
class Size:
    """How much there is of everything, in proportion to the values, over so many months."""

    values: int
    months: int

    @property
    def units(self) -> int:
        return max(UNITS_OF_RUN, self.values // VALUES_OF_UNIT)

    @property
    def runs(self) -> int:
        return -(-self.units // UNITS_OF_RUN)

    def parameters(self, now: datetime) -> dict[str, Any]:
        """Return what the statements are given."""
        start = self.start(now)
        return {
            "units": self.units,
            "runs": self.runs,
            "orders": -(-self.runs // 4),
            "events": self.values // 10,  # in the outbox
            "refused": max(1, self.values // 10_000),  # that nobody decided about yet
            "told": max(1, self.values // 1000),
            "carriers": max(1, self.units // 400),
            "start": start,
            "end": now - timedelta(hours=1),
            "lasts": (now - start) * LINES / max(self.runs, 2 * LINES),  # of a run
        }

    def start(self, now: datetime) -> datetime:
        """Return when the first run began."""
        return now - timedelta(days=round(self.months * 365 / 12))
