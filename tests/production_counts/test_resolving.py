"""What reports say, case by case."""

from datetime import UTC, datetime, timedelta

import pytest

from mes.production_counts.windows import (
    Doubt,
    Report,
    Tally,
    resolve,
)

MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)


def at(minute: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=minute)


def delta(start: float, end: float, count: int | None, *more: int, id: int = 0) -> Report:
    counts = (count, *more, *[None] * (4 - len(more)))
    return Report(id or int(end), at(start), at(end), False, counts)


def reading(start: float, end: float, count: int | None, *more: int | None, id: int = 0) -> Report:
    counts = (count, *more, *[None] * (4 - len(more)))
    return Report(id or int(end), at(start), at(end), True, counts)


def base(when: float, count: int, *more: int) -> Report:
    return reading(when, when, count, *more)


def tally(*reports: Report, start: float = 0, end: float = 60) -> Tally:
    found = resolve(reports).tally(at(start), at(end))
    assert found is not None
    return found


def counted(*reports: Report, start: float = 0, end: float = 60) -> tuple[int | None, Doubt]:
    """The first counter and what is doubtful about it."""
    found = tally(*reports, start=start, end=end)
    divided = Doubt(0) if found.is_sure_at_start and found.is_sure_at_end else Doubt.DIVIDED
    return found.counts[0], found.doubts | divided


SURE = Doubt(0)


@pytest.mark.parametrize(
    ("reports", "count", "doubt"),
    [
        pytest.param([delta(0, 10, 5), delta(10, 20, 6)], 11, SURE, id="windows that tile"),
        pytest.param([delta(10, 20, 6), delta(0, 10, 5)], 11, SURE, id="in any order"),
        pytest.param([delta(0, 10, 5), delta(10.01, 20, 6)], 11, SURE, id="a clock is off by less than a second"),
        pytest.param([delta(0, 10, 5), delta(20, 30, 6)], 11, Doubt.GAP, id="a gap"),
        pytest.param([delta(0, 10, 5), delta(0, 10, 5, id=99)], 5, SURE, id="the same said twice"),
        pytest.param([delta(0, 10, 5), delta(0, 10, 7, id=99)], 7, Doubt.CONTRADICTION, id="corrected later"),
        pytest.param([delta(0, 10, 7, id=99), delta(0, 10, 5)], 7, Doubt.CONTRADICTION, id="the newest, not the last"),
        pytest.param([delta(0, 10, 5), delta(5, 15, 6)], 8, Doubt.OVERLAP, id="windows that overlap"),
        pytest.param([delta(0, 30, 25), delta(0, 60, 60)], 60, SURE, id="a part and the whole"),
        pytest.param([delta(0, 60, 60), delta(10, 20, 5)], 60, SURE, id="a part inside the whole"),
        pytest.param([delta(0, 10, 0), delta(5, 15, 6)], 6, SURE, id="nothing was made where they overlap"),
        pytest.param([reading(0, 10, 5), reading(10, 20, 9)], 9, SURE, id="readings"),
        pytest.param([reading(10, 20, 9), reading(0, 10, 5)], 9, SURE, id="a late reading"),
        pytest.param([reading(0, 10, 5), reading(0, 20, 9)], 9, SURE, id="windows since the start of the job"),
        pytest.param([reading(0, 10, 5), reading(30, 40, 9)], 9, SURE, id="a reading was lost"),
        pytest.param([reading(0, 10, 100), reading(10, 20, 7)], 107, Doubt.RESET, id="a counter falls"),
        pytest.param([base(0, 500), reading(0, 10, 507)], 7, SURE, id="a counter that runs on from another job"),
        pytest.param([reading(0, 10, 5), base(10, 0), reading(10, 20, 4)], 9, SURE, id="reset where it was read"),
        pytest.param([reading(0, 10, 5), base(12, 0), reading(12, 20, 4)], 9, Doubt.BASE, id="reset after it was read"),
        pytest.param([reading(0, 10, 5), base(12, 5), reading(12, 20, 8)], 8, SURE, id="it stood still"),
        pytest.param([delta(0, 10, 5), reading(0, 20, 12)], 12, SURE, id="both ways of reporting at once"),
        pytest.param([reading(0, 10, 5), delta(10, 20, 6), reading(10, 30, 15)], 15, SURE, id="changing over and back"),
        pytest.param([reading(0, 10, 5), reading(0, 10, 6, id=99), reading(10, 20, 9)], 9, Doubt.CONTRADICTION,
                     id="two readings of one moment"),
    ],
)  # fmt: skip
def test_what_is_counted_in_an_hour(reports: list[Report], count: int, doubt: Doubt) -> None:
    assert counted(*reports) == (count, doubt)


def test_a_window_across_a_boundary_is_divided_by_time_and_nothing_is_lost() -> None:
    report = delta(50, 70, 5)
    assert counted(report) == (2, Doubt.DIVIDED)
    assert counted(report, start=60, end=120) == (3, Doubt.DIVIDED)
    assert counted(report, end=120) == (5, SURE)


def test_nothing_made_needs_no_division() -> None:
    assert counted(delta(50, 70, 0)) == (0, SURE)


