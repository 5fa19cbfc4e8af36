"""Bodies sent in chunks, without a length. Django takes them for empty; many machine libraries send nothing else."""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import IO, Any

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def accept_chunks(application: Application, *, limit: int) -> Application:
    """Wrap a WSGI application: a chunked body is read up to just beyond `limit` and passed on with its length.

    A longer one is left unread: its length then says that it is too large, and the view refuses it.
    """

    def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        if chunked and not environ.get("CONTENT_LENGTH") and environ.get("wsgi.input_terminated"):
            body = _read(environ["wsgi.input"], limit + 1)
            environ["wsgi.input"] = BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        return application(environ, start_response)

    return wrapped


def _read(stream: IO[bytes], most: int) -> bytes:
    """Read up to `most` bytes; a server may hand out less at a time."""
    parts: list[bytes] = []
    remaining = most
    while remaining and (part := stream.read(remaining)):
        parts.append(part)
        remaining -= len(part)
    return b"".join(parts)
