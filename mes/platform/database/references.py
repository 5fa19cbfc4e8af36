"""Who needs a row where no foreign key says so: frozen documents, lists of codes."""

from collections.abc import Callable

from django.db import models
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from mes.errors import InUse
from mes.platform.hooks import Hook

# find_users(row): a few of those that still need the row, in words. Called before a row is deleted, in the transaction
# that deletes it, or to show why it cannot be.
user_finders: Hook[Callable[[models.Model], list[str]]] = Hook()


def list_users(row: models.Model) -> list[str]:
    """Return what still needs a row, in words."""
    return [user for find_users in user_finders for user in find_users(row)]


def check_unused(row: models.Model, *, advice: str = "") -> None:
    """Raise InUse when something still needs the row; `advice` says what to do instead of deleting it."""
    users = list_users(row)
    if not users:
        return
    text = get_text_list(users, _("and"))
    raise InUse(users=f"{text} ({advice})" if advice else text)
