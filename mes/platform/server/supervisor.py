"""Keep the programs of one installation running: the supervisor behind `manage.py serve`.

Each program runs in its own session, so Ctrl-C in the terminal reaches only the
supervisor, which stops them in order. A program that dies is started again, a little
later each time; whatever it left in its process group is killed first. If the
supervisor itself is killed, the system sends its programs SIGTERM, and the next start
kills what is left, found by `<data folder>/programs.json`.

Nothing that it cannot do ends the supervisor: with a full disk, without memory or file
descriptors it says so, and tries again until it can. Standard library only.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

LOG_LIMIT = 10 * 1024 * 1024
LOG_CHECK = 60  # seconds between looks at the size of the logs
LONGEST_PAUSE = 30  # seconds before a program that keeps dying is started again
KEEPS_DYING = 4  # deaths in a row after which we say that it will not mend itself
HEALTHY_AFTER = 60  # seconds after which a program counts as running well
ROUND = 0.2  # seconds between two looks at the programs
WATCH = 5  # seconds between two calls of `watch`, and two counts of processes
LONGEST_INCOMPLETE = 10  # seconds that a program may lack one of its processes
SAY_AGAIN = 60  # seconds until a trouble that goes on is told once more
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1
_unheard: list[int] = []  # signals that came before a supervisor listened


class SupervisionError(Exception):
    """The programs cannot be run; the message says what to do."""


@dataclass(frozen=True)
class Program:
    """What to run. `grace` is the time in seconds it gets to end after SIGTERM.

    `processes` is how many it consists of when it is well: with fewer for long it is started again as a whole.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    grace: float = 10
    processes: int = 1


