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


async def read(protocol: Any, length: int | None, *, limit: int, seconds: float) -> bytes:
    """Return the body; of one in chunks that is longer, the first `limit` + 1 bytes.

    `length` is what the head announces in bytes, at most `limit`. Raises BodyTooLate when it takes longer than
    `seconds` and another one for each LEAST_RATE bytes, BodyCutOff when the sender goes away.
    """
    least = asyncio.get_running_loop().time() + seconds
    try:
        async with asyncio.timeout_at(least + (length or 0) / LEAST_RATE) as deadline:
            if length is not None:
                body: bytes = await protocol()
                return body
            return await _read_chunks(protocol, limit, least, deadline)
    except TimeoutError:
        raise BodyTooLate from None
    except RuntimeError as error:  # RSGIProtocolError, RSGIProtocolClosed
        raise BodyCutOff from error


async def _read_chunks(protocol: Any, limit: int, least: float, deadline: asyncio.Timeout) -> bytes:
    """Read until the end or just beyond the limit. The server tells an end and an error alike by an empty part;
    after that of an error comes another one.
    """
    body = bytearray()
    has_ended = False
    async for part in protocol:
        if has_ended:
            raise BodyCutOff
        has_ended = not part
        body += part
        if len(body) > limit:
            return bytes(body[: limit + 1])
        deadline.reschedule(least + len(body) / LEAST_RATE)
    return bytes(body)
