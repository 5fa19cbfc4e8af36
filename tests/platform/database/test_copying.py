"""Backup and restore, with the real tools on a real server: whatever happens, what is there is whole."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from mes.platform.monitoring import backups
from mes.platform.outbox import schedules, task_outcomes
from mes.platform.outbox.models import MesEvent, TaskOutcome
from mes.platform.server import backup
from tests import databases
from tests.faults import exhaustion
from tests.platform.outbox.support import PROJECT, eventually, make_event

pytestmark = pytest.mark.waiting

SCHEMAS = "SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|information_)'"
WRITE = """
    INSERT INTO mes_mesevent (event_type, status, idempotency_key, entity_type, entity_id, payload, occurred_at,
                              created_at, attempts, max_attempts, next_attempt_at, error)
    VALUES ('TRACK_IN', 'PENDING', %s, 'UNIT', 'x', '{}', now(), now(), 0, 10, now(), '')
"""
KEYS = "SELECT string_agg(idempotency_key, ' ' ORDER BY idempotency_key) FROM mes_mesevent"


@pytest.fixture
def other(transactional_db: None) -> Iterator[str]:
    """The address of an empty database beside the tests' own."""
    name = f"restored_{os.getpid()}"
    with psycopg.connect(databases.own_url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield databases.url_of(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def old(other: str) -> str:
    """The address of a database in use beside the tests' own: one event, “old”."""
    copied = other.rpartition("/")[2]
    databases.copy(databases.migrated(), copied)
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute(WRITE, ["old"])
    return other


@pytest.fixture
def file(transactional_db: None, tmp_path: Path) -> Path:
    """A backup of the tests' own database: one event, “new”."""
    make_event("new")
    path = tmp_path / "today.backup"
    backup.dump(path)
    return path


def manage(url: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    given = {**os.environ, "DATABASE_URL": url, "SECRET_KEY": "x", **environment}
    command = [sys.executable, "manage.py", *map(str, arguments)]
    return subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True, check=False)


def ask(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement).fetchone()[0]


def assert_refused(done: subprocess.CompletedProcess, reason: str, url: str) -> None:
    """The command said why, without a traceback; the old content stands and nothing else is there."""
    assert (done.returncode, reason in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr
    assert (ask(url, KEYS), ask(url, SCHEMAS)) == ("old", "public")


# --- there and back -----------------------------------------------------------------------------------------


def test_a_backup_is_restored_and_work_goes_on_there(other, tmp_path: Path):
    event = make_event("k", payload={"text": "µ „x“"})
    file = tmp_path / "today.backup"
    done = manage(databases.own_url(), "backup", file)
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    done = manage(other, "restore", file)
    assert (done.returncode, done.stdout) == (0, f"{file} is restored.\n"), done.stderr
    with psycopg.connect(other) as connection:
        found = connection.execute("SELECT id, payload->>'text' FROM mes_mesevent").fetchall()
        assert found == [(event.pk, "µ „x“")]
        assert connection.execute("SELECT nextval('integration_settledmessage_id_seq')").fetchone()
    assert ask(other, SCHEMAS) == "public"

    again = manage(other, "restore", file)  # what is there is not thrown away by mistake
    assert (again.returncode, "not empty" in again.stderr) == (1, True)
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


def test_what_is_written_meanwhile_is_there_wholly_or_not_at_all(old, tmp_path):
    """Events come in pairs; a backup has both or neither."""
    ended = threading.Event()

    def write() -> None:
        number = 0
        with psycopg.connect(databases.own_url()) as connection:
            while not ended.is_set():
                number += 1
                for half in "ab":
                    connection.execute(WRITE, [f"{number}-{half}"])
                connection.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually(lambda: MesEvent.objects.count() > 20)
        backup.dump(tmp_path / "file")
    finally:
        ended.set()
        writer.join()
    done = manage(old, "restore", tmp_path / "file", "--replace")
    assert done.returncode == 0, done.stderr
    halves = "SELECT count(*) FILTER (WHERE idempotency_key LIKE '%a') || ' ' || count(*) FILTER (WHERE "
    first, second = str(ask(old, f"{halves} idempotency_key LIKE '%b') FROM mes_mesevent")).split()
    assert first == second
    assert 10 <= int(first) < MesEvent.objects.count() / 2


# --- what is no whole backup --------------------------------------------------------------------------------


def test_a_backup_is_known_by_its_seal_and_every_change_is_seen(file):
    backup.check(file)
    content = file.read_bytes()
    for place in (0, 100, len(content) // 2, len(content) - backup.SEAL_SIZE - 1):
        changed = bytearray(content)
        changed[place] ^= 1
        file.write_bytes(changed)
        with pytest.raises(CommandError, match="differs"):
            backup.check(file)


def test_a_backup_without_a_seal_is_read_to_its_end(file):
    """Those of earlier releases have none; one that was cut off has none any more."""
    content = file.read_bytes()
    whole = content[: -backup.SEAL_SIZE]
    for kept in (content[:-1], whole):
        file.write_bytes(kept)
        backup.check(file)
    for size in (len(whole) - 1, len(whole) * 9 // 10, len(whole) // 2, 1000, 0):
        file.write_bytes(whole[:size])
        with pytest.raises(CommandError, match="pg_restore failed"):
            backup.check(file)


def test_a_cut_off_backup_and_a_wrong_file_change_nothing(old, file, tmp_path):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert_refused(manage(old, "restore", file, "--replace"), "pg_restore failed", old)
    (tmp_path / "nonsense").write_text("nonsense")
    assert_refused(manage(old, "restore", tmp_path / "nonsense", "--replace"), "pg_restore failed", old)
    assert_refused(manage(old, "restore", tmp_path, "--replace"), "There is no file", old)


def test_a_backup_of_something_else_changes_nothing(other, tmp_path):
    done = manage(other, "backup", tmp_path / "empty.backup")
    assert done.returncode == 0, done.stderr
    with pytest.raises(CommandError, match="something else"):
        backup.check(tmp_path / "empty.backup")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("INSERT INTO django_migrations (app, name, applied) VALUES ('mes', '9999_tomorrow', now())", "newer release"),
        ("DELETE FROM django_migrations WHERE app = 'trace' OR name = '0001_initial' AND app = 'ingest'", "brought up"),
    ],
)
def test_a_backup_that_this_release_cannot_take_over_leaves_the_old_content(old, tmp_path, change, reason):
    with psycopg.connect(databases.own_url(), autocommit=True) as connection:
        connection.execute(change)
    backup.dump(tmp_path / "file")
    assert_refused(manage(old, "restore", tmp_path / "file", "--replace"), reason, old)


UNCHECKED = """
import sys
from pathlib import Path
import django
django.setup()
from mes.platform.server import backup
backup.check = lambda source: None
backup.restore(Path(sys.argv[1]), replace=True, migrate=lambda: None)
"""


def test_what_breaks_off_while_it_is_loaded_changes_nothing(old, file):
    """A disk that fails after the file was read, say: nothing is committed unless all of it arrived."""
    file.write_bytes(file.read_bytes()[: -backup.SEAL_SIZE - 10_000])
    given = {**os.environ, "DATABASE_URL": old, "SECRET_KEY": "x"}
    command = [sys.executable, "-c", UNCHECKED, str(file)]
    done = subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True, check=False)
    assert (done.returncode, "could not be read" in done.stderr) == (1, True), done.stderr
    assert (ask(old, KEYS), ask(old, SCHEMAS)) == ("old", "public")


# --- killed -------------------------------------------------------------------------------------------------

KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import django
django.setup()
from django.core.management import call_command
from mes.platform.server import backup

def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def copy_half(source, target, length):
    target.flush()
    die()

moment = sys.argv[2]
if moment == "half loaded":
    shutil.copyfileobj = copy_half
elif moment == "swapped":
    drop, calls = backup.drop_leftovers, []
    backup.drop_leftovers = lambda: die() if calls else calls.append(drop())
elif moment == "migrating":
    backup._refuse_newer_release = lambda: django.db.connection.cursor().execute("CREATE TABLE half (id int)")
else:
    setattr(backup, moment, die)
migrate = die if moment == "migrating" else lambda: call_command("migrate", verbosity=0)
backup.restore(Path(sys.argv[1]), replace=True, migrate=migrate)
"""


MOMENTS = {
    "_digest": "old",
    "_unpack": "old",
    "half loaded": "old",
    "_refuse_newer_release": "old",
    "migrating": "old",
    "swapped": "new",
}


def test_a_restore_that_is_killed_leaves_the_old_or_the_new_and_the_next_start_cleans_up(old, file):
    given = {**os.environ, "DATABASE_URL": old, "SECRET_KEY": "x"}
    for moment, stands in MOMENTS.items():
        command = [sys.executable, "-c", KILLED, str(file), moment]
        done = subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, (moment, done.stderr)
        assert ask(old, KEYS) == stands, moment
        eventually(lambda: is_alone(old))
    assert ask(old, SCHEMAS) == "linekeeper_before public"
    migrated = manage(old, "migrate", "-v", "0")  # as the next start does
    assert migrated.returncode == 0, migrated.stderr
    assert (ask(old, KEYS), ask(old, SCHEMAS)) == ("new", "public")


def is_alone(url: str) -> bool:
    return ask(url, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") == 1


@pytest.mark.long
def test_a_restore_that_is_killed_at_any_time_is_made_good_by_the_next(old, file):
    given = {**os.environ, "DATABASE_URL": old, "SECRET_KEY": "x"}
    command = [sys.executable, "manage.py", "restore", str(file), "--replace"]
    for moment in range(5, 25, 5):
        process = subprocess.Popen(
            command, cwd=PROJECT, env=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(moment / 10)
        process.kill()
        process.wait()
        assert ask(old, KEYS) in ("old", "new")
        eventually(lambda: is_alone(old))
    done = manage(old, "restore", file, "--replace")
    assert done.returncode == 0, done.stderr
    assert (ask(old, KEYS), ask(old, SCHEMAS)) == ("new", "public")


# --- a server of one's own ----------------------------------------------------------------------------------


@pytest.fixture
def role(old: str) -> Iterator[str]:
    """A role that may do nothing but sign in."""
    name = f"plain_{os.getpid()}"
    with psycopg.connect(databases.own_url(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'plain' NOSUPERUSER NOCREATEDB")
    yield name
    with psycopg.connect(old, autocommit=True) as connection:
        connection.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}; DROP ROLE {name}")


def as_role(url: str, role: str) -> str:
    return f"postgresql://{role}:plain@{url.rpartition('@')[2]}"


def test_a_role_that_may_make_no_database_restores_its_own(old, role, file):
    with psycopg.connect(old, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION {role}")
        connection.execute(f"ALTER DATABASE {old.rpartition('/')[2]} OWNER TO {role}")
    for _time in range(2):
        done = manage(as_role(old, role), "restore", file, "--replace")
        assert done.returncode == 0, done.stderr
        assert (ask(old, KEYS), ask(old, SCHEMAS)) == ("new", "public")


def test_a_role_that_does_not_own_the_database_is_told_what_is_needed(old, role, file):
    assert_refused(manage(as_role(old, role), "restore", file, "--replace"), f"OWNER TO {role}", old)


# --- by schedule --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, settings) -> Path:
    path = tmp_path / "backups"
    path.mkdir()
    settings.MES_BACKUP_DIR, settings.MES_BACKUP_KEEP = path, 3
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def quick(monkeypatch) -> None:
    """Backups that take no time and hold nothing."""
    monkeypatch.setattr(backup, "dump", lambda path, **options: path.write_text("x"))


def make_old(folder: Path, *days: int) -> list[str]:
    """Leave backups of so many days ago."""
    made = [backup.NAME.format(datetime.now(UTC) - timedelta(days=ago)) for ago in days]
    for name in made:
        (folder / name).write_text("x")
    return made


def test_the_latest_are_kept_and_what_is_not_ours_stays(folder, quick, tmp_path):
    ours = make_old(folder, 1, 2, 3, 4, 5)
    foreign = ["linekeeper-2026-01-01.backup", "linekeeper-2026-01-01-000000.backup.txt", "other.backup", "notes"]
    for name in foreign:
        (folder / name).write_text("foreign")
    (folder / "linekeeper-2020-01-01-000000.backup").mkdir()
    (folder / "linekeeper-2020-01-02-000000.backup").symlink_to(folder / "notes")
    made = backup.back_up(folder, keep=3)
    links = ["linekeeper-2020-01-01-000000.backup", "linekeeper-2020-01-02-000000.backup"]
    assert names(folder) == sorted([*foreign, *links, *ours[:2], made.path.name])
    assert backup.latest() == made


def test_a_clock_that_was_set_back_does_not_remove_the_new_one(folder, quick):
    ours = make_old(folder, -1, -2, -3)
    made = backup.back_up(folder, keep=2)
    assert names(folder) == sorted([ours[2], made.path.name])


def test_a_full_disk_leaves_no_half_file_and_keeps_the_older_ones(transactional_db, folder):
    with exhaustion.small_disk(folder, 4) as disk:
        older = make_old(disk, 1, 2, 3)
        with exhaustion.full(disk), pytest.raises(CommandError, match="No space left"):
            backup.back_up(disk, keep=1)
        assert names(disk) == sorted(older)


def test_a_killed_backup_leaves_a_file_that_the_next_one_writes_anew(transactional_db, folder):
    (folder / backup.PARTIAL).write_text("half a backup")
    made = backup.back_up(folder, keep=3)
    assert names(folder) == [made.path.name]
    backup.check(made.path)


def test_two_do_not_write_at_the_same_time(transactional_db, folder):
    with backup._being_written(folder / backup.PARTIAL), pytest.raises(CommandError, match="Another backup"):
        backup.back_up(folder, keep=3)


def test_without_a_folder_there_is_none(settings, tmp_path):
    settings.MES_BACKUP_DIR = None
    assert backup.latest() is None
    settings.MES_BACKUP_DIR = tmp_path / "gone"
    assert backup.latest() is None
    with pytest.raises(CommandError, match="There is no folder"):
        backup.back_up(tmp_path / "gone", keep=3)


def test_a_scheduled_backup_is_made_by_a_process_of_its_own_and_its_end_is_noted(transactional_db, folder, monkeypatch):
    task = {"group": backups.TASK.name}
    task_outcomes.note_begin(None, task)
    with monkeypatch.context() as patch:
        patch.setenv("DATABASE_URL", databases.own_url())
        patch.setenv("SECRET_KEY", "x")
        patch.setenv("MES_BACKUP_DIR", str(folder))
        assert backups.start() == schedules.HANDED_ON
    task_outcomes.note_end(None, {**task, "success": True, "result": schedules.HANDED_ON})
    assert TaskOutcome.objects.get(name="backup").running_since  # if it never ends, that is seen
    eventually(lambda: TaskOutcome.objects.get(name="backup").succeeded_at)
    assert [made.path.name for made in backup.list_backups(folder)] == names(folder) != []


def test_a_scheduled_backup_stands_back_for_machines_and_people():
    words = backups.command()
    asked = [*words[: words.index(sys.executable) + 1], "-c", "import os; print(os.nice(0))"]
    nice = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert int(nice.stdout) == min(os.nice(0) + backups.NICE, 19)


def test_where_no_folder_is_set_the_task_starts_nothing(settings):
    settings.MES_BACKUP_DIR = None
    assert backups.start() == "off"
    assert "off" in str(backups.TASK.label)


def test_a_backup_that_fails_is_noted(db, folder):
    folder.rmdir()
    with pytest.raises(CommandError):
        call_command("backup")
    outcome = TaskOutcome.objects.get(name="backup")
    assert (outcome.failures, outcome.running_since) == (1, None)
    assert outcome.error.startswith("CommandError: There is no folder")


def test_a_backup_that_takes_long_is_not_taken_for_killed(db, monkeypatch):
    monkeypatch.setattr(task_outcomes, "BEAT_SECONDS", 0)
    with task_outcomes.noted("backup") as beat:
        TaskOutcome.objects.update(running_since=timezone.now() - timedelta(hours=1))
        beat()
        outcome = TaskOutcome.objects.get(name="backup")
        assert timezone.now() - outcome.running_since < timedelta(seconds=5)
