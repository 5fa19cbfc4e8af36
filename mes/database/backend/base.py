"""The connection: Django's own, with a health check that mostly costs no statement.

Django asks `SELECT 1` before the first statement of each request; for a reading, that would be one of three. A server
that goes away closes its connections, which the socket tells at once: it has something to read though nothing was
asked. Only what closes nothing (a cable, a host without power) stays unseen, so the server is still asked now and then.
"""

import select
from collections.abc import Sequence
from time import monotonic
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

PROOF_LASTS = 1.0  # seconds in which a silent socket is enough


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    proven_at = float("-inf")
    prepared: dict[tuple[bytes, tuple[int, ...]], bytes]  # by statement and types of its values: its name

    def get_connection_params(self) -> dict[str, Any]:
        """Return what to connect with: prepared statements are planned once, not five times more for their values."""
        parameters = super().get_connection_params()
        options = f"{parameters.get('options', '')} -c plan_cache_mode=force_generic_plan"
        return {**parameters, "options": options.strip()}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; nothing is prepared yet."""
        self.prepared = {}
        return super().get_new_connection(conn_params)

    def fetch_prepared(self, query: bytes, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement with $1, $2 … in the transaction if there is one, prepared; return its rows.

        libpq is called past psycopg's cursor, which would take an eighth of the web's time for a reading. Raises what
        Django raises; a statement that returns no rows at all is none for here.
        """
        self.close_if_health_check_failed()
        self.ensure_connection()
        self.validate_no_broken_transaction()
        with self.wrap_database_errors:
            self._begin_if_due()
            adapt = Transformer(self.connection)
            given = adapt.dump_sequence(values, [PyFormat.AUTO] * len(values))
            name = self._name_of(query, adapt.types or ())
            result = self.connection.pgconn.exec_prepared(name, given, adapt.formats)
            self._check(result, ExecStatus.TUPLES_OK)
            adapt.set_pgresult(result)
            return adapt.load_rows(0, result.ntuples, tuple)

    def _begin_if_due(self) -> None:
        """Begin a transaction where psycopg would do so before the first statement."""
        pgconn = self.connection.pgconn
        if not self.connection.autocommit and pgconn.transaction_status == TransactionStatus.IDLE:
            self._check(pgconn.exec_(b"BEGIN"), ExecStatus.COMMAND_OK)

    def _name_of(self, query: bytes, types: tuple[int, ...]) -> bytes:
        """Return the name under which a statement is prepared on this connection; prepare it the first time."""
        name = self.prepared.get((query, types))
        if name is None:
            name = b"fetch_%d" % len(self.prepared)
            self._check(self.connection.pgconn.prepare(name, query, types), ExecStatus.COMMAND_OK)
            self.prepared[query, types] = name
        return name

    def _check(self, result: PGresult, expected: ExecStatus) -> None:
        if result.status == expected:
            return
        if self.connection.pgconn.status == ConnStatus.BAD:
            raise psycopg.OperationalError(result.get_error_message())
        raise psycopg.errors.error_from_result(result, self.connection.info.encoding)

    def is_usable(self) -> bool:
        """Whether statements can be sent. After errors, and when the last proof is old, the server is asked."""
        if not self.errors_occurred and monotonic() < self.proven_at + PROOF_LASTS and self._is_silent():
            return True
        if not super().is_usable():
            return False
        self.proven_at = monotonic()
        return True

    def _is_silent(self) -> bool:
        """Whether nothing came that was not asked for: neither a farewell nor the end of the stream."""
        if self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0)
