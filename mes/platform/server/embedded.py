"""A PostgreSQL server of our own, for running without setting up anything.

`running(data_dir)` starts the server or joins the one that runs, and yields its
address. The last user stops it. Needs no Django; used by manage.py, the tests
and the scripts when DATABASE_URL is not set.

Two locks in the data folder order everything: `database.lock` (exclusive) is held
while the server is started or stopped, `database.users` (shared) while it is used.
A server whose launcher was killed is found again by its postmaster.pid.
It listens on the loopback address only and asks for a generated password.
"""

import contextlib
import fcntl
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mes.platform.server.files import sync_folder, write_whole
from mes.platform.server.placement import EmbeddedServerError, Placement, place

__all__ = ["Cluster", "EmbeddedServerError", "keep_alive", "running"]

MAJOR_VERSION = "18"
NAME = "linekeeper"  # of the superuser and of the database
NOBODYS_PID = 2**22 + 1  # no system gives out numbers this high
START_TIMEOUT = 300  # seconds; recovery after a power cut may take a while
SETTINGS = {  # kept in postgresql.conf, where the operator may change them
    "max_connections": "100",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_parallel_workers_per_gather": "1",
    "max_wal_size": "2GB",
    "min_wal_size": "1GB",  # files of the log are reused, not allocated while machines wait
    "random_page_cost": "1.1",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",  # one file per weekday, overwritten a week later
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
NOT_DURABLE |= {"max_wal_size": "512MB", "min_wal_size": "80MB"}  # the log of what is not kept may lie in memory
WORTH_RETRYING = ("Address already in use", "could not create any TCP/IP sockets", "shared memory block")
_in_use: list[tuple[Path, "Cluster"]] = []  # by this process


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # a full disk, or nobody who reads it
        print(text, file=sys.stderr)


@contextlib.contextmanager
def running(data_dir: Path, *, durable: bool = True, say: Callable[[str], None] = _say) -> Iterator[str]:
    """Yield the DATABASE_URL of the server of `data_dir`; the last one to leave stops the server."""
    cluster = Cluster(place(data_dir), durable=durable)
    users = _open_lock(data_dir / "database.users")
    guard = data_dir / "database.lock"
    try:
        try:
            with _locked(guard):
                fcntl.flock(users, fcntl.LOCK_SH)
                url = cluster.ensure_started(say)
            _in_use.append((data_dir, cluster))
            yield url
        finally:
            _in_use[:] = [entry for entry in _in_use if entry[1] is not cluster]
            with _signals_ignored(), _locked(guard):
                if _try_exclusive(users):
                    cluster.stop()
    finally:
        os.close(users)


def keep_alive() -> str | None:
    """Start the server this process uses again if it died, on the same port if that is still free.

    Returns its address, which is another one if it had to move; None if this process uses no server. Raises
    EmbeddedServerError or OSError when it cannot be started now.
    """
    url = None
    for data_dir, cluster in _in_use:
        postmaster = cluster.postmaster()
        if postmaster is None:
            with _locked(data_dir / "database.lock"):
                cluster.ensure_started(_say)
        elif postmaster[1]:
            cluster.port = postmaster[1]  # another process may have started it
        url = cluster.url(cluster.port)
    return url


class Cluster:
    """One database cluster: `home` holds `data`, the password and the last port."""

    def __init__(self, placement: Placement, *, durable: bool = True) -> None:
        self.placement = placement
        self.home = placement.home
        self.data = placement.home / "data"
        self.durable = durable
        self.port = 0  # the last one that this process knows of

    def url(self, port: int) -> str:
        password = (self.home / "password").read_text().strip()
        return f"postgresql://{NAME}:{password}@127.0.0.1:{port}/{NAME}"

    def ensure_started(self, say: Callable[[str], None]) -> str:
        """Adopt the running server or start one, made first if there is none yet; return its URL."""
        port = self._find_running()
        try:
            self.port = port or self._make_and_start(say)
            return self.url(self.port)
        except OSError as error:
            raise EmbeddedServerError(f"The database in {self.home} cannot be started: {error}.") from error

    def _make_and_start(self, say: Callable[[str], None]) -> int:
        if self.placement.note:
            say(self.placement.note)
        self._make_home()
        if not self.data.exists():
            self._create()
        self._check_version()
        return self._start()

    def postmaster(self) -> tuple[int, int, str] | None:
        """Return pid, port and state of the live postmaster of this cluster.

        Raises EmbeddedServerError when that cannot be told: a server that runs must not be taken for dead, because
        this process has no file descriptor left.
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            pid = int(lines[0])
            words = _command_line(pid)
        except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
            return None
        except OSError as error:
            raise EmbeddedServerError(f"It cannot be told whether the database server runs: {error}.") from error
        if not (any("postgres" in word for word in words) and str(self.data) in words):
            return None
        port = int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else 0
        return pid, port, lines[7].strip() if len(lines) > 7 else "starting"

    def stop(self) -> None:
        """Stop the server if it runs; sessions are ended, nothing committed is lost."""
        if self.postmaster() is None:
            return
        for mode in ("fast", "immediate"):
            done = self._run("pg_ctl", "stop", "-D", str(self.data), "-m", mode, "-w", "-t", "60")
            if done.returncode == 0 or self.postmaster() is None:
                return
        raise EmbeddedServerError(f"The database server did not stop: {done.stderr.strip()}")

    def _find_running(self) -> int | None:
        """Return the port of the running server; wait for one that is just starting or stopping."""
        deadline = time.monotonic() + START_TIMEOUT
        while postmaster := self.postmaster():
            pid, port, state = postmaster
            if state == "ready":
                return port
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"The database server (process {pid}) stays in state {state!r}.")
            time.sleep(0.05)
        return None

    def _make_home(self) -> None:
        self.home.mkdir(mode=0o700, exist_ok=True)
        self._give_to_account(self.home)

    def _create(self) -> None:
        """Make the cluster beside its place and rename it when complete."""
        new_data = self.home / "data.new"
        shutil.rmtree(new_data, ignore_errors=True)
        password = self.home / "password"
        write_whole(password, secrets.token_hex(16) + "\n")
        self._give_to_account(password)
        options = [
            f"--set={name}={value}" for name, value in (SETTINGS | ({} if self.durable else NOT_DURABLE)).items()
        ]
        if not self.durable:
            options.append("--no-sync")
        options += [f"--pgdata={new_data}", f"--username={NAME}", f"--pwfile={password}", "--encoding=UTF8"]
        options += ["--locale-provider=builtin", "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256"]
        self._run_checked("initdb", *options)
        self._run_checked("postgres", "--single", "-D", str(new_data), "postgres", stdin=f"CREATE DATABASE {NAME};\n")
        new_data.rename(self.data)
        sync_folder(self.home)

    def _check_version(self) -> None:
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != MAJOR_VERSION:
            raise EmbeddedServerError(
                f"{self.data} was made by PostgreSQL {version}, but this is {MAJOR_VERSION}. Move it with pg_upgrade "
                "(or dump it with the version that made it and load it into a new one), or move the folder away."
            )

    def _start(self) -> int:
        """Start the server and return its port: the last one used if it is free."""
        self._forget_dead_postmaster()
        log = self.home / "start.log"
        for attempt in range(20):
            log.unlink(missing_ok=True)
            port = self._last_port() if attempt < 15 else _free_port()
            options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
            arguments = ["-D", str(self.data), "-l", str(log), "-w", "-t", str(START_TIMEOUT), "-o", options]
            done = self._run("pg_ctl", "start", *arguments)
            if done.returncode == 0:
                self._note_port(port)
                return port
            tail = self._log_tail(log)
            if not any(text in tail for text in WORTH_RETRYING):
                break
            time.sleep(0.3)
        raise EmbeddedServerError(f"The database server did not start: {done.stderr.strip()}\n{tail}")

    def _note_port(self, port: int) -> None:
        """Keep the port for the next process. The disk may be full: the server runs all the same."""
        path = self.home / "port"
        with contextlib.suppress(OSError):
            write_whole(path, f"{port}\n")
            self._give_to_account(path)

    def _last_port(self) -> int:
        try:
            port = self.port or int((self.home / "port").read_text())
            with socket.socket() as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(("127.0.0.1", port))
        except (OSError, ValueError):
            return _free_port()
        return port

    def _forget_dead_postmaster(self) -> None:
        """Correct a postmaster.pid whose process id now belongs to another program.

        PostgreSQL would take that program for its postmaster. The rest of the file stays:
        with it PostgreSQL looks for backends that have outlived theirs.
        """
        lock = self.data / "postmaster.pid"
        try:
            pid, *other_lines = lock.read_text().splitlines(keepends=True)
            alive = bool(_command_line(int(pid)))
        except FileNotFoundError:
            return
        except ValueError:  # cut off by a power failure
            lock.unlink()
            return
        if alive:
            lock.write_text("".join([f"{NOBODYS_PID}\n", *other_lines]))

    def _log_tail(self, start_log: Path) -> str:
        logs = sorted((self.data / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)[-1:]
        texts = [path.read_text(errors="replace") for path in (start_log, *logs) if path.exists()]
        return "\n".join("\n".join(text.splitlines()[-10:]) for text in texts)

    def _give_to_account(self, path: Path) -> None:
        if self.placement.account:
            os.chown(path, self.placement.account.uid, self.placement.account.gid)

    def _run_checked(self, program: str, *arguments: str, stdin: str = "") -> None:
        done = self._run(program, *arguments, stdin=stdin)
        if done.returncode != 0 or "ERROR:" in done.stderr:
            lines = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
            raise EmbeddedServerError(f"The database could not be made in {self.home} ({program}):\n{lines}")

    def _run(self, program: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a PostgreSQL program as the account, out of reach of the terminal's Ctrl-C."""
        account = self.placement.account
        return subprocess.run(
            [str(self.placement.binaries / "bin" / program), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            umask=0o077,
            start_new_session=True,
            **(account.options() if account else {}),
        )


def _command_line(pid: int) -> list[str]:
    """Return the words of a live process's command, nothing if there is none."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # gone, or not ours to see
            return []
    done = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    try:
        return shlex.split(done.stdout)
    except ValueError:
        return done.stdout.split()


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    except OSError as error:
        raise EmbeddedServerError(f"The lock {path} cannot be opened: {error.strerror}.") from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; waits for whoever has it."""
    lock = _open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _try_exclusive(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM: a stop that is under way is carried through."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, signal.SIG_IGN) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
