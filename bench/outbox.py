"""What following up events costs: one worker, as `manage.py serve` starts it. None of this is a request of its own.

`outbox-idle` and `outbox-clocks`: how fast one worker works off open events, beside many that are completed. They are
written as releases did that kept every move open, so the full outbox of such a release is taken over: moves that no
rule asks for, or passes of which each starts a clock of a unit of its own. `auto-worker`: machine events sent while the
worker runs, until nothing is due any more; what it costs is that of web server, worker and database together.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from bench import load
from bench.case import BenchError, Plant
from bench.cases import CASES
from bench.processor import NOTHING, Meter, Used
from mes.platform.server.supervisor import Supervisor

COMPLETED, DUE = 1_000_000, 10_000
LEAST_RATE = DUE / 60  # all of them in under a minute
PATIENCE = 300  # seconds
QUIET = 0.03  # of a core: what a worker takes that has nothing to do
FOLLOWED, REQUEST = "auto-worker", "auto-single"
FIRST_ROUND = 500  # of `auto-worker`: its requests have other numbers than those of `auto-single`

# `n` numbers the events. A clock of its own for each: the unit is named by the number.
KINDS = {
    "outbox-idle": """
        CASE WHEN n % 2 = 0 THEN 'TRACK_IN' ELSE 'TRACK_OUT' END AS event_type, 'BENCH-I' || n % 1000 AS entity_id,
        '{"operationKind": "TEST", "operationCode": "TEST", "result": "PASS"}'::jsonb AS said
    """,
    "outbox-clocks": """
        'TRACK_OUT' AS event_type, 'BENCH-C' || n AS entity_id,
        '{"operationKind": "REFLOW", "operationCode": "REFLOW", "result": "PASS"}'::jsonb AS said
    """,
}
NAMES = (*KINDS, FOLLOWED)
# Copies of what the plant's own moves wrote.
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
# Open ones, not due yet.
WRITE = """
    INSERT INTO mes_mesevent (event_type, status, idempotency_key, entity_type, entity_id, run_id, payload, occurred_at,
                              created_at, attempts, max_attempts, next_attempt_at, error)
    SELECT event_type, 'PENDING', 'bench-PENDING' || n, 'UNIT', entity_id, r.id,
           said || jsonb_build_object('trackId', n::text, 'sn', entity_id, 'runNo', r.run_no, 'lineId', r.line_id,
                                      'stationId', 1, 'stepNo', 10, 'attempt', 1, 'source', 'MANUAL'),
           now(), now(), 0, 10, now() + interval '1 day', ''
      FROM (SELECT n, {kind} FROM generate_series(1, {number}) n) e, mes_run r
     WHERE r.run_no = 'BENCH-RUN'
"""
RULE = """
    INSERT INTO mes_timeruledefinition (code, name, duration_minutes, warning_minutes, start_event, start_condition,
        end_event, end_condition, scope, scope_value, route_operation_kinds, restarts, is_waivable, is_active, priority,
        notified_roles, updated_at)
    VALUES ('BENCH', 'Bench', 240, 30, 'TRACK_OUT', '{"operationKind": ["REFLOW"], "result": ["PASS"]}', 'TRACK_IN',
            '{"operationKind": ["COATING"]}', 'GLOBAL', '', '{}', false, true, true, 0, '{}', now())
    ON CONFLICT DO NOTHING
