"""`manage.py serve` where the system has nothing left to give: what died meanwhile comes back by itself."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from attack.processes import belonging
from mes.platform.server import embedded
from mes.platform.server.placement import place
from mes.platform.server.throwaway import make_folder, remove_folder
from tests import databases
from tests.faults import exhaustion
from tests.faults.test_server import postmaster, programs, ready
from tests.platform.outbox.support import PROJECT, eventually, free_port

pytestmark = pytest.mark.waiting

DISK = 300  # megabytes


class Installation:
    """`manage.py serve`, as it is run."""

    def __init__(self, folder: Path, log: Path, **environment: str) -> None:
        self.folder, self.port, self.log = folder, free_port(), log
        given = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        given |= {"DJANGO_SETTINGS_MODULE": "mes.settings", "MES_DATA_DIR": str(folder), "PORT": str(self.port)}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=PROJECT,
                env={**given, "DEMO": "0", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def comes_back(self) -> None:
        """Wait until all works, under the same supervisor."""
        eventually(lambda: ready(self.port), self.log, within=90)
        assert self.process.poll() is None

    def says(self, text: str) -> bool:
        return text in self.log.read_text()

    def find(self, name: str) -> int:
        """Return the main process of “web” or “worker”, 0 while there is none."""
        commands = {pid: words for pid, words in belonging(self.folder).items() if pid in programs(self.folder)}
        return next((pid for pid, words in commands.items() if ("manage.py worker" in words) == (name == "worker")), 0)

    def end(self) -> None:
        """Stop it; nothing is left."""
        try:
            self.process.terminate()
            assert self.process.wait(timeout=60) == 0
            eventually(lambda: belonging(self.folder) == {})
        finally:
            kill(*belonging(self.folder))


@pytest.fixture
def on_a_small_disk(tmp_path: Path) -> Iterator[Installation]:
    """An installation with its own database, on a disk that can be filled."""
    folder = make_folder()
    with contextlib.ExitStack() as stack:
        stack.callback(remove_folder, folder)
        stack.enter_context(exhaustion.small_disk(folder, DISK))
        with embedded.running(folder) as url:  # as an installation leaves it that is stopped
            databases.fill(url)
        installation = Installation(folder, tmp_path / "log")
        stack.callback(installation.end)
        installation.comes_back()
        yield installation


@pytest.fixture(scope="module")
def installation(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with a database of the tests' server."""
    folder = tmp_path_factory.mktemp("installation")
    database = f"{databases.own()}_serve"
    databases.copy(databases.migrated(), database)
    installation = Installation(folder, folder / "said", DATABASE_URL=databases.url_of(database))
    try:
        installation.comes_back()
        yield installation
    finally:
        installation.end()


def database_url(folder: Path) -> str:
    home = place(folder).home
    port, password = (home / "port").read_text().strip(), (home / "password").read_text().strip()
    return f"postgresql://linekeeper:{password}@127.0.0.1:{port}/linekeeper"


def kill(*pids: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.long
def test_a_full_disk_ends_nothing_for_good(on_a_small_disk):
    installation = on_a_small_disk
    address = database_url(installation.folder)

    with exhaustion.full(installation.folder):  # everything dies while nothing can be written
        kill(*programs(installation.folder), *postmaster(installation.folder))
        eventually(lambda: installation.says("No space left on device"), installation.log)
        time.sleep(6)  # it is tried again and again
        assert installation.process.poll() is None
    installation.comes_back()

    with (  # PostgreSQL cannot write its log, panics and does not recover
        psycopg.connect(address, autocommit=True) as connection,
        exhaustion.full(installation.folder),
        pytest.raises(psycopg.OperationalError, match=r"pg_wal|server closed the connection"),
    ):
        for _megabyte in range(100):
            connection.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000))")
    installation.comes_back()
    assert database_url(installation.folder) == address

    port = int(address.rpartition(":")[2].partition("/")[0])  # its port is taken while it is down
    kill(*postmaster(installation.folder))
    with contextlib.closing(socket.socket()) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        eventually(lambda: can_listen(thief, port))
        eventually(lambda: installation.says("another port"), installation.log)
        installation.comes_back()
    assert database_url(installation.folder) != address


def can_listen(thief: socket.socket, port: int) -> bool:
    try:
        thief.bind(("127.0.0.1", port))
        thief.listen()
    except OSError:
        return False
    return True


def test_what_dies_while_nothing_can_be_started_comes_back(installation):
    before = programs(installation.folder)
    supervisor = installation.process.pid
    with exhaustion.without_descriptors(supervisor), exhaustion.without_memory(supervisor):
        kill(*before)
        time.sleep(2)
    eventually(lambda: {installation.find("web"), installation.find("worker")}.isdisjoint({0, *before}))
    installation.comes_back()


@pytest.mark.parametrize(
    ("name", "nothing_left"),
    [
        pytest.param("web", exhaustion.without_descriptors, marks=pytest.mark.long),
        ("worker", exhaustion.without_memory),
    ],
)
def test_a_process_of_a_program_that_can_start_none_comes_back(installation, name, nothing_left):
    eventually(lambda: children(installation, name))
    before = children(installation, name)
    with nothing_left(installation.find(name)):
        kill(before[0])
        time.sleep(2)
    eventually(lambda: len(children(installation, name)) == len(before), installation.log)
    assert before[0] not in children(installation, name)
    installation.comes_back()


def children(installation: Installation, name: str) -> list[int]:
    """Return the processes that “web” or “worker” has started."""
    main = installation.find(name)
    return exhaustion.children(main) if main else []
