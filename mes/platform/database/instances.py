"""Instances of models from the rows of a prepared statement, for pages that need their methods and labels.

What the ORM would read costs it a millisecond of compiling for each statement, which for a page is most of it.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

M = TypeVar("M", bound=Model)


class Columns(Generic[M]):
    """The columns of a model's table in a statement that calls it `alias`; those left out are read when asked for."""

    def __init__(self, model: type[M], alias: str, *, without: Collection[str] = ()) -> None:
        self.model = model
        self.fields = [field for field in model._meta.concrete_fields if field.attname not in without]
        self.names = [field.attname for field in self.fields]
        self.sql = ", ".join(f"{alias}.{field.column}" for field in self.fields)
        self._decoded = [
            (place, field.from_db_value) for place, field in enumerate(self.fields) if hasattr(field, "from_db_value")
        ]
        self._key = self.names.index(str(model._meta.pk.attname))

    def __len__(self) -> int:
        return len(self.fields)

    def __str__(self) -> str:
        return self.sql

    def make(self, values: Sequence[Any]) -> M | None:
        """Return the instance of these values, as the ORM would; None where an outer join found no row."""
        if values[self._key] is None:
            return None
        if self._decoded:
            values = list(values)
            for place, decode in self._decoded:
                values[place] = decode(values[place], None, connections[DEFAULT_DB_ALIAS])
        return self.model.from_db(DEFAULT_DB_ALIAS, self.names, values)


def instances(row: Sequence[Any], *parts: Columns[Any]) -> Iterator[Any]:
    """Yield what a row begins with, in the order in which the statement selects it."""
    place = 0
    for part in parts:
        yield part.make(row[place : place + len(part)])
        place += len(part)
