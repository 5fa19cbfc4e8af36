"""The supervisor, with small real programs."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mes.platform.server import supervisor as supervisors
from mes.platform.server import throwaway
from mes.platform.server.supervisor import (
    Child,
    Program,
    SupervisionError,
    Supervisor,
)
from tests.faults import exhaustion
from tests.platform.outbox.support import eventually, free_port

pytestmark = pytest.mark.waiting

PROJECT = Path(__file__).resolve().parents[1]
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
WITH_CHILD = "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); "
SUPERVISE = """
import sys
from pathlib import Path
from mes.platform.server.supervisor import Program, Supervisor
supervisor = Supervisor(Path(sys.argv[1]))
supervisor.listen()
supervisor.add(Program("stubborn", [sys.executable, "-c", sys.argv[2]], grace=60))
supervisor.run()
supervisor.stop()
print("done", flush=True)
"""


@pytest.fixture
def supervisor(tmp_path) -> Iterator[Supervisor]:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, say=said.append)
    supervisor.said = said
    yield supervisor
    supervisor.signals = 2
    supervisor.stop()


def python(name: str, code: str, **options) -> Program:
    return Program(name, [sys.executable, "-c", code], **options)


def is_alive(pid: int) -> bool:
    return supervisors.start_time(pid) is not None


def words(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def supervise(data_dir: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SUPERVISE, str(data_dir), STUBBORN], cwd=PROJECT, text=True)


def stubborn_pid(data_dir: Path) -> int:
    eventually(lambda: words(data_dir / "log" / "stubborn.log") == ["ready"])
    return json.loads((data_dir / "programs.json").read_text())[0]["pid"]


def test_a_dead_program_is_started_again_after_a_pause(supervisor, tmp_path):
    child = supervisor.add(python("worker", "print('the reason'); raise SystemExit(3)"))
    child.process.wait()
    supervisor.restart_dead()
    assert child.process is None
    assert "worker ended with code 3" in supervisor.said[0]
    assert "the reason" in supervisor.said[0]
    supervisor.restart_dead()
    assert child.process is None  # still pausing
    eventually(lambda: (supervisor.restart_dead(), words(tmp_path / "log" / "worker.log").count("reason") == 2)[1])


def reap(child: Child) -> float:
    """Bury a program; return for how long it will not be started."""
    before = time.monotonic()
    child.reap()
    return child.start_at - before


def test_the_pause_grows_and_shrinks_again(supervisor):
    child = supervisor.add(python("worker", "pass"))
    pauses = []
    for deaths in (0, 3, 9):
        child.deaths = deaths
        pauses.append(reap(child))
        child.start()
    child.started_at -= supervisors.HEALTHY_AFTER + 1
    pauses.append(reap(child))
    assert pauses == pytest.approx([1, 8, 30, 1], abs=0.9)


def test_a_program_that_dies_again_and_again_is_told_and_does_not_spin(supervisor, tmp_path):
    child = supervisor.add(python("web", "print('no module named x'); raise SystemExit(1)"))
    began, starts = time.monotonic(), 0
    while child.deaths < 5:
        if child.process is None:
            child.start_at -= 0.45  # ten times as fast, for the test
            starts += time.monotonic() >= child.start_at
        supervisor.restart_dead()
        assert time.monotonic() < began + 60, "it did not happen"
        time.sleep(0.05)
    assert starts == 4
    assert time.monotonic() - began > 1  # a tenth of the pauses of 1, 2, 4 and 8 seconds
    assert "started again in 1 s" in supervisor.said[0]
    assert "th time in a row: something must be mended" in supervisor.said[-1]
    assert "no module named x" in supervisor.said[-1]


def test_what_a_dead_program_left_is_killed(supervisor, tmp_path):
    child = supervisor.add(python("worker", WITH_CHILD))
    child.process.wait()
    orphan = int(words(tmp_path / "log" / "worker.log")[0])
    assert is_alive(orphan)
    supervisor.restart_dead()
    eventually(lambda: not is_alive(orphan))


def test_the_last_program_added_is_stopped_first(supervisor, tmp_path):
    order = tmp_path / "order"
    code = (
        "import signal, sys, time\n"
        f"def end(*_): open({str(order)!r}, 'a').write(NAME + ' '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('ready', flush=True); time.sleep(60)"
    )
    for name in ("worker", "web", "demo"):
        supervisor.add(python(name, f"NAME = {name!r}\n{code}"))
    for name in ("worker", "web", "demo"):
        eventually(lambda log=tmp_path / "log" / f"{name}.log": words(log))
    supervisor.stop()
    assert words(order) == ["demo", "web", "worker"]
    assert json.loads((tmp_path / "programs.json").read_text()) == []


def test_a_stop_asks_the_main_process_and_then_kills_the_group(supervisor, tmp_path):
    child = supervisor.add(python("worker", WITH_CHILD + STUBBORN, grace=0.3))
    log = tmp_path / "log" / "worker.log"
    eventually(lambda: "ready" in words(log))
    main, grandchild = child.process.pid, int(words(log)[0])
    supervisor.stop()
    eventually(lambda: not is_alive(main) and not is_alive(grandchild))


def test_a_second_ctrl_c_kills_at_once_and_leaves_nothing(tmp_path):
    process = supervise(tmp_path)
    pid = stubborn_pid(tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    assert is_alive(pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    eventually(lambda: not is_alive(pid))


def test_leftovers_of_a_killed_supervisor_are_killed(tmp_path):
    process = supervise(tmp_path)
    pid = stubborn_pid(tmp_path)
    process.kill()
    process.wait()
    assert is_alive(pid)
    supervisors.kill_leftovers(tmp_path, grace=0.2)
    eventually(lambda: not is_alive(pid))


def test_a_process_that_only_has_the_same_number_is_left_alone(tmp_path):
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        note = {"pid": other.pid, "started": supervisors.start_time(other.pid) - 1, "boot": supervisors.boot_id()}
        (tmp_path / "programs.json").write_text(json.dumps([note]))
        supervisors.kill_leftovers(tmp_path, grace=0)
        assert other.poll() is None
        other.kill()


def test_a_used_port_is_named(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        with pytest.raises(SupervisionError, match=rf"Port {port} .*PORT="), supervisors.claimed(tmp_path):
            pass
    with supervisors.claimed(tmp_path):
        pass


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1"])
def test_a_bad_port_is_named(monkeypatch, port):
    monkeypatch.setenv("PORT", port)
    with pytest.raises(SupervisionError, match="PORT must be a number"):
        supervisors.address()


def test_only_one_server_per_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PORT", str(free_port()))
    with (
        supervisors.claimed(tmp_path),
        pytest.raises(SupervisionError, match="already runs"),
        supervisors.claimed(tmp_path),
    ):
        pass


def test_a_data_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SupervisionError, match="MES_DATA_DIR"), supervisors.claimed(tmp_path / "file"):
        pass


def test_a_large_log_is_set_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisors, "LOG_LIMIT", 10)
    log = tmp_path / "web.log"
    log.write_text("x" * 11)
    with log.open("a") as writer:
        supervisors.rotate(log)
        writer.write("new")
    assert log.read_text() == "new"
    assert (tmp_path / "web.log.1").read_text() == "x" * 11


def test_what_the_launcher_calls_needs_no_django():
    code = (
        "import sys, mes.platform.server.supervisor, mes.platform.server.throwaway; sys.exit('django' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


SWALLOWING = """
import os, signal, sys
from pathlib import Path
from mes.platform.server import supervisor as supervisors
supervisors.unwind_on_signals()

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _turn in range(1000):
            pass

