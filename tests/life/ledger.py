"""A second bookkeeping of orders, runs and boards: plain, in memory, by what was asked and answered.

It knows who is in which run, who left one and as what, and for how many each run is planned. What the product says of
counts, made and committed is compared with what follows from that. It shares no rule with the product's code.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ENDED = "ended"
OPEN = "open"


@dataclass
class Order:
    """An order. `ended` is how it ended, if it did."""

    wo_no: str
    kind: str
    product: str
    planned: int
    overrun: int = 0

    @property
    def allowed(self) -> int:
        """How many its runs may be for."""
        return self.planned * (100 + self.overrun) // 100


@dataclass
class Run:
    """A run. `left` counts those that it finished or scrapped and that left it."""

    run_no: str
    wo_no: str
    kind: str
    plan: int
    line: str
    state: str = OPEN
    left: Counter[str] = field(default_factory=Counter)


@dataclass
class Ledger:
    """All of them, with the run of each board by serial number (None: of none)."""

    orders: dict[str, Order] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    run_of: dict[str, str | None] = field(default_factory=dict)

    def boards_of(self, run_no: str) -> list[str]:
        """Return the boards in a run."""
        return [sn for sn, its_run in self.run_of.items() if its_run == run_no]

    def enter(self, run_no: str, sns: Iterable[str]) -> None:
        """Note boards that a run got."""
        self.run_of |= dict.fromkeys(sns, run_no)

    def move(self, sns: Iterable[str], run_no: str | None, statuses: Mapping[str, str]) -> None:
        """Note that boards left their runs, as what they were (`statuses`), into another or into none."""
        for sn in sns:
            before = self.run_of[sn]
            if before is not None and statuses[sn] in ("DONE", "SCRAPPED"):
                self.runs[before].left[statuses[sn]] += 1
            self.run_of[sn] = run_no

    def relabel(self, sn: str, new_sn: str) -> None:
        """Note that a board has another serial number."""
        self.run_of = {new_sn if each == sn else each: run for each, run in self.run_of.items()}

    def counts(self, run_no: str, statuses: Mapping[str, str]) -> Counter[str]:
        """Return what a run counts, given what each board is now."""
        return Counter(statuses[sn] for sn in self.boards_of(run_no)) + self.runs[run_no].left

    def made(self, wo_no: str, statuses: Mapping[str, str]) -> int:
        """Return how many an order has made: done in runs of its own kind."""
        order = self.orders[wo_no]
        runs = [run for run in self.runs.values() if (run.wo_no, run.kind) == (wo_no, order.kind)]
        return sum(self.counts(run.run_no, statuses)["DONE"] for run in runs)

    def committed(self, wo_no: str, statuses: Mapping[str, str]) -> int:
        """Return for how many the runs of an order are: an open one for its plan, an ended one for what it made."""
        order = self.orders[wo_no]
        runs = [run for run in self.runs.values() if (run.wo_no, run.kind) == (wo_no, order.kind)]
        return sum(run.plan if run.state == OPEN else self.counts(run.run_no, statuses)["DONE"] for run in runs)