"""
OPEN = "SELECT count(*) FROM mes_mesevent WHERE status IN ('PENDING', 'PROCESSING', 'FAILED')"


@dataclass(frozen=True)
class Result:
    """What one worker did. `used` is its and the database's processor time for each event; of `auto-worker`, that of
    the web server too.
    """

    name: str
    completed: int
    due: int
    seconds: float
    claims_by_index: bool = True
    used: Used = NOTHING

    @property
    def rate(self) -> float:
        return self.due / self.seconds

    def checks(self) -> list[tuple[str, bool]]:
        """Return each stated target with whether it is reached."""
        if self.name == FOLLOWED:
            return []
        return [
            (f"at least {LEAST_RATE:,.0f} events/s: {DUE:,} in under a minute", self.rate >= LEAST_RATE),
            ("the claim reads its index only", self.claims_by_index),
        ]

    def as_json(self) -> dict[str, Any]:
        targets = [{"target": text, "reached": reached} for text, reached in self.checks()]
        return {**asdict(self), "rate": self.rate, "targets": targets}


def measure(name: str, *, quick: bool, database: int) -> Result:
    """Write open events, start a worker, let them become due, and wait until it has worked them off.

    `database` is the process id of the database server. What it takes until the worker is at rest is not counted.
    """
    completed, due = (COMPLETED // 50, DUE // 10) if quick else (COMPLETED, DUE)
    print(f"\n{name}: {due:,} due events beside {completed:,} completed ones, one worker", flush=True)
    clean_up()
    execute(RULE)
    if not _count("SELECT count(*) FROM mes_mesevent WHERE idempotency_key LIKE 'bench-COMPLETED%'"):
        execute(COPY, {"status": "COMPLETED", "number": completed})
    execute(WRITE.format(kind=KINDS[name], number=due))
    execute("VACUUM ANALYZE")
    execute("CHECKPOINT")
    by_index = _claims_by_index()
    with running_worker() as pid:
        meter = Meter(web=pid, database=database)
        wait_until_quiet(meter)
        with _due_at_once():
            before, start = meter.read(), time.perf_counter()
        wait_until_worked_off(name)
        seconds = time.perf_counter() - start
        result = Result(name, completed, due, seconds, by_index, (meter.read() - before) / due)
    if _count("SELECT count(*) FROM mes_mesevent WHERE status <> 'COMPLETED'"):
        raise BenchError(f"{name}: some events were given up.")
    if name == "outbox-clocks" and _count(_CLOCKS) != due:
        raise BenchError(f"{name}: not every event started a clock.")
    _report(result)
    return result


def measure_followed(plant: Plant, port: int, web: Meter, *, round_no: int, warm_up: float, seconds: float) -> Result:
    """Send machine events while a worker runs, and wait until nothing that follows of them is due."""
    case, round_no = CASES[REQUEST], FIRST_ROUND + round_no
    case.prepare(round_no, case.connections, int((warm_up + seconds) * case.fastest / case.connections))
    clean_up()
    execute("VACUUM ANALYZE")
    execute("CHECKPOINT")
    with running_worker() as pid:
        worker = Meter(web=pid, database=web.database)
        wait_until_quiet(worker)
        before = web.read(), worker.read()
        measured, requests = load.run(case, plant, port, round_no=round_no, warm_up=warm_up, seconds=seconds)
        wait_until_worked_off(FOLLOWED)
        of_web, of_worker = web.read() - before[0], worker.read() - before[1]
    used = Used(of_web.web + of_worker.web, of_web.database) / requests
    result = Result(FOLLOWED, 0, requests, requests / measured.rate, used=used)
    _report(result)
    return result


_CLOCKS = "SELECT count(*) FROM mes_timeruleinstance WHERE entity_id LIKE 'BENCH-C%' AND status = 'ACTIVE'"


def clean_up() -> None:
    """Settle what is open and remove what a round before left."""
    execute("DELETE FROM mes_mesevent WHERE idempotency_key LIKE 'bench-PENDING%'")
    execute("DELETE FROM mes_timeruleinstance WHERE entity_id LIKE 'BENCH-C%'")
    execute("DELETE FROM mes_timerulemark WHERE entity_id LIKE 'BENCH-C%'")
    execute("UPDATE mes_mesevent SET status = 'COMPLETED' WHERE status <> 'COMPLETED'")
    execute("DELETE FROM mes_workerheartbeat")


@contextmanager
def running_worker() -> Iterator[int]:
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


def wait_until_quiet(meter: Meter) -> None:
    """Wait until a worker has started all of its processes and rests."""
    used, until = meter.read().web, time.perf_counter() + 30
    while time.perf_counter() < until:
        time.sleep(1)
        used, before = meter.read().web, used
        if used - before <= QUIET:
            return


@contextmanager
def _due_at_once() -> Iterator[None]:
    """Let the open events become due together, after what is done in the block."""
    from django.db import transaction

    with transaction.atomic():
        execute("UPDATE mes_mesevent SET next_attempt_at = now() WHERE status = 'PENDING'")
        yield


def wait_until_worked_off(name: str) -> None:
    start = time.perf_counter()
    while _count(OPEN):
        if time.perf_counter() - start > PATIENCE:
            raise BenchError(f"{name}: the events are not worked off after {PATIENCE} s.")
        time.sleep(0.05)


def _claims_by_index() -> bool:
    """Ask for the plan of the claim."""
    from django.db import connection

    from mes.platform.outbox import processor

    values: dict[str, Any] = {"lease": timedelta(seconds=60), "limit": 50, "token": uuid.uuid4()}
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {processor.CLAIM}", values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    return "event_due" in plan and "Seq Scan on mes_mesevent" not in plan


def execute(statement: str, values: dict[str, Any] | None = None) -> None:
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
    used, who = result.used, "web and worker" if result.name == FOLLOWED else "worker"
    print(f"  processor time per event: {who} {used.web * 1e6:,.0f} µs, database {used.database * 1e6:,.0f} µs")
    for text, reached in result.checks():
        print(f"  {'pass' if reached else 'MISS'}   {text}", flush=True)
