"""Who changes something by a request: the person who is signed in, or the token that the request presents."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from mes.platform.database.authorship import ActorKind, Authorship, Via, signed_by
from mes.platform.http.handlers import API_PREFIX
from mes.platform.http.middleware import Handler

_ADMIN_PREFIX = "/admin/"


def sign_changes(get_response: Handler) -> Handler:
    """Have what a request changes signed by who sends it, as far as it is known when something is written."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        with signed_by(Authorship(lambda: _actor_of(request), _way_of(request.path_info))):
            return get_response(request)

    return middleware


def _way_of(path: str) -> Via:
    if path.startswith(API_PREFIX):
        return Via.API
    return Via.ADMIN if path.startswith(_ADMIN_PREFIX) else Via.PAGE


def _actor_of(request: HttpRequest) -> tuple[str, ActorKind]:
    """REST framework puts whom it recognised into Django's request, too: a token stands there like a user."""
    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return "", ActorKind.SYSTEM
    return user.get_username(), ActorKind.TOKEN if user.pk is None else ActorKind.PERSON
