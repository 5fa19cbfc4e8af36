"""The worker as a real process: it ticks by the clock, works an event off and shows that it lives."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from django_q.models import Schedule

from mes.events.models import WorkerHeartbeat
from tests.events.support import make_event, test_database_url

PROJECT = Path(__file__).resolve().parents[2]
WITHIN = 45  # seconds


@pytest.fixture
def worker(transactional_db: None, tmp_path: Path) -> Iterator[Path]:
    """Run `manage.py qcluster` on the tests' database; stop it and all of its group afterwards. Return its log."""
    log = tmp_path / "worker.log"
    environment = {**os.environ, "DATABASE_URL": test_database_url(), "SECRET_KEY": "x", "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def eventually(condition: Callable[[], object], log: Path, within: float = WITHIN) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.2)


def test_a_worker_ticks_by_the_clock_completes_events_and_beats(worker, client: Client):
    event = make_event("k")
    before = timezone.now()
    eventually(lambda: WorkerHeartbeat.objects.filter(processed=1).exists(), worker)
    event.refresh_from_db()
    assert (event.status, event.attempts) == ("COMPLETED", 1)
    assert WorkerHeartbeat.objects.get().beat_at > before
    assert client.get("/readyz").status_code == 200
    # the next tick is due by the six-field cron, within half a minute
    assert (Schedule.objects.get(name="tick").next_run - timezone.now()).total_seconds() <= 30
