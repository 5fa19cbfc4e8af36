"""Sameness: when two messages say the same.

The digest is over the decoded body without `meta`: keys sorted, times as instants, 245 = 245.0, null = absent.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

EXACT = 2**53  # above it not every whole number is a double
TIME_FIELDS = frozenset({"eventTime", "collectedAt", "windowStart", "windowEnd", "occurredAt"})
_encoder = msgspec.json.Encoder(order="sorted")


def digest_of(body: dict[str, Any]) -> bytes:
    """Return the SHA-256 of what a body says."""
    said = {key: value for key, value in body.items() if key != "meta"}
    return hashlib.sha256(_encoder.encode(_canonical(said))).digest()


def _canonical(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _canonical(inner, key) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    if isinstance(value, float | int) and not isinstance(value, bool):
        return _number(value)
    if name in TIME_FIELDS and isinstance(value, str):
        return _instant(value)
    return value


def _number(value: float) -> Any:
    """Return 245.0 as 245, and what a double cannot keep to the last digit as the double it is nearest to."""
    if abs(value) >= EXACT:
        return repr(float(value))
    return int(value) if isinstance(value, int) or value.is_integer() else value


def _instant(text: str) -> str:
    """Return a time in UTC, or the text as it is when it is no time with an offset."""
    try:
        moment = msgspec.convert(text, datetime)
        return text if moment.tzinfo is None else moment.astimezone(UTC).isoformat()
    except (msgspec.ValidationError, OverflowError):  # the first and last hours of the calendar have no UTC
        return text