class Child:
    """A program that is kept running."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.deaths = 0
        self.started_at = 0.0
        self.start_at = 0.0
        self.whole_at = 0.0  # when it was last seen with all its processes

    def start(self) -> None:
        """Start the program in its own session; raises what keeps the system from it."""
        parent = os.getpid()

        def end_with_supervisor() -> None:
            if LIBC is not None:
                LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
                if os.getppid() != parent:
                    os._exit(1)

        with self._open_output() as output:
            self.process = subprocess.Popen(
                self.program.command,
                cwd=self.program.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.program.environment},
                start_new_session=True,
                preexec_fn=end_with_supervisor,
            )
        self.started_at = self.whole_at = time.monotonic()

    def _open_output(self) -> IO[bytes]:
        """Open the log; where that is not possible, the program runs without one."""
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            rotate(self.log)
            return self.log.open("ab")
        except OSError:
            return open(os.devnull, "ab")

    def reap(self) -> int:
        """Kill what a dead program left in its group, set the time of its next start, return its exit code."""
        assert self.process is not None
        kill_group(self.process.pid)
        code = self.process.wait()
        if time.monotonic() - self.started_at > HEALTHY_AFTER:
            self.deaths = 0
        self.process = None
        self.postpone()
        return code

    def postpone(self) -> None:
        """Set the time of the next start, a little later each time in a row."""
        self.start_at = time.monotonic() + min(2 ** min(self.deaths, 10), LONGEST_PAUSE)
        self.deaths += 1

    def stop(self, hurried: Callable[[], bool]) -> None:
        """End the program: SIGTERM to its main process, after the grace SIGKILL to all of its group."""
        if self.process is None:
            return
        self.process.terminate()
        deadline = time.monotonic() + self.program.grace
        while self.process.poll() is None and time.monotonic() < deadline and not hurried():
            time.sleep(0.05)
        kill_group(self.process.pid)
        self.process.wait()
        self.process = None


@dataclass
class Chore:
    """What the supervisor does every so many seconds. It counts as done when it failed."""

    do: Callable[[], None]
    every: float
    due_at: float = 0

    def do_if_due(self) -> None:
        now = time.monotonic()
        if now >= self.due_at:
            self.due_at = now + self.every
            self.do()


class Supervisor:
    """Runs programs until SIGINT, SIGTERM or SIGHUP, then stops them, the last one added first."""

    def __init__(self, data_dir: Path, say: Callable[[str], None] | None = None) -> None:
        self.data_dir = data_dir
        self.say = say or say_if_possible
        self.children: list[Child] = []
        self.signals = 0
        self.noted: list[int] | None = None  # the process ids in programs.json
        self.trouble, self.told_at = "", 0.0

    def listen(self) -> None:
        """Take over the signals: one asks for the stop, a second one shortens it to a kill."""
        _listen(self._on_signal)
        for number in _unheard:
            self._on_signal(number, None)
        _unheard.clear()

    def add(self, program: Program) -> Child:
        """Keep a program running from now on."""
        child = Child(program, self.data_dir / "log" / f"{program.name}.log")
        self.children.append(child)
        with self.going_on():
            self._start(child)
        with self.going_on():
            self.note()
        return child

    @property
    def stopping(self) -> bool:
        return self.signals > 0

    def run(self, watch: Callable[[], None] | None = None, until: Callable[[], bool] = lambda: False) -> None:
        """Watch over the programs until a signal asks for the stop, or `until` says so.

        `watch` is called every few seconds. What either of them raises is told.
        """
        chores = [Chore(self.restart_dead, 0), Chore(self.note, 0), Chore(self.rotate_logs, LOG_CHECK)]
        chores += [Chore(self.stop_incomplete, WATCH), *([Chore(watch, WATCH)] if watch else [])]
        while not self.stopping:
            for chore in chores:
                with self.going_on():
                    chore.do_if_due()
            with self.going_on():
                if until():
                    return
            time.sleep(ROUND)

    def restart_dead(self) -> None:
        """Start again what has died, when its pause is over."""
        for child in self.children:
            with self.going_on():
                if child.process is not None and child.process.poll() is not None:
                    code = child.reap()
                    self.say(f"{child.program.name} {_ending(code)}; {_advice(child)} {tail(child.log)}")
                if child.process is None and time.monotonic() >= child.start_at:
                    self._start(child)

    def stop_incomplete(self) -> None:
        """Stop what has lacked one of its processes for long, to be started again.

        A web server that could not make a process anew, for want of memory, does not try again.
        """
        for child in self.children:
            if child.process is None or child.program.processes < 2 or not _stat(os.getpid()):
                continue  # where there is no /proc, they cannot be counted
            now = time.monotonic()
            if len(_session(child.process.pid)) >= child.program.processes:
                child.whole_at = now
            elif now > child.whole_at + LONGEST_INCOMPLETE:
                self.say(f"{child.program.name} lacks some of its processes; it is started again. {tail(child.log)}")
                child.stop(hurried=lambda: self.stopping)

    def restart(self) -> None:
        """Stop every program, to be started at once: what they must know has changed."""
        for child in reversed(self.children):
            child.stop(hurried=lambda: self.stopping)
            child.start_at = 0

    def rotate_logs(self) -> None:
        for child in self.children:
            rotate(child.log)

    def note(self) -> None:
        """Write down the running processes, where they are others, for a next start after a kill."""
        pids = [child.process.pid for child in self.children if child.process]
        if pids == self.noted:
            return
        text = json.dumps([{"pid": pid, "started": start_time(pid), "boot": boot_id()} for pid in pids])
        partial = self.data_dir / "programs.json.new"
        partial.write_text(text)
        partial.rename(self.data_dir / "programs.json")
        self.noted = pids

    def stop(self) -> None:
        """Stop everything, the last program added first. A second signal kills instead of waiting."""
        for child in reversed(self.children):
            with self.going_on():
                child.stop(hurried=lambda: self.signals > 1)
        with self.going_on():
            self.note()

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Tell of what fails here and go on: the line must not end with a full disk. The same is told once a minute."""
        try:
            yield
        except Exception as error:
            with contextlib.suppress(Exception):  # there may be no memory to say it
                self._tell(str(error) or type(error).__name__)

    def _tell(self, text: str) -> None:
        trouble, now = text.partition("\n")[0], time.monotonic()
        if trouble != self.trouble or now > self.told_at + SAY_AGAIN:
            self.trouble, self.told_at = trouble, now
            self.say(f"The supervisor goes on, but: {text}")

    def _start(self, child: Child) -> None:
        try:
            child.start()
        except Exception as error:  # no descriptor, no memory, no room: of several kinds, and there may be again
            child.postpone()
            self.say(f"{child.program.name} cannot be started ({error}); {_advice(child)}")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signals += 1


def unwind_on_signals() -> None:
    """Have signals end this process through every `finally`, until a supervisor listens to them."""
    _listen(_unwind)


def _listen(handler: Callable[[int, FrameType | None], None]) -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGINT also in the background of a script
        if name != signal.SIGHUP or signal.getsignal(name) is not signal.SIG_IGN:  # nohup
            signal.signal(name, handler)


