"""The id of the request that is being answered, or that something came from: log lines and events carry it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

LONGEST = 64
_current: ContextVar[str] = ContextVar("request_id", default="")


def begin(request_id: str) -> None:
    """Begin a request: nothing of the one before stays in the log lines."""
    structlog.contextvars.clear_contextvars()
    take(request_id)


def take(request_id: str) -> None:
    """Go on with what came from a request; "" for what came from none."""
    structlog.contextvars.bind_contextvars(request_id=request_id)
    _current.set(request_id)


def current() -> str:
    """Return the id of the request; "" where there is none."""
    return _current.get()


@contextmanager
def kept_apart() -> Iterator[None]:
    """Let what is taken within hold within."""
    before = _current.get()
    try:
        yield
    finally:
        structlog.contextvars.unbind_contextvars("request_id")
        _current.set(before)
        if before:
            structlog.contextvars.bind_contextvars(request_id=before)
