"""Connections that are kept: a server that went away is noticed before the first statement, mostly without asking."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import environ
import psycopg
import pytest
from django.db import (
    DEFAULT_DB_ALIAS,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    transaction,
)
from django.db.backends.postgresql.base import DatabaseWrapper as Original
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from mes.platform.database.connection.base import DatabaseWrapper
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.outbox.time_limit import EventTooSlow, time_limit
from mes.platform.server.embedded import Cluster, running
from mes.platform.server.placement import place
from mes.platform.server.throwaway import make_folder, remove_folder
from tests.platform.outbox.support import eventually

pytestmark = pytest.mark.django_db


@pytest.fixture
def kept() -> Iterator[DatabaseWrapper]:
    """A connection of its own to the tests' database, kept as a web server keeps its."""
    wrapper = keep(connection.settings_dict)
    yield wrapper
    wrapper.close()


def keep(settings: dict[str, Any]) -> DatabaseWrapper:
    wrapper = DatabaseWrapper({**connection.settings_dict, **settings, "CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True})
    assert ask(wrapper)
    begin_request(wrapper)
    assert ask(wrapper)  # proven by now
    return wrapper


def begin_request(wrapper: DatabaseWrapper) -> None:
    wrapper.close_if_unusable_or_obsolete()


def ask(wrapper: DatabaseWrapper) -> int:
    """Return the process that answers."""
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def handle_requests(wrapper: DatabaseWrapper, count: int) -> int:
    """Begin requests; return how often the server was asked whether it is there."""
    with mock.patch.object(Original, "is_usable", autospec=True, side_effect=Original.is_usable) as asked:
        for _ in range(count):
            begin_request(wrapper)
            ask(wrapper)
    return int(asked.call_count)


def end_backend(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_the_product_uses_it() -> None:
    assert isinstance(connections[DEFAULT_DB_ALIAS], DatabaseWrapper)
    assert connection.vendor == "postgresql"


def test_a_connection_that_was_proven_is_not_asked_for_each_request(kept: DatabaseWrapper) -> None:
    assert handle_requests(kept, 5) == 0


def test_it_is_asked_again_after_a_while(kept: DatabaseWrapper) -> None:
    kept.proven_at -= 2
    assert handle_requests(kept, 5) == 1


def test_it_is_asked_after_an_error(kept: DatabaseWrapper) -> None:
    with pytest.raises(Exception, match="syntax"), kept.cursor() as cursor:
        cursor.execute("nonsense")
    assert handle_requests(kept, 2) == 1


def test_a_connection_that_the_server_ended_is_replaced_before_the_first_statement(kept: DatabaseWrapper) -> None:
    pid = ask(kept)
    end_backend(pid)
    begin_request(kept)
    assert ask(kept) != pid


def test_a_connection_that_ends_within_a_request_fails_once(kept: DatabaseWrapper) -> None:
    begin_request(kept)
    end_backend(ask(kept))
    with pytest.raises((OperationalError, InterfaceError)):
        ask(kept)
    begin_request(kept)
    assert ask(kept)


def test_a_notice_that_nobody_asked_for_ends_nothing(kept: DatabaseWrapper) -> None:
    pid = ask(kept)
    with kept.cursor() as cursor:
        cursor.execute("LISTEN news")
    with psycopg.connect(connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]) as other:
        other.execute("NOTIFY news")
    eventually(lambda: not kept._is_silent())
    assert handle_requests(kept, 1) == 1
    assert ask(kept) == pid


def test_a_restart_of_the_server_costs_no_request() -> None:
    folder = make_folder()
    try:
        with running(folder, durable=False, say=lambda text: None) as url:
            wrapper = keep(environ.Env.db_url_config(url))
            crash(folder)
        with running(folder, durable=False, say=lambda text: None) as again:
            assert again == url
            begin_request(wrapper)
            assert ask(wrapper)
            wrapper.close()
    finally:
        remove_folder(folder)


# --- statements that are prepared -----------------------------------------------------------------------------


INSERT = "INSERT INTO noted VALUES ($1) RETURNING name"


def make_table(wrapper: DatabaseWrapper) -> None:
    """A table that goes with the connection."""
    with wrapper.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE noted (name text PRIMARY KEY)")


def prepared_on_server(wrapper: DatabaseWrapper, word: str = "said") -> list[str]:
    """Return the names of the prepared statements with a word in them."""
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements WHERE statement LIKE %s", [f"%{word}%"])
        return [row[0] for row in cursor.fetchall()]


def test_rows_are_what_a_cursor_would_return(kept: DatabaseWrapper) -> None:
    at = datetime(2026, 11, 21, 10, 30, 0, 250_000, UTC)
    values = [7, "Löt\n\\", at, as_json({"µ": [1, None]}), None, True, [1, 2], Decimal("0.10")]
    columns = "$1::bigint, $2::text, $3::timestamptz, $4::jsonb, $5::text, $6::bool, $7::bigint[], $8::numeric"
    [row] = kept.fetch_prepared(f"SELECT {columns}", values)
    assert row == (7, "Löt\n\\", at, '{"µ": [1, null]}', None, True, [1, 2], Decimal("0.10"))
    assert kept.fetch_prepared(f"SELECT {columns}", values, binary=True) == [(*row[:3], {"µ": [1, None]}, *row[4:])]
    assert kept.fetch_prepared("SELECT 1 WHERE $1::bool", [False]) == []


def test_a_statement_is_prepared_once_for_each_connection(kept: DatabaseWrapper) -> None:
    for value in (1, 2, 3):
        assert kept.fetch_prepared("SELECT $1::bigint AS said", [value]) == [(value,)]
    assert len(prepared_on_server(kept)) == 1
    end_backend(ask(kept))
    begin_request(kept)
    assert prepared_on_server(kept) == []
    assert kept.fetch_prepared("SELECT $1::bigint AS said", [5]) == [(5,)]
    assert len(prepared_on_server(kept)) == 1


def test_what_is_prepared_outlives_rollbacks(kept: DatabaseWrapper) -> None:
    """Or each refused event would have the next one planned anew."""
    with in_transaction(kept):
        kept.fetch_prepared("SELECT $1::bigint AS said", [1])
        savepoint = kept.savepoint()
        kept.fetch_prepared("SELECT $1::bigint AS said", [2])
        kept.savepoint_rollback(savepoint)
        kept.fetch_prepared("SELECT $1::bigint AS said", [3])
        [name] = prepared_on_server(kept)
        with pytest.raises(DataError):
            kept.fetch_prepared("SELECT 1 / $1::bigint", [0])
    kept.fetch_prepared("SELECT $1::bigint AS said", [4])
    assert prepared_on_server(kept) == [name]


def test_statements_of_django_are_not_prepared(kept: DatabaseWrapper) -> None:
    kept.fetch_prepared("SELECT 1", [])
    for _ in range(10):
        ask(kept)
    assert prepared_on_server(kept, "backend_pid") == []


def test_an_own_threshold_is_kept() -> None:
    wrapper = keep({"OPTIONS": {"prepare_threshold": 3}})
    with contextlib.closing(wrapper):
        wrapper.fetch_prepared("SELECT 1", [])
        assert wrapper.connection.prepare_threshold == 3


def test_wrappers_and_the_log_of_queries_see_it(kept: DatabaseWrapper) -> None:
    seen: list[Any] = []

    def note(execute: Any, query: Any, values: Any, many: bool, context: Any) -> Any:
        seen.append((query, values, many, context["connection"]))
        return execute(query, values, many, context)

    with kept.execute_wrapper(note), CaptureQueriesContext(kept) as queries:
        assert kept.fetch_prepared("SELECT $1::bigint AS said", [1]) == [(1,)]
    assert seen == [("SELECT $1::bigint AS said", [1], False, kept)]
    assert [query["sql"] for query in queries] == ["SELECT $1::bigint AS said"]


def test_a_wrapper_may_run_others_meanwhile(kept: DatabaseWrapper) -> None:
    def explain(execute: Any, query: Any, *rest: Any) -> Any:
        done = execute(query, *rest)
        if not query.startswith("EXPLAIN"):
            assert kept.fetch_prepared(f"EXPLAIN {query}", [1])
        return done

    kept.fetch_prepared("SELECT 1", [])
    with kept.execute_wrapper(explain):
        assert kept.fetch_prepared("SELECT $1::bigint AS said", [1]) == [(1,)]


def test_a_wrapper_may_refuse_it(kept: DatabaseWrapper) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError

    with kept.execute_wrapper(refuse), pytest.raises(PermissionError):
        kept.fetch_prepared("SELECT 1", [])
    assert kept.fetch_prepared("SELECT 1", []) == [(1,)]


def test_values_of_another_type_are_no_trouble(kept: DatabaseWrapper) -> None:
    for value in (None, 1, 2**40, "12", None):
        assert kept.fetch_prepared("SELECT $1::bigint", [value]) == [(None if value is None else int(value),)]


@contextlib.contextmanager
def in_transaction(wrapper: DatabaseWrapper) -> Iterator[None]:
    """A transaction as a refused request leaves it: rolled back."""
    wrapper.set_autocommit(False)
    try:
        yield
    finally:
        wrapper.rollback()
        wrapper.set_autocommit(True)


def test_it_begins_the_transaction_that_django_asked_for(kept: DatabaseWrapper) -> None:
    make_table(kept)
    with in_transaction(kept):
        assert kept.fetch_prepared(INSERT, ["one"]) == [("one",)]
        assert kept.fetch_prepared(INSERT, ["two"]) == [("two",)]
    assert kept.fetch_prepared("SELECT name FROM noted", []) == []
    assert kept.fetch_prepared(INSERT, ["one"]) == [("one",)]
    kept.close()


def test_its_errors_are_those_of_django(kept: DatabaseWrapper) -> None:
    make_table(kept)
    with pytest.raises(ProgrammingError, match="nowhere"):
        kept.fetch_prepared("SELECT * FROM nowhere", [])
    with pytest.raises(DataError, match="zero"):
        kept.fetch_prepared("SELECT 1 / $1::bigint", [0])
    assert kept.fetch_prepared("SELECT 1 / $1::bigint", [1]) == [(1,)]
    assert kept.fetch_prepared(INSERT, ["one"]) == [("one",)]
    with pytest.raises(IntegrityError, match="noted_pkey"):
        kept.fetch_prepared(INSERT, ["one"])


def test_nothing_is_sent_in_a_transaction_that_failed() -> None:
    with transaction.atomic():
        with pytest.raises(DataError), transaction.atomic():
            fetch_all("SELECT 1 / %(by)s::bigint", {"by": 0})
        assert fetch_all("SELECT 1 / %(by)s::bigint", {"by": 1}) == [(1,)]
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            fetch_all("SELECT 1 / %(by)s::bigint", {"by": 1})


def test_a_connection_that_ends_before_it_says_why(kept: DatabaseWrapper) -> None:
    begin_request(kept)
    end_backend(ask(kept))
    with pytest.raises(OperationalError) as raised:
        kept.fetch_prepared("SELECT 1", [])
    assert isinstance(raised.value.__cause__, psycopg.errors.AdminShutdown)
    begin_request(kept)
    assert kept.fetch_prepared("SELECT 1", []) == [(1,)]


def test_it_begins_with_the_isolation_that_the_connection_has(kept: DatabaseWrapper) -> None:
    kept.connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    with in_transaction(kept):
        assert kept.fetch_prepared("SELECT current_setting('transaction_isolation')", []) == [("serializable",)]


@pytest.fixture
def other(kept: DatabaseWrapper) -> Iterator[psycopg.Connection[Any]]:
    """Another connection, and a table that both see."""
    with psycopg.connect(connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]) as opened:
        opened.execute("CREATE TABLE seen_by_both (number integer)")
        opened.commit()
        yield opened
        opened.rollback()
        opened.execute("DROP TABLE seen_by_both")


@pytest.mark.parametrize("is_prepared", [True, False], ids=["while it runs", "while it is prepared"])
def test_it_is_interrupted_while_it_waits_for_a_lock(
    kept: DatabaseWrapper, other: psycopg.Connection[Any], is_prepared: bool
) -> None:
    statement = "SELECT number FROM seen_by_both"
    if is_prepared:
        assert kept.fetch_prepared(statement, []) == []
    with kept.cursor() as cursor:
        cursor.execute("SET lock_timeout = '5s'")  # so that a wait that nothing interrupts ends
    other.execute("LOCK TABLE seen_by_both")
    started = time.monotonic()
    with pytest.raises(EventTooSlow), time_limit(0.3):
        kept.fetch_prepared(statement, [])
    assert time.monotonic() - started < 4
    other.rollback()
    assert kept.fetch_prepared("SELECT 1", []) == [(1,)]
    assert kept.fetch_prepared(statement, []) == []


READ = "SELECT number FROM seen_by_both"


def alter(other: psycopg.Connection[Any], kind: str = "bigint") -> None:
    other.execute(f"ALTER TABLE seen_by_both ALTER number TYPE {kind}")
    other.commit()


def test_it_is_prepared_anew_after_its_tables_were_altered(
    kept: DatabaseWrapper, other: psycopg.Connection[Any]
) -> None:
    for kind in ("bigint", "text"):
        assert kept.fetch_prepared(READ, []) == []
        alter(other, kind)
    assert kept.fetch_prepared(READ, []) == []
    assert len(prepared_on_server(kept, "seen_by_both")) == 1


def test_a_transaction_fails_once_after_tables_were_altered(
    kept: DatabaseWrapper, other: psycopg.Connection[Any]
) -> None:
    kept.fetch_prepared(READ, [])
    alter(other)
    with in_transaction(kept), pytest.raises(NotSupportedError):
        kept.fetch_prepared(READ, [])
    with in_transaction(kept):
        assert kept.fetch_prepared(READ, []) == []


def test_a_savepoint_fails_once_after_tables_were_altered(
    kept: DatabaseWrapper, other: psycopg.Connection[Any]
) -> None:
    kept.fetch_prepared(READ, [])
    alter(other)
    with in_transaction(kept):
        assert kept.fetch_prepared("SELECT 1", []) == [(1,)]
        savepoint = kept.savepoint()
        with pytest.raises(NotSupportedError):
            kept.fetch_prepared(READ, [])
        kept.savepoint_rollback(savepoint)
        assert kept.fetch_prepared(READ, []) == []


def test_it_is_prepared_anew_after_the_session_was_reset(kept: DatabaseWrapper) -> None:
    for _ in range(3):
        assert kept.fetch_prepared("SELECT 1", []) == [(1,)]
        with kept.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")


def test_what_is_never_supported_fails(kept: DatabaseWrapper, other: psycopg.Connection[Any]) -> None:
    with pytest.raises(NotSupportedError, match="FOR UPDATE"):
        kept.fetch_prepared("SELECT count(*) FROM seen_by_both FOR UPDATE", [])
    assert kept.fetch_prepared(READ, []) == []


# --- Django's pool of connections ------------------------------------------------------------------------------


POOL = {"min_size": 1, "max_size": 1, "timeout": 5}


def draw() -> DatabaseWrapper:
    """Return what a thread has that draws from a pool of one connection."""
    changed = {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True, "OPTIONS": {"pool": POOL}}
    return DatabaseWrapper({**connection.settings_dict, **changed}, alias="pooled")


@pytest.fixture
def pooled() -> Iterator[DatabaseWrapper]:
    wrapper = draw()
    yield wrapper
    wrapper.close()
    wrapper.close_pool()


def test_a_pool_keeps_what_is_prepared(pooled: DatabaseWrapper) -> None:
    for value in (1, 2, 3):
        assert pooled.fetch_prepared("SELECT $1::bigint AS said", [value]) == [(value,)]
        assert len(prepared_on_server(pooled)) == 1
        pooled.close()  # ends a request
        begin_request(pooled)


def test_a_connection_of_a_pool_that_the_server_ended_is_replaced(pooled: DatabaseWrapper) -> None:
    pid = ask(pooled)
    pooled.fetch_prepared("SELECT 1", [])
    pooled.close()
    end_backend(pid)
    assert pooled.fetch_prepared("SELECT 1", []) == [(1,)]
    assert ask(pooled) != pid


def test_tables_may_be_altered_under_a_pool(pooled: DatabaseWrapper, other: psycopg.Connection[Any]) -> None:
    pooled.fetch_prepared(READ, [])
    alter(other)
    with in_transaction(pooled), pytest.raises(NotSupportedError):
        pooled.fetch_prepared(READ, [])
    pooled.close()
    with contextlib.closing(draw()) as another, in_transaction(another):
        assert another.fetch_prepared(READ, []) == []


def crash(folder: Path) -> None:
    cluster = Cluster(place(folder))
    found = cluster.postmaster()
    assert found is not None
    os.kill(found[0], signal.SIGKILL)
    deadline = time.monotonic() + 10
    while cluster.postmaster() and time.monotonic() < deadline:
        time.sleep(0.01)
