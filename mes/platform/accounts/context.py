"""What every page may ask about the person who looks at it."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from mes.platform.accounts.roles import role_capabilities


def granted(request: HttpRequest) -> dict[str, Any]:
    """Give templates `granted`, the capabilities of the user, read when they are asked for."""
    return {"granted": SimpleLazyObject(lambda: role_capabilities(request.user))}
