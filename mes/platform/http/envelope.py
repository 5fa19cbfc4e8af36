"""One shape for every answer, and for every error the same with its code."""

import json
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, InternalError, OperationalError
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from django.utils.encoding import force_str
from django.utils.text import capfirst, get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import exceptions
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response
from rest_framework.settings import api_settings

from mes.errors import DomainError, InUse, PayloadTooLarge, ValidationFailed
from mes.platform.http.parsing import WHOLE_BODY

logger = structlog.get_logger(__name__)

RETRY_AFTER_SECONDS = 1

_CODES = {
    400: "BAD_REQUEST",
    401: "NOT_AUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_ERROR",
}
# SQLSTATE: a retry helps, and nobody needs to look at it.
_IDLE_FOR_TOO_LONG = "25P03"
_CONTENTION = {"40001", "40P01", "55P03"}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_UNIQUE_VIOLATION, _FOREIGN_KEY_VIOLATION, _CHECK_VIOLATION = "23505", "23503", "23514"


# --- success ----------------------------------------------------------------------------------------------


class EnvelopeRenderer(BaseRenderer):
    """Writes `{"ok": true, "data": …}`; bodies of errors are written as they are."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """Return the body in UTF-8; nothing for 204."""
        response = (renderer_context or {}).get("response")
        status = response.status_code if response is not None else 200
        if status == 204:
            return b""
        return encode(data if status >= 400 else {"ok": True, "data": data})


_encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="number")


def encode(value: Any) -> bytes:
    """Encode as JSON: times in RFC 3339, lazy translations and other objects as their text."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:  # a lone surrogate, which only escapes can carry
        return json.dumps(value, default=str).encode()


# --- errors -----------------------------------------------------------------------------------------------


def error_body(code: str, message: str, details: Any = None, request_id: str | None = None) -> dict[str, Any]:
    """The body of every refusal and failure."""
    error = {"code": code, "message": message, "details": {} if details is None else details, "requestId": request_id}
    return {"ok": False, "error": error}


def refusal_as_json(error: DomainError) -> dict[str, Any]:
    """A refusal as it stands in answers to batches, and as it is kept beside what was refused."""
    return {"code": error.code, "message": str(error), "details": _details(error)}


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """Give every error of the API one shape. Anything unforeseen is logged and stays a 500."""
    request = context.get("request")
    headers: dict[str, str] = {}
    exc = _as_api_exception(exc)
    error = _as_domain_error(exc)
    if error is not None:
        status, code, message, details = error.status, error.code, str(error), _details(error)
        headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else {}
    elif isinstance(exc, exceptions.APIException):
        status, code, message, details = _describe_api_exception(exc)
        headers = _headers(exc)
    elif is_worth_a_retry(exc):
        if isinstance(exc, OperationalError | InterfaceError) and _sqlstate(exc) not in _CONTENTION:
            logger.exception("database not available", exc_info=exc)
        status, code, details = 503, "TRY_AGAIN", {}
        message = _("Others were changing the same things, or the database was not available. Send it again.")
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    else:
        path = getattr(request, "path", None)
        logger.exception("unforeseen error", path=path, exc_info=exc)
        status, code, message, details = 500, _CODES[500], internal_error_message(), {}
    return Response(error_body(code, message, details, request_id(request)), status=status, headers=headers)


def internal_error_message() -> str:
    """The body for an unforeseen error, without its text."""
    return _("Something went wrong here, not with you. Tell your administrator the request id.")


def request_id(request: Any) -> str | None:
    """The id that the middleware gave to a Django or REST framework request."""
    return getattr(request, "request_id", None)


