"""Saved views: who sees which, and how they are kept, changed and deleted."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _

from mes import errors
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.database.lookup import get_or_raise
from mes.platform.lists import asked as asking
from mes.platform.lists.listing import Listing, find_list, lists
from mes.platform.lists.models import LONGEST_QUERY, SavedView

MOST_VIEWS = 100  # of one person
LONGEST_NAME = 100


def visible_to(user: Any) -> QuerySet[SavedView]:
    """Return the views that somebody may see, with their owners: own and shared ones, of lists that they may see."""
    names = [listing.name for listing in lists if listing.is_for(user)]
    return SavedView.objects.select_related("owner").filter(Q(owner=user.pk) | Q(shared=True), list__in=names)


def find_default(listing: Listing, user: Any) -> SavedView | None:
    """Return the view that a person's list begins with."""
    return SavedView.objects.filter(owner=user.pk, list=listing.name, is_default=True).first()


def may_change(view: SavedView, user: Any) -> bool:
    """Whether somebody may change or delete a view: its owner and administrators."""
    return view.owner_id == user.pk or Capability.ADMIN in role_capabilities(user)


def read_query(listing: Listing, text: str, user: Any) -> str:
    """Return the arguments of an address as they are kept. Raises ValidationFailed for what a list does not know."""
    text = text.strip().removeprefix("?")
    if len(text) > LONGEST_QUERY:
        raise errors.ValidationFailed({"query": _("It is longer than %(most)d characters.") % {"most": LONGEST_QUERY}})
    try:
        asked = asking.read(listing, QueryDict(text), user=user)
    except (ValueError, OverflowError):  # more fields than a form may have
        raise errors.ValidationFailed({"query": _("These are not the arguments of an address.")}) from None
    if asked.notes:
        raise errors.ValidationFailed({"query": " ".join(asked.notes)})
    return asked.kept


def read_name(text: str) -> str:
    """Return a name. Raises ValidationFailed."""
    name = text.strip()
    if not name:
        raise errors.ValidationFailed({"name": _("Give the view a name.")})
    if len(name) > LONGEST_NAME or not name.isprintable():
        message = _("A name has up to %(most)d characters, on one line.") % {"most": LONGEST_NAME}
        raise errors.ValidationFailed({"name": message})
    return name


def get(view_id: Any, user: Any) -> SavedView:
    """Return a view that somebody may see. Raises SavedViewNotFound."""
    return get_or_raise(visible_to(user), errors.SavedViewNotFound, pk=view_id)


def create(user: Any, *, list_name: str, name: str, query: str, shared: bool, is_default: bool) -> SavedView:
    """Keep a view under a name that its owner has not used for this list.

    Raises ValidationFailed, SavedViewExists, TooManySavedViews; PermissionDenied for a token, which is nobody's.
    """
    if user.pk is None:
        raise PermissionDenied(_("A token has no views of its own."))
    listing = find_list(list_name, user)
    if listing is None:
        raise errors.ValidationFailed({"list": _("There is no such list.")})
    name, query = read_name(name), read_query(listing, query, user)
    with transaction.atomic():
        _lock_owner(user.pk)
        own = SavedView.objects.filter(owner=user.pk)
        if own.filter(list=listing.name, name=name).exists():
            raise errors.SavedViewExists(name=name, list=listing.name)
        if own.count() >= MOST_VIEWS:
            raise errors.TooManySavedViews(most=MOST_VIEWS)
        view = SavedView(owner_id=user.pk, list=listing.name, name=name, query=query, shared=shared)
        _take_default(view, is_default)
        view.save()
    return view


def change(view: SavedView, user: Any, changes: Mapping[str, Any]) -> SavedView:
    """Change `name`, `query`, `shared` or `is_default` of a view.

    Raises ValidationFailed, SavedViewExists; PermissionDenied for a view of somebody else.
    """
    _check(view, user)
    with transaction.atomic():
        _lock_owner(view.owner_id)
        view = get_or_raise(SavedView.objects, errors.SavedViewNotFound, pk=view.pk)
        if "name" in changes:
            view.name = take_name(view, changes["name"])
        if "query" in changes:
            listing = find_list(view.list, user)
            if listing is None:
                raise errors.SavedViewNotFound(code=view.pk)
            view.query = read_query(listing, changes["query"], user)
        view.shared = changes.get("shared", view.shared)
        _take_default(view, changes.get("is_default", view.is_default))
        view.save()
    return view


def take_name(view: SavedView, text: str) -> str:
    """Return another name for a view (inside a transaction). Raises ValidationFailed, SavedViewExists."""
    name = read_name(text)
    _lock_owner(view.owner_id)
    others = SavedView.objects.filter(owner=view.owner_id, list=view.list, name=name).exclude(pk=view.pk)
    if others.exists():
        raise errors.SavedViewExists(name=name, list=view.list)
    return name


def delete(view: SavedView, user: Any) -> None:
    """Delete a view. Raises PermissionDenied for one of somebody else."""
    _check(view, user)
    view.delete()


def _check(view: SavedView, user: Any) -> None:
    if not may_change(view, user):
        raise PermissionDenied(_("This view belongs to %(owner)s.") % {"owner": view.owner.get_username()})


def _lock_owner(owner: int) -> None:
    """Have what one person keeps happen one after the other, so that it is no more than it may be."""
    list(get_user_model().objects.select_for_update(no_key=True).filter(pk=owner).values_list("pk"))


def _take_default(view: SavedView, is_default: bool) -> None:
    """Make a view the default of its list or not: the one that was it is none any more."""
    view.is_default = is_default
    if is_default:
        others = SavedView.objects.filter(owner=view.owner_id, list=view.list, is_default=True)
        others.exclude(pk=view.pk).update(is_default=False)
