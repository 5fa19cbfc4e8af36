"""Every request is counted by its route; with MES_REQUEST_LOG each has a line in the log as well."""

import re
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter

import structlog
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from mes.platform import metrics

logger = structlog.get_logger(__name__)

Handler = Callable[[HttpRequest], HttpResponseBase]
GATEWAY = "(gateway)"  # the route of what is answered without Django
NO_ROUTE = "(none)"  # of what has no address here, and of static files
_GROUP = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")  # one that holds groups of its own, too
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")


def account(get_response: Handler) -> Handler:
    """Count each request and how long it took; log it where that is asked for."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        start = perf_counter()
        response = get_response(request)
        seconds = perf_counter() - start
        route = route_of(request)
        metrics.observe(route, request.method or "", response.status_code, seconds)
        if settings.MES_REQUEST_LOG:
            _log(request, route, response.status_code, seconds)
        return response

    return middleware


def account_refusal(method: str, status: int, request_id: str) -> None:
    """Count, and log where that is asked for, a request that the gateway refuses."""
    metrics.observe(GATEWAY, method, status, 0.0)
    if settings.MES_REQUEST_LOG:
        logger.info("request", method=method, route=GATEWAY, status=status, who="", request_id=request_id)


def route_of(request: HttpRequest) -> str:
    """Return the route of a request: `/api/stations/{code}/queue`."""
    match = request.resolver_match
    return NO_ROUTE if match is None else template_of(match.route)


@lru_cache(maxsize=1024)
def template_of(route: str) -> str:
    """Return the route of a URL pattern as people and documents write it."""
    text = _CONVERTER.sub(r"{\1}", _GROUP.sub(r"{\1}", route))
    return "/" + text.replace("^", "").replace("\\Z", "").replace("$", "").replace("\\", "")


def _log(request: HttpRequest, route: str, status: int, seconds: float) -> None:
    user = getattr(request, "user", None)  # static files have none
    logger.info(
        "request",
        method=request.method,
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 1),
        who=user.get_username() if user is not None else "",
    )
