"""What an address asks a list for. Everything is in the address; what makes no sense there is told and left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from mes.errors import ValidationFailed
from mes.platform.http.query_params import read_moment
from mes.platform.http.whole_numbers import whole_number
from mes.platform.lists.listing import PERIODS, Column, Filter, FilterKind, Listing

PAGE_SIZE = 50
MOST_COUNTED = 10_000
MOST_PAGES = MOST_COUNTED // PAGE_SIZE
LONGEST = 200  # characters of a filter
LONGEST_QUERY = 2000
LARGEST_NUMBER = 2**31 - 1
YES_NO = {"yes": True, "no": False}
OWN = ("sort", "columns", "period", "from", "to", "page", "view", "format")  # parameters that are no filters


@dataclass(frozen=True)
class Chosen:
    """A filter with what was typed, and the value that it means."""

    filter: Filter
    text: str
    value: Any


@dataclass(frozen=True)
class Asked:
    """What is asked for. `columns` are in the order in which the list declares them; `notes` say what was left out.

    `period` is a key of PERIODS, empty where `since` and `until` were given; `moments` are its two ends.
    """

    listing: Listing
    columns: Sequence[Column]
    sort: Column
    is_descending: bool
    filters: Sequence[Chosen] = ()
    period: str = ""
    since: str = ""
    until: str = ""
    page: int = 1
    view: int | None = None
    notes: Sequence[str] = ()
    moments: tuple[datetime | None, datetime | None] = (None, None)

    def text_of(self, key: str) -> str:
        """Return what was typed in a filter."""
        return next((chosen.text for chosen in self.filters if chosen.filter.key == key), "")

    def query(self, **changes: Any) -> str:
        """Return the arguments of an address that asks for this with changes; a filter is named by its key.

        What is as the list has it by itself is left out. An address without arguments would ask for the view that the
        list begins with, so there is at least one.
        """
        return self._arguments(**changes) or "view=0"

    def _arguments(self, **changes: Any) -> str:
        filters = {chosen.filter.key: chosen.text for chosen in self.filters}
        filters |= {key: changes.pop(key) for key in list(changes) if key not in _FIELDS}
        one = replace(self, **changes)
        arguments = [*filters.items(), *one.own_arguments()]
        return urlencode([(key, value) for key, value in arguments if value not in ("", None)])

    def own_arguments(self) -> Iterator[tuple[str, Any]]:
        """Yield the arguments beside the filters, empty where they are as by default."""
        listing = self.listing
        sort = f"{'-' if self.is_descending else ''}{self.sort.key}"
        yield "sort", "" if sort == _default_sort(listing, self.filters) else sort
        keys = [column.key for column in self.columns]
        yield "columns", "" if keys == [column.key for column in listing.shown] else ",".join(keys)
        if not (self.since or self.until):
            yield "period", "" if listing.period is None or self.period == listing.period.preset else self.period
        yield "from", self.since
        yield "to", self.until
        yield "page", self.page if self.page > 1 else ""
        yield "view", self.view

    @property
    def kept(self) -> str:
        """What a saved view keeps of it: all but the page and the view that it began with."""
        return self._arguments(page=1, view=None)

    @property
    def is_narrowed(self) -> bool:
        """Whether less is asked for than the list has by itself."""
        return bool(self.filters or self.since or self.until)


_FIELDS = frozenset(("columns", "sort", "is_descending", "period", "since", "until", "page", "view"))


def read(listing: Listing, parameters: QueryDict, *, user: Any) -> Asked:
    """Return what an address asks for. Some choices depend on who asks."""
    notes: list[str] = []
    filters = list(_read_filters(listing, parameters, notes, user))
    sort, is_descending = _read_sort(listing, parameters.get("sort", ""), filters, notes)
    asked = Asked(
        listing=listing,
        columns=_read_columns(listing, parameters.getlist("columns"), notes),
        sort=sort,
        is_descending=is_descending,
        filters=filters,
        page=_read_page(parameters.get("page", ""), notes),
        view=whole_number(parameters.get("view", "")),
    )
    known = {*OWN, *(each.key for each in listing.filters)}
    for name in [name for name in parameters if name not in known][:3]:
        notes.append(_("This list knows nothing called “%(name)s”.") % {"name": _cut(name)})
    return replace(_with_period(asked, parameters, notes), notes=notes)


# --- filters -------------------------------------------------------------------------------------------------


def _read_filters(listing: Listing, parameters: Mapping[str, str], notes: list[str], user: Any) -> Iterator[Chosen]:
    for each in listing.filters:
        text = parameters.get(each.key, "").strip()
        if not text:
            continue
        problem = _problem_of(text)
        value = None if problem else _value_of(each, text, user)
        if problem or value is None:
            reason = problem or _REASONS.get(each.kind, lambda: "")()
            notes.append(_("%(name)s is left out: %(reason)s") % {"name": each.label, "reason": reason})
        else:
            yield Chosen(each, text, value)


def _problem_of(text: str) -> str:
    if "\0" in text:
        return _("it contains a NUL character.")
    return _("it is too long.") if len(text) > LONGEST else ""


def _value_of(each: Filter, text: str, user: Any) -> Any:
    """Return what a text means to a filter; None where it means nothing."""
    if each.kind is FilterKind.CHOICE:
        return text if text in {str(value) for value, _label in each.choices_for(user)} else None
    if each.kind is FilterKind.YES_NO:
        return YES_NO.get(text)
    if each.kind is FilterKind.NUMBER:
        number = whole_number(text)
        return number if number is not None and number <= LARGEST_NUMBER else None
    return text


_REASONS = {
    FilterKind.CHOICE: lambda: _("it is none of the choices."),
    FilterKind.YES_NO: lambda: _("it is yes or no."),
    FilterKind.NUMBER: lambda: _("it is a whole number."),
}


# --- order, columns, page ------------------------------------------------------------------------------------


def _default_sort(listing: Listing, filters: Sequence[Chosen]) -> str:
    """Return how a list is sorted by itself: by what it is searched for the beginning of."""
    forced = _forced_sort(listing, filters)
    return forced.key if forced else listing.sort


def _forced_sort(listing: Listing, filters: Sequence[Chosen]) -> Column | None:
    """Return the column that a search for a beginning sorts by: sorted otherwise, all that begins so would be read."""
    if listing.is_small:
        return None
    lookups = {chosen.filter.lookup for chosen in filters if chosen.filter.kind is FilterKind.PREFIX}
    return next((column for column in listing.columns if column.sort in lookups and column.sort), None)


def can_sort(column: Column, filters: Sequence[Chosen]) -> bool:
    """Whether the rows may be sorted by a column."""
    if not column.sort:
        return False
    return not column.sort_needs or any(chosen.filter.key == column.sort_needs for chosen in filters)


def _read_sort(listing: Listing, text: str, filters: Sequence[Chosen], notes: list[str]) -> tuple[Column, bool]:
    default, forced = _default_sort(listing, filters), _forced_sort(listing, filters)
    column = listing.by_key.get(text.removeprefix("-"))
    if text and (column is None or not can_sort(column, filters)):
        notes.append(_sort_note(listing, text, column))
        text = ""
    elif text and forced is not None and column is not forced:
        notes.append(_("It is sorted by %(name)s while its beginning is searched for.") % {"name": forced.label})
        text = ""
    text = text or default
    return listing.by_key[text.removeprefix("-")], text.startswith("-")


def _sort_note(listing: Listing, text: str, column: Column | None) -> str:
    if column is None or not column.sort:
        return _("This list cannot be sorted by “%(name)s”.") % {"name": _cut(text.removeprefix("-"))}
    needed = next(each.label for each in listing.filters if each.key == column.sort_needs)
    return _("To sort by %(name)s, choose %(needed)s.") % {"name": column.label, "needed": needed}


def _read_columns(listing: Listing, texts: Sequence[str], notes: list[str]) -> Sequence[Column]:
    keys = [key for text in texts for key in text.split(",") if key]
    if unknown := [key for key in keys if key not in listing.by_key]:
        notes.append(_("This list has no column “%(name)s”.") % {"name": _cut(unknown[0])})
    chosen = [column for column in listing.columns if column.key in keys]
    return chosen or listing.shown


def _read_page(text: str, notes: list[str]) -> int:
    if not text:
        return 1
    number = whole_number(text)
    if not number:
        notes.append(_("“%(text)s” is no page; this is the first.") % {"text": _cut(text)})
        return 1
    if number > MOST_PAGES:
        notes.append(
            _("A list is paged up to row %(most)s; narrow it down, or export it.") % {"most": f"{MOST_COUNTED:,}"}
        )
    return min(number, MOST_PAGES)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


# --- the period ----------------------------------------------------------------------------------------------


def _with_period(asked: Asked, parameters: Mapping[str, str], notes: list[str]) -> Asked:
    """Add the period: days or instants that were given, else so far back from now."""
    period = asked.listing.period
    if period is None:
        return asked
    since, until = _read_ends(parameters, notes)
    if since or until:
        given = {name: parameters.get(name, "") for name, end in (("from", since), ("to", until)) if end}
        return replace(asked, since=given.get("from", ""), until=given.get("to", ""), moments=(since, until))
    chosen = parameters.get("period", "") or period.preset
    if chosen not in PERIODS:
        notes.append(_("There is no period “%(text)s”.") % {"text": _cut(chosen)})
        chosen = period.preset
    span = PERIODS[chosen]
    return replace(asked, period=chosen, moments=(None if span is None else timezone.now() - span, None))


def _read_ends(parameters: Mapping[str, str], notes: list[str]) -> tuple[datetime | None, datetime | None]:
    ends: list[datetime | None] = []
    for name, label in (("from", _("From")), ("to", _("To"))):
        try:
            ends.append(read_moment(parameters, name, end=name == "to"))
        except ValidationFailed as refusal:
            ends.append(None)
            notes.append(
                _("%(name)s is left out: %(reason)s")
                % {"name": label, "reason": " ".join(map(str, refusal.details.values()))}
            )
    return ends[0], ends[1]


def after(moment: datetime) -> str:
    """Return the text of an instant that `to` takes, so that rows of that instant are seen."""
    return (moment + timedelta(microseconds=1)).astimezone(timezone.get_current_timezone()).isoformat()
