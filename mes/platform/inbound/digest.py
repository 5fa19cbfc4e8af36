"""Sameness: when two messages say the same.

The digest is over the decoded body without `meta`: keys sorted, times as instants, 245 = 245.0, null = absent.
"""

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

LONGEST_TIME = 40  # characters of a time that is worth remembering
EXACT = 2**53  # above it not every whole number is a double
TIME_FIELDS = frozenset({"eventTime", "collectedAt", "windowStart", "windowEnd", "occurredAt"})
_encoder = msgspec.json.Encoder(order="sorted")


def digest_of(body: dict[str, Any]) -> bytes:
    """Return the SHA-256 of what a body says."""
    said = {key: value for key, value in body.items() if key != "meta"} if "meta" in body else body
    return hashlib.sha256(_encoder.encode(_canonical_object(said))).digest()


def _canonical_object(body: dict[str, Any]) -> dict[str, Any]:
    """Return an object in its one form. Plain text first, and few calls: this runs for each field of each event."""
    said = {}
    for key, value in body.items():
        if value is None:
            continue
        kind = type(value)
        if kind is str:
            said[key] = _instant(value) if key in TIME_FIELDS else value
        elif kind is float or kind is int:
            said[key] = _number(value)
        else:
            said[key] = _canonical(value)
    return said


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return _canonical_object(value)
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    if isinstance(value, float | int) and not isinstance(value, bool):
        return _number(value)
    return value


def _number(value: float) -> Any:
    """Return 245.0 as 245, and what a double cannot keep to the last digit as the double it is nearest to."""
    if not -EXACT < value < EXACT:
        return repr(float(value))
    return int(value) if type(value) is float and value.is_integer() else value


def _instant(text: str) -> str:
    """Return a time in UTC, or the text as it is when it is no time with an offset."""
    return _known_instant(text) if len(text) <= LONGEST_TIME else _read_instant(text)


def _read_instant(text: str) -> str:
    try:
        moment = msgspec.convert(text, datetime)
        if moment.tzinfo is None:
            return text
        return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat()
    except (msgspec.ValidationError, OverflowError):  # the first and last hours of the calendar have no UTC
        return text


_known_instant = lru_cache(maxsize=1024)(_read_instant)  # a reading repeats the time of its event
