"""One row by what names it, or the refusal that says there is none."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from django.db.models import QuerySet

from mes.errors import DomainError

Row_co = TypeVar("Row_co", covariant=True)


class Rows(Protocol[Row_co]):
    """A manager or a query set, of instances or of values."""

    def filter(self, *args: Any, **kwargs: Any) -> QuerySet[Any, Row_co]:
        """Return the rows that match."""


def get_or_raise(rows: Rows[Row_co], error: Callable[..., DomainError], /, **lookup: Any) -> Row_co:
    """Return the first row that matches, in one statement.

    `error` is the class of the refusal, or a partial of it; it gets the value of the (last) lookup as `code`.
    """
    row = rows.filter(**lookup).first()
    if row is None:
        raise error(code=list(lookup.values())[-1])
    return row
