"""The databases of the tests: one is migrated once in a run, and all others are copies of it.

Each worker of pytest-xdist has its copy. A test that rolls back leaves it as it was; after one that commits, the copy
is made anew (`tests/management/commands/flush.py`).
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from mes.platform.server.placement import find_binaries

PROJECT = Path(__file__).resolve().parent.parent
BUILDING = 7_203_114  # the advisory lock under which the migrated database is made
# Ids that tell of what they are: no id of one table is found in another.
SPREAD_IDS = "SELECT setval(seqrelid, 10000 * row_number() OVER (ORDER BY seqrelid::regclass::text)) FROM pg_sequence"


def url_of(name: str) -> str:
    """Return the DATABASE_URL of a database on the server of the tests."""
    return urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))


def migrated() -> str:
    """Return the name of the migrated database."""
    return f"test_{urlsplit(os.environ['DATABASE_URL']).path.removeprefix('/')}"


def own() -> str:
    """Return the name of the database that belongs to this process."""
    return f"{migrated()}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


def own_url() -> str:
    """Return the DATABASE_URL of the database that belongs to this process, for a process that a test starts."""
    return url_of(own())


def migrate() -> None:
    """Make the migrated database, unless another process has made it in this run."""
    with _server() as server:
        server.execute("SELECT pg_advisory_lock(%s)", [BUILDING])  # held until the connection closes
        if server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [migrated()]).fetchone():
            return
        fresh = f"{migrated()}_fresh"
        server.execute(_drop(fresh))  # of a process that was ended meanwhile
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(fresh)))
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=PROJECT, env={**os.environ, "DATABASE_URL": url_of(fresh)}, check=True)
        with psycopg.connect(url_of(fresh), autocommit=True) as connection:
            connection.execute(SPREAD_IDS)
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        server.execute(rename.format(sql.Identifier(fresh), sql.Identifier(migrated())))


def begin_to_migrate() -> subprocess.Popen[bytes]:
    """Begin to make the migrated database, while the workers look for their tests; they wait for it to be made."""
    return subprocess.Popen([sys.executable, "-c", "from tests import databases; databases.migrate()"], cwd=PROJECT)


def copy(source: str, target: str) -> None:
    """Make a database a copy of another. Connections to both are ended."""
    with _server() as server:
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [source])
        server.execute(_drop(target))
        # File by file is quicker than through the log, as the source is small.
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        server.execute(statement.format(sql.Identifier(target), sql.Identifier(source)))


def fill(url: str) -> None:
    """Make an empty database on another server what the migrated one is: that takes a tenth of migrating it."""
    migrate()
    read = f"{own()}_read"
    copy(migrated(), read)  # connections to the migrated one are ended by others who copy it
    programs = find_binaries() / "bin"
    reading = [programs / "pg_dump", "--no-owner", f"--dbname={url_of(read)}"]
    writing = [programs / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", url]
    with subprocess.Popen(reading, stdout=subprocess.PIPE) as dump:
        subprocess.run(writing, stdin=dump.stdout, stdout=subprocess.DEVNULL, check=True)
    assert dump.returncode == 0
    with _server() as server:
        server.execute(_drop(read))


def drop_all() -> None:
    """Drop every database that the tests made, in this run or in an earlier one."""
    with _server() as server:
        names = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [migrated()])
        for (name,) in names.fetchall():
            server.execute(_drop(name))


def _drop(name: str) -> sql.Composed:
    return sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))


@contextmanager
def _server() -> Iterator[psycopg.Connection]:
    with psycopg.connect(url_of("postgres"), autocommit=True) as connection:
        yield connection