def _unwind(number: int, frame: FrameType | None) -> None:
    """Raise, and remember it: Python drops what is raised while it finalizes an object."""
    _unheard.append(number)
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


@contextlib.contextmanager
def claimed(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for one supervisor; leftovers of a killed one are gone and the port is free."""
    with _only_one(data_dir):
        kill_leftovers(data_dir)
        check_port(*address())
        yield


def address() -> tuple[str, int]:
    """Return BIND and PORT from the environment."""
    port = os.environ.get("PORT") or "8000"
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise SupervisionError(f"PORT must be a number from 1 to 65535, not {port!r}.")
    return os.environ.get("BIND") or "127.0.0.1", int(port)


def check_port(host: str, port: int) -> None:
    """Refuse a port that something else listens on."""
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(target)
            trial.listen()
    except OSError as error:
        raise SupervisionError(
            f"Port {port} on {host} cannot be used ({error.strerror}). "
            f"Stop what uses it, or choose another with PORT, for example: PORT={port % 65535 + 1} script/server"
        ) from error


def kill_leftovers(data_dir: Path, grace: float = 3) -> None:
    """Kill the programs that a killed supervisor left behind: first kindly, after `grace` seconds not."""
    notes = _read_notes(data_dir / "programs.json")
    deadline = time.monotonic() + grace
    first = True
    while survivors := [pid for note in notes for pid in _members(note)]:
        for pid in survivors:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if first and pid in [note.get("pid") for note in notes]:
                    os.kill(pid, signal.SIGTERM)
                elif time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline + 5:
            raise SupervisionError(f"Processes of an earlier run do not end: {', '.join(map(str, survivors))}.")
        first = False
        time.sleep(0.1)


def kill_group(pid: int) -> None:
    """Kill every process in the group of a child that was started in its own session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def rotate(log: Path) -> None:
    """Keep one old file of a log that has grown large. Truncates in place: its writers append.

    One that cannot be copied, as the disk is full, is emptied all the same: logs must not be what fills it.
    """
    old = log.with_suffix(".log.1")
    with contextlib.suppress(OSError):
        if log.stat().st_size <= LOG_LIMIT:
            return
        try:
            old.unlink(missing_ok=True)
            shutil.copyfile(log, old)
        except OSError:
            old.unlink(missing_ok=True)
        finally:
            os.truncate(log, 0)


def tail(log: Path, lines: int = 10) -> str:
    """Return the end of a log, introduced by its name."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            texts = file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return ""
    return f"The end of {log}:\n" + "\n".join(f"    {text}" for text in texts)


def start_time(pid: int) -> int | None:
    """Return when a process started (in clock ticks since boot), None if it is gone or unknown."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def say_if_possible(text: str) -> None:
    """Print; a terminal that is gone or a full disk must not stop the supervisor."""
    with contextlib.suppress(Exception):
        print(text, flush=True)


def _read_notes(path: Path) -> list[dict[str, object]]:
    """Return what a supervisor wrote down; nothing if it is not there or not whole."""
    try:
        notes = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    return [note for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []


def _members(note: dict[str, object]) -> list[int]:
    """Return the living processes of the session a noted program led."""
    pid, started = note.get("pid"), note.get("started")
    leader = start_time(pid) if isinstance(pid, int) else None
    if not isinstance(started, int) or note.get("boot") != boot_id() or leader not in (None, started):
        return []  # unknown, or the number now belongs to another process
    return [member for member in _session(pid) if (start_time(member) or 0) >= started]


def _session(leader: object) -> list[int]:
    """Return the living processes of a session."""
    found = [(int(path.name), _stat(int(path.name))) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid, fields in found if fields and fields[0] != "Z" and int(fields[3]) == leader]


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: state, parent, group, session, …"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock: IO[str] = (data_dir / "server.lock").open("a")
    except OSError as error:
        raise SupervisionError(
            f"The data folder {data_dir} is not writable ({error.strerror}). "
            "Change its owner, or set MES_DATA_DIR to a folder you can write to."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SupervisionError(
                f"A server already runs with the data folder {data_dir}. Stop it first, or set MES_DATA_DIR and PORT."
            ) from None
        yield


def _advice(child: Child) -> str:
    start_notice = f"it is started again in {child.start_at - time.monotonic():.0f} s."
    if child.deaths < KEEPS_DYING:
        return start_notice
    return f"the {child.deaths}th time in a row: something must be mended, see below. Until then {start_notice}"


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
