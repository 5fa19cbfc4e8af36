"""How fast one worker works events off, beside a million that are completed. Not a request: it has no floor.

The events are copies of those that the plant's own moves wrote, so that the product's handlers do their work.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from bench.case import BenchError
from bench.processor import NOTHING, Meter, Used
from mes.platform.server.supervisor import Supervisor

NAME = "outbox"
COMPLETED, DUE = 1_000_000, 10_000
LEAST_RATE = DUE / 60  # all of them in under a minute
PATIENCE = 300  # seconds

COPY = """
    WITH model AS MATERIALIZED (
        SELECT row_number() OVER () AS place, count(*) OVER () AS places, event_type, entity_type, entity_id, run_id,
               payload
          FROM (SELECT * FROM mes_mesevent WHERE event_type IN ('TRACK_IN', 'TRACK_OUT') LIMIT 400) e
    )
    INSERT INTO mes_mesevent (event_type, status, idempotency_key, entity_type, entity_id, run_id, payload, occurred_at,
                              created_at, attempts, max_attempts, next_attempt_at, completed_at, retention_until, error)
    SELECT event_type, %(status)s, 'bench-' || %(status)s || n, entity_type, entity_id, run_id, payload, now(), now(),
           0, 10, now(), CASE WHEN %(status)s = 'COMPLETED' THEN now() END,
           CASE WHEN %(status)s = 'COMPLETED' THEN now() + interval '30 days' END, ''
      FROM generate_series(1, %(number)s) n JOIN model ON place = n %% places + 1
"""


@dataclass(frozen=True)
class Result:
    """What one worker did. `used` is its and the database's processor time for each event."""

    completed: int
    due: int
    seconds: float
    claims_by_index: bool
    used: Used = NOTHING
    name: str = NAME

    @property
    def rate(self) -> float:
        return self.due / self.seconds

    def checks(self) -> list[tuple[str, bool]]:
        """Return each stated target with whether it is reached."""
        return [
            (f"at least {LEAST_RATE:,.0f} events/s: {DUE:,} in under a minute", self.rate >= LEAST_RATE),
            ("the claim reads its index only", self.claims_by_index),
        ]

    def as_json(self) -> dict[str, Any]:
        targets = [{"target": text, "reached": reached} for text, reached in self.checks()]
        return {**asdict(self), "rate": self.rate, "targets": targets}


def measure(*, quick: bool, database: int) -> Result:
    """Write the events, start a worker as `manage.py serve` does, and wait until none is due.

    `database` is the process id of the database server.
    """
    completed, due = (COMPLETED // 20, DUE // 10) if quick else (COMPLETED, DUE)
    print(f"\n{NAME}: {due:,} due events beside {completed:,} completed ones, one worker", flush=True)
    _execute("UPDATE mes_mesevent SET status = 'COMPLETED' WHERE status <> 'COMPLETED'")
    _execute(COPY, {"status": "COMPLETED", "number": completed})
    _execute(COPY, {"status": "PENDING", "number": due})
    _execute("VACUUM ANALYZE mes_mesevent")
    _execute("CHECKPOINT")
    by_index = _claims_by_index()
    with _worker() as pid:
        meter = Meter(web=pid, database=database)
        before, start = meter.read(), time.perf_counter()
        while _count("SELECT count(*) FROM mes_mesevent WHERE status IN ('PENDING', 'PROCESSING', 'FAILED')"):
            if time.perf_counter() - start > PATIENCE:
                raise BenchError(f"{NAME}: the events are not worked off after {PATIENCE} s.")
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        result = Result(completed, due, seconds, by_index, (meter.read() - before) / due)
    if _count("SELECT count(*) FROM mes_mesevent WHERE status <> 'COMPLETED'"):
        raise BenchError(f"{NAME}: some events were given up.")
    _report(result)
    return result


@contextmanager
def _worker() -> Iterator[int]:
    """Run a worker from the moment it has shown itself."""
    from django.conf import settings

    from mes.management.commands import serve

    supervisor = Supervisor(settings.DATA_DIR)
    try:
        child = supervisor.add(serve.worker())
        while not _count("SELECT count(*) FROM mes_workerheartbeat"):
            supervisor.restart_dead()
            time.sleep(0.01)
        assert child.process is not None
        yield child.process.pid
    finally:
        supervisor.stop()


def _claims_by_index() -> bool:
    """Ask for the plan of the claim."""
    from django.db import connection

    from mes.platform.outbox import processor

    values: dict[str, Any] = {"lease": timedelta(seconds=60), "limit": 50, "token": uuid.uuid4()}
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {processor.CLAIM}", values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    return "event_due" in plan and "Seq Scan on mes_mesevent" not in plan


def _execute(statement: str, values: dict[str, Any] | None = None) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _count(statement: str) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])


def _report(result: Result) -> None:
    print(f"  {result.seconds:,.1f} s, {result.rate:,.0f} events/s", flush=True)
    used = result.used
    print(f"  processor time per event: worker {used.web * 1e6:,.0f} µs, database {used.database * 1e6:,.0f} µs")
    for text, reached in result.checks():
        print(f"  {'pass' if reached else 'MISS'}   {text}", flush=True)
