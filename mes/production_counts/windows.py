"""From what machines say about their counters to what was counted when. Pure.

Every report is a *window*: so many were counted between two instants. A DELTA says so itself; of a CUMULATIVE counter
it is the difference of two readings, the first counting from zero. Windows may tile the time, or overlap, nest,
repeat, contradict each other and come in any order.

Let N(t) be what a counter had counted by t. A window from s to e of v says N(e) − N(s) = v, and N never falls. These
are difference constraints; shortest paths over the ends of the windows give the most and the least that N can be at
each of them (Bellman-Ford). Where both agree, the data determines the count; where they do not, numbers are taken that
fit every window and lie near an even course, and `is_sure` says no. Between two ends of windows the count is divided by
time. Windows that contradict each other count newest first, as far as no newer one covers their time.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntFlag
from itertools import pairwise

COUNTERS = ("boards_in", "boards_out", "scrapped", "picked", "placed")
TOLERANCE = timedelta(seconds=1)  # between the end of one window and the start of the next: clocks are not finer
MOST_TANGLED = 1500  # windows solved together: a day of minutes and its total
MOST_LOOKS = 50  # at each window of a knot; those of real machines need three or four
FINE = 1 << 20  # parts of one, in which is reckoned
FAR = 1 << 100
MICROSECOND = timedelta(microseconds=1)

Counts = tuple[int | None, ...]  # one for each of COUNTERS; None: not reported
NO_COUNTS: Counts = (None,) * len(COUNTERS)


class Doubt(IntFlag):
    """Why the sum of a stretch of time may not be the truth."""

    GAP = 1  # nothing was reported for a time between two reports
    RESET = 2  # a counter fell, not by its modulus: what it counted after the last reading, until its reset, is lost
    BASE = 4  # a counter was set: what it counted since the last reading is not known
    OVERLAP = 8  # windows overlap, and how much was counted in both is not known
    CONTRADICTION = 16  # windows say different things about the same time
    DIVIDED = 32  # a window reaches beyond the stretch, and its count was divided by time


@dataclass(frozen=True, slots=True)
class Report:
    """What a machine reported. `id` grows in the order of receipt.

    A counter with a modulus shows what it counted modulo that number: 65536 in 16 bits.
    """

    id: int
    start: datetime
    end: datetime
    is_cumulative: bool
    counts: Counts
    moduli: Counts = NO_COUNTS

    @property
    def is_base(self) -> bool:
        """Whether it only says where a counter stands."""
        return self.is_cumulative and self.start == self.end


@dataclass(frozen=True, slots=True)
class Window:
    """So many were counted between two instants; with `is_least` so many or more."""

    start: datetime
    end: datetime
    count: int
    id: int
    is_least: bool = False


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A stretch of time of which the sum is doubtful."""

    start: datetime
    end: datetime
    reason: Doubt


