"""Passwords are hashed one at a time on a machine: guessing must not take the line's processors and threads."""

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

LONGEST_WAIT = 2.0  # seconds; a hash takes some tenths
MOST_WAITING = 1  # threads that wait serve nobody else meanwhile
RETRY_AFTER_SECONDS = 2

_turn = threading.Lock()
_room = threading.BoundedSemaphore(1 + MOST_WAITING)


class HashingBusy(Exception):
    """Others are signing in; nothing was checked. To be tried again after `RETRY_AFTER_SECONDS`."""


@contextmanager
def _in_turn() -> Iterator[None]:
    if not _room.acquire(blocking=False):
        raise HashingBusy
    try:
        if not _turn.acquire(timeout=LONGEST_WAIT):
            raise HashingBusy
        try:
            with _turn_among_processes():
                yield
        finally:
            _turn.release()
    finally:
        _room.release()


@contextmanager
def _turn_among_processes() -> Iterator[None]:
    """Wait for the turn among the processes of the installation: each would take a processor of its own."""
    with ExitStack() as stack:
        with suppress(OSError):  # a full disk keeps nobody from signing in
            lock = stack.enter_context((settings.DATA_DIR / "hashing.lock").open("a"))
            _wait_for(lock)
        yield


def _wait_for(lock: IO[str]) -> None:
    until = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise HashingBusy from None
            time.sleep(0.02)


class OneAtATimeHasher(PBKDF2PasswordHasher):
    """Django's own hasher. In each process one hash is computed, one thread may wait for its turn, others are refused.

    The hash, and so what is kept, is Django's. Checking a password and setting one both come here.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Return the hash. Raises HashingBusy."""
        with _in_turn():
            return super().encode(password, salt, iterations)
