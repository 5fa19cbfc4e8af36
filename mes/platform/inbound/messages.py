"""What comes in, and what becomes of it."""

from functools import cache
from typing import Any

import msgspec

from mes.errors import DomainError
from mes.platform.http import parsing

KEPT_RAW_BYTES = 64 * 1024


class Message(msgspec.Struct, frozen=True, gc=False):
    """A well-formed message: its key, what tells a repeat from a conflict, and the system that sent it.

    The payload is decoded, or JSON word for word (`msgspec.Raw`).
    """

    key: str
    digest: bytes
    system: str
    payload: Any

    def decoded(self) -> Any:
        """Return the payload decoded."""
        return parsing.decode(bytes(self.payload)) if isinstance(self.payload, msgspec.Raw) else self.payload


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message that was taken in: what its sender is answered, and the id of the row that was made of it.

    A repeat gets the answer of the first time, as a duplicate.
    """

    answer: Any
    record_id: int
    is_duplicate: bool


Outcome = Received | DomainError


class KeptRefusal(msgspec.Struct, frozen=True, gc=False):
    """A refusal of a message that is kept already, in the transaction that found it."""

    error: DomainError


def raw_payload(raw: bytes) -> dict[str, str]:
    """Return what can be kept as JSON of a body that is not well-formed: its beginning, as text."""
    text = raw[:KEPT_RAW_BYTES].decode("utf-8", "replace")
    return {"raw": text.replace("\x00", "\N{REPLACEMENT CHARACTER}")}


def key_in(raw: bytes, name: str) -> str | None:
    """Return the key that a body carries under a name, which may be malformed otherwise: nothing else is decoded."""
    try:
        key: str = _key_decoder(name).decode(raw).key
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return key if key.isprintable() else None


@cache
def _key_decoder(name: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(msgspec.defstruct("Keyed", [("key", str)], rename={"key": name}))
