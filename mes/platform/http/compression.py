"""Answers to people are compressed where it pays and the browser takes it."""

import re
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import patch_vary_headers

LEAST = 1024  # bytes: what is smaller fits into one packet with its head
_SHRINKS = re.compile(
    r"(text/(?!event-stream)|image/svg|application/(json|javascript|xml|[\w.]+\+(json|xml)|vnd\.oai\.openapi))\b"
)
_REFUSES_GZIP = re.compile(r"\bgzip\s*;\s*q=0(\.0*)?\s*(,|$)")


class CompressPages(GZipMiddleware):
    """Compresses pages, JSON and exports that a browser asks for. Machines are led past it (`page_middleware`).

    Where an answer repeats what a stranger made a browser ask for, its length tells him whether that guesses a secret
    beside it (BREACH). The secret of our pages, the CSRF token, is masked anew for each answer, and Django adds up to
    100 bytes by chance (`max_random_bytes`). Streams stay streams. Static files were compressed when collected.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> Any:
        if not _pays(response):
            return response
        if _REFUSES_GZIP.search(request.META.get("HTTP_ACCEPT_ENCODING", "")):
            patch_vary_headers(response, ["Accept-Encoding"])
            return response
        return super().process_response(request, response)


def _pays(response: HttpResponseBase) -> bool:
    if not _SHRINKS.match(response.get("Content-Type", "")):
        return False  # spreadsheets, pictures and fonts are compressed already
    return response.streaming or len(response.content) >= LEAST  # type: ignore[attr-defined]
