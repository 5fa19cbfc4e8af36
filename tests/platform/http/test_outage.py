"""While the database is away: pages answer 503, and the log says so once in a while."""

import logging
import sys
from collections.abc import Iterator

import psycopg
import pytest
import structlog
from django.db import OperationalError
from django.test import Client

from mes.platform.server import logs
from mes.platform.server.logs import OutageFilter


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OperationalError("no connection") from psycopg.OperationalError("no connection")

    monkeypatch.setattr("mes.platform.accounts.sessions.SessionStore.load", fail)


@pytest.mark.parametrize("path", ["/", "/readiness/", "/admin/", "/trace/units/SN-1/"])
def test_a_page_says_that_the_database_is_away(away: None, path: str) -> None:
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "x" * 32
    answer = client.get(path)
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert b"cannot be reached" in answer.content


def record(error: BaseException | None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("django.request", logging.ERROR, __file__, 1, "Failed: %s", ("/x",), info)  # type: ignore[arg-type]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [100.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    yield now


def outage() -> OperationalError:
    error = OperationalError("no connection")
    error.__cause__ = psycopg.OperationalError("no connection")
    return error


def test_of_an_outage_one_line_in_ten_seconds_is_written_and_counts_the_others(clock: list[float]) -> None:
    passes = OutageFilter().filter
    first, others, last = record(outage()), [record(outage()) for _ in range(50)], record(outage())
    assert passes(first)
    assert first.exc_info
    assert not any(passes(other) for other in others)
    clock[0] += 11
    assert passes(last)
    assert (last.getMessage(), last.exc_info) == ("Failed: /x (no connection; 50 such lines were kept back)", None)
    clock[0] += 11
    again = record(outage())
    assert passes(again)
    assert again.exc_info  # nothing was kept back: an outage of its own


def test_other_errors_are_all_written(clock: list[float]) -> None:
    passes = OutageFilter().filter
    assert passes(record(outage()))
    assert all(passes(record(error)) for error in [ValueError("x"), None, ValueError("x")])


def test_what_structlog_writes_is_counted_too(clock: list[float]) -> None:
    kept: list[dict[str, object]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record.msg)  # type: ignore[arg-type]

    handler = Handler()
    handler.addFilter(OutageFilter())
    target = logging.getLogger("tests.outage")
    target.addHandler(handler)
    try:
        logger = structlog.get_logger("tests.outage")
        for seconds in (0, 1, 2, 20):
            clock[0] = 100.0 + seconds
            try:
                raise outage()
            except OperationalError:
                logger.exception("database not available", exc_info=sys.exception())
    finally:
        target.removeHandler(handler)
    assert [(line["event"], line.get("kept_back")) for line in kept] == [
        ("database not available", None),
        ("database not available", 2),
    ]
