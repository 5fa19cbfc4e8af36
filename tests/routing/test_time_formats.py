"""The times that machines write, and the instants that they mean."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.routing.time_formats import Moment, find_format_problem, find_zone_problem, read_time, settle

BERLIN = ZoneInfo("Europe/Berlin")
LATER = datetime(2026, 11, 1, tzinfo=UTC)


def wall(*parts: int) -> datetime:
    """Return what a clock on a wall shows."""
    return datetime(*parts)  # type: ignore[arg-type] # noqa: DTZ001


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("found", "pattern", "at"),
    [
        ("2026-01-24T10:00:00+01:00", "ISO", utc(2026, 1, 24, 9)),
        ("2018-03-26T16:52:25.3769532-04:00", "ISO", utc(2018, 3, 26, 20, 52, 25, 376953)),
        ("2026-01-24T10:00:00Z", "ISO", utc(2026, 1, 24, 10)),
        (1769248800, "EPOCH_S", utc(2026, 1, 24, 10)),
        (1769248800.5, "EPOCH_S", utc(2026, 1, 24, 10, 0, 0, 500_000)),
        ("1769248800", "EPOCH_S", utc(2026, 1, 24, 10)),
        (1769248800123, "EPOCH_MS", utc(2026, 1, 24, 10, 0, 0, 123_000)),
        (0, "EPOCH_MS", utc(1970, 1, 1)),
    ],
)
def test_times_that_say_when_they_are(found: Any, pattern: str, at: datetime) -> None:
    assert settle(read_time(found, pattern), None, near=LATER) == Moment(at)


@pytest.mark.parametrize(
    ("found", "pattern", "written"),
    [
        ("2026-01-24 10:00:05", "ISO", wall(2026, 1, 24, 10, 0, 5)),
        ("24.01.26 10:00", "%d.%m.%y %H:%M", wall(2026, 1, 24, 10)),
        ("01/24/2026 01:30:00 PM", "%m/%d/%Y %I:%M:%S %p", wall(2026, 1, 24, 13, 30)),
        ("2026024T101112.5", "%Y%jT%H%M%S.%f", wall(2026, 1, 24, 10, 11, 12, 500_000)),
        ("2026年01月24日 10", "%Y年%m月%d日 %H", wall(2026, 1, 24, 10)),
    ],
)
def test_times_of_a_wall_clock(found: str, pattern: str, written: datetime) -> None:
    assert find_format_problem(pattern) is None
    assert read_time(found, pattern) == written
    assert settle(written, BERLIN, near=LATER) == Moment(written.replace(tzinfo=BERLIN).astimezone(UTC))
    with pytest.raises(ValueError, match=None):
        settle(written, None, near=LATER)


def test_an_hour_that_comes_twice_is_the_one_nearer_to_receipt() -> None:
    twice = wall(2026, 10, 25, 2, 30)
    assert settle(twice, BERLIN, near=LATER) == Moment(utc(2026, 10, 25, 1, 30), is_doubtful=True)
    assert settle(twice, BERLIN, near=utc(2026, 10, 25, 0, 31)) == Moment(utc(2026, 10, 25, 0, 30), is_doubtful=True)
    assert settle(twice, BERLIN, near=utc(2026, 10, 25, 1, 1)) == Moment(utc(2026, 10, 25, 1, 30), is_doubtful=True)


def test_an_hour_that_never_was_counts_by_the_offset_before_the_change() -> None:
    never = wall(2026, 3, 29, 2, 30)
    assert settle(never, BERLIN, near=LATER) == Moment(utc(2026, 3, 29, 1, 30), is_doubtful=True)


BESIDE = [((10, 25, 1, 59), (10, 24, 23, 59)), ((10, 25, 3, 0), (10, 25, 2, 0)), ((3, 29, 3, 0), (3, 29, 1, 0))]


@pytest.mark.parametrize(("written", "at"), BESIDE)
def test_hours_beside_a_change_are_in_no_doubt(written: tuple[int, ...], at: tuple[int, ...]) -> None:
    assert settle(wall(2026, *written), BERLIN, near=LATER) == Moment(utc(2026, *at))


@given(st.datetimes(wall(2000, 1, 1), wall(2037, 1, 1)), st.sampled_from(["Europe/Berlin", "America/New_York"]))
def test_what_a_clock_shows_is_read_back(written: datetime, name: str) -> None:
    """Whatever instant is chosen, the clock of the zone showed that time then, unless it never did."""
    zone = ZoneInfo(name)
    moment = settle(written, zone, near=LATER)
    shown = moment.at.astimezone(zone).replace(tzinfo=None)
    assert shown == written or (moment.is_doubtful and shown - written == timedelta(hours=1))


@pytest.mark.parametrize(
    ("found", "pattern"),
    [
        *[(found, "ISO") for found in (None, 5, True, "", "today", "2026-01-24", "24.01.2026 10:00", "x" * 10_000)],
        *[(found, "EPOCH_S") for found in (None, True, "", "1e9", "inf", [], 1e300, -(10**40), 10**400, "1" * 21)],
        *[(found, "EPOCH_MS") for found in (float("inf"), float("nan"), {}, "12:00")],
        *[(found, "%d.%m.%Y %H:%M") for found in (None, 5, "31.02.2026 10:00", "24.01.2026", "24.01.2026 25:00", "")],
        ("2026 366 10", "%Y %j %H"),
        *[("2026-01-24 10", pattern) for pattern in ("%Q", "%", "%Y-%m-%d %Y", "repr", "%Y-%m-%d %H" + " " * 200)],
    ],
)
def test_what_is_no_time(found: Any, pattern: str) -> None:
    with pytest.raises(ValueError, match=None):
        read_time(found, pattern)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("%Q", "no directive “%Q”"),
        ("%Y-%m-%d %H:%M %z", "no directive “%z”"),
        ("%Y-%m-%d %H%", "no directive “%”"),
        ("100%%", "no directive “%%”"),
        ("%Y-%m-%d", "is neither"),
        ("%m-%d %H:%M", "is neither"),
        ("%Y-%m-%d %I:%M", "is neither"),
        ("%Y %H", "is neither"),
        ("", "is neither"),
        ("iso", "is neither"),
        ("%Y-%m-%d %H:%M %Y", "twice"),
        ("%y-%m-%d %H:%M %Y", "twice"),
        ("%Y-%m-%d %j %H", "twice"),
        ("%Y-%m-%d %H %p", "twice"),
        ("%Y-%m-%d %H" + "." * 100, "longer than 100"),
    ],
)
def test_what_is_no_format(pattern: str, problem: str) -> None:
    assert problem in str(find_format_problem(pattern))


@pytest.mark.parametrize(("written", "zone"), [(wall(1, 1, 1), "Etc/GMT-14"), (wall(9999, 12, 31, 23), "Etc/GMT+12")])
def test_times_at_the_ends_of_the_calendar_are_none(written: datetime, zone: str) -> None:
    with pytest.raises(ValueError, match=None):
        settle(written, ZoneInfo(zone), near=LATER)


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Base", "Europe", "Europe/", "../../etc/passwd", "/etc/passwd", "\0", "a" * 999, "right/Europe/Berlin"],
)
def test_what_is_no_zone(name: str) -> None:
    assert "there is no time zone" in str(find_zone_problem(name))
    assert find_zone_problem("Europe/Berlin") is None
