"""Awaiting the body of a request: whole, within its size, and not for ever."""

import asyncio
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from mes.platform.http.gateway.environ import Environ

LEAST_RATE = 16 * 1024  # bytes in each second beyond those that any body may take
IN_MEMORY = 1024 * 1024  # bytes of an upload; a longer one waits in a file


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
            kept = BytesIO()
            await _read_parts(protocol, kept, limit, most, least, deadline)
            return kept.getvalue()
    except TimeoutError:
        raise BodyTooLate from None
    except RuntimeError as error:  # RSGIProtocolError, RSGIProtocolClosed
        raise BodyCutOff from error


async def spool(protocol: Any, length: int | None, *, limit: int, most: int, seconds: float) -> tuple[IO[bytes], int]:
    """Like `read`, into a temporary file: return it, at its beginning, and how many bytes it has."""
    least = asyncio.get_running_loop().time() + seconds
    kept: Any = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - whoever gets it closes it
    try:
        async with asyncio.timeout_at(least + (length or 0) / LEAST_RATE) as deadline:
            size = await _read_parts(protocol, kept, limit, most, least, deadline)
    except TimeoutError:
        kept.close()
        raise BodyTooLate from None
    except RuntimeError as error:
        kept.close()
        raise BodyCutOff from error
    kept.seek(0)
    return kept, size


async def _read_parts(
    protocol: Any, kept: IO[bytes], limit: int, most: int, least: float, deadline: asyncio.Timeout
) -> int:
    """Read until the end, or beyond `most` bytes; keep what is within the limit and one byte more. Return how many are
    kept.

    The server tells an end and an error alike by an empty part; after that of an error comes another one.
    """
    size, came = 0, 0
    has_ended = False
    async for part in protocol:
        if has_ended:
            raise BodyCutOff
        has_ended = not part
        came += len(part)
        size += kept.write(part[: limit + 1 - size])
        if came > most:
            break
        deadline.reschedule(least + came / LEAST_RATE)
    return size
