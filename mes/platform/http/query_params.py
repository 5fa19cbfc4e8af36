"""Periods in query strings: `from` and `to` are dates of the plant's time zone, or times with an offset."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

import msgspec
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from mes.errors import ValidationFailed
from mes.platform.validators import validate_moment

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def read_moment(parameters: Mapping[str, str], name: str, *, end: bool = False) -> datetime | None:
    """Return the instant a parameter names, or None when it is not there.

    A date means the beginning of that day, or with `end` the beginning of the next. Raises ValidationFailed.
    """
    text = parameters.get(name, "")
    if not text:
        return None
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=1 if end else 0)
            moment = timezone.make_aware(datetime.combine(day, time.min))
        else:
            # In a query string an unescaped "+" is a blank.
            moment = msgspec.convert(text.replace(" ", "+"), datetime)
        validate_moment(moment)
    except (msgspec.ValidationError, ValidationError, ValueError, OverflowError):
        message = _("Give a date, or a time with its offset from UTC, between the years 1900 and 2200.")
        raise ValidationFailed({name: message}) from None
    return moment
