"""Changes of tables that others are using: a lock is waited for only for a moment, and asked for again.

A change of a table locks everybody else out, and PostgreSQL has whoever comes later wait behind whoever waits. A change
that waited for a backup to end would stop every line. Those who come and go with a request are waited for; who has been
there for a while is not, for not even the moment would help.
"""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

T = TypeVar("T")

LOCK_TIMEOUT = "200ms"  # whoever comes after us waits for as long as we do
AT_ONCE = "1ms"  # 0 would mean for ever
TRIES = 10
PAUSE = 0.5  # seconds between two tries, in which the others are let through
A_WHILE = 0.1  # seconds after which a transaction that has a lock is taken for one that keeps it
_LOCK_NOT_AVAILABLE = "55P03"


def change_tables(change: Callable[[CursorWrapper], T], *, locks: Iterable[str]) -> T:
    """Call `change` in a transaction in which no lock is waited for longer than LOCK_TIMEOUT; return what it returns.

    `locks` names the tables that it locks against readers. Where a lock could not be had, it is called again, from the
    beginning. Raises OperationalError (lock_not_available) when the tables were in use all the time, as by a backup.
    """
    tables = list(locks)
    for _attempt in range(TRIES - 1):
        try:
            return _change(change, tables)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            time.sleep(PAUSE)
    return _change(change, tables)


def _change(change: Callable[[CursorWrapper], T], tables: list[str]) -> T:
    timeout = AT_ONCE if _are_kept(tables) else LOCK_TIMEOUT
    with transaction.atomic(), connection.cursor() as cursor:
        limit_lock_wait(timeout)
        return change(cursor)


def _are_kept(tables: list[str]) -> bool:
    """Whether somebody has one of the tables in a transaction that lasts for a while.

    How long it has lasted already is seen only by those who may see the sessions of all roles.
    """
    found = _transactions_with(tables)
    if not found:
        return False
    time.sleep(A_WHILE)
    return not found.isdisjoint(_transactions_with(tables))


def _transactions_with(tables: list[str]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.virtualtransaction FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE d.datname = current_database() AND l.pid <> pg_backend_pid() AND l.granted "
            "AND l.relation = ANY (ARRAY(SELECT to_regclass(n) FROM unnest(%s::text[]) n))",
            [tables],
        )
        return {row[0] for row in cursor.fetchall()}


def limit_lock_wait(timeout: str) -> None:
    """Have the statements of this transaction give up waiting for a lock after so long, such as "5s"."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [timeout])
