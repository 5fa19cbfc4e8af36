"""The pages of lists: the table, its columns and filters, the views that people keep, and all of it as a file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from mes.errors import DomainError, SavedViewNotFound
from mes.platform.accounts.roles import opens_administration
from mes.platform.http import tables
from mes.platform.http.pages import in_words, signed_in
from mes.platform.lists import asked as asking
from mes.platform.lists import views
from mes.platform.lists.api import address_of
from mes.platform.lists.asked import MOST_COUNTED, MOST_PAGES, PAGE_SIZE, Asked
from mes.platform.lists.export import as_file
from mes.platform.lists.listing import PERIODS, Column, Filter, Kind, Listing, Row, lists
from mes.platform.lists.models import SavedView
from mes.platform.lists.selection import LOOKED_THROUGH, Page, Selection, time_of

MOST_SUGGESTED = 500
PERIOD_LABELS = {
    "24h": gettext_lazy("24 hours"),
    "7d": gettext_lazy("7 days"),
    "30d": gettext_lazy("30 days"),
    "all": gettext_lazy("any time"),
}
FILES = [name for name in tables.FORMATS if name != "json"]


@dataclass(frozen=True)
class Cell:
    """A value as the page shows it."""

    kind: str
    value: Any
    label: Any = ""
    href: str = ""


@dataclass(frozen=True)
class Head:
    """A column's head. `query` sorts by it; `order` is what `aria-sort` says of the one that is sorted by."""

    column: Column
    query: str = ""
    order: str = ""

    @property
    def is_number(self) -> bool:
        return self.column.kind is Kind.NUMBER


@dataclass(frozen=True)
class Field:
    """A filter as a form has it."""

    filter: Filter
    text: str
    choices: Any = ()
    suggestions: Any = ()

    @property
    def kind(self) -> str:
        return self.filter.kind.value


@signed_in
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The lists that there are, and the views of them that one keeps or that others share."""
    seen = [listing for listing in lists if listing.is_for(request.user)]
    kept: dict[str, list[tuple[SavedView, str]]] = {}
    for view in views.visible_to(request.user):
        kept.setdefault(view.list, []).append((view, address_of(view)))
    context = {"lists": [(listing, kept.get(listing.name, [])) for listing in seen]}
    return render(request, "lists/index.html", context)


@signed_in
@require_GET
def show(request: HttpRequest, name: str) -> HttpResponse:
    """A list: by the arguments of its address, else as the person's own view of it has it."""
    listing = _find(request, name)
    if not request.GET and (default := views.find_default(listing, request.user)) is not None:
        return redirect(address_of(default))
    asked = asking.read(listing, request.GET, user=request.user)
    refusal = ""
    try:
        if (chosen := tables.read_format(request.GET)) != "json":
            return cast(HttpResponse, as_file(Selection(asked, request.user), chosen))
    except DomainError as error:
        refusal = in_words(error)
        return _render(request, asked, refusal, status=error.status)
    return _render(request, asked, refusal)


def _find(request: HttpRequest, name: str) -> Listing:
    """Return the list of a name. Raises Http404, PermissionDenied."""
    listing = next((listing for listing in lists if listing.name == name), None)
    if listing is None:
        raise Http404
    if not listing.is_for(request.user):
        raise PermissionDenied(_("You may not see this list."))
    return listing


def _render(request: HttpRequest, asked: Asked, refusal: str, *, status: int = 200) -> HttpResponse:
    listing = asked.listing
    page = Selection(asked, request.user).page()
    kept = list(views.visible_to(request.user).filter(list=listing.name))
    context = {
        "listing": listing,
        "asked": asked,
        "page": page,
        "refusal": refusal,
        "heads": list(_heads(asked)),
        "rows": [[_cell(column, row, request.user) for column in asked.columns] for row in page.rows],
        "fields": [_field(asked, each, request.user) for each in listing.filters],
        "columns": [(column, column in asked.columns) for column in listing.columns],
        "kept_without_columns": _hidden(asked, "columns"),
        "kept_without_filters": _hidden(asked, "from", "to", "page", *(each.key for each in listing.filters)),
        "periods": _periods(asked),
        "counted": _counted(page, asked),
        "looked": _looked(page, asked),
        "previous": asked.query(page=asked.page - 1) if asked.page > 1 else "",
        "next": asked.query(page=asked.page + 1) if page.has_next and asked.page < MOST_PAGES else "",
        "is_at_end": page.has_next and asked.page == MOST_PAGES,
        "everything": asked.query(
            page=1, since="", until="", period="all", view=None, **{each.key: "" for each in listing.filters}
        ),
        "cleared": asked.query(page=1, since="", until="", **{each.key: "" for each in listing.filters}),
        "files": [(name, f"{asked.query(page=1, view=None)}&{urlencode({'format': name})}") for name in FILES],
        "more": [(label, address()) for label, address in listing.more],
        **_views(request, asked, kept),
    }
    return render(request, "lists/list.html", context, status=status)


# --- the table -----------------------------------------------------------------------------------------------


def _heads(asked: Asked) -> Iterator[Head]:
    for column in asked.columns:
        if not asking.can_sort(column, asked.filters):
            yield Head(column)
            continue
        is_sorted = column == asked.sort
        turned = not asked.is_descending if is_sorted else column.is_descending_first
        order = ("descending" if asked.is_descending else "ascending") if is_sorted else ""
        yield Head(column, asked.query(sort=column, is_descending=turned, page=1), order)