def test_what_overlaps_makes_no_later_time_doubtful() -> None:
    reports = [delta(0, 10, 5), delta(5, 15, 6), delta(15, 60, 7), delta(60, 120, 8)]
    assert counted(*reports)[1] == Doubt.OVERLAP
    assert counted(*reports, start=60, end=120) == (8, SURE)


OUT, PICKED = 1, 3  # places among the counters


def counters(
    end: float, out: int, picked: int | None, *, modulus: int | None = None, scrapped: int | None = None
) -> Report:
    """A reading of a placer at a minute; its `picked` may begin again from zero at a modulus."""
    counts = (None, out, scrapped, picked, None)
    return Report(int(end * 100) + 1, at(end - 5), at(end), True, counts, (None, None, None, modulus, None))


def test_counters_that_all_fall_were_reset_together() -> None:
    found = tally(reading(0, 10, 5, 100), reading(10, 20, 3, 90))
    assert (found.counts[:2], found.doubts) == ((8, 190), Doubt.RESET)


def test_a_counter_that_falls_alone_was_reset_alone() -> None:
    found = tally(reading(0, 10, 5, 100), reading(10, 20, 3, 150))
    assert (found.counts[:2], found.doubts) == ((8, 150), Doubt.RESET)


BOARDS = (0, 100, 200, 300, 327, 330, 400)


@pytest.mark.parametrize(
    ("modulus", "picked", "doubts"),
    [
        pytest.param(65536, 80000, SURE, id="it is known at which number the counter begins again"),
        pytest.param(None, 65400 + 464 + 14000, Doubt.RESET, id="it is not"),
    ],
)
def test_a_counter_of_16_bits(modulus: int | None, picked: int, doubts: Doubt) -> None:
    """Two hundred parts picked for each board."""
    found = tally(
        *(counters(5 * n, boards, 200 * boards % 65536, modulus=modulus) for n, boards in enumerate(BOARDS, start=1))
    )
    assert (found.counts[OUT], found.counts[PICKED], found.doubts) == (400, picked, doubts)


def test_a_machine_that_starts_again_is_no_wrap_though_its_counters_have_a_modulus() -> None:
    found = tally(counters(5, 300, 60000, modulus=65536), counters(10, 20, 4000, modulus=65536))
    assert (found.counts[OUT], found.counts[PICKED], found.doubts) == (320, 64000, Doubt.RESET)


def test_a_counter_that_stood_at_zero_does_not_show_that_the_machine_went_on() -> None:
    found = tally(counters(5, 300, 60000, modulus=65536, scrapped=0), counters(10, 20, 4000, modulus=65536, scrapped=0))
    assert (found.counts[OUT], found.counts[PICKED], found.doubts) == (320, 64000, Doubt.RESET)


def test_a_counter_that_stood_above_its_modulus_cannot_have_passed_it() -> None:
    found = tally(counters(5, 300, 70000), counters(10, 320, 4000, modulus=65536))
    assert (found.counts[OUT], found.counts[PICKED], found.doubts) == (320, 74000, Doubt.RESET)


def test_a_late_reading_makes_the_same_of_a_wrap() -> None:
    readings = [
        counters(5 * n, boards, 200 * boards % 65536, modulus=65536) for n, boards in enumerate(BOARDS, start=1)
    ]
    assert tally(*readings).counts == tally(*reversed(readings)).counts


def test_a_counter_that_a_reading_leaves_out_goes_on_from_where_it_stood() -> None:
    found = tally(reading(0, 10, 5, 100), reading(10, 20, 6), reading(20, 30, 7, 130))
    assert found.counts[:2] == (7, 130)
    assert found.doubts == SURE


def test_a_counter_nobody_reports_is_not_zero() -> None:
    assert tally(delta(0, 10, 5)).counts == (5, None, None, None, None)


def test_of_time_nobody_reports_nothing_is_said() -> None:
    assert resolve([delta(0, 10, 5)]).tally(at(60), at(120)) is None


def test_readings_of_before_only_say_where_the_counter_stood() -> None:
    resolved = resolve([reading(0, 10, 100), reading(0, 20, 107)], known_until=at(10))
    assert resolved.tally(at(0), at(60)).counts[0] == 7  # type: ignore[union-attr]


def test_a_part_larger_than_the_whole_is_a_contradiction() -> None:
    count, doubt = counted(delta(0, 30, 25, id=1), delta(0, 60, 20, id=2))
    assert doubt == Doubt.CONTRADICTION
    assert count == 20


def test_many_windows_that_each_overlap_the_next_are_solved_in_reasonable_time() -> None:
    """A machine whose windows are two seconds too long."""
    reports = [delta(minute, minute + 1 + 2 / 60, 3, id=minute + 1) for minute in range(600)]
    count, doubt = counted(*reports, end=660)
    assert 1700 <= (count or 0) <= 1800
    assert doubt == Doubt.OVERLAP


def test_minutes_and_the_total_of_the_day() -> None:
    minutes = [delta(minute, minute + 1, minute % 4, id=minute + 1) for minute in range(1440)]
    total = sum(minute % 4 for minute in range(1440))
    assert counted(*minutes, delta(0, 1440, total, id=2000), end=60) == (90, SURE)