Finalized()
supervisor = supervisors.Supervisor(Path(sys.argv[1]))
supervisor.listen()
supervisor.run()
print("stopped", flush=True)
"""


def test_a_signal_that_python_drops_while_it_starts_still_stops_it(tmp_path):
    command = [sys.executable, "-c", SWALLOWING, str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert "KeyboardInterrupt" in done.stderr  # it was dropped
    assert done.stdout == "stopped\n"


# --- a system that has nothing left to give -----------------------------------------------------------------

TWO_PROGRAMS = """
import sys
from pathlib import Path
from mes.platform.server.supervisor import Program, Supervisor
supervisor = Supervisor(Path(sys.argv[1]))
supervisor.listen()
for name in ("worker", "web"):
    supervisor.add(Program(name, ["/bin/sh", "-c", "echo ready; exec sleep 600"]))
supervisor.run()
supervisor.stop()
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    folder = throwaway.make_folder()
    yield folder
    throwaway.remove_folder(folder)


@contextlib.contextmanager
def two_programs(data_dir: Path, said: Path) -> Iterator[subprocess.Popen]:
    """Supervise two programs in a process of its own, whose user is not root."""
    user = exhaustion.ordinary_user()
    if user is not None:
        os.chown(data_dir, user, user)
        if subprocess.run([sys.executable, "-c", "import mes"], cwd=PROJECT, user=user, check=False).returncode:
            pytest.skip("only root may run Python here, and no permission holds it")
    command = [sys.executable, "-c", TWO_PROGRAMS, str(data_dir)]
    with said.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=PROJECT, user=user, stdout=output, stderr=output, start_new_session=True
        )
    try:
        eventually(lambda: len(noted(data_dir)) == 2)
        yield process
    finally:
        process.kill()  # its programs end with it
        process.wait()


