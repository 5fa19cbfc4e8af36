"""Instants as they come from the server, read by the standard library instead of a pattern."""

from datetime import UTC, datetime, tzinfo
from typing import ClassVar

from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.datetime import TimestamptzLoader


class InstantLoader(Loader):
    """Reads timestamptz of a connection whose time zone is UTC.

    That of psycopg, which Django's derives from, takes 6 µs where this takes 0.4: a list of two hundred machine events
    has 1,400 of them.
    """

    timezone: ClassVar[tzinfo] = UTC  # which Django asks a loader for

    def load(self, data: Buffer) -> datetime:
        """Return the instant in UTC. Raises DataError for what no datetime can hold."""
        try:
            instant = datetime.fromisoformat(str(data, "ascii"))
        except ValueError:  # infinity, years before 1 and after 9999
            return self._load_slowly(data)
        return instant if instant.tzinfo is UTC else self._load_slowly(data)

    def _load_slowly(self, data: Buffer) -> datetime:
        """As psycopg does: sessions that were given another time zone are read too."""
        return TimestamptzLoader(self.oid, self.connection).load(data).astimezone(UTC)
