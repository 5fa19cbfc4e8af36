"""Two checkouts in turns: `--against PATH` measures this one and the one at PATH in one run.

Each has an installation of its own, and waits while the other is measured. A pair is four rounds: here, there, there,
here, so that neither what drifts nor who goes first favours a side. Processor time per event is compared pair by pair.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import Any

from bench.case import BenchError
from bench.processor import Used

HERE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Round:
    """What a side is asked to measure. Times are seconds; no two rounds have the same number."""

    case: str
    round_no: int
    warm_up: float
    seconds: float


@dataclass(frozen=True)
class Reading:
    """What one side took: processor time per event, and events per second."""

    used: Used
    rate: float

    @classmethod
    def of(cls, *rounds: "Reading") -> "Reading":
        """Return the mean of some rounds."""
        web = mean(each.used.web for each in rounds)
        database = mean(each.used.database for each in rounds)
        return cls(Used(web, database), mean(each.rate for each in rounds))

    @property
    def total(self) -> float:
        """Processor time of web server (or worker) and database together, in seconds per event."""
        return self.used.web + self.used.database


@dataclass(frozen=True)
class Comparison:
    """All pairs of a case: this checkout's reading and the other's."""

    case: str
    pairs: Sequence[tuple[Reading, Reading]]

    @property
    def changes(self) -> list[float]:
        """How much dearer an event is here, by pair: 0.05 is 5 %."""
        return [here.total / there.total - 1 for here, there in self.pairs]

    def as_json(self) -> dict[str, Any]:
        pairs = [{"here": asdict(here), "there": asdict(there)} for here, there in self.pairs]
        return {"case": self.case, "change": median(self.changes), "pairs": pairs}


class Side:
    """A checkout that is set up to be measured (`bench.side`)."""

    def __init__(self, checkout: Path, script: str = "side.py", arguments: Sequence[str] = ()) -> None:
        own = checkout / ".venv" / "bin" / "python"
        python = str(own) if own.exists() else sys.executable
        self.checkout = checkout
        self.process = subprocess.Popen(
            [python, "-P", str(HERE / "bench" / script), *arguments],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self) -> dict[str, Any]:
        """Wait for the next answer. Raises BenchError when the side has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise BenchError(f"The benchmark in {self.checkout} ended with {self.process.wait()}.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Ask for something and wait for the answer. Raises BenchError when the side has ended."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, which the missing answer tells
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
        return self.answer()

    def measure(self, asked: Round) -> Reading:
        """Measure a round."""
        answer = self.ask(asdict(asked))
        return Reading(Used(answer["web"], answer["database"]), answer["rate"])

    def close(self) -> None:
        """Let it take its installation down."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def compare(checkout: Path, cases: Sequence[str], *, rounds: int, warm_up: float, seconds: float) -> list[Comparison]:
    """Measure each case in so many pairs of this checkout and another; print and return them. Raises BenchError."""
    if not (checkout / "bench" / "__main__.py").exists():
        raise BenchError(f"{checkout} is no checkout with a benchmark.")
    print(f"Setting up this checkout and {checkout} …", flush=True)
    with _side(HERE) as here, _side(checkout.resolve()) as there:
        here.answer()
        there.answer()
        comparisons = []
        for case in cases:
            numbers = range(1, 2 * rounds, 2)  # of the first round of each pair
            pairs = [_measure_pair(here, there, Round(case, number, warm_up, seconds)) for number in numbers]
            comparisons.append(Comparison(case, pairs))
            print(describe(comparisons[-1]), flush=True)
        return comparisons


def _measure_pair(here: Side, there: Side, first: Round) -> tuple[Reading, Reading]:
    second = replace(first, round_no=first.round_no + 1)
    a, b, c, d = (here.measure(first), there.measure(first), there.measure(second), here.measure(second))
    return Reading.of(a, d), Reading.of(b, c)


@contextlib.contextmanager
def _side(checkout: Path) -> Iterator[Side]:
    side = Side(checkout)
    try:
        yield side
    finally:
        side.close()


def describe(comparison: Comparison) -> str:
    """Return the lines of a case: each side's medians, and how much dearer an event is here."""
    changes = comparison.changes
    sides = zip(("here ", "there"), zip(*comparison.pairs, strict=True), strict=True)
    return "\n".join(
        [
            f"\n{comparison.case}: {len(changes)} pairs",
            *(f"  {name}  {_medians(readings)}" for name, readings in sides),
            f"  processor time per event here: {median(changes):+.1%}, by pair "
            + ", ".join(f"{change:+.1%}" for change in changes),
        ]
    )


def _medians(readings: Sequence[Reading]) -> str:
    web, database = (median(getattr(each.used, part) for each in readings) * 1e6 for part in ("web", "database"))
    total, rate = median(each.total for each in readings) * 1e6, median(each.rate for each in readings)
    return f"{total:,.0f} µs an event (web or worker {web:,.0f}, database {database:,.0f}), {rate:,.0f}/s"
