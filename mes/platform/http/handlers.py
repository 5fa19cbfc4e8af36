"""Errors outside of API views: JSON below /api/, a page elsewhere. `mes.urls` names them as its handlers."""

import sys
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.translation import gettext as _

from mes.platform.http import envelope, hosts
from mes.platform.http.parsing import content_length

logger = structlog.get_logger(__name__)

API_PREFIX = "/api/"
FILES_PREFIX = "/files/"  # pages that take files of their own size


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400, or 413 if the body was too large."""
    if isinstance(exception, RequestDataTooBig):
        return answer(request, 413, "PAYLOAD_TOO_LARGE", _("The body is too large."))
    if isinstance(exception, DisallowedHost):
        host = request.META.get("HTTP_HOST", "")[:200]
        logger.warning("host not allowed", host=host, allowed=settings.ALLOWED_HOSTS, hint=hosts.HINT)
        message = _("This server does not answer to that host name. Whoever runs it can allow it (ALLOWED_HOSTS).")
        return answer(request, 400, "BAD_REQUEST", message)
    return answer(request, 400, "BAD_REQUEST", _("The request cannot be understood."))


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403."""
    return answer(request, 403, "PERMISSION_DENIED", str(exception or "") or _("You may not do this."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 of a form that was sent without its token; the page must be loaded again. 413 of one that was too large: it
    was left unread, and its token with it.
    """
    limit = (
        settings.MES_FILE_BODY_LIMIT if request.path_info.startswith(FILES_PREFIX) else settings.MES_BATCH_BODY_LIMIT
    )
    if content_length(request) > limit:
        message = _("The file is too large: at most %(most)d MiB are taken.")
        most = limit // 1024 // 1024
        return answer(request, 413, "PAYLOAD_TOO_LARGE", message % {"most": most})
    return answer(request, 403, "PERMISSION_DENIED", _("The page was open for too long. Load it again and repeat."))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404."""
    return answer(request, 404, "NOT_FOUND", _("There is nothing at this address."))


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 while the database is away. Django has logged the exception."""
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        message = _("The database cannot be reached. Try again in a moment.")
        response = answer(request, 503, "TRY_AGAIN", message)
        response["Retry-After"] = str(envelope.RETRY_AFTER_SECONDS)
        return response
    return answer(request, 500, "INTERNAL_ERROR", envelope.internal_error_message())


def refuse(request: HttpRequest, fields: dict[str, str]) -> HttpResponse:
    """400 VALIDATION_ERROR for what is wrong with a request before it reaches a view."""
    message = _("Some fields are missing or malformed; see details.")
    return answer(request, 400, "VALIDATION_ERROR", message, fields)


def answer(request: HttpRequest, status: int, code: str, message: str, details: Any = None) -> HttpResponse:
    """The same error as JSON or as a page, whichever the address asks for."""
    identity = envelope.request_id(request)
    if request.path.startswith(API_PREFIX):
        body = envelope.encode(envelope.error_body(code, message, details, identity))
        return HttpResponse(body, status=status, content_type="application/json")
    return HttpResponse(_page(request, {"status": status, "message": message, "request_id": identity}), status=status)


def _page(request: HttpRequest, context: dict[str, Any]) -> str:
    """The error page; a bare one if rendering fails too, because the page around it may need what is broken."""
    try:
        return render_to_string("error.html", context, request=request)
    except Exception:
        logger.exception("the error page cannot be rendered")
        return format_html(
            "<!doctype html><title>{status}</title><h1>{status}</h1><p>{message}</p><p>{request_id}</p>", **context
        )
