"""The rows that are asked for: a page of them, how many there are, and all of them in parts.

What is found by an index narrows first. A filter that no index knows looks among the `LOOKED_THROUGH` rows that come
first in the list's order. A page is two statements: the ids of its rows by the index, then what is shown of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_
from typing import Any

from django.db.models import Q, QuerySet

from mes.platform.lists.asked import MOST_COUNTED, PAGE_SIZE, Asked, Chosen
from mes.platform.lists.ids_by_time import ids_between
from mes.platform.lists.listing import Column, Row

LOOKED_THROUGH = 100_000
BATCH = 2000  # rows that an export reads at once


@dataclass(frozen=True)
class Page:
    """A page of rows. `count` goes no further than MOST_COUNTED.

    `looked_until` is the time or key of the last row that was looked at, where more would have had to be.
    """

    rows: Sequence[Row]
    count: int
    is_counted: bool
    has_next: bool
    looked_until: Any = None


class Selection:
    """What somebody asks for of a list."""

    def __init__(self, asked: Asked, user: Any) -> None:
        self.asked = asked
        self.listing = asked.listing
        self.seen = self.listing.rows(user)  # whatever is asked for
        self.model = self.seen.model
        self.loose = _all(self._conditions(chosen for chosen in asked.filters if not chosen.filter.is_indexed))
        found = self._conditions(chosen for chosen in asked.filters if chosen.filter.is_indexed)
        self.rows = self._of_period(self.seen.filter(*found))

    def _conditions(self, filters: Iterable[Chosen]) -> list[Q]:
        return [chosen.filter.condition(chosen.value, self.model) for chosen in filters]

    def _of_period(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow rows to the period."""
        period, (since, until) = self.listing.period, self.asked.moments
        if period is None:
            return rows
        if since is not None:
            rows = rows.filter(**{f"{period.field}__gte": since})
        if until is not None:
            rows = rows.filter(**{f"{period.field}__lt": until})
        if not period.is_by_id:
            return rows
        column = str(self.model._meta.get_field(period.field).column)
        first, end = ids_between(self.model._meta.db_table, column, since, until)
        if first is not None:
            rows = rows.filter(pk__gte=first)
        return rows if end is None else rows.filter(pk__lt=end)

    @property
    def order(self) -> list[str]:
        """The columns that the rows are sorted by: what is the same is sorted by id."""
        sign = "-" if self.asked.is_descending else ""
        names = [self.asked.sort.sort]
        return [f"{sign}{name}" for name in (names if _is_id(names[0]) else [*names, "pk"])]

    # --- a page ------------------------------------------------------------------------------------------------

    def page(self) -> Page:
        """Return the page that is asked for."""
        rows, looked_until = self._looked_through()
        start = (self.asked.page - 1) * PAGE_SIZE
        ids = list(rows.order_by(*self.order).values_list("pk", flat=True)[start : start + PAGE_SIZE + 1])
        count = rows.order_by()[: MOST_COUNTED + 1].count()
        shown = self.load(ids[:PAGE_SIZE])
        return Page(shown, min(count, MOST_COUNTED), count <= MOST_COUNTED, len(ids) > PAGE_SIZE, looked_until)

    def _looked_through(self) -> tuple[QuerySet[Any], Any]:
        """Return the rows with all filters, and where looking ended before the end of the list."""
        if self.loose is None:
            return self.rows, None
        if self.listing.is_small:
            return self.rows.filter(self.loose), None
        key = self.order[0].removeprefix("-")
        # Of so many only what the index has; the time of the last is read by itself.
        last = self.rows.order_by(*self.order).values_list(key, "pk")[LOOKED_THROUGH : LOOKED_THROUGH + 1]
        for value, pk in last:
            side = "gte" if self.asked.is_descending else "lte"
            return self.rows.filter(**{f"{key}__{side}": value}).filter(self.loose), self._time_of(pk) or value
        return self.rows.filter(self.loose), None

    def _time_of(self, pk: int) -> datetime | None:
        period = self.listing.period
        return self.rows.filter(pk=pk).values_list(period.field, flat=True).first() if period else None

    def load(self, ids: Sequence[int], columns: Sequence[Column] | None = None) -> list[Row]:
        """Return what columns show of some rows, in the order of their ids here."""
        columns = self.asked.columns if columns is None else columns
        loaded: Iterable[Row]
        if self.listing.load is not None:
            loaded = self.listing.load(ids)
        else:
            paths = {path for column in columns for path in column.paths}
            loaded = self.seen.filter(pk__in=ids).order_by().values("id", *sorted(paths - {"id"}))
        by_id = {row["id"]: row for row in loaded}
        return [by_id[pk] for pk in ids if pk in by_id]

    # --- all of it ---------------------------------------------------------------------------------------------

    def count_to(self, most: int) -> int:
        """Return how many there are by the filters that an index knows, at most one more than `most`."""
        return self.rows.order_by()[: most + 1].count()

    def every(self) -> Iterator[Row]:
        """Yield all rows, read in parts: nothing is held in between, neither a transaction nor a cursor.

        Rows that come meanwhile are left out where they would be at the end.
        """
        for ids in self._parts():
            yield from self.load(self._matching(ids))

    def _matching(self, ids: Sequence[int]) -> Sequence[int]:
        """Return those of a part that the other filters let through."""
        if self.loose is None or not ids:
            return ids
        kept = set(self.rows.filter(pk__in=ids).filter(self.loose).order_by().values_list("pk", flat=True))
        return [pk for pk in ids if pk in kept]

    def _parts(self) -> Iterator[Sequence[int]]:
        if self.listing.is_small:  # may be sorted by what has no end to go on from, and is few
            ids = list(self.rows.order_by(*self.order).values_list("pk", flat=True))
            yield from (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
            return
        newest = self.rows.order_by("-pk").values_list("pk", flat=True).first()
        if newest is None:
            return
        rows, key = self.rows.filter(pk__lte=newest), self.order[0].removeprefix("-")
        last: tuple[Any, int] | None = None
        while True:
            part = list(
                _behind(rows, last, key, self.asked.is_descending).order_by(*self.order).values_list(key, "pk")[:BATCH]
            )
            yield [pk for _value, pk in part]
            if len(part) < BATCH:
                return
            last = part[-1]


def _behind(rows: QuerySet[Any], last: tuple[Any, int] | None, key: str, is_descending: bool) -> QuerySet[Any]:
    """Return the rows behind one in the order of a key and ids."""
    if last is None:
        return rows
    value, pk = last
    side = "lt" if is_descending else "gt"
    if _is_id(key):
        return rows.filter(**{f"pk__{side}": pk})
    return rows.filter(Q(**{f"{key}__{side}e": value}), Q(**{f"{key}__{side}": value}) | Q(**{f"pk__{side}": pk}))


def _is_id(name: str) -> bool:
    return name in ("id", "pk")


def _all(conditions: Sequence[Q]) -> Q | None:
    return reduce(and_, conditions) if conditions else None


def time_of(value: Any) -> datetime | None:
    """Return the time until which was looked, where it is one."""
    return value if isinstance(value, datetime) else None
