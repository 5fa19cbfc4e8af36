"""Prepared statements for the hot paths.

Django sends parameters inside the text of a statement, so PostgreSQL plans it every time; for the two statements of a
reading, planning costs more than running them. Here they are prepared once for each connection.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections


def columns_of(row: str, types: Mapping[str, str]) -> str:
    """Return the columns that a JSON array in SQL stands for, one type for each of its places; null is NULL.

    An array costs half as much to read as an object, which repeats the names in every row.
    """
    return ", ".join(
        f"nullif({row}->{place}, 'null') AS {name}" if kind == "jsonb" else f"({row}->>{place})::{kind} AS {name}"
        for place, (name, kind) in enumerate(types.items())
    )


def fetch_all(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement on Django's connection, in its transaction if there is one, prepared; return the rows."""
    connection = connections[DEFAULT_DB_ALIAS]  # looked up once: the usual proxy does so for each attribute
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(statement, values, prepare=True).fetchall()
