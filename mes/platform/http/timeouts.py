"""No request holds the database for ever: set on each connection of the web server, and on no other's.

A migration or the nightly retention may take its time; a request that does is broken, and holds locks that the line
waits for. The server keeps these limits itself. One that hangs keeps none, so the web server can also hang up.
"""

import contextlib
import os
import socket
import threading
from typing import Any

import psycopg
from django.conf import settings
from django.db.backends.signals import connection_created

SET = "SELECT set_config('statement_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false)"


def limit_requests() -> None:
    """Have every connection that this process opens from now on give up what takes too long."""
    connection_created.connect(limit, dispatch_uid="mes.platform.http.timeouts")


_connections: dict[int, psycopg.Connection[Any]] = {}  # the latest of each thread, by its ident


def limit(connection: Any, **kwargs: Any) -> None:
    """Set the limits; the database then ends the statement, or the session of a transaction nobody goes on with."""
    _connections[threading.get_ident()] = connection.connection
    seconds = settings.MES_STATEMENT_TIMEOUT.total_seconds()
    if seconds:
        with connection.cursor() as cursor:
            cursor.execute(SET, [f"{seconds:.0f}s", f"{2 * seconds:.0f}s"])


def hang_up(ident: int) -> None:
    """Cut a thread off from the database: what it waits for fails, as if the server had died. It connects anew."""
    with (
        contextlib.suppress(KeyError, OSError, psycopg.Error),
        socket.socket(fileno=os.dup(_connections[ident].fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)
