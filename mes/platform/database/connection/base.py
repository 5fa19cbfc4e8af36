"""The connection: Django's own, which prepares the statements of the hot paths and mostly checks itself without asking.

Django asks `SELECT 1` before the first statement of each request; for a reading, that would be one of three. A server
that goes away closes its connections, which the socket tells at once: it has something to read though nothing was
asked. Only what closes nothing (a cable, a host without power) stays unseen, so the server is still asked now and then.
"""

import select
from collections.abc import Sequence
from functools import lru_cache
from time import monotonic
from typing import Any, Self

import psycopg
from django.db.backends.postgresql import base, operations
from psycopg.adapt import AdaptersMap
from psycopg.pq import Format, TransactionStatus

from mes.platform.database.authorship import sign
from mes.platform.database.connection.instants import InstantLoader

PROOF_LASTS = 1.0  # seconds in which a silent socket is enough
OUTDATED = (  # what a prepared statement fails with before it does anything
    psycopg.errors.FeatureNotSupported,  # its tables were altered: "cached plan must not change result type"
    psycopg.errors.InvalidSqlStatementName,  # the server's session was reset, by a pooler perhaps
)
_encoded = lru_cache(maxsize=128)(str.encode)  # psycopg looks a statement up by its bytes: hashing new ones takes 6 µs


class PreparedCursor(psycopg.RawCursor[tuple[Any, ...]]):
    """A cursor for statements with $1, $2 …, which are prepared when the connection runs them for the first time.

    Django's connections prepare nothing: their `prepare_threshold` is None. Here it is set while a statement runs, and
    no longer: psycopg would keep the texts of all other statements to count them, and forget what is prepared at every
    rollback to a savepoint, so that the event after a refused one would be planned anew.
    """

    is_outdated = False  # whether something prepared fails, and could not be forgotten yet

    def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = True, binary: bool | None = None
    ) -> Self:
        """Run a statement, prepared. Raises what any cursor of psycopg would.

        Outside a transaction, an outdated statement is prepared anew and run again. Within one it fails, because the
        transaction is lost, and is prepared anew afterwards.
        """
        before, self.connection.prepare_threshold = self.connection.prepare_threshold, 0
        try:
            if self.is_outdated:
                self._forget()
            try:
                return super().execute(_encoded(query), params, prepare=prepare, binary=binary)
            except OUTDATED:
                self.is_outdated = True
                if self.connection.info.transaction_status != TransactionStatus.IDLE:
                    raise
                self._forget()
                return super().execute(_encoded(query), params, prepare=prepare, binary=binary)
        finally:
            self.connection.prepare_threshold = before

    def _forget(self) -> None:
        super().execute("DEALLOCATE ALL", prepare=False)
        self.is_outdated = False


class DatabaseOperations(operations.DatabaseOperations):
    """What differs between databases."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> Any:
        """Return what `connection.queries` shows: of a prepared statement its text, since psycopg does not keep it."""
        return sql if isinstance(cursor, PreparedCursor) else super().last_executed_query(cursor, sql, params)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    ops_class = DatabaseOperations
    proven_at = float("-inf")
    prepared_cursor: PreparedCursor | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute_wrappers.append(sign)

    def get_connection_params(self) -> dict[str, Any]:
        """Return what to connect with: prepared statements are planned once, not five times more for their values, and
        instants are read the short way.
        """
        parameters = super().get_connection_params()
        options = f"{parameters.get('options', '')} -c plan_cache_mode=force_generic_plan"
        adapters = AdaptersMap(parameters["context"])
        if self.timezone is InstantLoader.timezone:
            adapters.register_loader("timestamptz", InstantLoader)
        return {**parameters, "options": options.strip(), "context": adapters}

    def fetch_prepared(self, query: str, values: Sequence[Any], *, binary: bool = False) -> list[tuple[Any, ...]]:
        """Run a statement with $1, $2 … in the transaction if there is one, prepared; return its rows.

        Like any statement of Django it passes `execute_wrapper` and is noted in `queries`. Raises Django's errors, also
        for a statement that returns no rows at all. The cursor is kept, because making one costs as much as it does.
        `binary` is for what returns many rows: the server need not write them as text, and times are made by psycopg
        itself.
        """
        self.close_if_health_check_failed()
        self.ensure_connection()
        kept: Any = self.prepared_cursor
        self.prepared_cursor = None  # whatever else is run meanwhile, by a wrapper perhaps, gets another
        if kept is None or kept.connection is not self.connection:
            kept = PreparedCursor(self.connection)
        try:
            kept.format = Format.BINARY if binary else Format.TEXT
            cursor = self.make_debug_cursor(kept) if self.queries_logged else self.make_cursor(kept)
            cursor.execute(query, values)
            with self.wrap_database_errors:
                rows: list[tuple[Any, ...]] = kept.fetchall()
            return rows
        finally:
            self.prepared_cursor = kept

    def rollback(self) -> None:
        """Roll back, and keep what is prepared: psycopg's own rollback forgets it, and has nothing left to do here."""
        self.validate_no_atomic_block()
        kept = self.prepared_cursor
        if kept is not None and kept.connection is self.connection and not kept.is_outdated:
            with self.wrap_database_errors:
                self.connection.execute("ROLLBACK")
        super().rollback()

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
