"""Workers that can be killed, and tables that tell what they did."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from mes.platform.outbox.models import EventStatus, MesEvent
from tests import databases
from tests.platform.outbox.support import PROJECT, eventually

LEASE = 2  # seconds


@pytest.fixture
def effects(transactional_db: None) -> Iterator[None]:
    """Tables for what handlers did: effects commit with their event, spans stay whatever becomes of it."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE fault_effect (event_id bigint, pid int)")
        cursor.execute(
            "CREATE TABLE fault_span "
            "(id serial PRIMARY KEY, event_id bigint, pid int, began timestamptz, ended timestamptz)"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE fault_effect, fault_span")


@pytest.fixture
def start(effects: None, tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Start a worker, which handles events one by one or in sets; return its process id."""
    environment = {
        **os.environ,
        "DATABASE_URL": databases.own_url(),
        "MES_EVENT_LEASE_SECONDS": str(LEASE),
        "MES_EVENT_BACKOFF_SECONDS": "1",
        "LOG_LEVEL": "CRITICAL",
    }
    with (tmp_path / "nursery.log").open("wb") as log:
        nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )

    def one(how: str = "one by one") -> int:
        nursery.stdin.write(f"{how}\n")
        nursery.stdin.flush()
        line = nursery.stdout.readline()
        assert line, (tmp_path / "nursery.log").read_text()[-4000:]
        return int(line)

    try:
        yield one
    finally:
        nursery.kill()  # its workers end with it
        nursery.wait()
        eventually(lambda: not _others())


def _others() -> int:
    """Return how many connections of workers the tests' database still has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return cursor.fetchone()[0]


def kill(pid: int) -> None:
    """End a process at once, without a chance to finish anything."""
    os.kill(pid, signal.SIGKILL)


def make_events(number: int, **payload: object) -> None:
    now = timezone.now()
    before = MesEvent.objects.count()
    MesEvent.objects.bulk_create(
        MesEvent(
            event_type="TRACK_IN",
            entity_type="UNIT",
            entity_id=str(number),
            idempotency_key=f"{before + number}",
            occurred_at=now,
            payload=payload,
            max_attempts=payload.get("attempts", 100),
        )
        for number in range(number)
    )


def not_completed() -> int:
    return MesEvent.objects.exclude(status=EventStatus.COMPLETED).count()


def ask(statement: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()
