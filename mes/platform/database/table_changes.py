"""Changes of tables that others are using: a lock is waited for only for a moment, and asked for again.

A change of a table locks everybody else out, and PostgreSQL has whoever comes later wait behind whoever waits. A change
that waited for a backup to end would stop every line.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

T = TypeVar("T")

LOCK_TIMEOUT = "200ms"  # whoever comes after us waits for as long as we do
TRIES = 10
PAUSE = 0.5  # seconds between two tries, in which the others are let through
_LOCK_NOT_AVAILABLE = "55P03"


def change_tables(change: Callable[[CursorWrapper], T]) -> T:
    """Call `change` in a transaction in which no lock is waited for longer than LOCK_TIMEOUT; return what it returns.

    Where a lock could not be had, it is called again, from the beginning. Raises OperationalError (lock_not_available)
    when the tables were in use all the time, as by a backup.
    """
    for _attempt in range(TRIES - 1):
        try:
            return _change(change)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            time.sleep(PAUSE)
    return _change(change)


def _change(change: Callable[[CursorWrapper], T]) -> T:
    with transaction.atomic(), connection.cursor() as cursor:
        limit_lock_wait(LOCK_TIMEOUT)
        return change(cursor)


def limit_lock_wait(timeout: str) -> None:
    """Have the statements of this transaction give up waiting for a lock after so long, such as "5s"."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [timeout])
