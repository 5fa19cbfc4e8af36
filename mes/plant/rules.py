"""Pure rules about the plant."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from mes.platform.validators import CODE_LENGTH

MOST_SHIFTS = 100
SHIFT_KEYS = ("code", "start", "end", "weekdays")

_PREPARATION = re.compile(r"PREP_[A-Z0-9_]{1,90}", re.ASCII)
_TIME_OF_DAY = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)

Problem = tuple[str, str | Promise]


def find_readiness_problems(checks: list[str], *, known: Collection[str]) -> dict[str, str | Promise]:
    """Return a message per place of a list of readiness check types; empty when all are known and named once."""
    problems: dict[str, str | Promise] = {}
    for index, check in enumerate(checks):
        if check not in known and not _PREPARATION.fullmatch(check):
            problems[str(index)] = format_lazy(
                _("Unknown check; known are {known} and PREP_ with a name."), known=", ".join(known)
            )
        elif check in checks[:index]:
            problems[str(index)] = _("Named twice.")
    return problems


def find_shift_problems(shifts: Any) -> dict[str, str | Promise]:
    """Return a message per place (`0.start`) of a line's shifts; empty when they are sound.

    A shift is `{code, start: "HH:MM", end: "HH:MM", weekdays: [1..7]}` in local time; 1 is Monday. One that ends
    before it starts ends on the next day. A code may return with other times, but only on other weekdays. No two may
    overlap: each moment belongs to one shift at most.
    """
    if not isinstance(shifts, list):
        return {"": _("Must be a list of shifts.")}
    if len(shifts) > MOST_SHIFTS:
        return {"": _("Too many shifts.")}
    problems: dict[str, str | Promise] = {}
    days_of_codes: set[tuple[str, int]] = set()
    for index, shift in enumerate(shifts):
        shift_problems = dict(_find_problems_of_one(shift))
        if not shift_problems:
            days = {(shift["code"], day) for day in shift["weekdays"]}
            if days & days_of_codes:
                shift_problems = {"code": _("Another shift of this code is on the same weekday.")}
            days_of_codes |= days
        problems |= {f"{index}.{place}".rstrip("."): message for place, message in shift_problems.items()}
    return problems or _find_overlaps(shifts)


def _find_overlaps(shifts: list[dict[str, Any]]) -> dict[str, str | Promise]:
    """Return a message for each shift that begins before another, which began earlier in the week, has ended."""
    times = sorted(
        (begin, begin + _minutes_between(shift), index)
        for index, shift in enumerate(shifts)
        for begin in ((day - 1) * _DAY + _minute_of(shift["start"]) for day in shift["weekdays"])
    )
    problems: dict[str, str | Promise] = {}
    following = [*times[1:], *((begin + 7 * _DAY, end, index) for begin, end, index in times[:1])]
    for (_begin, end, index), (next_begin, _end, next_index) in zip(times, following, strict=True):
        if next_begin < end and len(times) > 1:
            message = _("Overlaps shift “{code}”.").format(code=shifts[index]["code"])
            problems[f"{next_index}.start"] = message
    return problems


_DAY = 24 * 60  # minutes


def _minute_of(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _minutes_between(shift: dict[str, Any]) -> int:
    return (_minute_of(shift["end"]) - _minute_of(shift["start"])) % _DAY


def _find_problems_of_one(shift: Any) -> Iterator[Problem]:
    if not isinstance(shift, dict):
        yield "", _("Must be an object.")
        return
    yield from ((key, _("Unknown field.")) for key in shift if key not in SHIFT_KEYS)
    code = shift.get("code")
    if not isinstance(code, str) or not 1 <= len(code) <= CODE_LENGTH or code != code.strip():
        yield "code", _("Must be a text of 1 to 100 characters without blank ends.")
    for key in ("start", "end"):
        if not isinstance(shift.get(key), str) or not _TIME_OF_DAY.fullmatch(shift[key]):
            yield key, _("Must be a time of day, HH:MM.")
    if shift.get("start") == shift.get("end") and "end" in shift:
        yield "end", _("Must differ from the start.")
    if not _are_weekdays(shift.get("weekdays")):
        yield "weekdays", _("Must name weekdays, each once, from 1 (Monday) to 7 (Sunday).")


def _are_weekdays(days: Any) -> bool:
    if not isinstance(days, list) or not days:
        return False
    valid_days = [day for day in days if isinstance(day, int) and not isinstance(day, bool) and 1 <= day <= 7]
    return len(valid_days) == len(days) == len(set(valid_days))
