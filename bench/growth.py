"""Flat as it grows: `--grown` measures each case in a large plant and in a small one in turns, then rules and pages.

Each plant is made by `bench.grown` in an installation of its own (`bench.grown_side`), removed afterwards. The small
one is as new: its values are of one month. A round is four stretches: large, small, small, large.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any

from bench.against import HERE, Side

MONTHS = 12
SMALL_VALUES = 10_000
MOST_P50, MOST_P99 = 1.2, 1.5  # of the small plant's
MOST_SHARE = 3.0  # how many times what its statements take an answer may take
FIXED = 0.05  # seconds that Python may take for an answer whatever its statements take
SLOW = 0.1  # seconds of statements: what takes longer grows with the plant
MOST_OF_RULE = 2.0  # seconds of a rule of integrity, which is asked of everything, at night


@dataclass(frozen=True)
class Growth:
    """All rounds of a case: the percentiles of the large plant and of the small one, in seconds."""

    case: str
    large: Sequence[tuple[float, float]]
    small: Sequence[tuple[float, float]]

    def ratio(self, place: int) -> float:
        """How many times as long it takes in the large plant: the median of the rounds."""
        return median(large[place] / small[place] for large, small in zip(self.large, self.small, strict=True))

    @property
    def is_missed(self) -> bool:
        """Whether it takes longer than it may."""
        return self.ratio(0) > MOST_P50 or self.ratio(1) > MOST_P99

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "p50": self.ratio(0), "p99": self.ratio(1)}


@dataclass(frozen=True)
class Listed:
    """An address of the large plant: the 95th percentiles of its answer and of its statements alone, in seconds."""

    path: str
    what: str
    status: int
    answer: float
    statements: int
    sql: float
    slowest: str

    @property
    def is_missed(self) -> bool:
        """Whether statements take long, or the answer longer than them and Python's fixed part."""
        return self.sql > SLOW or self.answer > max(MOST_SHARE * self.sql, FIXED)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Checked:
    """A rule of integrity: what it takes in the large plant and in the small one, in seconds."""

    rule: str
    large: float
    small: float

    @property
    def is_missed(self) -> bool:
        """Whether it takes longer than it may."""
        return self.large > MOST_OF_RULE

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


Found = Growth | Listed | Checked


def measure(cases: Sequence[str], *, values: int, rounds: int, warm_up: float, seconds: float) -> list[Found]:
    """Make both plants, measure, print and return what was found. Raises BenchError."""
    print(f"Making a plant of {values:,} values and one of {SMALL_VALUES:,} …", flush=True)
    with _side(values, MONTHS) as large, _side(SMALL_VALUES, 1) as small:
        large.answer()
        small.answer()
        grown: list[Found] = []
        for case in cases:
            grown.append(_measure_case(large, small, case, rounds, {"warm_up": warm_up, "seconds": seconds}))
            print(_describe(grown[-1]), flush=True)
        return [*grown, *_check(large, small), *_measure_lists(large)]


@contextmanager
def _side(values: int, months: int) -> Iterator[Side]:
    side = Side(HERE, "grown_side.py", ["--values", str(values), "--months", str(months)])
    try:
        yield side
    except BaseException:
        side.process.terminate()  # it may be busy making its plant
        raise
    finally:
        side.close()


def _measure_case(large: Side, small: Side, case: str, rounds: int, times: dict[str, float]) -> Growth:
    def ask(side: Side, number: int) -> tuple[float, float]:
        answer = side.ask({"case": case, "round_no": number, **times})
        return answer["p50"], answer["p99"]

    pairs = []
    for number in range(1, 2 * rounds, 2):
        a, b, c, d = ask(large, number), ask(small, number), ask(small, number + 1), ask(large, number + 1)
        pairs.append((_mean(a, d), _mean(b, c)))
    return Growth(case, [pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _mean(*percentiles: tuple[float, float]) -> tuple[float, float]:
    return mean(each[0] for each in percentiles), mean(each[1] for each in percentiles)


def _check(large: Side, small: Side) -> list[Checked]:
    print("\nRules of integrity in the large plant and in the small one:", flush=True)
    taken, before = large.ask({"rules": True}), small.ask({"rules": True})
    found = [Checked(rule, seconds, before[rule]) for rule, seconds in taken.items()]
    for one in found:
        print(_describe(one), flush=True)
    return found


def _measure_lists(side: Side) -> list[Listed]:
    addresses = side.ask({"lists": True})["addresses"]
    print(f"\n{len(addresses)} lists and pages of the large plant; those that take long:", flush=True)
    print("    answer  statements  share", flush=True)
    found = []
    for address in addresses:
        found.append(Listed(**side.ask({"address": address})))
        if found[-1].is_missed:
            print(_describe(found[-1]), flush=True)
    return found


def _describe(one: Found) -> str:
    if isinstance(one, Checked):
        return f"  {one.rule:<20} {_ms(one.large)} {_ms(one.small)}   {'MISS' if one.is_missed else 'pass'}"
    if isinstance(one, Growth):
        return (
            f"  {one.case:<20} p50 {one.ratio(0):.2f} ×, p99 {one.ratio(1):.2f} × the small plant's"
            f" ({_ms(one.large[0][0])} and {_ms(one.large[0][1])} in the first round)"
            f"   {'MISS' if one.is_missed else 'pass'}"
        )
    share = f"{one.answer / one.sql:5.1f} ×" if one.sql else "      –"
    return f"  {_ms(one.answer)}  {_ms(one.sql)}  {share}  {one.path}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:7.1f} ms"


def missed(results: Sequence[Found]) -> list[str]:
    """Return what misses its target."""
    return [_name(one) for one in results if one.is_missed]


def _name(one: Found) -> str:
    if isinstance(one, Growth):
        return one.case
    return one.path if isinstance(one, Listed) else f"rule {one.rule}"
