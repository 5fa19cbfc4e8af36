"""Two machines that start a new release at once: the second migration waits, and finds nothing left to do."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from mes.platform.database import migrating
from tests import databases

pytestmark = pytest.mark.waiting

NAME = f"{databases.own()}_empty"


@pytest.fixture
def empty() -> Iterator[str]:
    """An empty database; return its address."""
    with closing(psycopg.connect(databases.url_of("postgres"), autocommit=True)) as server:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(NAME))
        server.execute(drop)
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
        yield databases.url_of(NAME)
        server.execute(drop)


def start(address: str) -> subprocess.Popen[str]:
    command = [sys.executable, "manage.py", "migrate", "contenttypes", "--no-input"]
    environment = {**os.environ, "DATABASE_URL": address, "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=databases.PROJECT, env=environment, stdout=pipe, stderr=pipe, text=True)


def test_two_migrations_at_once_both_succeed(empty: str) -> None:
    with closing(psycopg.connect(empty, autocommit=True)) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [migrating.LOCK])
        both = [start(empty) for _number in range(2)]
        for one in both:
            assert one.stdout is not None and "Another process migrates" in one.stdout.readline()
    outcomes = [(*one.communicate(timeout=300), one.returncode) for one in both]
    assert [code for _out, _err, code in outcomes] == [0, 0], outcomes
    assert sum("Applying contenttypes.0001_initial" in out for out, _err, _code in outcomes) == 1


@pytest.mark.django_db(transaction=True)
def test_the_lock_waits_for_its_holder_and_is_given_back() -> None:
    said: list[str] = []
    with closing(psycopg.connect(databases.own_url(), autocommit=True)) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [migrating.LOCK])

        def let_go(text: str) -> None:
            said.append(text)
            holder.execute("SELECT pg_advisory_unlock(%s)", [migrating.LOCK])

        with migrating.only_one(connection, say=let_go):
            assert not holder.execute("SELECT pg_try_advisory_lock(%s)", [migrating.LOCK]).fetchone()[0]  # type: ignore[index]
        assert holder.execute("SELECT pg_try_advisory_lock(%s)", [migrating.LOCK]).fetchone()[0]  # type: ignore[index]
    assert len(said) == 1
