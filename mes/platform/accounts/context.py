"""What every page may ask about the person who looks at it."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from mes.platform.accounts.roles import is_operator, opens_administration, role_capabilities


def granted(request: HttpRequest) -> dict[str, Any]:
    """Give templates `granted`, the capabilities of the user, `opens_admin`, whether the administration lets the user
    in, and `is_operator`, whether the user works at stations and nothing else; read when they are asked for.
    """
    return {
        "granted": SimpleLazyObject(lambda: role_capabilities(request.user)),
        "opens_admin": SimpleLazyObject(lambda: opens_administration(request.user)),
        "is_operator": SimpleLazyObject(lambda: is_operator(request.user)),
    }