@dataclass(slots=True)
class Windows:
    """The windows of each counter, and what is doubtful about them by itself."""

    of: list[list[Window]] = field(default_factory=lambda: [[] for _name in COUNTERS])
    doubts: list[Doubtful] = field(default_factory=list)
    read_at: list[datetime] = field(default_factory=list)  # until then, a reading of a counter shows any gap

    def spans(self) -> list[tuple[datetime, datetime]]:
        """Return the times of all windows in order, without repetition."""
        return sorted({(window.start, window.end) for windows in self.of for window in windows})


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted in a stretch of time. A counter is None that no window of the stretch reports.

    `first_at` and `last_at`: from when to when something was reported. `is_sure_at_start` and `is_sure_at_end`: whether
    the data determines how much was counted up to there.
    """

    counts: Counts
    doubts: Doubt
    is_sure_at_start: bool
    is_sure_at_end: bool
    first_at: datetime | None
    last_at: datetime | None


# --- windows ------------------------------------------------------------------------------------------------


def build_windows(reports: Iterable[Report], *, known_until: datetime | None = None) -> Windows:
    """Turn reports into windows. Readings up to `known_until` only say where the counters stood."""
    windows = Windows()
    every = list(reports)
    _add_readings(windows, sorted((r for r in every if r.is_cumulative), key=_in_time), known_until)
    ends = sorted({report.end for report in every})
    for report in sorted((r for r in every if not r.is_cumulative), key=_in_time):
        start = _snap_start(report.start, ends, before=report.end)
        for index, count in enumerate(report.counts):
            if count is not None:
                windows.of[index].append(Window(start, report.end, count, report.id))
    return windows


def _in_time(report: Report) -> tuple[datetime, bool, int]:
    return report.end, report.is_base, report.id


def _snap_start(start: datetime, ends: Sequence[datetime], *, before: datetime) -> datetime:
    """Return the end of a window that a start is meant to touch, or the start itself."""
    place = bisect_left(ends, start - TOLERANCE)
    near = [end for end in ends[place : place + 3] if abs(end - start) <= TOLERANCE and end < before]
    return min(near, key=lambda end: abs(end - start), default=start)


def _add_readings(windows: Windows, readings: Sequence[Report], known_until: datetime | None) -> None:
    level: list[int | None] = [None] * len(COUNTERS)
    since: list[datetime | None] = [None] * len(COUNTERS)
    for reading in _newest_by_instant(readings, windows):
        windows.read_at.append(reading.end)
        is_known = known_until is not None and reading.end <= known_until
        if reading.is_base:
            _add_base(windows, reading, level, since, is_known=is_known)
        else:
            is_least = _follow_falls(windows, reading, level, since, is_known=is_known)
            is_beginning = known_until is None
            _add_reading(
                windows, reading, level, since, is_known=is_known, is_beginning=is_beginning, is_least=is_least
            )


def _newest_by_instant(readings: Sequence[Report], windows: Windows) -> Iterator[Report]:
    """Yield one reading, and one base, for each instant: the newest. Readings are in order."""
    for reading, following in zip(readings, [*readings[1:], None], strict=False):
        if following is None or (following.end, following.is_base) != (reading.end, reading.is_base):
            yield reading
        elif following.counts != reading.counts:
            windows.doubts.append(Doubtful(reading.end - MICROSECOND, reading.end, Doubt.CONTRADICTION))


def _add_base(
    windows: Windows, base: Report, level: list[int | None], since: list[datetime | None], *, is_known: bool
) -> None:
    for index, count in enumerate(base.counts):
        if count is None:
            continue
        before = since[index]
        if before is not None and before < base.end and not is_known:
            if level[index] == count and count:  # zero may mean unchanged or set again
                windows.of[index].append(Window(before, base.end, 0, base.id))
            else:
                windows.doubts.append(Doubtful(before, base.end, Doubt.BASE))
        level[index], since[index] = count, base.end


def _follow_falls(
    windows: Windows, reading: Report, level: list[int | None], since: Sequence[datetime | None], *, is_known: bool
) -> set[int]:
    """Set the levels of counters that fell to where they went on from; return which counted so many or more.

    If all fell, the machine was started again, and with it all its counters. A counter that fell alone passed its
    modulus, or was reset alone.
    """
    fallen, others = _find_fallen(level, reading.counts)
    if not fallen:
        return set()
    wrapped = {index for index in fallen if others and _may_wrap(level[index], reading.moduli[index])}
    for index in wrapped:
        level[index] = (level[index] or 0) - (reading.moduli[index] or 0)
    reset = fallen - wrapped if others else {index for index, before in enumerate(level) if before is not None}
    for index in reset:
        level[index] = 0
    if reset and not is_known:
        read_before = min(at for index in reset if (at := since[index]) is not None)
        windows.doubts.append(Doubtful(read_before, reading.end, Doubt.RESET))
    return reset


def _find_fallen(level: Sequence[int | None], counts: Counts) -> tuple[set[int], set[int]]:
    """Return which counters fell since they were last read, and which could have fallen and did not.

    One that stood at zero tells nothing: it stands there after a reset too.
    """
    read = {
        i: (before, now)
        for i, (before, now) in enumerate(zip(level, counts, strict=True))
        if before and now is not None
    }
    fallen = {index for index, (before, now) in read.items() if now < before}
    return fallen, read.keys() - fallen


def _may_wrap(before: int | None, modulus: int | None) -> bool:
    return before is not None and modulus is not None and before < modulus


def _add_reading(
    windows: Windows,
    reading: Report,
    level: list[int | None],
    since: list[datetime | None],
    *,
    is_known: bool,
    is_beginning: bool,
    is_least: set[int],
) -> None:
    for index, count in enumerate(reading.counts):
        if count is None:
            continue
        before, at = level[index], since[index]
        if is_known:
            pass
        elif before is None or at is None:
            windows.of[index].append(Window(reading.start, reading.end, count, reading.id))
            if not is_beginning:  # it was read long ago, or never
                windows.doubts.append(Doubtful(reading.start, reading.end, Doubt.BASE))
        else:
            windows.of[index].append(Window(at, reading.end, count - before, reading.id, is_least=index in is_least))
        level[index], since[index] = count, reading.end


# --- counting -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Course:
    """What one counter had counted by each of some instants, relative to the first, and whether that is determined."""

    times: list[datetime] = field(default_factory=list)
    counted: list[int] = field(default_factory=list)
    is_sure: list[bool] = field(default_factory=list)

    def at(self, instant: datetime) -> tuple[int, bool]:
        """Return what was counted by an instant, divided by time within a window, and whether it is determined."""
        place = bisect_right(self.times, instant) - 1
        if place < 0:
            return 0, True
        if self.times[place] == instant or place == len(self.times) - 1:
            return self.counted[place], self.is_sure[place]
        more = self.counted[place + 1] - self.counted[place]
        part = more * ((instant - self.times[place]) // MICROSECOND)
        counted = self.counted[place] + part // ((self.times[place + 1] - self.times[place]) // MICROSECOND)
        return counted, not more and self.is_sure[place] and self.is_sure[place + 1]

    def add(self, instant: datetime, counted: int, *, is_sure: bool) -> None:
        """Add an instant after all others, or once more the last."""
        if self.times and self.times[-1] == instant:
            self.is_sure[-1] = self.is_sure[-1] and is_sure
            return
        self.times.append(instant)
        self.counted.append(counted)
        self.is_sure.append(is_sure)


class Resolved:
    """What some windows say, to be asked for stretches of time."""

    def __init__(self, windows: Windows) -> None:
        self.doubts = list(windows.doubts)
        self._spans = _merge(windows.spans())
        self._courses = [self._resolve(of) for of in windows.of]
        reported = _merge([*self._spans, *((at, at) for at in windows.read_at)])
        self.doubts += [
            Doubtful(end, start, Doubt.GAP)
            for (_start, end), (start, _end) in pairwise(reported)
            if not self._is_accounted_for(end, start)
        ]
        self._touched = [_merge((window.start, window.end) for window in of) for of in windows.of]

    def tally(self, start: datetime, end: datetime) -> Tally | None:
        """Return what was counted in a stretch of time; None when nothing is reported about it."""
        inside = [(max(s, start), min(e, end)) for s, e in _overlapping(self._spans, start, end)]
        doubts = Doubt(0)
        for doubt in self.doubts:
            if doubt.start < end and doubt.end > start:
                doubts |= doubt.reason
        if not inside and not doubts:
            return None
        counts, sure_at_start, sure_at_end = list[int | None](), True, True
        for course, touched in zip(self._courses, self._touched, strict=True):
            (first, is_sure), (last, is_sure_too) = course.at(start), course.at(end)
            sure_at_start, sure_at_end = sure_at_start and is_sure, sure_at_end and is_sure_too
            counts.append(last - first if _overlapping(touched, start, end) else None)
        first_at, last_at = min((s for s, _e in inside), default=None), max((e for _s, e in inside), default=None)
        return Tally(tuple(counts), doubts, sure_at_start, sure_at_end, first_at, last_at)

    def _is_accounted_for(self, start: datetime, end: datetime) -> bool:
        return any(doubt.start <= start and end <= doubt.end for doubt in self.doubts)

    def _resolve(self, windows: Sequence[Window]) -> Course:
        course = Course()
        for knot in _overlapping_groups(windows):
            base = course.counted[-1] if course.counted else 0
            solved = _solve(knot) if len(knot) <= MOST_TANGLED else None
            if solved is None:
                solved = _newest_first(knot)
                end = max(window.end for window in knot)
                self.doubts.append(Doubtful(knot[0].start, end, Doubt.CONTRADICTION))
            for instant, counted, is_sure in self._without_open_end(solved):
                course.add(instant, base + counted, is_sure=is_sure)
        return course

    def _without_open_end(self, solved: "Solved") -> "Solved":
        """Keep what is not determined at the end of a knot from being so ever after: its last part is doubtful."""
        if solved[-1][2]:
            return solved
        last_sure = max(place for place, (_at, _counted, is_sure) in enumerate(solved) if is_sure)
        self.doubts.append(Doubtful(solved[last_sure][0], solved[-1][0], Doubt.OVERLAP))
        return [*solved[:-1], (*solved[-1][:2], True)]


def resolve(reports: Iterable[Report], *, known_until: datetime | None = None) -> Resolved:
    """Return what a machine's reports for a run say. Readings up to `known_until` only say where counters stood."""
    return Resolved(build_windows(reports, known_until=known_until))


