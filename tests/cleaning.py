"""Removes what a test has committed: only from the tables that hold something, and back to what migrations made.

Django's own way truncates every table with all its partitions and indexes, and then makes permissions, groups and
schedules anew: a fifth of a second after each test.
"""

from django.db import connection, transaction

TABLES = """
    SELECT quote_ident(relname) FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
     ORDER BY relname
"""


def tables() -> list[str]:
    """Return the names of all tables, of partitioned ones only the whole."""
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        return [name for (name,) in cursor.fetchall()]


class Cleaner:
    """Knows the rows of the fresh database that the connection has."""

    def __init__(self) -> None:
        self.tables = tables()
        self.rows = {table: read(table) for table in self._filled()}

    def clean(self) -> None:
        """Give every table the rows again that it had."""
        changed = [table for table in self._filled() if table not in self.rows]
        changed += [table for table, rows in self.rows.items() if read(table) != rows]
        if not changed:
            return
        with transaction.atomic(), connection.cursor() as cursor:  # foreign keys are checked at its end
            cursor.execute("; ".join(f"DELETE FROM {table}" for table in changed))
            for table in self.rows.keys() & set(changed):
                with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                    copy.write(self.rows[table])

    def _filled(self) -> list[str]:
        """Return the tables that hold anything."""
        with connection.cursor() as cursor:
            cursor.execute(
                " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in self.tables)
            )
            return sorted(name for (name,) in cursor.fetchall())


def read(table: str) -> bytes:
    """Return the rows of a table as PostgreSQL copies them."""
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} TO STDOUT") as copy:
        return b"".join(copy)
