"""Passwords are hashed one at a time: guessing must not take the line's processors and threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

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
            yield
        finally:
            _turn.release()
    finally:
        _room.release()


class OneAtATimeHasher(PBKDF2PasswordHasher):
    """Django's own hasher. In each process one hash is computed, one thread may wait for its turn, others are refused.

    The hash, and so what is kept, is Django's. Checking a password and setting one both come here.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Return the hash. Raises HashingBusy."""
        with _in_turn():
            return super().encode(password, salt, iterations)
