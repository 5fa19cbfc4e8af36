"""What happens to every request around any view: it gets an id, control characters are refused, nothing is kept."""

import re
from collections.abc import Callable
from random import getrandbits
from time import time_ns

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from mes.platform import request_ids
from mes.platform.http.handlers import bad_request, refuse

Handler = Callable[[HttpRequest], HttpResponseBase]

MOST_PARAMETERS = 200
# Characters of a path, decoded: two names of 100 and the words about them are far less. Patterns with two names take
# the square of it.
LONGEST_PATH = 1000
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What is searched for may have been scanned: labels have separators, and scanners end with a line or a tab.
_SEARCH = "q"
_CONTROL_IN_SEARCH = re.compile(r"[\x00-\x03\x05-\x08\x0b\x0c\x0e-\x1c\x1f\x7f]")
_ESCAPED_CONTROL = re.compile(r"[\x00-\x1f\x7f]|%[01][0-9a-f]|%7f", re.IGNORECASE)


def choose_request_id(sent: str) -> str:
    """Return what was sent as X-Request-ID if it is sane, else a new one.

    New ones begin with the time, so that they lie side by side in the indexes that find them.
    """
    # The rest only has to differ, so the system, which would be asked beside the interpreter's lock, is not.
    return sent if _GIVEN_ID.fullmatch(sent) else f"{time_ns() // 1_000_000:012x}{getrandbits(80):020x}"


def request_id(get_response: Handler) -> Handler:
    """Take a sane X-Request-ID or make one; log lines, errors, answers and events carry it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        identity = choose_request_id(request.META.get("HTTP_X_REQUEST_ID", ""))
        request.request_id = identity  # type: ignore[attr-defined]
        request_ids.begin(identity)
        response = get_response(request)
        response["X-Request-ID"] = identity
        return response

    return middleware


def free_request(get_response: Handler) -> Handler:
    """Free a machine's request, its body and its answer as soon as it is answered.

    REST framework's view, request and answer hold each other; left so, they would lie about until the next garbage
    collection, eighty batches with their bodies, and each new one would be read into memory that is not in the caches.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        context = getattr(response, "renderer_context", None)
        if context:
            context["request"].parser_context.clear()
            vars(context["view"]).clear()
            context.clear()
        return response

    return middleware


def refuse_control_characters(get_response: Handler) -> Handler:
    """Answer 400 to NUL and other control characters in the path or the query, to a query of too many parameters and to
    a path that is too long: no name contains one, and no address of ours takes so many or so much. A search may have
    those of a scanned label.
    """

    def middleware(request: HttpRequest) -> HttpResponse | HttpResponseBase:
        if request.META.get("QUERY_STRING", "").count("&") >= MOST_PARAMETERS:
            return bad_request(request)
        if len(request.path) > LONGEST_PATH:
            return bad_request(request)
        if _CONTROL.search(request.path):
            return refuse(request, {"path": _("Control characters are not allowed.")})
        faults = _query_faults(request)
        if faults:
            return refuse(request, faults)
        return get_response(request)

    return middleware


def _query_faults(request: HttpRequest) -> dict[str, str]:
    if not _ESCAPED_CONTROL.search(request.META.get("QUERY_STRING", "")):
        return {}
    return {
        _CONTROL.sub("\ufffd", name): _("Control characters are not allowed.")
        for name, values in request.GET.lists()
        if _CONTROL.search(name) or any(map((_CONTROL_IN_SEARCH if name == _SEARCH else _CONTROL).search, values))
    }
