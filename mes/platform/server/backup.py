"""Backup and restore by PostgreSQL's own tools, which the embedded server brings along."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from django.core.management.base import CommandError
from django.db import connection

from mes.platform.server.placement import EmbeddedServerError, find_binaries

NOT_OURS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def dump(target: Path) -> None:
    """Write everything in the database, as of one moment, into one file. Others can go on working meanwhile."""
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.touch(mode=0o600, exist_ok=False)  # it holds password hashes
        _run("pg_dump", ["--format=custom", "--no-owner", "--no-privileges", f"--file={partial}"])
        partial.rename(target)
    except OSError as error:
        raise CommandError(f"{target} cannot be written: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)


def load(source: Path, *, replace: bool) -> None:
    """Put a backup into the database, all of it or nothing; `replace` throws away first what is there.

    Raises CommandError when somebody else is connected, when the file is no backup, or when there is something to lose.
    """
    if not source.is_file():
        raise CommandError(f"There is no file {source}.")
    with connection.cursor() as cursor:
        cursor.execute(NOT_OURS)
        if cursor.fetchone()[0]:
            raise CommandError("Somebody uses the database. Stop the web server and every worker first.")
        if connection.introspection.table_names(cursor) and not replace:
            raise CommandError("The database is not empty. With --replace, what is in it is thrown away.")
    connection.close()
    _run("pg_restore", ["--list", str(source)])  # before anything is thrown away
    if replace:
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.close()
    database = f"--dbname={connection.settings_dict['NAME']}"
    _run("pg_restore", ["--no-owner", "--no-privileges", "--single-transaction", database, str(source)])


def _run(program: str, arguments: Sequence[str]) -> None:
    try:
        path = find_binaries() / "bin" / program
    except EmbeddedServerError as error:
        raise CommandError(str(error)) from error
    settings_dict = connection.settings_dict
    names = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGDATABASE": "NAME"}
    environment = {name: str(settings_dict[key]) for name, key in names.items() if settings_dict[key]}
    done = subprocess.run(
        [str(path), *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"{program} failed:\n{done.stderr.strip()[-2000:]}")
