"""What every page may ask about the browser that shows it."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from mes.platform.sign_in.sign_on import read_here


def who_is_here(request: HttpRequest) -> dict[str, Any]:
    """Give templates `here_now`: who is signed in, in which terminal; read when it is asked for."""
    return {"here_now": SimpleLazyObject(lambda: read_here(request))}
