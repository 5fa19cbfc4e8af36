"""The shift calendar of a line: when an instant is, by hour, shift, day and week of the plant. Pure.

A shift is `{code, start: "HH:MM", end: "HH:MM", weekdays: [1..7]}` in local time (`mes.plant.rules`); one that ends
before it starts ends on the next day. Its date is the day it began, also after midnight. Time in no shift has the
date of the calendar. So a day of production runs from its first shift to the end of its last, and days follow one
another without a hole. A wall clock time that daylight saving skips is the instant at which the clocks jumped past
it; of one that it repeats, the first counts.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from typing import Any
from zoneinfo import ZoneInfo

Shifts = Sequence[Mapping[str, Any]]


class Cut(IntEnum):
    """What changes at an instant, the largest of them. A cut of a level is one of every lower level too."""

    NONE = 0
    HOUR = 1
    SHIFT = 2
    DAY = 3
    WEEK = 4


@dataclass(frozen=True, slots=True)
class ShiftTime:
    """A shift of one day. `date` is the day it began."""

    code: str
    date: date
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time, at most an hour, in one shift (or none: `shift` is empty) of one day.

    `starts_with` and `ends_with` say what changes at its two ends.
    """

    started_at: datetime
    ended_at: datetime
    date: date
    shift: str
    starts_with: Cut
    ends_with: Cut


def list_shifts(shifts: Shifts, zone: ZoneInfo, first: date, last: date) -> list[ShiftTime]:
    """Return the shifts that begin on the days from `first` to `last`, in order."""
    times = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        for shift in shifts:
            if day.isoweekday() in shift["weekdays"]:
                start, end = time.fromisoformat(shift["start"]), time.fromisoformat(shift["end"])
                next_day = day + timedelta(days=1) if end <= start else day
                times.append(ShiftTime(shift["code"], day, _instant(day, start, zone), _instant(next_day, end, zone)))
    return sorted(times, key=lambda shift: (shift.started_at, shift.ended_at))


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


def find_periods(shifts: Shifts, zone: ZoneInfo, start: datetime, end: datetime) -> list[Period]:
    """Return the periods that a stretch of time touches, in order, the first and the last of them whole hours."""
    begin, finish = _hour_of(start, zone), _hour_from(end, zone)
    if finish <= begin:
        finish = _next_hour(begin, zone)
    first_day = begin.astimezone(zone).date() - timedelta(days=2)
    calendar = _Calendar(list_shifts(shifts, zone, first_day, finish.astimezone(zone).date()), zone)
    places = [(at, calendar.place(at)) for at in sorted({*_hours(begin, finish, zone), *calendar.edges(begin, finish)})]
    before = calendar.place(begin - timedelta(microseconds=1))
    periods = []
    after = [*places[1:], (finish, calendar.place(finish))]
    for (at, here), (until, there) in zip(places, after, strict=True):
        day, shift = here[0], here[1]
        periods.append(Period(at, until, day, shift, _cut(before, here), _cut(here, there)))
        before = here
    return periods


def day_bounds(shifts: Shifts, zone: ZoneInfo, day: date) -> tuple[datetime, datetime]:
    """Return when a day of production begins and ends: at midnight, or where the last shift of the day before ends."""
    calendar = _Calendar(list_shifts(shifts, zone, day - timedelta(days=2), day + timedelta(days=1)), zone)
    return calendar.begin_of(day), calendar.begin_of(day + timedelta(days=1))


def date_of(shifts: Shifts, zone: ZoneInfo, at: datetime) -> date:
    """Return the day of production that an instant belongs to."""
    local = at.astimezone(zone).date()
    return _Calendar(list_shifts(shifts, zone, local - timedelta(days=2), local), zone).place(at)[0]


def shift_at(shifts: Shifts, zone: ZoneInfo, at: datetime) -> ShiftTime:
    """Return the shift that an instant is in. In no shift it is the time between two, within the day, without a code:
    the whole day where there are no shifts.
    """
    local = at.astimezone(zone).date()
    near = list_shifts(shifts, zone, local - timedelta(days=2), local + timedelta(days=1))
    day, code, began = _Calendar(near, zone).place(at)
    if began is not None:
        return next(shift for shift in near if (shift.date, shift.code, shift.started_at) == (day, code, began))
    start, end = day_bounds(shifts, zone, day)
    edges = [edge for shift in near for edge in (shift.started_at, shift.ended_at) if start < edge < end]
    before, after = [edge for edge in edges if edge <= at], [edge for edge in edges if edge > at]
    return ShiftTime("", day, max(before, default=start), min(after, default=end))


Place = tuple[date, str, datetime | None]  # day, shift, when that shift began


class _Calendar:
    """The shifts of some days, to be asked for instants among them."""

    def __init__(self, shifts: Sequence[ShiftTime], zone: ZoneInfo) -> None:
        self._shifts = shifts
        self._starts = [shift.started_at for shift in shifts]
        self._zone = zone

    def place(self, at: datetime) -> Place:
        """Return the day and the shift of an instant."""
        for index in range(bisect_right(self._starts, at) - 1, -1, -1):
            shift = self._shifts[index]
            if at < shift.ended_at:
                return shift.date, shift.code, shift.started_at
            if at - shift.started_at > timedelta(days=2):
                break
        return at.astimezone(self._zone).date(), "", None

    def edges(self, begin: datetime, finish: datetime) -> Iterable[datetime]:
        """Yield when shifts begin and end between two instants."""
        for shift in self._shifts:
            yield from (at for at in (shift.started_at, shift.ended_at) if begin < at < finish)

    def begin_of(self, day: date) -> datetime:
        """Return the first instant of a day: no earlier than the end of what the day before began."""
        midnight = _instant(day, time.min, self._zone)
        running = [shift.ended_at for shift in self._shifts if shift.date < day and shift.ended_at > midnight]
        return max(running, default=midnight)


def _cut(here: Place, there: Place) -> Cut:
    if here[0].isocalendar()[:2] != there[0].isocalendar()[:2]:
        return Cut.WEEK
    if here[0] != there[0]:
        return Cut.DAY
    return Cut.SHIFT if here != there else Cut.HOUR


def _hour_of(at: datetime, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    return (at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)).astimezone(UTC)


def _hour_from(at: datetime, zone: ZoneInfo) -> datetime:
    hour = _hour_of(at, zone)
    while hour < at:
        hour = _next_hour(hour, zone)
    return hour


def _next_hour(hour: datetime, zone: ZoneInfo) -> datetime:
    """Return the next full hour of the clock, which is half an hour away where summer time is worth half an hour."""
    local = (hour + timedelta(hours=1)).astimezone(zone)
    return hour + timedelta(hours=1) - timedelta(minutes=local.minute) if local.minute else hour + timedelta(hours=1)


def _hours(begin: datetime, finish: datetime, zone: ZoneInfo) -> Iterable[datetime]:
    at = begin
    while at < finish:
        yield at
        at = _next_hour(at, zone)
