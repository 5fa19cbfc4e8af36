"""Who may call a view: reading needs a role, writing one of the view's capabilities.

A token that is limited to stations may do what a view says it may (`station_access`), and nothing else.
"""

from enum import Enum
from typing import Any

from django.http import HttpRequest
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from mes.platform.accounts.roles import Capability, role_capabilities, roles_with

READING_METHODS = ("GET", "HEAD", "OPTIONS")


class StationAccess(Enum):
    """What an action is to a token that is limited to stations. Without one, the token is refused."""

    SHARED = "reads what belongs to no station or line: specs, routes, materials"
    OWN = "the view looks whose station or line it is (`Sender.check_station`, `mes.plant.reach`)"


READS_SHARED = {"list": StationAccess.SHARED, "retrieve": StationAccess.SHARED}
READS_OWN = {"list": StationAccess.OWN, "retrieve": StationAccess.OWN}


class RolePermission(BasePermission):
    """Reads a view's `capabilities`: action (or method in lower case, or "*") → capabilities of which one is needed.

    A write without an entry is refused: a forgotten declaration must not open a door. For the same reason a token that
    is limited to stations is refused where `station_access` (by the same keys) has no entry.
    """

    message = ""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Decide, and say which roles may."""
        if not request.user or not request.user.is_authenticated:
            return False
        method = str(request.method)
        if method not in view.allowed_methods:
            return True  # a method that is not there is answered with 405
        granted = role_capabilities(request.user)
        if not granted:
            self.message = no_role_message()
            return False
        if method not in READING_METHODS:
            needed = capabilities_for(view, method)
            if granted.isdisjoint(needed):
                self.message = _refusal(needed)
                return False
        if getattr(request.user, "station_codes", None) is not None and station_access(view, method) is None:
            self.message = _("A token that is limited to stations may only do the work of stations.")
            return False
        return True


def capabilities_for(view: Any, method: str) -> tuple[Capability, ...]:
    """Return the capabilities of which a write needs one; none means that nobody may."""
    return _declared(view, "capabilities", method) or ()


def station_access(view: Any, method: str) -> StationAccess | None:
    """Return what a token that is limited to stations may do; None means nothing."""
    access = _declared(view, "station_access", method)
    if method in READING_METHODS and access is None and getattr(view, "action", None) == "metadata":
        return StationAccess.SHARED  # OPTIONS: what the address takes
    return access


def no_role_message() -> str:
    """Return what somebody without a role is told."""
    return _("You have no role yet. Ask whoever administers this system to give you one.")


def _declared(view: Any, name: str, method: str) -> Any:
    """Return a view's entry for its action, its method, or everything."""
    declared: dict[str, Any] = getattr(view, name, {})
    method = "GET" if method == "HEAD" else method
    for key in (getattr(view, "action", None), method.lower(), "*"):
        if key in declared:
            return declared[key]
    return None


def _refusal(needed: tuple[Capability, ...]) -> str:
    roles = [str(role.label) for role in roles_with(needed)]
    if not roles:
        return _("Nobody may do this.")
    return _("You may not do this; it needs the role %(roles)s.") % {"roles": get_text_list(roles, _("or"))}


def operator_name(request: HttpRequest | Request) -> str:
    """Return who did it, where nobody is named."""
    return str(request.user.get_username())


def check_capability(request: Request, *needed: Capability) -> None:
    """Raise PermissionDenied unless somebody has one of these: for a part of a body that not everyone may send."""
    if role_capabilities(request.user).isdisjoint(needed):
        raise PermissionDenied(_refusal(needed))
