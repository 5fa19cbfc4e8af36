"""An installation of our own for the time of the attack: all that `script/server` runs, in a folder that goes."""

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attack.client import HOST
from attack.processes import Process, belonging, children, descendants, send
from mes.platform.server.embedded import Cluster
from mes.platform.server.placement import place
from mes.platform.server.throwaway import remove_folder

PROJECT = Path(__file__).resolve().parent.parent
START = 90  # seconds that a start may take
SECRET_KEY = secrets.token_hex(32)  # of every installation of this run, so that sessions made here are good there
SIZE = "1g"  # of the small disk


class AttackError(Exception):
    """Something cannot be tried; the message says why."""


class Installation:
    """What `manage.py serve` runs in `folder`: its processes by what they are, and its database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it as an operator would, and wait until it is ready. Raises AttackError."""
        given = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        given |= {"MES_DATA_DIR": str(self.folder), "PORT": str(self.port), "DEMO": "0"}
        given |= {"DJANGO_SETTINGS_MODULE": "mes.settings", "SECRET_KEY": SECRET_KEY}
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=PROJECT,
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if not wait_for(self.is_ready, within=START):
            raise AttackError(f"The installation does not start:\n{self.said()}")

    def stop(self) -> None:
        """Stop it as an operator would; what is left after a while is killed."""
        if self.process is not None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=60)
        send(belonging(self.folder))
        if self.process is not None:
            self.process.wait()

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def said(self) -> str:
        """Return the last lines of its output."""
        try:
            return "\n".join((self.folder / "serve.log").read_text(errors="replace").splitlines()[-20:])
        except OSError as error:
            return str(error)

    @property
    def url(self) -> str:
        """The address of its database. Raises AttackError while that does not run."""
        cluster = Cluster(place(self.folder))
        found = cluster.postmaster()
        if found is None:
            raise AttackError("The database does not run.")
        return cluster.url(found[1])

    # --- its processes

    def supervisor(self) -> list[int]:
        return [] if self.process is None else [self.process.pid]

    def web_server(self) -> list[int]:
        return [program.pid for program in self._programs() if not _is_worker(program)]

    def web_workers(self) -> list[int]:
        return [child.pid for pid in self.web_server() for child in children(pid) if "tracker" not in child.words]

    def worker(self) -> list[int]:
        return [program.pid for program in self._programs() if _is_worker(program)]

    def worker_processes(self) -> list[int]:
        """Those of django-q2, below the worker."""
        return [below.pid for pid in self.worker() for below in descendants(pid)]

    def postmaster(self) -> list[int]:
        found = Cluster(place(self.folder)).postmaster()
        return [] if found is None else [found[0]]

    def backends(self) -> list[int]:
        """Those that serve a connection."""
        return [child.pid for pid in self.postmaster() for child in children(pid) if HOST in child.words]

    def database(self) -> list[int]:
        """Every process of the database."""
        return [*self.postmaster(), *(below.pid for pid in self.postmaster() for below in descendants(pid))]

    def everything(self) -> list[int]:
        return [*self.supervisor(), *belonging(self.folder), *self.database()]

    def _programs(self) -> list[Process]:
        found = [child for pid in self.supervisor() for child in children(pid)]
        return [child for child in found if "postgres" not in child.words]


_NOT_OURS = ("DATABASE_URL", "DEBUG", "LOG_LEVEL", "CONN_MAX_AGE", "ALLOWED_HOSTS")  # as shipped


def _is_worker(program: Process) -> bool:
    return "manage.py worker" in program.words


@contextlib.contextmanager
def installed(*, small_disk: bool = False) -> Iterator[Installation]:
    """Yield an installation that runs; with `small_disk` its folder is a file system of its own. Raises AttackError."""
    folder = Path(tempfile.mkdtemp(prefix="linekeeper-attack-"))  # tests remove the throw-away ones that seem abandoned
    folder.chmod(0o755)  # the service account of the database must be able to enter
    try:
        with _mounted(folder) if small_disk else contextlib.nullcontext():
            installation = Installation(folder)
            try:
                installation.start()
                yield installation
            finally:
                installation.stop()
    finally:
        remove_folder(folder)


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AttackError(f"No file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def set_up_django(installation: Installation) -> None:
    """Have Django in this process use the database of an installation; may be called again for another one."""
    from urllib.parse import urlsplit

    os.environ |= {
        "DATABASE_URL": installation.url,
        "MES_DATA_DIR": str(installation.folder),
        "DEMO": "0",
        "DJANGO_SETTINGS_MODULE": "tests.settings",  # what tests make is made here, too
        "SECRET_KEY": SECRET_KEY,
        "LOG_LEVEL": "CRITICAL",
        "ALLOWED_HOSTS": "testserver",  # by which the clients of tests call Django in this process
    }
    import django

    django.setup()
    from django.db import connection, connections

    connections.close_all()
    parts = urlsplit(installation.url)
    place = {"HOST": parts.hostname, "PORT": parts.port, "USER": parts.username, "PASSWORD": parts.password}
    connection.settings_dict.update({**place, "NAME": parts.path.removeprefix("/")})


def wait_for(holds: Callable[[], bool], *, within: float, every: float = 0.1) -> bool:
    """Wait until something holds; False when it does not in time."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def freeze(pids: list[int], seconds: float) -> None:
    """Stop processes and let them go on."""
    send(pids, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        send(pids, signal.SIGCONT)


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind((HOST, 0))
        return int(trial.getsockname()[1])
