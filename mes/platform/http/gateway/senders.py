"""Who sends, by the head of a request alone."""

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import Error, close_old_connections
from django.http.cookie import parse_cookie

from mes.platform.accounts import tokens
from mes.platform.accounts.sessions import SessionStore
from mes.platform.http.gateway.environ import Environ

_SCHEME = "bearer "


def is_known(environ: Environ) -> bool:
    """Whether a token is sent that this process has recognised lately. Asks nobody."""
    text = _token_text(environ)
    return bool(text) and tokens.is_remembered(text)


def find(environ: Environ) -> bool | None:
    """Whether a token is valid, or, without one, somebody is signed in; None where the database cannot tell now."""
    close_old_connections()
    try:
        if "HTTP_AUTHORIZATION" in environ:
            return tokens.find_token(_token_text(environ)) is not None
        key = parse_cookie(environ["HTTP_COOKIE"]).get(settings.SESSION_COOKIE_NAME)
        return bool(key) and SESSION_KEY in SessionStore(key)
    except Error:
        return None


def _token_text(environ: Environ) -> str:
    header: str = environ.get("HTTP_AUTHORIZATION", "")
    return header[len(_SCHEME) :].strip() if header[: len(_SCHEME)].lower() == _SCHEME else ""
