"""The worker as a real process: it works an event off at once, ticks by the clock and shows that it lives."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from django_q.models import Schedule

from mes.platform.outbox.models import MesEvent, TaskOutcome, WorkerHeartbeat
from mes.platform.outbox.worker import STOP_SECONDS
from mes.platform.server import supervisor
from tests.platform.outbox.support import eventually, make_event, running

pytestmark = pytest.mark.waiting


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


@pytest.fixture
def worker(transactional_db: None, log: Path) -> Iterator[subprocess.Popen]:
    """Run `manage.py worker` until it has shown itself."""
    with running(["manage.py", "worker"], log) as process:
        eventually(WorkerHeartbeat.objects.exists, log)
        yield process


def members(session: int) -> list[int]:
    """Return the living processes of the worker and its children."""
    found = [(int(path.name), supervisor._stat(int(path.name))) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid, fields in found if fields and fields[0] != "Z" and int(fields[3]) == session]


def test_a_worker_is_ready_at_once_and_works_an_event_off_within_a_second(worker, log, client: Client):
    assert client.get("/readyz").status_code == 200
    took = []
    for number in range(5):
        written = time.monotonic()
        event = make_event(f"k{number}")
        eventually(lambda pk=event.pk: MesEvent.objects.get(pk=pk).status == "COMPLETED", log)
        took.append(time.monotonic() - written)
    assert min(took) < 1, took
    assert max(took) < 10, took  # the machine may be busy, but the clock ticks only every 30 s


def test_a_worker_ticks_by_the_clock(worker, log, client: Client):
    eventually(lambda: WorkerHeartbeat.objects.filter(ticked_at__isnull=False).exists(), log)
    assert client.get("/readyz").json()["checks"]["worker"]["ok"]
    eventually(lambda: TaskOutcome.objects.filter(name="tick", succeeded_at__isnull=False).exists(), log)
    # the next tick is due by the six-field cron, within half a minute
    assert (Schedule.objects.get(name="tick").next_run - timezone.now()).total_seconds() <= 30


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_stopped_leaves_no_process_and_no_heartbeat(worker, log, name):
    eventually(lambda: len(members(worker.pid)) > 3, log)
    worker.send_signal(name)
    assert worker.wait(timeout=40) == 0, log.read_text()[-4000:]
    eventually(lambda: members(worker.pid) == [], log)
    assert not WorkerHeartbeat.objects.exists()


def test_a_worker_whose_processes_are_all_asked_to_stop_ends_at_once(worker, log):
    eventually(lambda: len(members(worker.pid)) > 3, log)
    for pid in members(worker.pid):  # as systemd does with KillMode=control-group
        os.kill(pid, signal.SIGTERM)
    assert worker.wait(timeout=STOP_SECONDS - 2) == 0, log.read_text()[-4000:]
    eventually(lambda: members(worker.pid) == [], log)


def test_a_worker_that_is_killed_leaves_no_process(worker, log):
    eventually(lambda: len(members(worker.pid)) > 3, log)
    worker.kill()
    worker.wait(timeout=15)
    eventually(lambda: members(worker.pid) == [], log)


def test_a_worker_whose_clock_dies_ends_so_that_it_is_started_again(worker, log):
    (sentinel,) = [pid for pid in members(worker.pid) if int(supervisor._stat(pid)[1]) == worker.pid]
    os.kill(sentinel, signal.SIGKILL)
    assert worker.wait(timeout=40) == 1
    assert "processes of django-q2 died" in log.read_text()
    eventually(lambda: members(worker.pid) == [], log)


@pytest.mark.parametrize("role", ["ready for work at", "monitoring at", "pushing tasks at"])
def test_a_worker_of_whose_clock_a_process_is_killed_ends_so_that_it_is_started_again(worker, log, role):
    """The lock of the queue that it waited for is never given back: without a new start, no task would be done."""
    eventually(lambda: role in log.read_text(), log)
    os.kill(int(log.read_text().partition(f"{role} ")[2].partition('"')[0]), signal.SIGKILL)
    assert worker.wait(timeout=20) == 1, log.read_text()[-4000:]
    assert "processes of django-q2 died" in log.read_text()
    eventually(lambda: members(worker.pid) == [], log)