def noted(data_dir: Path) -> list[int]:
    """Return the processes that the supervisor has written down and that live."""
    path = data_dir / "programs.json"
    pids = [note["pid"] for note in json.loads(path.read_text())] if path.exists() else []
    return [pid for pid in pids if is_alive(pid)]


FAULTS = {
    "a full disk": lambda pid, data_dir: exhaustion.full(data_dir),
    "a closed folder": lambda pid, data_dir: exhaustion.closed(data_dir),
    "no file descriptors": lambda pid, data_dir: exhaustion.without_descriptors(pid),
    "no memory": lambda pid, data_dir: exhaustion.without_memory(pid),
    "no processes": lambda pid, data_dir: exhaustion.limited("nproc", 0, pid),
}
TROUBLES = ("goes on, but", "cannot be started", "started again in 2 s")  # the last: it died twice


@pytest.mark.parametrize("fault", FAULTS)
def test_what_dies_while_the_system_has_nothing_left_is_started_when_there_is(open_folder, tmp_path, fault):
    said = tmp_path / "said"
    with contextlib.ExitStack() as stack:
        if fault == "a full disk":
            stack.enter_context(exhaustion.small_disk(open_folder, 1))
        process = stack.enter_context(two_programs(open_folder, said))
        before = noted(open_folder)
        with FAULTS[fault](process.pid, open_folder):
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            eventually(lambda: any(trouble in said.read_text() for trouble in TROUBLES), said)
            time.sleep(0.5)
            assert process.poll() is None, said.read_text()
        eventually(lambda: len(set(noted(open_folder)) - set(before)) == 2, said)
        process.terminate()
        assert process.wait(timeout=20) == 0, said.read_text()
        assert noted(open_folder) == []


def test_a_program_whose_log_cannot_be_opened_runs_all_the_same(supervisor, tmp_path):
    (tmp_path / "log").write_text("a file where the folder should be")
    child = supervisor.add(python("worker", "import time; print('unheard', flush=True); time.sleep(60)"))
    assert child.process.poll() is None
    supervisor.restart_dead()
    assert (child.deaths, supervisor.said) == (0, [])


def test_a_program_that_cannot_be_started_is_tried_again_later(supervisor, tmp_path):
    script = tmp_path / "script"
    child = supervisor.add(Program("web", [str(script)]))
    assert child.process is None
    assert "web cannot be started" in supervisor.said[0]
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o700)
    supervisor.run(until=lambda: child.process is not None)
    assert child.process.poll() is None


def test_a_program_that_lacks_a_process_for_long_is_started_again(supervisor, tmp_path, monkeypatch):
    monkeypatch.setattr(supervisors, "LONGEST_INCOMPLETE", 0.5)
    child = supervisor.add(python("web", WITH_CHILD + "import time; time.sleep(60)", processes=2))
    log = tmp_path / "log" / "web.log"
    eventually(lambda: words(log))
    before = child.process.pid
    for _look in range(3):
        time.sleep(0.3)
        supervisor.stop_incomplete()
    assert child.process.pid == before
    os.kill(int(words(log)[0]), signal.SIGKILL)
    eventually(lambda: (supervisor.stop_incomplete(), child.process is None)[1])
    supervisor.run(until=lambda: child.process is not None)
    assert "lacks some of its processes" in supervisor.said[0]


def test_whatever_the_watch_raises_the_programs_are_watched_over_and_it_is_told_once(supervisor, monkeypatch):
    monkeypatch.setattr(supervisors, "WATCH", 0)
    child = supervisor.add(python("web", "import time; time.sleep(60)"))
    calls = []

    def watch() -> None:
        calls.append(child.deaths)
        raise MemoryError

    supervisor.run(watch, until=lambda: len(calls) > 3)
    assert supervisor.said == ["The supervisor goes on, but: MemoryError"]
    child.process.kill()
    supervisor.run(watch, until=lambda: child.deaths == 1 and child.process is not None)
    assert child.process.poll() is None


def test_a_large_log_that_cannot_be_set_aside_is_emptied(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisors, "LOG_LIMIT", 10)
    with exhaustion.small_disk(tmp_path / "disk", 1) as disk:
        log = disk / "web.log"
        log.write_text("x" * 600_000)
        with exhaustion.full(disk):
            supervisors.rotate(log)
            assert log.stat().st_size == 0
        assert [path.name for path in disk.iterdir()] == ["web.log"]


def test_notes_that_are_not_whole_stop_no_start(tmp_path):
    for text in ("", "[{", "7", '[7, {}, {"pid": "x", "started": null}]'):
        (tmp_path / "programs.json").write_text(text)
        supervisors.kill_leftovers(tmp_path, grace=0)
