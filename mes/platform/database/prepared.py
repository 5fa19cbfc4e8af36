"""Prepared statements for the hot paths.

Django sends parameters inside the text of a statement, so PostgreSQL plans it every time; for the two statements of a
reading, planning costs more than running them. Here they are prepared once for each connection.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import msgspec
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.types.json import Jsonb

from mes.platform.database.connection.base import DatabaseWrapper

_NAME = re.compile(r"%\((\w+)\)s")


def columns_of(row: str, types: Mapping[str, str], *, first: int = 0) -> str:
    """Return the columns that a JSON array in SQL stands for, one type for each of its places from `first` on; null is
    NULL.

    An array costs half as much to read as an object, which repeats the names in every row.
    """
    return ", ".join(
        f"nullif({row}->{place}, 'null') AS {name}" if kind == "jsonb" else f"({row}->>{place})::{kind} AS {name}"
        for place, (name, kind) in enumerate(types.items(), first)
    )


def as_json(value: Any) -> Jsonb:
    """Return what a parameter of type jsonb is given: the value is encoded once, and goes to the server as it is."""
    return Jsonb(value, dumps=msgspec.json.encode)


@lru_cache(maxsize=128)
def numbered(statement: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement with $1, $2 … in the place of its %(names)s, and the names in that order.

    psycopg would number a statement longer than 4 KiB each time it runs.
    """
    names = tuple(dict.fromkeys(_NAME.findall(statement)))
    return _NAME.sub(lambda match: f"${names.index(match[1]) + 1}", statement), names


def fetch_all(statement: str, values: Mapping[str, Any], *, binary: bool = False) -> list[tuple[Any, ...]]:
    """Run a statement on Django's connection, in its transaction if there is one, prepared; return the rows.

    `binary` is for many rows. They are what they would be otherwise, but that JSON comes decoded.
    """
    query, names = numbered(statement)
    connection = cast(DatabaseWrapper, connections[DEFAULT_DB_ALIAS])  # once: the usual proxy looks for each attribute
    return connection.fetch_prepared(query, [values[name] for name in names], binary=binary)