def _merge(spans: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Join spans that touch or overlap, those with less than the tolerance between them too."""
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1] + TOLERANCE:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _overlapping(
    spans: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """Return those of some separate spans, in order, that have time in common with a stretch."""
    return [(s, e) for s, e in spans if s < end and e > start]


def _overlapping_groups(windows: Iterable[Window]) -> Iterator[list[Window]]:
    """Yield windows that overlap, directly or by others, together; in order of time."""
    knot: list[Window] = []
    end: datetime | None = None
    for window in sorted(windows, key=lambda window: (window.start, window.end, window.id)):
        if end is not None and window.start >= end:
            yield knot
            knot, end = [], None
        knot.append(window)
        end = window.end if end is None else max(end, window.end)
    if knot:
        yield knot


Solved = list[tuple[datetime, int, bool]]
Step = tuple[int, int, int]  # from a place to a place, and how much more the second can be at most


def _solve(knot: Sequence[Window]) -> Solved | None:
    """Return what was counted by each end of the windows since the first, or None when they contradict each other."""
    if len(knot) == 1:
        return [(knot[0].start, 0, True), (knot[0].end, knot[0].count, True)]
    times = sorted({instant for window in knot for instant in (window.start, window.end)})
    place = {instant: number for number, instant in enumerate(times)}
    steps = [(number + 1, number, 0) for number in range(len(times) - 1)]
    for window in knot:
        start, end, count = place[window.start], place[window.end], window.count * FINE
        steps += [(end, start, -count)] if window.is_least else [(start, end, count), (end, start, -count)]
    back = [(there, here, weight) for here, there, weight in steps]
    from_first = [0] + [FAR] * (len(times) - 1)
    most, least = _shortest(from_first, steps), _shortest(from_first, back)
    if most is None or least is None:
        return None
    is_sure = [high == -low for high, low in zip(most, least, strict=True)]
    counted = most if all(is_sure) else _fit_near(_spread_evenly(knot, times), steps, back)
    return [(instant, n // FINE, sure) for instant, n, sure in zip(times, counted, is_sure, strict=True)]


def _spread_evenly(knot: Sequence[Window], times: Sequence[datetime]) -> list[int]:
    """Return what was counted by each instant if every window counted evenly, where they overlap by their average."""
    lengths = [(window.end - window.start) / MICROSECOND for window in knot]
    changes = [(window.start, 1, window.count / length) for window, length in zip(knot, lengths, strict=True)]
    changes += [(window.end, -1, -window.count / length) for window, length in zip(knot, lengths, strict=True)]
    changes.sort(key=lambda change: change[0])
    guess, counted, running, rate, upcoming = list[int](), 0.0, 0, 0.0, iter([*changes, None])
    change = next(upcoming)
    for before, instant in zip([times[0], *times], times, strict=False):
        counted += rate / max(1, running) * ((instant - before) / MICROSECOND)
        guess.append(round(counted * FINE))
        while change is not None and change[0] <= instant:
            running, rate = running + change[1], rate + change[2]
            change = next(upcoming)
    return guess


def _fit_near(guess: Sequence[int], steps: Sequence[Step], back: Sequence[Step]) -> list[int]:
    """Return numbers that fit every window, near a guess: half way between the next below it and the next above."""
    below, above = _shortest(guess, steps), _shortest([-n for n in guess], back)
    if below is None or above is None:
        return list(guess)
    counted = [(low - high) // 2 for low, high in zip(below, above, strict=True)]
    return [n - counted[0] for n in counted]


def _shortest(start: Sequence[int], steps: Iterable[Step]) -> list[int] | None:
    """Return the least that each place can be, no more than it is at the start nor than a place before it and the step.

    None with a circle of negative length: a place is looked at again whenever it became less, and more than MOST_LOOKS
    looks at a step are taken for a circle.
    """
    onward: list[list[tuple[int, int]]] = [[] for _place in start]
    looks = 0
    for here, there, weight in steps:
        onward[here].append((there, weight))
        looks += MOST_LOOKS
    length = list(start)
    waiting = deque(place for place, n in enumerate(start) if n < FAR)
    is_waiting = [n < FAR for n in start]
    while waiting:
        here = waiting.popleft()
        is_waiting[here] = False
        looks -= len(onward[here])
        if looks < 0:
            return None
        for there, weight in onward[here]:
            if length[here] + weight < length[there]:
                length[there] = length[here] + weight
                if not is_waiting[there]:
                    is_waiting[there] = True
                    waiting.append(there)
    return length


def _newest_first(knot: Sequence[Window]) -> Solved:
    """Let each window count, divided by time, where no newer one does."""
    covered: list[tuple[datetime, datetime]] = []
    pieces: list[tuple[datetime, datetime, int]] = []
    for window in sorted(knot, key=lambda window: (not window.is_least, window.id), reverse=True):
        length = (window.end - window.start) // MICROSECOND
        for start, end in _uncovered(covered, window.start, window.end):
            before = window.count * ((start - window.start) // MICROSECOND) // length
            upto = window.count * ((end - window.start) // MICROSECOND) // length
            insort(pieces, (start, end, upto - before))
        covered = _join(covered, window.start, window.end)
    solved: Solved = [(pieces[0][0], 0, True)]
    for _start, end, count in pieces:
        solved.append((end, solved[-1][1] + count, False))
    solved[-1] = (*solved[-1][:2], True)  # as far as they say anything; the knot is marked as a whole
    return solved


def _uncovered(
    covered: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    for begin, finish in covered:
        if begin < end and finish > start:
            if start < begin:
                yield start, begin
            start = max(start, finish)
    if start < end:
        yield start, end


def _join(
    covered: Sequence[tuple[datetime, datetime]], start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    apart = [(begin, finish) for begin, finish in covered if finish < start or begin > end]
    touching = [(begin, finish) for begin, finish in covered if not (finish < start or begin > end)]
    start = min([start, *(begin for begin, _finish in touching)])
    end = max([end, *(finish for _begin, finish in touching)])
    return sorted([*apart, (start, end)])
