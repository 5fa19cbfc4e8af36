"""Events and worker processes for the tests of the outbox."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from mes.platform.outbox import processor
from mes.platform.outbox.models import MesEvent
from tests import databases

PROJECT = Path(__file__).resolve().parents[3]


def make_event(key: str, *, due_ago: float = 1, **fields: Any) -> MesEvent:
    """Write an event that has been due for so many seconds."""
    due = timezone.now() - timedelta(seconds=due_ago)
    values = {"event_type": "TRACK_IN", "entity_type": "UNIT", "entity_id": key, "occurred_at": due}
    return MesEvent.objects.create(idempotency_key=key, next_attempt_at=due, **{**values, **fields})


def claim(token: uuid.UUID, limit: int | None = None) -> list[int]:
    """Claim due events as a worker does; return which."""
    return sorted(event.id for event in processor.take(token=token, limit=limit).events)


@contextlib.contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen]:
    """Run a program of the product on the tests' database; end it and all of its group afterwards."""
    given = {
        **os.environ,
        "DATABASE_URL": databases.own_url(),
        "SECRET_KEY": "x",
        "PYTHONUNBUFFERED": "1",
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT,
            env={**given, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=40)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def free_port() -> int:
    """Return a port that nobody listens on, below those that the system gives to connections meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def eventually(condition: Callable[[], object], log: Path | None = None, within: float = 45) -> None:
    """Wait until the condition holds; show the end of the log when it does not."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-4000:] if log else "it did not happen"
        time.sleep(0.05)
