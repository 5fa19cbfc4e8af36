"""Middleware that only people in a browser need is passed by requests of machines, of which it would be a fifth.

In the settings it stands between `skip_page_middleware` and `join_page_middleware`. A machine's request is one below
/api/ that presents itself by an Authorization header. It is never signed in by a session, whatever cookies
it carries: it has neither session nor user until `DeviceTokenAuthentication` accepts or refuses what the header says.
Guards of views (`process_view`, the CSRF check of those outside of the API) stay. Framing and
content policies are for what a browser shows; JSON keeps `nosniff`, and no link or frame sends such a header.
"""

import threading

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import translation
from rest_framework.request import Request

from mes.platform.http.handlers import API_PREFIX
from mes.platform.http.middleware import Handler

_made = threading.local()  # where requests go on behind the middleware that is being put together, from the inside out


def is_of_machine(request: HttpRequest | Request) -> bool:
    """Whether a request is for the API and says by itself who sends it."""
    return bool(request.META.get("HTTP_AUTHORIZATION")) and request.path_info.startswith(API_PREFIX)


def join_page_middleware(get_response: Handler) -> Handler:
    """Where machines go on."""
    _made.behind_pages = get_response
    return get_response


def skip_page_middleware(get_response: Handler) -> Handler:
    """Lead requests of machines to `join_page_middleware`. They hardly ever ask for a language, and get the plant's."""
    behind_pages: Handler = _made.behind_pages

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not is_of_machine(request):
            return get_response(request)
        if "HTTP_ACCEPT_LANGUAGE" in request.META:
            translation.activate(translation.get_language_from_request(request))
        else:
            translation.deactivate()  # that of the request which the thread handled before
        return behind_pages(request)

    return middleware
