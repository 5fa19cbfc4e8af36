"""Who may call a view: reading needs a signed-in principal, writing one of the view's capabilities."""

from typing import Any

from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from mes.platform.accounts.roles import Capability, role_capabilities, roles_with

# What can be limited to stations; the views check which one is meant (`Sender.check_station`).
STATION_WORK = frozenset(
    {
        Capability.TRACK,
        Capability.READINGS,
        Capability.DEVICE_DATA,
        Capability.INGEST,
        Capability.STATUS,
        Capability.BIND,
        Capability.REPLAY,
    }
)
READING_METHODS = ("GET", "HEAD", "OPTIONS")


class RolePermission(BasePermission):
    """Reads a view's `capabilities`: action (or method in lower case, or "*") → capabilities of which one is needed.

    A write without an entry is refused: a forgotten declaration must not open a door. What a view with
    `is_plant_wide` does belongs to no station: a token that is limited to stations is refused.
    """

    message = ""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Decide, and say which roles may."""
        if not request.user or not request.user.is_authenticated:
            return False
        method = str(request.method)
        if method in READING_METHODS or method not in view.allowed_methods:
            return True  # a method that is not there is answered with 405
        needed = capabilities_for(view, method)
        if role_capabilities(request.user).isdisjoint(needed):
            self.message = _refusal(needed)
            return False
        is_station_work = not getattr(view, "is_plant_wide", False) and not STATION_WORK.isdisjoint(needed)
        if getattr(request.user, "station_codes", None) is not None and not is_station_work:
            self.message = _("A token that is limited to stations may only do the work of stations.")
            return False
        return True


def capabilities_for(view: Any, method: str) -> tuple[Capability, ...]:
    """Return the capabilities of which a write needs one; none means that nobody may."""
    declared: dict[str, tuple[Capability, ...]] = getattr(view, "capabilities", {})
    for key in (getattr(view, "action", None), method.lower(), "*"):
        if key in declared:
            return declared[key]
    return ()


def _refusal(needed: tuple[Capability, ...]) -> str:
    roles = [str(role.label) for role in roles_with(needed)]
    if not roles:
        return _("Nobody may do this.")
    return _("You may not do this; it needs the role %(roles)s.") % {"roles": get_text_list(roles, _("or"))}


def operator_name(request: Request) -> str:
    """Return who did it, where nobody is named."""
    return str(request.user.get_username())
