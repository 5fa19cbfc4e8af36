"""The shift calendar: midnight, weeks, daylight saving."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.plant.calendar import Cut, date_of, day_bounds, find_periods, list_shifts, shift_at
from mes.plant.rules import find_shift_problems

BERLIN = ZoneInfo("Europe/Berlin")
ALL = [1, 2, 3, 4, 5, 6, 7]
THREE = [
    {"code": "EARLY", "start": "06:00", "end": "14:00", "weekdays": ALL},
    {"code": "LATE", "start": "14:00", "end": "22:00", "weekdays": ALL},
    {"code": "NIGHT", "start": "22:00", "end": "06:00", "weekdays": ALL},
]


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def test_a_night_shift_has_the_date_of_the_day_it_began() -> None:
    [period] = find_periods(THREE, BERLIN, berlin("2026-03-11 05:00"), berlin("2026-03-11 06:00"))
    assert (period.shift, period.date) == ("NIGHT", date(2026, 3, 10))
    assert (period.starts_with, period.ends_with) == (Cut.HOUR, Cut.DAY)


def test_a_day_of_production_follows_the_other_without_a_hole() -> None:
    assert day_bounds(THREE, BERLIN, date(2026, 3, 10)) == (berlin("2026-03-10 06:00"), berlin("2026-03-11 06:00"))
    assert day_bounds([], BERLIN, date(2026, 3, 10)) == (berlin("2026-03-10 00:00"), berlin("2026-03-11 00:00"))


def test_the_week_changes_with_its_first_shift() -> None:
    """2026-03-16 is a Monday."""
    [period] = find_periods(THREE, BERLIN, berlin("2026-03-16 05:00"), berlin("2026-03-16 06:00"))
    assert (period.date, period.ends_with) == (date(2026, 3, 15), Cut.WEEK)


def test_time_in_no_shift_has_the_date_of_the_calendar() -> None:
    day = [{"code": "DAY", "start": "08:30", "end": "16:00", "weekdays": [1, 2, 3, 4, 5]}]
    periods = find_periods(day, BERLIN, berlin("2026-03-10 08:00"), berlin("2026-03-10 09:00"))
    assert [(p.shift, p.ends_with) for p in periods] == [("", Cut.SHIFT), ("DAY", Cut.HOUR)]
    assert date_of(day, BERLIN, berlin("2026-03-14 12:00")) == date(2026, 3, 14)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 7), ("2026-10-24", 9)])
def test_a_night_shift_is_shorter_or_longer_when_the_clocks_change(day: str, hours: int) -> None:
    night = list_shifts(THREE, BERLIN, date.fromisoformat(day), date.fromisoformat(day))[-1]
    assert night.ended_at - night.started_at == timedelta(hours=hours)
    periods = find_periods(THREE, BERLIN, night.started_at, night.ended_at)
    assert len(periods) == hours
    assert {(p.shift, p.date.isoformat()) for p in periods} == {("NIGHT", day)}


def test_a_shift_that_begins_in_the_hour_that_is_left_out_begins_when_the_clocks_have_jumped() -> None:
    shifts = [{"code": "A", "start": "02:30", "end": "10:00", "weekdays": ALL}]
    [shift] = list_shifts(shifts, BERLIN, date(2026, 3, 29), date(2026, 3, 29))
    assert shift.started_at == berlin("2026-03-29 03:30")


minutes = st.integers(0, 60 * 24 * 14)


@given(
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu"]),
    start=minutes,
    length=st.integers(1, 60 * 30),
    shifts=st.sampled_from([[], THREE, THREE[:1], THREE[2:], [{**THREE[2], "start": "21:17", "end": "03:44"}]]),
    month=st.sampled_from([3, 10, 11]),
)
def test_periods_cover_the_time_and_agree_wherever_one_looks_from(
    zone: str, start: int, length: int, shifts: list[dict[str, object]], month: int
) -> None:
    begin = datetime(2026, month, 20, tzinfo=UTC) + timedelta(minutes=start)
    end = begin + timedelta(minutes=length)
    periods = find_periods(shifts, ZoneInfo(zone), begin, end)
    assert periods[0].started_at <= begin and end <= periods[-1].ended_at
    for one, other in pairwise(periods):
        assert one.ended_at == other.started_at
        assert one.ends_with == other.starts_with != Cut.NONE
        assert one.date <= other.date
    for period in periods:
        assert period in find_periods(shifts, ZoneInfo(zone), period.started_at, period.ended_at)
        begins, ends = day_bounds(shifts, ZoneInfo(zone), period.date)
        assert begins <= period.started_at and period.ended_at <= ends
        for at in (period.started_at, period.ended_at - timedelta(microseconds=1)):
            shift = shift_at(shifts, ZoneInfo(zone), at)
            assert (shift.date, shift.code) == (period.date, period.shift)
            assert shift.started_at <= period.started_at and period.ended_at <= shift.ended_at


def test_the_time_between_two_shifts_is_told_by_itself() -> None:
    day = [{"code": "DAY", "start": "08:30", "end": "16:00", "weekdays": [1, 2, 3, 4, 5]}]

    def told(at: str) -> tuple[str, datetime, datetime]:
        shift = shift_at(day, BERLIN, berlin(at))
        return shift.code, shift.started_at, shift.ended_at

    assert told("2026-03-10 08:29") == ("", berlin("2026-03-10 00:00"), berlin("2026-03-10 08:30"))
    assert told("2026-03-10 16:00") == ("", berlin("2026-03-10 16:00"), berlin("2026-03-11 00:00"))
    assert told("2026-03-14 12:00") == ("", berlin("2026-03-14 00:00"), berlin("2026-03-15 00:00"))
    assert told("2026-03-10 12:00") == ("DAY", berlin("2026-03-10 08:30"), berlin("2026-03-10 16:00"))


def test_shifts_that_overlap_are_refused() -> None:
    assert find_shift_problems(THREE) == {}
    assert sorted(find_shift_problems([*THREE, {**THREE[0], "code": "X", "start": "13:59", "end": "14:30"}])) == [
        "1.start",
        "3.start",
    ]
    sunday_night = {"code": "N", "start": "22:00", "end": "06:00", "weekdays": [7]}
    monday = {"code": "M", "start": "05:00", "end": "07:00", "weekdays": [1]}
    assert list(find_shift_problems([monday, sunday_night])) == ["0.start"]
    assert find_shift_problems([{**monday, "weekdays": [2]}, sunday_night]) == {}
    assert find_shift_problems([{"code": "ALL", "start": "00:01", "end": "00:00", "weekdays": ALL}]) == {}