def camel_case(name: str) -> str:
    """Turn `step_no` into `stepNo`; camelCase stays as it is."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def snake_case(name: str) -> str:
    """Turn `stepNo` into `step_no` and `requiresFAI` into `requires_fai`; snake_case stays as it is."""
    return _HUMP.sub("_", name).lower()


def flatten(errors: Any, path: str = "") -> dict[str, str]:
    """Map the field paths of nested REST framework errors to messages: {"steps.0.stepNo": "…"}."""
    flat: dict[str, list[str]] = {}
    for place, message in _messages(errors, path):
        flat.setdefault(place or WHOLE_BODY, []).append(message)
    return {place: " ".join(dict.fromkeys(messages)) for place, messages in flat.items()}


def _messages(errors: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(errors, Mapping):
        for key, value in errors.items():
            whole = key in (api_settings.NON_FIELD_ERRORS_KEY, NON_FIELD_ERRORS)
            yield from _messages(value, path if whole else f"{path}.{key}".lstrip("."))
    elif isinstance(errors, list | tuple):
        for index, value in enumerate(errors):
            nested = isinstance(value, Mapping | list | tuple)
            yield from _messages(value, f"{path}.{index}".lstrip(".") if nested else path)
    else:
        yield path, force_str(errors)


class BadRequest(exceptions.APIException):
    """What came over the wire is not a request that can be understood."""

    status_code = 400
    default_detail = gettext_lazy("The request cannot be understood.")


def _as_api_exception(exc: Exception) -> Exception:
    if isinstance(exc, Http404):
        return exceptions.NotFound(_("There is nothing at this address."))
    if isinstance(exc, PermissionDenied):
        return exceptions.PermissionDenied(str(exc) or None)
    if isinstance(exc, RequestDataTooBig):
        return exc
    if isinstance(exc, SuspiciousOperation | MultiPartParserError | UnreadablePostError):
        return BadRequest()
    return exc


def _as_domain_error(exc: Exception) -> DomainError | None:
    """Return the refusal that stands for an error of another layer."""
    if isinstance(exc, DomainError):
        return exc
    if isinstance(exc, exceptions.ValidationError):
        return ValidationFailed(flatten(exc.detail))
    if isinstance(exc, ModelValidationError):
        return ValidationFailed(_model_errors(exc))
    if isinstance(exc, ProtectedError | RestrictedError):
        return in_use(exc)
    if isinstance(exc, RequestDataTooBig):
        return PayloadTooLarge(limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    if isinstance(exc, DatabaseError):
        return _database_refusal(exc)
    return None


def in_use(exc: ProtectedError | RestrictedError) -> InUse:
    """Say what still uses the thing that was to be deleted."""
    objects = exc.protected_objects if isinstance(exc, ProtectedError) else exc.restricted_objects
    names = sorted({str(thing._meta.verbose_name_plural) for thing in objects})
    return InUse(users=get_text_list(names, _("and")))


def _model_errors(exc: ModelValidationError) -> dict[str, str]:
    if not hasattr(exc, "error_dict"):
        return {WHOLE_BODY: " ".join(exc.messages)}
    flat = flatten(exc.message_dict)
    return {camel_case(place): message for place, message in flat.items()}


def _database_refusal(exc: DatabaseError) -> DomainError | None:
    """The last net for input that no check caught: a value that does not fit, or a second of what must be unique."""
    if isinstance(exc, DataError):
        logger.warning("a value did not fit its column", error=str(exc))
        return ValidationFailed({WHOLE_BODY: _("A value is out of range.")})
    if isinstance(exc, IntegrityError) and _sqlstate(exc) == _UNIQUE_VIOLATION:
        return ValidationFailed({WHOLE_BODY: _("This exists already; somebody made it at the same moment.")})
    if isinstance(exc, IntegrityError) and _sqlstate(exc) == _CHECK_VIOLATION:
        logger.warning("a constraint refused what no check had found", error=str(exc))
        message = _("This does not fit what somebody changed at the same moment. Read it again, then send it again.")
        return ValidationFailed({WHOLE_BODY: message})
    return None


def is_worth_a_retry(exc: Exception) -> bool:
    """Whether the same request, sent again, may well succeed: others were in its way, or the database was away."""
    if isinstance(exc, IntegrityError):
        return _sqlstate(exc) == _FOREIGN_KEY_VIOLATION  # what was referred to has just gone: the retry will say so
    if isinstance(exc, InternalError):
        return _sqlstate(exc) == _IDLE_FOR_TOO_LONG  # this process stood still in the middle of a transaction
    return isinstance(exc, OperationalError | InterfaceError)


def _sqlstate(exc: BaseException) -> str | None:
    return getattr(exc.__cause__, "sqlstate", None)


def _details(error: DomainError) -> Any:
    """Field paths stay as they are; the names of other details become camelCase."""
    details = error.details
    if not isinstance(error, ValidationFailed):
        details = {camel_case(name): value for name, value in details.items()}
    return msgspec.to_builtins(details, str_keys=True, enc_hook=_plain, builtin_types=[])


def _plain(value: Any) -> Any:
    return list(value) if hasattr(value, "__iter__") else str(value)


def _describe_api_exception(exc: exceptions.APIException) -> tuple[int, str, str, Any]:
    code = _CODES.get(exc.status_code) or HTTPStatus(exc.status_code).name
    if isinstance(exc, exceptions.ParseError):
        code = "PARSE_ERROR"
    messages = flatten(exc.detail)
    return exc.status_code, code, capfirst(" ".join(messages.values())), {}


def _headers(exc: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return headers
