"""What is measured, and how much of it is summed up."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.processor import NOTHING, Used


@dataclass(frozen=True)
class Measurement:
    """One measured stretch. Rates are events per second, latencies seconds, `client_cpu` cores the generator took."""

    rate: float
    average: float
    p50: float | None = None
    p99: float | None = None
    client_cpu: float | None = None
    longest: float | None = None
    used: Used = NOTHING  # by web server and database, per event


@dataclass(frozen=True)
class Pair:
    """The floor, and right after it the case."""

    floor: Measurement
    case: Measurement
    load: float  # the machine's load average just before: more than ours means that others work too

    @property
    def share(self) -> float:
        """What the case reaches of its floor."""
        return self.case.rate / self.floor.rate


@dataclass(frozen=True)
class Result:
    """All rounds of a case."""

    name: str
    unit: str
    statements: int
    pairs: Sequence[Pair]
    least_rate: float
    least_share: float

    @property
    def rate(self) -> float:
        return median(pair.case.rate for pair in self.pairs)

    @property
    def share(self) -> float:
        return median(pair.share for pair in self.pairs)

    def checks(self) -> list[tuple[str, bool]]:
        """Return each stated target with whether the median reaches it."""
        checks = []
        if self.least_rate:
            checks.append((f"at least {self.least_rate:,.0f} {self.unit}", self.rate >= self.least_rate))
        if self.least_share:
            checks.append((f"at least {self.least_share:.0%} of the floor", self.share >= self.least_share))
        return checks

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "rate": self.rate,
            "share": self.share,
            "targets": [{"target": text, "reached": reached} for text, reached in self.checks()],
        }


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that `share` of the ordered ones do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
