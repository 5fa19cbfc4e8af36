"""The times that machines write: formats that a mapping may name, and what a text of one says. Pure.

A time may lack its offset from UTC: it is then read in a time zone, in which an hour may come twice a year, and another
never.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from time import strptime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mes.platform.validators import validate_time_zone

ISO, EPOCH_S, EPOCH_MS = "ISO", "EPOCH_S", "EPOCH_MS"
DIRECTIVES = frozenset("YymdjHIpMSf")
LONGEST_FORMAT = 100  # characters
LONGEST_TIME = 200
_PER_SECOND = {EPOCH_S: 1, EPOCH_MS: 1000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,9})?")
_MOST_FRACTION = re.compile(r"(?<=[.,])([0-9]{6})[0-9]+")  # digits of a second that no microsecond has


class Moment(NamedTuple):
    """An instant, and whether it is in doubt: the clock that was read showed this time twice, or never."""

    at: datetime
    is_doubtful: bool = False


def find_format_problem(pattern: str) -> str | None:
    """Return what is wrong with a format: it is ISO, EPOCH_S, EPOCH_MS, or a pattern that says day and hour."""
    if pattern in (ISO, *_PER_SECOND):
        return None
    if len(pattern) > LONGEST_FORMAT:
        return _("is longer than %(limit)d characters") % {"limit": LONGEST_FORMAT}
    directives = re.findall(r"%(.?)", pattern, re.DOTALL)
    for directive in directives:
        if directive not in DIRECTIVES:
            return _("there is no directive “%%%(directive)s”") % {"directive": directive}
    said = set(directives)
    if len(said) < len(directives):
        return _("says something twice")
    has_day = bool(said & {"Y", "y"}) and ({"m", "d"} <= said or "j" in said)
    has_hour = "H" in said if "I" not in said else "p" in said and "H" not in said
    if not (has_day and has_hour):
        return _("is neither ISO, EPOCH_S nor EPOCH_MS, nor a pattern with year, day and hour (%H, or %I with %p)")
    return None if _is_clear(said) else _("says something twice")


def _is_clear(said: set[str]) -> bool:
    """Whether a pattern says nothing in two ways: of two that differ, which one would count?"""
    return not ({"Y", "y"} <= said or ("j" in said and said & {"m", "d"}) or ("p" in said and "I" not in said))


def find_zone_problem(name: str) -> str | None:
    """Return what is wrong with the name of a time zone: those of files that a host has besides (`right/Europe/Berlin`
    counts leap seconds) are none.
    """
    try:
        validate_time_zone(name)
    except ValidationError:
        return _("there is no time zone “%(name)s”") % {"name": name[:100]}
    return None


@lru_cache(maxsize=256)
def find_zone(name: str) -> ZoneInfo | None:
    """Return the time zone of that IANA name; None where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not even a name, or the name of a folder of them
        return None


def read_time(found: Any, pattern: str) -> datetime:
    """Return the time that was found, as the machine wrote it: aware where it says its offset. Raises ValueError."""
    if pattern in _PER_SECOND:
        return _of_epoch(found, _PER_SECOND[pattern])
    if not isinstance(found, str) or len(found) > LONGEST_TIME:
        raise ValueError
    if pattern == ISO:
        return _of_iso(found)
    if find_format_problem(pattern) is not None:
        raise ValueError
    written = datetime.strptime(found, pattern)  # noqa: DTZ007 - `settle` makes it aware
    if "%j" in pattern and strptime(found, pattern).tm_yday != written.timetuple().tm_yday:
        raise ValueError  # the 366th day of a year of 365
    return written


def _of_iso(text: str) -> datetime:
    try:
        return msgspec.convert(_MOST_FRACTION.sub(r"\1", text, count=1), datetime)
    except msgspec.ValidationError as error:
        raise ValueError from error


def _of_epoch(found: Any, per_second: int) -> datetime:
    """Return the instant of a count since 1970; some write the number as a text."""
    if isinstance(found, str) and _NUMBER.fullmatch(found):
        found = float(found)
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise ValueError
    try:
        return _EPOCH + timedelta(seconds=found / per_second)
    except OverflowError:
        raise ValueError from None


def settle(written: datetime, zone: ZoneInfo | None, *, near: datetime) -> Moment:
    """Return the instant that a written time means; without an offset of its own it is of that zone.

    Of an hour that comes twice, it is the instant nearer to `near`, when it was received. One that never was counts by
    the offset before the change. Both are doubtful. Raises ValueError for one that has neither offset nor zone.
    """
    if written.tzinfo is not None:
        return Moment(written)
    if zone is None:
        raise ValueError
    earlier, later = (_instant(written, zone, fold) for fold in (0, 1))
    if earlier == later:
        return Moment(earlier)
    if earlier > later:  # in the gap: the offset before the change is the smaller one, and so the instant the later
        return Moment(earlier, is_doubtful=True)
    return Moment(min(earlier, later, key=lambda at: abs(near - at)), is_doubtful=True)


def _instant(written: datetime, zone: ZoneInfo, fold: int) -> datetime:
    try:
        return written.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    except OverflowError:
        raise ValueError from None
