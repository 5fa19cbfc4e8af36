"""A second bookkeeping of orders, runs and boards: plain, in memory, by what was asked and answered.

It knows who is in which run, who left one and as what, for how many each run is planned, and which cases hold which
boards. What the product says of counts, made and committed, and of who is held, is compared with what follows from
that. It shares no rule with the product's code.
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


@dataclass(frozen=True)
class Case:
    """What holds a board: where it came from, and which one it is, as far as something ends it alone."""

    source: str
    name: str = ""


@dataclass
class Ledger:
    """All of them, with the run of each board by serial number (None: of none), and what holds each.

    `holds` are those that were opened by a condition, `catching` of them those that are still open for others to come.
    `signed` counts how often each board went beyond its limit of re-entries, `moved` are those that were in several
    runs.
    """

    orders: dict[str, Order] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    run_of: dict[str, str | None] = field(default_factory=dict)
    cases: dict[str, list[Case]] = field(default_factory=dict)
    holds: list[str] = field(default_factory=list)
    catching: set[str] = field(default_factory=set)
    signed: Counter[str] = field(default_factory=Counter)
    moved: set[str] = field(default_factory=set)

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
            self.moved.add(sn)

    def relabel(self, sn: str, new_sn: str) -> None:
        """Note that a board has another serial number."""
        self.run_of = {new_sn if each == sn else each: run for each, run in self.run_of.items()}
        self.cases[new_sn] = self.cases.pop(sn, [])
        self.signed[new_sn] = self.signed.pop(sn, 0)
        self.moved = {new_sn if each == sn else each for each in self.moved}

    # --- what holds boards

    def hold(self, sns: Iterable[str], source: str, name: str = "") -> None:
        """Note a case that holds boards; one that is named holds each of them once."""
        for sn in sns:
            cases, case = self.cases.setdefault(sn, []), Case(source, name)
            if not name or case not in cases:
                cases.append(case)

    def end(self, sns: Iterable[str], name: str | None = None) -> None:
        """Note that the case of this name does not hold these boards any more, or that none does."""
        for sn in sns:
            self.cases[sn] = [case for case in self.cases.get(sn, []) if name is not None and case.name != name]

    def end_of_source(self, sns: Iterable[str], source: str) -> None:
        """Note that cases of this source do not hold these boards any more."""
        for sn in sns:
            self.cases[sn] = [case for case in self.cases.get(sn, []) if case.source != source]

    def held_by(self, name: str) -> list[str]:
        """Return the boards that the case of this name holds."""
        return [sn for sn, cases in self.cases.items() if any(case.name == name for case in cases)]

    def open_cases(self) -> Counter[tuple[str, str]]:
        """Return how many cases of each source hold each board."""
        return Counter((sn, case.source) for sn, cases in self.cases.items() for case in cases)

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
