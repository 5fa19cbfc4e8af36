"""A handler that hangs must not stop the worker for ever."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class EventTooSlow(KeyboardInterrupt):
    """An event took longer than it may.

    Like Ctrl-C it passes through `except Exception`, and makes psycopg cancel the statement it waits for.
    """


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise EventTooSlow in the block after so long. Only in the main thread, the one that signals reach.

    A limit within another goes by the shorter of the two; the outer one goes on afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise EventTooSlow(f"It took longer than {seconds:g} s.")

    began = time.monotonic()
    remaining, _interval = signal.getitimer(signal.ITIMER_REAL)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, remaining or seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        rest = remaining - (time.monotonic() - began)
        if rest > 0:
            signal.setitimer(signal.ITIMER_REAL, rest)
