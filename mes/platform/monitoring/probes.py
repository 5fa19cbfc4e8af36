"""The addresses that machines ask to see whether all is well."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import resolve

from mes.platform.http.middleware import Handler

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


def answer_probes(get_response: Handler) -> Handler:
    """Middleware that answers probes before it is asked by which name or protocol they come.

    A load balancer asks by an address, over plain HTTP, and so does Prometheus.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info not in PROBES:
            return get_response(request)
        request.resolver_match = match = resolve(request.path_info)
        return match.func(request)

    return middleware
