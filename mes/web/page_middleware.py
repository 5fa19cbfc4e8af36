"""Middleware that only people in a browser need: left out for requests of machines, of which it would be a fifth.

A machine's request is one below /api/ that presents itself by an Authorization header. It is never signed in by a
session, whatever cookies it carries: it has neither session nor user until `DeviceTokenAuthentication` accepts or
refuses what the header says. Guards of views (`process_view`, the CSRF check of those outside of the API) stay. Framing
and content policies are for what a browser shows; JSON keeps `nosniff`, and no link or frame sends such a header.
"""

from typing import Any

from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django_htmx.middleware import HtmxMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

from mes.web.handlers import API_PREFIX


def is_of_machine(request: HttpRequest) -> bool:
    """Whether a request is for the API and says by itself who sends it."""
    return bool(request.META.get("HTTP_AUTHORIZATION")) and request.path_info.startswith(API_PREFIX)


def for_pages(middleware: type[Any]) -> type[Any]:
    """Return the middleware, passing requests of machines on untouched."""

    def __call__(self: Any, request: HttpRequest) -> Any:
        return self.get_response(request) if is_of_machine(request) else middleware.__call__(self, request)

    return type(f"{middleware.__name__}ForPages", (middleware,), {"__call__": __call__, "__doc__": middleware.__doc__})


class language(LocaleMiddleware):
    """Answers in the language that is asked for: machines hardly ever ask, and get the plant's."""

    def __call__(self, request: HttpRequest) -> Any:
        if is_of_machine(request) and "HTTP_ACCEPT_LANGUAGE" not in request.META:
            translation.deactivate()  # that of the request which the thread handled before
            return self.get_response(request)
        return super().__call__(request)


static_files = for_pages(WhiteNoiseMiddleware)
session = for_pages(SessionMiddleware)
csrf = for_pages(CsrfViewMiddleware)
user = for_pages(AuthenticationMiddleware)
messages = for_pages(MessageMiddleware)
no_framing = for_pages(XFrameOptionsMiddleware)
content_security_policy = for_pages(CSPMiddleware)
htmx = for_pages(HtmxMiddleware)
