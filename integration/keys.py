"""Sameness: when two messages say the same.

The digest is over the decoded body without `meta`: keys sorted, times as instants, 245 = 245.0, null = absent.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

DEVICE_DATA = "device-data"

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
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if name in TIME_FIELDS and isinstance(value, str):
        return _instant(value)
    return value


def _instant(text: str) -> str:
    """Return a time in UTC, or the text as it is when it is no time with an offset."""
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return text
    return text if moment.tzinfo is None else moment.astimezone(UTC).isoformat()
