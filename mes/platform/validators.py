"""Checks of single values that models, serializers and services share."""

import unicodedata
from datetime import datetime
from functools import cache
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

CODE_LENGTH = 100
# What `validate_code` accepts, as JSON Schema says it: no control characters, no slash, no blank at either end.
CODE_PATTERN = r"^[^/\s\u0000-\u001f\u007f-\u009f]([^/\u0000-\u001f\u007f-\u009f]*[^/\s\u0000-\u001f\u007f-\u009f])?$"
FIRST_YEAR, LAST_YEAR = 1900, 2200

_FORBIDDEN_CATEGORIES = ("Cc", "Cs")  # control characters, lone surrogates


def validate_code(value: str) -> None:
    """Accept codes, run numbers and serial numbers: 1-100 characters that survive a URL, a label and a log line."""
    if not 1 <= len(value) <= CODE_LENGTH:
        raise ValidationError(_("Must have 1 to %(length)d characters."), "length", {"length": CODE_LENGTH})
    if value != value.strip():
        raise ValidationError(_("Must not begin or end with a blank."), "blank_ends")
    if "/" in value:
        raise ValidationError(_("Must not contain “/”."), "slash")
    if any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in value):
        raise ValidationError(_("Must not contain control characters."), "control_characters")


def validate_moment(value: datetime) -> None:
    """Accept instants with an offset in the years that a factory can mean."""
    if value.tzinfo is None or value.utcoffset() is None:
        raise ValidationError(_("Must carry an offset, for example “2026-01-24T10:00:00Z”."), "offset")
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
