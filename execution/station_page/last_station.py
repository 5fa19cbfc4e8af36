"""Which station a browser worked at last, so that whoever opens it is led there. It says nothing of who may do what."""

from urllib.parse import quote, unquote

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from mes.plant.models import Station
from mes.platform.sign_in.terminals import find_terminal

COOKIE = "linekeeper_station"
COOKIE_AGE = 400 * 24 * 3600  # seconds: as long as browsers keep any
_LONGEST = 1500  # characters: a hundred of four bytes each, as they are quoted


def remember(request: HttpRequest, response: HttpResponseBase, station: Station) -> None:
    """Have a browser remember a station, unless it does."""
    value = quote(station.code, safe="")
    if request.COOKIES.get(COOKIE) != value:
        secure = settings.SESSION_COOKIE_SECURE
        response.set_cookie(COOKIE, value, max_age=COOKIE_AGE, secure=secure, httponly=True, samesite="Lax")


def find_station(request: HttpRequest) -> Station | None:
    """Return the station that a browser is bound to as a terminal, else the one that it remembers, if that is there."""
    terminal = find_terminal(request)
    if terminal is not None and terminal.revoked_at is None:
        return terminal.station
    code = unquote(request.COOKIES.get(COOKIE, "")[:_LONGEST])
    return Station.objects.filter(code=code).first() if code and "\0" not in code else None