def _cell(column: Column, row: Row, user: Any) -> Cell:
    value = column.value_of(row)
    href = ""
    is_open = not column.is_link_for_administration or opens_administration(user)
    if column.link is not None and value not in (None, "") and is_open:
        href = column.link(row)
    label = column.labels.get(value, value) if column.choices else value
    return Cell(column.kind.value, value, label, href)


def _counted(page: Page, asked: Asked) -> str:
    """Say how many rows there are."""
    if not page.is_counted:
        return _("more than %(number)s") % {"number": f"{MOST_COUNTED:,}"}
    first = (asked.page - 1) * PAGE_SIZE + 1
    if not page.rows:
        return ""
    last = first + len(page.rows) - 1
    return _("%(first)s–%(last)s of %(number)s") % {
        "first": f"{first:,}",
        "last": f"{last:,}",
        "number": f"{page.count:,}",
    }


def _looked(page: Page, asked: Asked) -> dict[str, Any] | None:
    """Say how far was looked where a filter has no index, and how to look further."""
    if page.looked_until is None:
        return None
    until = time_of(page.looked_until)
    query = ""
    if until is not None and asked.listing.period is not None:
        end = asking.after(until)
        change = {"until": end} if asked.is_descending else {"since": until.isoformat()}
        query = asked.query(page=1, period="", **change)
    return {"number": f"{LOOKED_THROUGH:,}", "until": until, "query": query}


# --- what stands around it -----------------------------------------------------------------------------------


def _field(asked: Asked, each: Filter, user: Any) -> Field:
    suggestions = list(each.suggest())[:MOST_SUGGESTED] if each.suggest else ()
    return Field(each, asked.text_of(each.key), each.choices_for(user), suggestions)


def _hidden(asked: Asked, *without: str) -> list[tuple[str, str]]:
    """Return what a form keeps of the address beside what it has itself."""
    left_out = {*without, "page"}
    return [(name, value) for name, value in parse_qsl(asked.query()) if name not in left_out]


def _periods(asked: Asked) -> list[tuple[str, Any, str, bool]]:
    if asked.listing.period is None:
        return []
    is_open = not (asked.since or asked.until)
    return [
        (key, PERIOD_LABELS[key], asked.query(period=key, since="", until="", page=1), is_open and asked.period == key)
        for key in PERIODS
    ]


def _views(request: HttpRequest, asked: Asked, kept: list[SavedView]) -> dict[str, Any]:
    chosen = next((view for view in kept if view.pk == asked.view), None)
    return {
        "views": [(view, address_of(view), view.owner_id == request.user.pk) for view in kept],
        "chosen_view": chosen,
        "may_change_view": chosen is not None and views.may_change(chosen, request.user),
        "is_own_view": chosen is not None and chosen.owner_id == request.user.pk,
        "is_changed": chosen is not None and chosen.query != asked.kept,
        "query": asked.kept,
        "longest_name": views.LONGEST_NAME,
    }


# --- keeping views -------------------------------------------------------------------------------------------


@signed_in
@require_POST
def save_view(request: HttpRequest, name: str) -> HttpResponse:
    """Keep what the list shows under a name."""
    listing = _find(request, name)
    query = request.POST.get("query", "")
    try:
        view = views.create(
            request.user,
            list_name=listing.name,
            name=request.POST.get("view_name", ""),
            query=query,
            shared=bool(request.POST.get("shared")),
            is_default=bool(request.POST.get("is_default")),
        )
    except DomainError as refusal:
        messages.error(request, in_words(refusal))
        return _back(listing.name, query)
    messages.success(request, _("The view “%(name)s” is saved.") % {"name": view.name})
    return redirect(address_of(view))


CHANGES: Mapping[str, Mapping[str, bool]] = {
    "share": {"shared": True},
    "unshare": {"shared": False},
    "make-default": {"is_default": True},
    "no-default": {"is_default": False},
}


@signed_in
@require_POST
def change_view(request: HttpRequest, name: str, view_id: int, action: str) -> HttpResponse:
    """Share a view or not, begin with it or not, have it be what the list shows now, or delete it."""
    listing = _find(request, name)
    query = request.POST.get("query", "")
    try:
        view = views.get(min(view_id, 2**63 - 1), request.user)
        if view.list != listing.name:
            raise SavedViewNotFound(code=view_id)
        if action == "delete":
            views.delete(view, request.user)
            messages.success(request, _("The view “%(name)s” is deleted.") % {"name": view.name})
            return _back(listing.name, query)
        changes: Mapping[str, Any] | None = {"query": query} if action == "replace" else CHANGES.get(action)
        if changes is None:
            raise Http404
        view = views.change(view, request.user, changes)
    except DomainError as refusal:
        messages.error(request, in_words(refusal))
        return _back(listing.name, query)
    messages.success(request, _("The view “%(name)s” is changed.") % {"name": view.name})
    return redirect(address_of(view))


def _back(name: str, query: str) -> HttpResponse:
    """Go back to what a list showed; only what it takes goes into the address."""
    return redirect(f"{reverse('list', args=[name])}?{query[: asking.LONGEST_QUERY] or 'view=0'}")
