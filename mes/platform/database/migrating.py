"""One migration at a time: two machines that start a new release at once both succeed, the second finding it done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

LOCK = 0x4C4B4D49  # "LKMI"
POLL_SECONDS = 0.5


@contextmanager
def only_one(connection: BaseDatabaseWrapper, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of migrations, which the server takes back if this process dies; wait for it as long as it takes.

    It is asked for again and again. Waiting inside of PostgreSQL would be a statement with a snapshot, for the end of
    which an index that is built concurrently by the other would wait in turn.
    """
    waiting = False
    while not _ask(connection, "SELECT pg_try_advisory_lock(%s)"):
        if not waiting:
            say("Another process migrates the database; waiting for it …")
        waiting = True
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            _ask(connection, "SELECT pg_advisory_unlock(%s)")


def _ask(connection: BaseDatabaseWrapper, statement: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, [LOCK])
        return bool(cursor.fetchone()[0])
