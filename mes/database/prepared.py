"""Prepared statements for the hot paths.

Django sends parameters inside the text of a statement, so PostgreSQL plans it every time; for the two statements of a
reading, planning costs more than running them. Here they are prepared once for each connection.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections


def fetch_all(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement on Django's connection, in its transaction if there is one, prepared; return the rows."""
    connection = connections[DEFAULT_DB_ALIAS]  # looked up once: the usual proxy does so for each attribute
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(statement, values, prepare=True).fetchall()
