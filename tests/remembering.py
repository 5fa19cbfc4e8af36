"""Plants that the services make once, and that are then put into the database as they were.

A small plant takes a hundred statements, and a thousand tests begin with one.
"""

import functools
import io
import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from django.conf import UserSettingsHolder, settings
from django.db import connection, transaction
from django.utils import timezone
from psycopg import ClientCursor

from mes.platform.database.prepared import fetch_all
from tests.cleaning import tables

P = ParamSpec("P")
T = TypeVar("T")

PEOPLE = ("auth_user", "auth_user_groups", "mes_devicetoken", "mes_devicetokenstation", "django_session")
TIMESTAMPTZ = 1184

_now = timezone.now
_fresh: dict[str, int] = {}  # the number of rows in each table
_memories: dict[tuple[str, str], "Memory"] = {}


@dataclass
class Memory:
    """What a call wrote and returned. Times since it began are kept as spans."""

    took: timedelta
    statements: list[tuple[str, list[Any]]]
    result: bytes


def take_for_fresh() -> None:
    """Take the database as it is for a fresh one."""
    _fresh.update({table: _count(table) for table in tables() if table not in PEOPLE})
    with connection.cursor() as cursor:  # ids that say of what they are: one of another table is found nowhere
        cursor.execute(
            "SELECT setval(seqrelid, 10000 * row_number() OVER (ORDER BY seqrelid::regclass::text)) FROM pg_sequence"
        )


def remembered(make: Callable[P, T]) -> Callable[P, T]:
    """Have what a factory makes in a fresh database remembered for the next call with the same arguments.

    The rows then have the ids that they had, which no sequence gives again, and times as if they were made now.
    People and tokens may be there before, and are not remembered. It makes no rows where migrations made some.
    """

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> T:
        if timezone.now is not _now or _changed_settings() - {"ALLOWED_HOSTS"} or not _is_fresh():
            return make(*args, **kwargs)
        key = (f"{make.__module__}.{make.__qualname__}", json.dumps([args, kwargs], sort_keys=True))
        if key in _memories:
            return _replay(_memories[key])
        began = timezone.now()
        result = make(*args, **kwargs)
        took = timezone.now() - began
        _memories[key] = Memory(took, list(_insertions(began)), _pickled(result, began))
        return result

    return made


def _replay(memory: Memory) -> Any:
    began = timezone.now() - memory.took  # what was made last was made now, not later

    def moved(value: Any) -> Any:
        return began + value if isinstance(value, timedelta) else value

    with transaction.atomic(), ClientCursor(connection.connection) as cursor:
        texts = [cursor.mogrify(text, [moved(value) for value in values]) for text, values in memory.statements]
        cursor.execute("; ".join(texts).encode())
    return _unpickled(memory.result, began)


def _changed_settings() -> set[str]:
    """Return the names of the settings that a test has changed."""
    names: set[str] = set()
    layer = settings._wrapped
    while isinstance(layer, UserSettingsHolder):
        names |= {name for name in vars(layer) if name.isupper()}
        layer = layer.default_settings
    return names


# --- rows -------------------------------------------------------------------------------------------------


def _is_fresh() -> bool:
    """Whether the database has nothing but what migrations made, and people."""
    differs = " OR ".join(f"(SELECT count(*) FROM {table}) <> {number}" for table, number in _fresh.items())
    return fetch_all(f"SELECT NOT ({differs})", {}) == [(True,)]


def _count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


def _insertions(began: datetime) -> Iterator[tuple[str, list[Any]]]:
    """Yield a statement and its values for each table that has rows which a fresh database has not."""
    for table, before in _fresh.items():
        if _count(table) == before:
            continue
        assert before == 0, f"A remembered factory wrote into {table}, where migrations did."
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table} LIMIT 0")
            names = [(f'"{column.name}"', column.type_code == TIMESTAMPTZ) for column in cursor.description]
            chosen = ", ".join(name if is_time else f"{name}::text" for name, is_time in names)
            cursor.execute(f"SELECT {chosen} FROM {table}")
            rows = cursor.fetchall()
        places = f"({', '.join(['%s'] * len(names))})"
        columns = ", ".join(name for name, _is_time in names)
        text = f"INSERT INTO {table} ({columns}) VALUES {', '.join([places] * len(rows))}"
        yield text, [_as_span(value, began) for row in rows for value in row]


def _as_span(value: Any, began: datetime) -> Any:
    return value - began if isinstance(value, datetime) and value >= began else value


# --- results ----------------------------------------------------------------------------------------------


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, began: datetime) -> None:
        super().__init__(file)
        self.began = began

    def persistent_id(self, value: Any) -> timedelta | None:
        span = _as_span(value, self.began) if isinstance(value, datetime) and value.tzinfo else None
        return span if isinstance(span, timedelta) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, now: datetime) -> None:
        super().__init__(file)
        self.now = now

    def persistent_load(self, span: timedelta) -> datetime:
        return self.now + span


def _pickled(value: Any, began: datetime) -> bytes:
    file = io.BytesIO()
    _Pickler(file, began).dump(value)
    return file.getvalue()


def _unpickled(content: bytes, now: datetime) -> Any:
    return _Unpickler(io.BytesIO(content), now).load()
