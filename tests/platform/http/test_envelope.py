"""Every error has one shape; details name fields as the sender wrote them."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions

from mes import errors
from mes.platform.http import envelope

CONTEXT = {"request": SimpleNamespace(request_id="r-1", path="/api/x")}


def handle(exc: Exception) -> tuple[int, dict[str, Any], Any]:
    response = envelope.exception_handler(exc, CONTEXT)
    body = json.loads(envelope.encode(response.data))
    assert body["ok"] is False
    assert set(body["error"]) == {"code", "message", "details", "requestId"}
    assert body["error"]["requestId"] == "r-1"
    assert body["error"]["message"]
    return response.status_code, body["error"], response


def database_error(kind: type[Exception], cause: Exception) -> Exception:
    error = kind(str(cause))
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (errors.StationNotFound(code="S"), 404, "STATION_NOT_FOUND"),
        (errors.ParseFailed("x"), 400, "PARSE_ERROR"),
        (errors.PayloadTooLarge(limit=1), 413, "PAYLOAD_TOO_LARGE"),
        (exceptions.ValidationError({"a": ["b"]}), 400, "VALIDATION_ERROR"),
        (exceptions.ParseError(), 400, "PARSE_ERROR"),
        (exceptions.PermissionDenied(), 403, "PERMISSION_DENIED"),
        (exceptions.MethodNotAllowed("PUT"), 405, "METHOD_NOT_ALLOWED"),
        (exceptions.NotAcceptable(), 406, "NOT_ACCEPTABLE"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (exceptions.Throttled(wait=3), 429, "TOO_MANY_REQUESTS"),
        (Http404("secret"), 404, "NOT_FOUND"),
        (PermissionDenied(), 403, "PERMISSION_DENIED"),
        (RequestDataTooBig(), 413, "PAYLOAD_TOO_LARGE"),
        (SuspiciousOperation(), 400, "BAD_REQUEST"),
        (ModelValidationError("bad"), 400, "VALIDATION_ERROR"),
        (DataError("integer out of range"), 400, "VALIDATION_ERROR"),
        (database_error(IntegrityError, psycopg.errors.UniqueViolation()), 400, "VALIDATION_ERROR"),
        (database_error(IntegrityError, psycopg.errors.ForeignKeyViolation()), 503, "TRY_AGAIN"),
        (database_error(OperationalError, psycopg.errors.DeadlockDetected()), 503, "TRY_AGAIN"),
        (database_error(OperationalError, psycopg.errors.SerializationFailure()), 503, "TRY_AGAIN"),
        (database_error(OperationalError, psycopg.errors.LockNotAvailable()), 503, "TRY_AGAIN"),
        (InterfaceError("connection already closed"), 503, "TRY_AGAIN"),
        (ZeroDivisionError("secret"), 500, "INTERNAL_ERROR"),
    ],
)
def test_every_error_has_its_status_and_code(exc: Exception, status: int, code: str) -> None:
    answered, error, _response = handle(exc)
    assert (answered, error["code"]) == (status, code)
    assert "secret" not in error["message"]


def test_contention_asks_to_try_again_soon() -> None:
    _status, _error, response = handle(database_error(OperationalError, psycopg.errors.DeadlockDetected()))
    assert response["Retry-After"] == "1"


def test_details_of_a_refusal_are_camel_case_and_plain() -> None:
    at = datetime(2026, 1, 24, 10, tzinfo=UTC)
    refusal = errors.StepMismatch(current=10, step_no=20, missing_steps=(5, 7), at=at, of={1}, ratio=Decimal("1.5"))
    _status, error, _response = handle(refusal)
    assert error["details"] == {
        "current": 10,
        "stepNo": 20,
        "missingSteps": [5, 7],
        "at": "2026-01-24T10:00:00Z",
        "of": [1],
        "ratio": "1.5",
    }


def test_field_paths_of_our_own_validation_stay_as_they_are() -> None:
    _status, error, _response = handle(errors.ValidationFailed({"data.0.odd_name": "x"}))
    assert error["details"] == {"data.0.odd_name": "x"}


def test_nested_validation_errors_become_dotted_paths() -> None:
    nested = {
        "code": ["a", "b"],
        "steps": [{}, {"stepNo": ["c"]}],
        "limits": {"non_field_errors": ["d"], "lsl": ["e"]},
        "names": {1: ["f"]},
        "non_field_errors": ["g"],
    }
    _status, error, _response = handle(exceptions.ValidationError(nested))
    assert error["details"] == {
        "code": "a b",
        "steps.1.stepNo": "c",
        "limits": "d",
        "limits.lsl": "e",
        "names.1": "f",
        "body": "g",
    }


def test_model_errors_name_fields_in_camel_case() -> None:
    exc = ModelValidationError({"plan_qty": ["a"], "__all__": ["b"]})
    _status, error, _response = handle(exc)
    assert error["details"] == {"planQty": "a", "body": "b"}


def test_success_is_wrapped_and_times_end_in_z() -> None:
    response = SimpleNamespace(status_code=200)
    data = {"at": datetime(2026, 1, 24, 10, tzinfo=UTC), "value": float("nan")}
    written = envelope.EnvelopeRenderer().render(data, None, {"response": response})
    assert json.loads(written) == {"ok": True, "data": {"at": "2026-01-24T10:00:00Z", "value": None}}


def test_an_answer_with_a_lone_surrogate_can_still_be_written() -> None:
    assert json.loads(envelope.encode({"a": "\ud800"})) == {"a": "\ud800"}


@pytest.mark.parametrize(
    ("name", "camel"), [("step_no", "stepNo"), ("stepNo", "stepNo"), ("at", "at"), ("requires_FAI", "requiresFAI")]
)
def test_camel_case(name: str, camel: str) -> None:
    assert envelope.camel_case(name) == camel
