"""The connection: Django's own, with a health check that mostly costs no statement.

Django asks `SELECT 1` before the first statement of each request; for a reading, that would be one of three. A server
that goes away closes its connections, which the socket tells at once: it has something to read though nothing was
asked. Only what closes nothing (a cable, a host without power) stays unseen, so the server is still asked now and then.
"""

import select
from collections.abc import Iterator, Sequence
from itertools import count
from time import monotonic
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.adapt import PyFormat, Transformer
from psycopg.generators import execute
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

PROOF_LASTS = 1.0  # seconds in which a silent socket is enough


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    proven_at = float("-inf")
    prepared: dict[tuple[bytes, tuple[int, ...]], bytes]  # by statement and types of its values: its name
    _numbers: Iterator[int]  # for such names

    def get_connection_params(self) -> dict[str, Any]:
        """Return what to connect with: prepared statements are planned once, not five times more for their values."""
        parameters = super().get_connection_params()
        options = f"{parameters.get('options', '')} -c plan_cache_mode=force_generic_plan"
        return {**parameters, "options": options.strip()}

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; nothing is prepared yet."""
        self.prepared = {}
        self._numbers = count()
        return super().get_new_connection(conn_params)

    def fetch_prepared(self, query: bytes, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement with $1, $2 … in the transaction if there is one, prepared; return its rows.

        It goes past psycopg's cursor, which would take a tenth of the web's time for a reading. Adapting, errors, and
        waiting, which signals interrupt, are psycopg's. A statement that returns no rows at all is none for here.
        """
        self.close_if_health_check_failed()
        self.ensure_connection()
        self.validate_no_broken_transaction()
        with self.wrap_database_errors:
            pgconn = self.connection.pgconn
            if not self.connection.autocommit and pgconn.transaction_status == TransactionStatus.IDLE:
                pgconn.send_query(self.connection._get_tx_start_command())
                self._result(ExecStatus.COMMAND_OK)
            adapt = Transformer(self.connection)
            given = adapt.dump_sequence(values, [PyFormat.AUTO] * len(values))
            result = self._run(query, adapt.types or (), given, adapt.formats)
            adapt.set_pgresult(result)
            return adapt.load_rows(0, result.ntuples, tuple)

    def _run(self, query: bytes, types: tuple[int, ...], given: Sequence[Any], formats: Any) -> PGresult:
        pgconn = self.connection.pgconn
        name = self.prepared.get((query, types))
        if name is None:
            name = b"fetch_%d" % next(self._numbers)  # never again: an interrupted one may be known to the server
            pgconn.send_prepare(name, query, types)
            self._result(ExecStatus.COMMAND_OK)
            self.prepared[query, types] = name
        pgconn.send_query_prepared(name, given, formats)
        try:
            return self._result(ExecStatus.TUPLES_OK)
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName):
            del self.prepared[query, types]  # its tables were changed, or the server was made to forget it
            raise

    def _result(self, expected: ExecStatus) -> PGresult:
        """Wait for the result of what was sent. Raises what psycopg's cursor would."""
        results = self.connection.wait(execute(self.connection.pgconn))
        for result in results:  # of several, the first says why the server ended the session
            if result.status != expected:
                raise psycopg.errors.error_from_result(result, self.connection.info.encoding)
        return results[0]

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
