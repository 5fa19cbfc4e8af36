"""Backup and restore, with the real tools on a real server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mes.platform.outbox.models import MesEvent
from tests import databases
from tests.platform.outbox.support import PROJECT, make_event

pytestmark = pytest.mark.waiting


@pytest.fixture
def other(transactional_db: None) -> Iterator[str]:
    """The address of an empty database beside the tests' own."""
    name = f"restored_{os.getpid()}"
    with psycopg.connect(databases.own_url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield databases.url_of(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def manage(url: str, *arguments: object) -> subprocess.CompletedProcess:
    environment = {**os.environ, "DATABASE_URL": url, "SECRET_KEY": "x"}
    command = [sys.executable, "manage.py", *map(str, arguments)]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def test_a_backup_is_restored_and_work_goes_on_there(other, tmp_path: Path):
    event = make_event("k", payload={"text": "µ „x“"})
    file = tmp_path / "today.backup"
    done = manage(databases.own_url(), "backup", file)
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    done = manage(other, "restore", file)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(other) as connection:
        found = connection.execute("SELECT id, payload->>'text' FROM mes_mesevent").fetchall()
        assert found == [(event.pk, "µ „x“")]
        assert connection.execute("SELECT nextval('integration_settledmessage_id_seq')").fetchone()

    again = manage(other, "restore", file)  # what is there is not thrown away by mistake
    assert (again.returncode, "not empty" in again.stderr) == (1, True)
    (tmp_path / "nonsense").write_text("nonsense")
    wrong = manage(other, "restore", tmp_path / "nonsense", "--replace")
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (1, False)
    with psycopg.connect(other) as connection:
        assert connection.execute("SELECT count(*) FROM mes_mesevent").fetchone() == (1,)
        used = manage(other, "restore", file, "--replace")
        assert (used.returncode, "Stop the web server" in used.stderr) == (1, True)
    MesEvent.objects.all().delete()
    done = manage(other, "restore", file, "--replace")
    assert done.returncode == 0, done.stderr


def test_a_file_that_cannot_be_written_is_named(transactional_db):
    done = manage(databases.own_url(), "backup", "/proc/no.backup")
    assert (done.returncode, "/proc/no.backup cannot be written" in done.stderr) == (1, True)
