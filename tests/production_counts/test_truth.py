"""Reports against a simulated truth: the sum is the truth wherever the data determines it, and says where it does not.

The oracle knows nothing of the algorithm: it takes what the reports say as bounds between all pairs of instants
(Floyd-Warshall), and so knows for every stretch of time whether it is determined.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mes.production_counts.windows import Counts, Doubt, Report, resolve
from tests.thoroughness import examples

MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)
LAST = 240  # minutes of the simulation
CUTS = range(0, LAST + 1, 60)
UNBOUNDED = float("inf")
PICKED = 3  # the place of the parts picked among the counters
PICKS = 7  # for each board
MODULUS = PICKS * 3 * LAST + 1  # more than is picked in all


def at(minute: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=minute)


MODULI: Counts = (None, None, None, MODULUS, None)


@dataclass(frozen=True)
class Said:
    """A report in minutes, as the simulated machine makes it."""

    start: int
    end: int
    is_cumulative: bool
    count: int


@dataclass(frozen=True)
class World:
    """What was made, by minute, and what was reported of it, in the order of receipt."""

    made: tuple[int, ...]
    said: tuple[Said, ...]

    def truth(self, start: int, end: int) -> int:
        return sum(self.made[start:end])

    def reports(self) -> list[Report]:
        return [
            Report(number, at(one.start), at(one.end), one.is_cumulative, self.counts(one), MODULI)
            for number, one in enumerate(self.said)
        ]

    def counts(self, one: Said) -> Counts:
        """The boards, and the parts picked for them, of which the counter has few bits."""
        picked = picked_for(one.count) if one.is_cumulative else PICKS * one.count
        return one.count, None, None, picked, None


def picked_for(boards: int) -> int:
    """What the counter of parts shows."""
    return PICKS * boards % MODULUS


@st.composite
def worlds(draw: st.DrawFn) -> World:
    made = tuple(draw(st.lists(st.integers(0, 3), min_size=LAST, max_size=LAST)))
    said = [*draw(delta_windows(made)), *draw(readings(made))]
    repeated = draw(st.lists(st.sampled_from(said), max_size=3)) if said else []
    return World(made, tuple(draw(st.permutations([*said, *repeated]))))


@st.composite
def delta_windows(draw: st.DrawFn, made: tuple[int, ...]) -> list[Said]:
    """Windows that tile the time, with some lost, and others that lie anywhere."""
    ends = sorted(draw(st.sets(st.integers(0, LAST), max_size=8)))
    tiles = [window for window in pairwise(ends) if draw(st.integers(0, 4))]
    anywhere = st.tuples(st.integers(0, LAST), st.integers(0, LAST))
    loose = draw(st.lists(anywhere, max_size=draw(st.sampled_from([0, 3]))))
    windows = [*tiles, *((min(pair), max(pair)) for pair in loose if pair[0] != pair[1])]
    return [Said(start, end, False, sum(made[start:end])) for start, end in windows]


@st.composite
def readings(draw: st.DrawFn, made: tuple[int, ...]) -> list[Said]:
    """Readings of a counter that is sometimes reset: where it does not show by falling, the machine says so."""
    times = sorted(draw(st.sets(st.integers(1, LAST) | st.sampled_from(CUTS[1:]), max_size=8)))
    said, level, before = list[Said](), 0, 0
    carried = draw(st.sampled_from([0, 0, 1000, MODULUS // PICKS - 20]))
    if carried and times:
        said.append(Said(0, 0, True, carried))
    level = carried
    for time in times:
        reset = draw(st.integers(before, time - 1)) if said and before and not draw(st.integers(0, 2)) else None
        if reset is None:
            count = level + sum(made[before:time])
        else:
            count = sum(made[reset:time])
            if count >= level or picked_for(count) >= picked_for(level) or draw(st.booleans()):
                said.append(Said(reset, reset, True, 0))
        start = draw(st.sampled_from([0, before])) if reset is None else before
        said.append(Said(start if start < time else before, time, True, count))
        level, before = count, time
    return said


def bounds(world: World) -> dict[tuple[int, int], tuple[float, float]]:
    """Return the least and the most that can have been made between any two instants, by what was said alone."""
    instants = sorted({*CUTS, *(one.start for one in world.said), *(one.end for one in world.said)})
    most = {(a, b): 0.0 if b <= a else UNBOUNDED for a in instants for b in instants}
    for start, end, count in exact(world):
        most[start, end] = min(most[start, end], count)
        most[end, start] = min(most[end, start], -count)
    for over in instants:
        for a in instants:
            for b in instants:
                most[a, b] = min(most[a, b], most[a, over] + most[over, b])
    return {(a, b): (-most[b, a], most[a, b]) for a in instants for b in instants if a < b}


def exact(world: World) -> list[tuple[int, int, int]]:
    """What is known exactly: deltas, and differences of readings between which the counter was not reset."""
    known = [(one.start, one.end, one.count) for one in world.said if not one.is_cumulative]
    counter = sorted({one for one in world.said if one.is_cumulative}, key=lambda one: (one.end, one.start == one.end))
    for before, after in pairwise(counter):
        stood_still = after.count == before.count > 0
        is_read = after.count >= before.count and after.start < after.end
        if before.end < after.end and (stood_still or is_read):
            known.append((before.end, after.end, after.count - before.count))
    if counter and counter[0].start < counter[0].end:
        known.append((counter[0].start, counter[0].end, counter[0].count))
    return known


@settings(max_examples=examples(150, 900), deadline=None)
@given(worlds())
def test_the_sum_is_the_truth_wherever_the_data_determines_it_and_says_where_it_does_not(world: World) -> None:
    resolved = resolve(world.reports())
    possible = bounds(world)
    for start in CUTS:
        for end in CUTS:
            if start >= end:
                continue
            tally, truth = resolved.tally(at(start), at(end)), world.truth(start, end)
            least, most = possible[start, end]
            assert least <= truth <= most, "the oracle is wrong"
            counted = 0 if tally is None or tally.counts[0] is None else tally.counts[0]
            if least == most:
                assert counted == truth
                assert tally is None or tally.counts[PICKED] == (None if tally.counts[0] is None else PICKS * truth)
            elif tally is not None and is_covered(world, start, end):
                assert tally.doubts or not (tally.is_sure_at_start and tally.is_sure_at_end)
            if tally is not None and is_covered(world, start, end) and not tally.doubts:
                assert least <= counted <= most
                if tally.is_sure_at_start and tally.is_sure_at_end:
                    assert counted == truth


def is_covered(world: World, start: int, end: int) -> bool:
    """Whether the stretch lies between the first and the last report; of more nothing can be said."""
    return bool(world.said) and min(s.start for s in world.said) <= start and end <= max(s.end for s in world.said)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_parts_make_up_the_whole(world: World) -> None:
    resolved = resolve(world.reports())
    for middle in CUTS[1:-1]:
        whole, *parts = (
            tally.counts[0] or 0 if (tally := resolved.tally(at(start), at(end))) else 0
            for start, end in [(0, LAST), (0, middle), (middle, LAST)]
        )
        assert whole == sum(parts)


@settings(max_examples=100, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_without_contradictions_the_order_of_arrival_makes_no_difference(world: World, random: object) -> None:
    shuffled = list(world.said)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = resolve(world.reports()), resolve(World(world.made, tuple(shuffled)).reports())
    for start, end in pairwise(CUTS):
        first, second = one.tally(at(start), at(end)), other.tally(at(start), at(end))
        if first is None or not (first.doubts & Doubt.CONTRADICTION):
            assert first == second


@settings(max_examples=examples(100, 600), deadline=None)
@given(worlds())
def test_true_reports_are_never_taken_for_a_contradiction(world: World) -> None:
    resolved = resolve(world.reports())
    assert not [doubt for doubt in resolved.doubts if doubt.reason == Doubt.CONTRADICTION]
