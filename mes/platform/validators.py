"""Checks of single values that models, serializers and services share."""

import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from functools import cache
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from mes.errors import ValidationFailed

CODE_LENGTH = 100
# What `validate_code` accepts, as far as JSON Schema can say it: no control characters, no blank at an end, no slash at
# an end or beside another.
_UNSEEN = r"\u0000-\u001f\u007f-\u009f"
CODE_PATTERN = rf"^(?!.*//)[^/\s{_UNSEEN}]([^{_UNSEEN}]*[^/\s{_UNSEEN}])?$"
# What follows a name in the interface's own addresses: no later part of a name is one of these, so that an address with
# a name that has slashes means one thing. A test compares them with the addresses there are.
# fmt: off
INTERFACE_WORDS = frozenset({
    "active-run", "authorize", "block", "cancel", "close", "close-check", "compile", "complete", "completion",
    "confirm", "create", "data-specs", "depanel", "deviations", "dispose", "effective-config", "end", "events",
    "execution-config", "go-on-station", "history", "hold", "ingest-preview", "install", "load", "loads",
    "mrb-decision", "panels", "passes", "permit", "precheck", "queue", "readiness", "record", "reference-pass",
    "relabel", "release", "reopen", "resume", "revoke", "rework", "runs", "sample", "scrap", "set-up", "setup-list",
    "shift", "sign", "slots", "solder-paste", "split", "start", "status", "stencil", "stop-station", "track-in",
    "track-out", "unblock", "unit", "units", "unload", "unlock", "unscrap", "versions", "waive",
})
# fmt: on
_FIRST_WORD = "resolve-unit"  # stands where stations have their codes
_WHOLE_WORD = "export"  # stands where any collection has a code
FIRST_YEAR, LAST_YEAR = 1900, 2200

_NOT_IN_NAMES = ("Cc", "Cs")  # control characters, lone surrogates
# Nor, in new ones, what cannot be seen or has no meaning yet, and separators of lines and paragraphs.
_NOT_IN_CODES = (*_NOT_IN_NAMES, "Cf", "Co", "Cn", "Zl", "Zp")


def validate_name(value: str) -> None:
    """Accept what may name a thing that exists: what was a code in any release.

    A thing is found by the name it has. What makes one is checked by `validate_code`.
    """
    if not 1 <= len(value) <= CODE_LENGTH:
        raise ValidationError(_("Must have 1 to %(length)d characters."), "length", {"length": CODE_LENGTH})
    if value != value.strip():
        raise ValidationError(_("Must not begin or end with a blank."), "blank_ends")
    if not value.isascii() or not value.isprintable():
        _check_categories(value, _NOT_IN_NAMES)


def validate_code(value: str) -> None:
    """Accept codes, run numbers and serial numbers of new things: 1-100 characters that survive a URL, a label, a log.

    Two that look alike are the same: composed letters only (NFC), nothing unseen, no blank but the space. A slash may
    stand inside, but not so that an address would mean something else.
    """
    validate_name(value)
    if not value.isascii():
        _check_categories(value, _NOT_IN_CODES)
        _check_looks(value)
    if value == _WHOLE_WORD:
        message = _("Must not be “%(word)s”, which the interface's own addresses have.")
        raise ValidationError(message, "interface_word", {"word": value})
    if "/" in value or value in (".", ".."):
        _check_slashes(value)


def validate_line(value: str) -> None:
    """Accept a text of one line: no control characters."""
    if not value.isprintable():
        raise ValidationError(_("Control characters are not allowed."), "control_characters")


def check_new_code(field: str, value: str, *, unless: Callable[[], bool] = lambda: False) -> None:
    """Raise ValidationFailed at a field for a code that nothing new may have.

    `unless`, asked where it would raise, says whether something has that code already.
    """
    try:
        validate_code(value)
    except ValidationError as error:
        if unless():
            return
        raise ValidationFailed({field: f"“{value}”: {' '.join(error.messages)}"}) from None


def _check_categories(value: str, forbidden: tuple[str, ...]) -> None:
    for character in value:
        category = unicodedata.category(character)
        if category in _NOT_IN_NAMES:
            raise ValidationError(_("Must not contain control characters."), "control_characters")
        if category in forbidden:
            message = _("Must not contain U+%(number)04X, which is not seen or means nothing.")
            raise ValidationError(message, "unseen_characters", {"number": ord(character)})


def _check_looks(value: str) -> None:
    if any(unicodedata.category(character) == "Zs" and character != " " for character in value):
        raise ValidationError(_("Must have no other blank than the space."), "blanks")
    if not unicodedata.is_normalized("NFC", value):
        message = _("Must have composed letters (NFC): “%(composed)s” is written differently.")
        raise ValidationError(message, "composed", {"composed": unicodedata.normalize("NFC", value)})


def _check_slashes(value: str) -> None:
    parts = value.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ValidationError(_("Must not have an empty, “.” or “..” part between slashes."), "slash")
    if words := INTERFACE_WORDS.intersection(parts[1:]) | {_FIRST_WORD}.intersection(parts):
        message = _("Must not have the part “/%(word)s”, which the interface's own addresses have.")
        raise ValidationError(message, "interface_word", {"word": min(words)})


def validate_moment(value: datetime) -> None:
    """Accept instants with an offset in the years that a factory can mean."""
    if value.tzinfo is None or value.utcoffset() is None:
        raise ValidationError(_("Must carry an offset, for example “2026-01-24T10:00:00Z”."), "offset")
    validate_year(value)


def validate_year(value: date) -> None:
    """Accept days and instants in the years that a factory can mean."""
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        years = {"first": FIRST_YEAR, "last": LAST_YEAR}
        raise ValidationError(_("Must lie in the years %(first)d to %(last)d."), "year", years)


def validate_time_zone(value: str) -> None:
    """Accept the names of the IANA time zone database, such as “Europe/Berlin”."""
    if value not in _time_zones():
        raise ValidationError(_("Must be a time zone of the IANA database, for example “Europe/Berlin”."), "time_zone")


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
