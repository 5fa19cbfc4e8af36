"""Boards that leave a hand station where a rule or a hold looks at each, in turns with none.

Imported when Django is set up.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from statistics import median
from typing import Any

from bench import by_hand, load, outbox
from bench.case import Case, Plant
from bench.cases import CASES
from bench.processor import Meter
from bench.quality import BY, CATCHING, FIRST_ROUND, RULE
from execution.quality.holds import services
from execution.quality.holds.condition import Condition
from mes.plant.models import Station
from mes.production.hold_models import HoldRule, HoldRuleAction, HoldRuleKind

REQUEST = "track-out"
_rounds = count(FIRST_ROUND)


@dataclass(frozen=True)
class Leaving:
    """A stretch: seconds of processor time for each board, of web server and database until all is done that follows,
    and of the worker; p50 is that of the answer.
    """

    web: float
    database: float
    worker: float
    p50: float

    @property
    def total(self) -> float:
        return self.web + self.database + self.worker


@dataclass(frozen=True)
class Watched:
    """All rounds of a kind: with what the name says, and without."""

    name: str
    pairs: Sequence[tuple[Leaving, Leaving]]

    def ratio(self, part: str) -> float:
        """How many times as much it takes: the median of the pairs."""
        return median(getattr(with_it, part) / getattr(without, part) for with_it, without in self.pairs)

    def checks(self) -> list[tuple[str, bool]]:
        """There is no target: it shows what a rule costs where there is one."""
        return []

    def as_json(self) -> dict[str, Any]:
        parts = ("total", "web", "p50")
        return {**asdict(self), "ratios": {part: self.ratio(part) for part in parts}, "targets": []}


def measure(name: str, plant: Plant, port: int, web: Meter, *, rounds: int, **times: float) -> Watched:
    """Measure boards that leave in pairs, with and without; who goes first changes."""
    case = CASES[REQUEST]
    print(f"\n{name}: {case.connections} connections, in turns with none", flush=True)
    by_hand.make_once()
    outbox.clean_up()
    with outbox.running_worker() as pid:
        meter = Meter(web=pid, database=web.database)
        outbox.wait_until_quiet(meter)
        stretch = _Stretch(case, plant, port, web, meter, times)
        pairs = []
        for round_no in range(rounds):
            read = {}
            for is_with in (True, False) if round_no % 2 else (False, True):
                with _BESIDE[name]() if is_with else _nothing():
                    read[is_with] = stretch.measure()
            pairs.append((read[True], read[False]))
            print(_describe_pair(round_no + 1, *pairs[-1]), flush=True)
    result = Watched(name, pairs)
    print(
        f"  processor time with it: {result.ratio('total'):.2f} times, of the web server's {result.ratio('web'):.2f}; "
        f"p50 of the answer {result.ratio('p50'):.2f} times",
        flush=True,
    )
    return result


@dataclass
class _Stretch:
    """Sends boards out, and waits until all is done that follows."""

    case: Case
    plant: Plant
    port: int
    web: Meter
    worker: Meter
    times: dict[str, float]

    def measure(self) -> Leaving:
        round_no = next(_rounds)
        enough = int(sum(self.times.values()) * self.case.fastest / self.case.connections)
        self.case.prepare(round_no, self.case.connections, enough)
        outbox.execute("CHECKPOINT")
        before = self.web.read(), self.worker.read()
        measured, requests = load.run(self.case, self.plant, self.port, round_no=round_no, **self.times)
        outbox.wait_until_worked_off(REQUEST)
        of_web, of_worker = self.web.read() - before[0], self.worker.read() - before[1]
        web, database, worker = of_web.web / requests, of_web.database / requests, of_worker.web / requests
        return Leaving(web, database, worker, measured.p50 or 0)


@contextmanager
def _rule() -> Iterator[None]:
    """A rule that looks at every board that leaves and lets all go by: of its kinds the one that reads most."""
    station = Station.objects.get(code=by_hand.STATION)
    rule = HoldRule.objects.create(
        code="BENCH",
        name="Bench",
        station=station,
        kind=HoldRuleKind.FPY_BELOW,
        of=100,
        percent=50,
        action=HoldRuleAction.STOP_STATION,
    )
    yield
    rule.delete()


@contextmanager
def _catching() -> Iterator[None]:
    """A hold that looks at every board that moves and holds none: what it looks for, nobody says."""
    condition = Condition(station_code=by_hand.STATION, result="FAIL")
    hold = services.hold_units(condition=condition, reason=BY, by=BY, catches=True).hold
    yield
    services.release(hold_no=hold.hold_no, reason=BY, by=BY)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


_BESIDE: dict[str, Callable[[], Any]] = {RULE: _rule, CATCHING: _catching}


def _describe_pair(round_no: int, with_it: Leaving, without: Leaving) -> str:
    said = [f"  round {round_no}:"]
    for what, read in (("with", with_it), ("without", without)):
        parts = (read.web, read.database, read.worker)
        web, database, worker = (f"{seconds * 1e6:,.0f}" for seconds in parts)
        said.append(f" {what} web {web} + database {database} + worker {worker} µs, p50 {read.p50 * 1e3:.1f} ms;")
    return "".join(said) + f" {with_it.total / without.total:.2f} times"
