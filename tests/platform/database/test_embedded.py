"""The embedded server, with real servers in throw-away folders."""

import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mes.platform.server import embedded, placement, supervisor, throwaway
from mes.platform.server.embedded import Cluster, EmbeddedServerError
from mes.platform.server.placement import place
from tests.faults import exhaustion
from tests.platform.outbox.support import eventually

pytestmark = pytest.mark.waiting

PROJECT = Path(__file__).resolve().parents[3]
HOLD = """
import sys
from pathlib import Path
from mes.platform.server.embedded import running
with running(Path(sys.argv[1]), durable=False) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = throwaway.make_folder()
    yield folder
    Cluster(place(folder)).stop()
    throwaway.remove_folder(folder)


@pytest.fixture(scope="module")
def sample() -> Iterator[Path]:
    """The home of a database that was made and stopped."""
    folder = throwaway.make_folder()
    with running(folder):
        pass
    yield place(folder).home
    throwaway.remove_folder(folder)


@pytest.fixture
def made(data_dir: Path, sample: Path) -> None:
    """`data_dir` has a database already, which is stopped: making one takes longer than the rest of a test."""
    home = place(data_dir).home
    home.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", f"{sample}/.", str(home)], check=True)
    (home / "port").unlink()  # another's


def running(data_dir: Path, **options):
    return embedded.running(data_dir, durable=False, **options)


def hold(data_dir: Path) -> subprocess.Popen:
    """Use the server from another process until its standard input is closed."""
    command = [sys.executable, "-c", HOLD, str(data_dir)]
    return subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def release(holder: subprocess.Popen) -> None:
    holder.communicate(timeout=60)
    assert holder.returncode == 0


def postmaster_pid(data_dir: Path) -> int | None:
    found = Cluster(place(data_dir)).postmaster()
    return found[0] if found else None


def kill_postmaster(data_dir: Path) -> None:
    pid = postmaster_pid(data_dir)
    os.kill(pid, signal.SIGKILL)
    while postmaster_pid(data_dir):
        time.sleep(0.01)


def execute(url: str, statement: str):
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone() if cursor.description else None


def test_data_and_address_outlive_a_restart(data_dir):
    with running(data_dir) as url:
        execute(url, "CREATE TABLE kept AS SELECT 'ÄÖÜ' AS word")
    assert postmaster_pid(data_dir) is None
    with running(data_dir) as again:
        assert again == url
        assert execute(url, "SELECT lower(word), current_setting('TimeZone') FROM kept") == ("äöü", "UTC")


def test_a_server_for_use_is_durable():
    assert (embedded.SETTINGS["fsync"], embedded.SETTINGS["synchronous_commit"]) == ("on", "on")


def test_it_asks_for_the_password_and_hides_it(data_dir):
    with running(data_dir) as url:
        password = url.split(":")[2].split("@")[0]
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace(password, "guessed"))
        home = place(data_dir).home
        assert home.stat().st_mode & 0o777 == 0o700
        assert (home / "password").stat().st_mode & 0o777 == 0o600


def test_the_last_user_stops_the_server(data_dir, made):
    holder = hold(data_dir)
    shared = holder.stdout.readline().strip()
    with running(data_dir) as url:
        assert url == shared
    assert execute(url, "SELECT 1") == (1,)
    release(holder)
    assert postmaster_pid(data_dir) is None


def test_two_started_together_share_one_server(data_dir):
    holders = [hold(data_dir) for _ in range(2)]
    assert len({holder.stdout.readline() for holder in holders}) == 1
    for holder in holders:
        release(holder)
    assert postmaster_pid(data_dir) is None


def test_a_server_whose_launcher_was_killed_is_adopted(data_dir, made):
    holder = hold(data_dir)
    url = holder.stdout.readline().strip()
    pid = postmaster_pid(data_dir)
    holder.kill()
    holder.communicate()
    with running(data_dir) as adopted:
        assert (adopted, postmaster_pid(data_dir)) == (url, pid)
    assert postmaster_pid(data_dir) is None


def test_it_comes_back_when_it_dies_in_use(data_dir, made):
    with running(data_dir) as url:
        execute(url, "CREATE TABLE kept ()")
        execute(url, "CHECKPOINT")
        embedded.keep_alive()
        kill_postmaster(data_dir)
        embedded.keep_alive()
        assert execute(url, "SELECT count(*) FROM kept") == (0,)


def test_it_is_not_taken_for_dead_for_want_of_a_file_descriptor(data_dir, made):
    with running(data_dir) as url:
        pid = postmaster_pid(data_dir)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            with pytest.raises(EmbeddedServerError, match="cannot be told"):
                embedded.keep_alive()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert (embedded.keep_alive(), postmaster_pid(data_dir)) == (url, pid)


def test_it_keeps_its_port_on_a_full_disk_and_takes_another_when_that_is_taken(data_dir):
    with exhaustion.small_disk(data_dir, 100), running(data_dir) as url:
        port = place(data_dir).home / "port"
        noted = port.read_text()
        with exhaustion.full(data_dir):
            Cluster(place(data_dir))._note_port(1)
            assert [path.name for path in port.parent.iterdir() if "port" in path.name] == ["port"]
        assert port.read_text() == noted
        kill_postmaster(data_dir)
        assert embedded.keep_alive() == url
        kill_postmaster(data_dir)
        with socket.create_server(("127.0.0.1", int(noted))):
            moved = embedded.keep_alive()
            assert moved != url
            assert execute(moved, "SELECT 1") == (1,)
        assert embedded.keep_alive() == moved


def test_a_stale_pid_that_another_program_has_now_does_not_hinder(data_dir, made):
    with running(data_dir) as url:
        execute(url, "CREATE TABLE kept ()")
        execute(url, "CHECKPOINT")  # throw-away servers do not write at each commit
        kill_postmaster(data_dir)
    found = place(data_dir)
    options = found.account.options() if found.account else {}
    with subprocess.Popen(["sleep", "10"], cwd="/", **options) as other:
        stale = found.home / "data" / "postmaster.pid"
        stale.write_text("".join([f"{other.pid}\n", *stale.read_text().splitlines(keepends=True)[1:]]))
        with running(data_dir) as url:
            assert execute(url, "SELECT count(*) FROM kept") == (0,)
        assert other.poll() is None
        other.kill()


def test_a_first_start_that_was_cut_off_leaves_nothing_broken(data_dir):
    found = place(data_dir)
    partial = found.home / "data.new"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("half")
    with running(data_dir) as url:
        assert execute(url, "SELECT 1") == (1,)
    assert not partial.exists()


def test_data_of_another_version_is_refused(data_dir, made):
    with running(data_dir):
        pass
    version = place(data_dir).home / "data" / "PG_VERSION"
    version.write_text("15\n")
    with pytest.raises(EmbeddedServerError, match=r"PostgreSQL 15.*pg_upgrade"), running(data_dir):
        pass
    assert version.read_text() == "15\n"


def test_a_failed_start_shows_the_log(data_dir, made):
    with running(data_dir):
        pass
    with (place(data_dir).home / "data" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match="no_such_setting"), running(data_dir):
        pass


def test_a_folder_that_cannot_be_made_is_named(data_dir):
    (data_dir / "file").touch()
    with pytest.raises(EmbeddedServerError, match="MES_DATA_DIR"), running(data_dir / "file" / "var"):
        pass


def test_below_a_closed_folder(data_dir):
    """Root keeps the database where the service account can reach it; others in the data folder."""
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    said: list[str] = []
    with running(closed / "var", say=said.append) as url:
        assert execute(url, "SELECT 1") == (1,)
    home = place(closed / "var").home
    if os.geteuid() == 0:
        assert home.parent.parent == placement.SHARED_STATE
        assert (closed / "var" / "database").read_text().strip() == str(home)
        assert str(home) in said[0]
    else:
        assert (home, said) == (closed / "var" / "database", [])
    assert closed.stat().st_mode & 0o777 == 0o700
    throwaway.remove_folder(closed / "var")
    assert not home.exists()


def test_a_copy_of_the_binaries_works(data_dir, monkeypatch):
    monkeypatch.setattr(placement, "SHARED_STATE", data_dir / "state")
    binaries = placement._copy_binaries(placement.find_binaries())
    assert binaries.is_relative_to(data_dir)
    with monkeypatch.context() as patch:
        patch.setattr(placement, "find_binaries", lambda: binaries)
        with running(data_dir) as url:
            assert execute(url, "SELECT 1") == (1,)


def test_a_copied_project_does_not_share_the_database_of_the_original(data_dir):
    home = data_dir / "state" / "1234" / "database"
    home.parent.mkdir(parents=True)
    (home.parent / "used-by").write_text(f"{data_dir}\n")
    original, copy = data_dir / "database", data_dir / "copy" / "database"
    copy.parent.mkdir()
    for pointer in (original, copy):
        pointer.write_text(f"{home}\n")
    assert placement._named_home(original) == home
    assert placement._named_home(copy) is None
    original.unlink()  # moved, not copied
    assert placement._named_home(copy) == home


def _run_as(uid: int, gid: int, data_dir: Path, binaries: Path) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    placement.find_binaries = lambda: binaries
    with running(data_dir) as url:
        found = place(data_dir)
        assert (found.home, found.account) == (data_dir / "database", None)
        assert url.startswith("postgresql://")
    os._exit(0)


def test_an_ordinary_user_keeps_it_in_the_data_folder(data_dir):
    found = place(data_dir)
    uid, gid = (found.account.uid, found.account.gid) if found.account else (os.getuid(), os.getgid())
    own = data_dir / "own"
    own.mkdir()
    os.chown(own, uid, gid)
    process = multiprocessing.get_context("fork").Process(target=_run_as, args=(uid, gid, own, found.binaries))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert (own / "database").stat().st_uid == uid
    with running(own):  # and root runs it as its owner
        assert (own / "database" / "data").stat().st_uid == uid


def test_a_throwaway_server_of_a_killed_run_is_swept_away(data_dir):
    holder = hold(data_dir)
    holder.stdout.readline()
    pid = postmaster_pid(data_dir)
    os.utime(data_dir, (0, 0))
    throwaway._remove_abandoned()
    assert postmaster_pid(data_dir) == pid
    holder.kill()
    holder.communicate()
    os.utime(data_dir, (0, 0))
    throwaway._remove_abandoned()
    assert not data_dir.exists()
    eventually(lambda: supervisor.start_time(pid) is None)
