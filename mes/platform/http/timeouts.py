"""No request holds the database for ever: set on each connection of the web server, and on no other's.

A migration or the nightly retention may take its time; a request that does is broken, and holds locks that the line
waits for.
"""

from typing import Any

from django.conf import settings
from django.db.backends.signals import connection_created

SET = "SELECT set_config('statement_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false)"


def limit_requests() -> None:
    """Have every connection that this process opens from now on give up what takes too long."""
    connection_created.connect(limit, dispatch_uid="mes.platform.http.timeouts")


def limit(connection: Any, **kwargs: Any) -> None:
    """Set the limits; the database then ends the statement, or the session of a transaction nobody goes on with."""
    seconds = settings.MES_STATEMENT_TIMEOUT.total_seconds()
    if seconds:
        with connection.cursor() as cursor:
            cursor.execute(SET, [f"{seconds:.0f}s", f"{2 * seconds:.0f}s"])
