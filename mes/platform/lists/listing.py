"""What a list is: declared once, by the subject whose rows it shows.

A list may have ten million rows, so nothing is offered that an index does not make cheap: a column sorts by a column of
the table that an index begins with, and a filter is found by an index, or looks among the newest rows only
(`is_indexed`). Lists of what people keep small (`is_small`) sort by anything.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import cached_property
from typing import Any

from django.db import models
from django.db.models import Q, QuerySet
from django.utils.functional import Promise

from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.hooks import Hook
from mes.platform.http.narrowing import narrowed

Row = Mapping[str, Any]  # a path of the model → its value
Choices = Sequence[tuple[str, Any]]


class Kind(Enum):
    """How a column's value is shown."""

    TEXT = "text"
    CODE = "code"
    TIME = "time"
    NUMBER = "number"
    STATE = "state"
    YES_NO = "yes-no"


@dataclass(frozen=True)
class Column:
    """A column. Its value is that of the path `field`, or what `read` makes of the row, for which `reads` are loaded.

    `sort` is the column of the table that it sorts by; where that is one only beside a filter, `sort_needs` is the
    filter's key. `link` is where the value leads, `is_link_for_administration` where only those of the administration
    may go.
    """

    key: str
    label: Promise
    field: str = ""
    kind: Kind = Kind.TEXT
    sort: str = ""
    sort_needs: str = ""
    read: Callable[[Row], Any] | None = None
    reads: Sequence[str] = ()
    link: Callable[[Row], str] | None = None
    is_link_for_administration: bool = False
    choices: Choices = ()
    is_shown: bool = True

    @property
    def paths(self) -> Collection[str]:
        """What is loaded for it."""
        return {self.field, *self.reads} - {""}

    @property
    def is_descending_first(self) -> bool:
        """Which way it sorts when it is asked to: times from the newest on."""
        return self.kind is Kind.TIME

    @cached_property
    def labels(self) -> Mapping[str, Any]:
        """What people call its values."""
        return dict(self.choices)

    def value_of(self, row: Row) -> Any:
        """Return its value in a row, as a file has it."""
        return self.read(row) if self.read else row[self.field]


class FilterKind(Enum):
    """What a filter takes."""

    EXACT = "exact"  # all of a code or text
    PREFIX = "prefix"  # how a code begins; the list is then sorted by it
    CHOICE = "choice"
    YES_NO = "yes-no"
    NUMBER = "number"


@dataclass(frozen=True)
class Filter:
    """A filter: a lookup, or with `find` a condition made of what was typed. An empty `find` finds nothing.

    `suggest` returns codes to pick from, by one statement; `choices` may be a function of the person.
    """

    key: str
    label: Promise
    kind: FilterKind = FilterKind.EXACT
    lookup: str = ""
    find: Callable[[Any], Q] | None = None
    choices: Choices | Callable[[Any], Choices] = ()
    suggest: Callable[[], Iterable[str]] | None = None
    is_indexed: bool = True

    def condition(self, value: Any, model: type[models.Model]) -> Q:
        """Return the condition that a value means."""
        if self.find is not None:
            return self.find(value)
        if self.kind is FilterKind.PREFIX:
            return Q(**{f"{self.lookup}__startswith": value})
        return narrowed(self.lookup, value, model)

    def choices_for(self, user: Any) -> Choices:
        """Return what somebody may choose from."""
        return self.choices(user) if callable(self.choices) else self.choices


@dataclass(frozen=True)
class Period:
    """The time by which a list is narrowed, and how long it looks back where nothing is asked for; None: for ever.

    `is_by_id`: there is no index of the time, but ids are given as rows come, so that they are found by them.
    """

    label: Promise
    field: str
    preset: str = "7d"
    is_by_id: bool = True


PERIODS: Mapping[str, timedelta | None] = {
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "all": None,
}


@dataclass(frozen=True)
class Listing:
    """A list. `rows` returns what somebody may see of it, in no order; `load` those of some ids with what columns read,
    where that is more than values of the row.
    """

    name: str
    title: Promise
    about: Promise
    empty: Promise
    rows: Callable[[Any], QuerySet[Any]]
    columns: Sequence[Column]
    filters: Sequence[Filter]
    sort: str
    period: Period | None = None
    capabilities: Sequence[Capability] = ()
    is_small: bool = False
    load: Callable[[Sequence[int]], Iterable[Row]] | None = None
    more: Sequence[tuple[Promise, Callable[[], str]]] = field(default=())  # pages about the same

    @cached_property
    def by_key(self) -> Mapping[str, Column]:
        """The columns by their keys."""
        return {column.key: column for column in self.columns}

    @property
    def shown(self) -> Sequence[Column]:
        """The columns that are shown where none are chosen."""
        return [column for column in self.columns if column.is_shown]

    def is_for(self, user: Any) -> bool:
        """Whether somebody may see it."""
        return not self.capabilities or not role_capabilities(user).isdisjoint(self.capabilities)


# The lists of the product, by name. Subjects register theirs in `AppConfig.ready()`; pages and saved views read them.
lists: Hook[Listing] = Hook(key=lambda listing: listing.name)


def find_list(name: str, user: Any) -> Listing | None:
    """Return the list of a name; None where there is none that somebody may see."""
    return next((listing for listing in lists if listing.name == name and listing.is_for(user)), None)
