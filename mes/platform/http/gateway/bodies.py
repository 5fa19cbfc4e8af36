"""Awaiting the body of a request: whole, within its size, and not for ever."""

import asyncio
from typing import Any

from mes.platform.http.gateway.environ import Environ

LEAST_RATE = 16 * 1024  # bytes in each second beyond those that any body may take


class BodyTooLate(Exception):
    """The body did not come in its time."""


class BodyCutOff(Exception):
    """The sender went away in the middle of the body."""


def has_body(environ: Environ) -> bool:
    """Whether a body follows the head of this request."""
    return environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ


def content_length(environ: Environ) -> int | None:
    """Return the number of bytes that the head announces; None for a body in chunks."""
    text = environ.get("CONTENT_LENGTH", "")
    return int(text) if text.isdecimal() and text.isascii() else None


async def read(protocol: Any, length: int | None, *, limit: int, most: int, seconds: float) -> bytes:
    """Return the body; of one that is longer the first `limit` + 1 bytes, after the others are read away, of `most` at
    most: who is still sending would not read that it was too much, but find the connection broken.

    `length` is what the head announces in bytes; None for a body in chunks. Raises BodyTooLate when it takes longer
    than `seconds` and another one for each LEAST_RATE bytes, BodyCutOff when the sender goes away.
    """
    least = asyncio.get_running_loop().time() + seconds
    try:
        async with asyncio.timeout_at(least + (length or 0) / LEAST_RATE) as deadline:
            if length is not None and length <= limit:
                body: bytes = await protocol()
                return body
            return await _read_parts(protocol, limit, most, least, deadline)
    except TimeoutError:
        raise BodyTooLate from None
    except RuntimeError as error:  # RSGIProtocolError, RSGIProtocolClosed
        raise BodyCutOff from error


async def _read_parts(protocol: Any, limit: int, most: int, least: float, deadline: asyncio.Timeout) -> bytes:
    """Read until the end, or beyond `most` bytes; keep what is within the limit and one byte more.

    The server tells an end and an error alike by an empty part; after that of an error comes another one.
    """
    body, came = bytearray(), 0
    has_ended = False
    async for part in protocol:
        if has_ended:
            raise BodyCutOff
        has_ended = not part
        came += len(part)
        body += part[: limit + 1 - len(body)]
        if came > most:
            break
        deadline.reschedule(least + came / LEAST_RATE)
    return bytes(body)
