"""Is the process up, and can it do its work? For supervisors and load balancers, without sign-in."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from mes.platform.http.envelope import encode
from mes.platform.monitoring import backups
from mes.platform.monitoring.disk import list_disks
from mes.platform.monitoring.scheduled_tasks import list_bad, list_statuses
from mes.platform.monitoring.survey import Survey
from mes.platform.outbox.models import EventStatus, MesEvent, TaskOutcome, WorkerHeartbeat
from mes.platform.server import backup

HEARTBEAT_TICKS = 3  # a worker that missed this many is gone
MOST_COUNTED = 1000  # whoever has more dead events counts them elsewhere
TASKS_FAILED = "SCHEDULED_TASKS_FAILED"
NOT_WRITABLE = "DATABASE_NOT_WRITABLE"
SPACE_LOW = "DISK_SPACE_LOW"
BACKUP_LATE = "BACKUP_TOO_OLD"
UNANSWERED = {"ok": False, "error": "TimeoutError"}  # of a check that did not end in time
BACKLOG_TICKS = 10  # events that wait for longer are not being processed

WRITE = """
    SELECT set_config('work_mem', '64kB', true);
    INSERT INTO mes_writeprobe (id, written_at) VALUES (1, now())
    ON CONFLICT (id) DO UPDATE SET written_at = EXCLUDED.written_at
"""
# 800 kB, of which 64 are kept in memory.
FILL_FILE = """
    WITH filled AS MATERIALIZED (SELECT number, repeat('x', 8000) FROM generate_series(1, 100) AS number)
    SELECT count(*) FROM filled
"""

_migrated = False  # remembered once true: a running process is never migrated back


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers. Does not touch the database."""
    return HttpResponse(encode({"ok": True}), content_type="application/json")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """200 if every check holds, else 503; the body shows each of them.

    `warnings` names checks that somebody must look at, and that take no web server out of service: a load balancer that
    did so because the retention failed would stop the plant without mending anything.
    """
    checks = read_checks()
    ok = all(checks[name]["ok"] for name in CHECKS)
    warnings = [name for name in WARNINGS if not checks[name]["ok"]]
    body = encode({"ok": ok, "checks": checks, "warnings": warnings})
    return HttpResponse(body, status=200 if ok else 503, content_type="application/json")


def read_checks() -> dict[str, dict[str, Any]]:
    """Return the outcome of every check; of those that hang, that they did not end."""
    outcomes = SURVEY.read()
    return {name: outcomes.get(name, UNANSWERED) for name in (CHECKS | WARNINGS)}


def _outcome(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return check()
    except (DatabaseError, InterfaceError, OSError) as error:
        return {"ok": False, "error": type(error).__name__}


def check_database() -> dict[str, Any]:
    """The database answers."""
    start = perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"ok": True, "milliseconds": round((perf_counter() - start) * 1000, 1)}


def check_writes() -> dict[str, Any]:
    """The database takes writes, and finds room for more: a row is written and committed, and a temporary file filled.

    Pages that are free are written anew for a while after a disk is full; only what makes a file grow shows it.
    """
    start = perf_counter()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(WRITE)
            cursor.execute(FILL_FILE)
    except DatabaseError as error:
        return {"ok": False, "code": NOT_WRITABLE, "error": type(error.__cause__ or error).__name__}
    return {"ok": True, "milliseconds": round((perf_counter() - start) * 1000, 1)}


def check_migrations() -> dict[str, Any]:
    """Every migration of this release is applied."""
    global _migrated
    pending = 0
    if not _migrated:
        executor = MigrationExecutor(connection)
        pending = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        _migrated = pending == 0
    return {"ok": _migrated, "pending": pending}


def check_worker() -> dict[str, Any]:
    """A worker has shown itself within the last ticks, and the clock ticks (or its worker started just now)."""
    limit = HEARTBEAT_TICKS * settings.MES_TICK_SECONDS
    lately = timezone.now() - timedelta(seconds=limit)
    heartbeats = WorkerHeartbeat.objects.aggregate(
        alive=Count("pk", filter=Q(beat_at__gt=lately)),
        beat=Max("beat_at"),
        tick=Max("ticked_at"),
        start=Max("started_at", filter=Q(beat_at__gt=lately)),
    )
    ticks = [moment for moment in (heartbeats["tick"], heartbeats["start"]) if moment is not None]
    ok = heartbeats["alive"] > 0 and max(ticks) > lately
    return {
        "ok": ok,
        "alive": heartbeats["alive"],
        "lastBeatAt": heartbeats["beat"],
        "lastTickAt": heartbeats["tick"],
        "ageSeconds": _age(heartbeats["beat"]),
        "limitSeconds": limit,
    }


def check_backlog() -> dict[str, Any]:
    """No event has been due for long. Dead ones are counted: people decide about them."""
    limit = BACKLOG_TICKS * settings.MES_TICK_SECONDS
    waiting = MesEvent.objects.filter(status__in=["PENDING", "PROCESSING"], next_attempt_at__lte=timezone.now())
    oldest = waiting.order_by("next_attempt_at").values_list("next_attempt_at", flat=True).first()
    age = _age(oldest)
    dead = MesEvent.objects.filter(status=EventStatus.DEAD).order_by()[:MOST_COUNTED].count()
    ok = age is None or age < limit
    return {"ok": ok, "oldestDueAt": oldest, "ageSeconds": age, "limitSeconds": limit, "dead": dead}


def check_tasks() -> dict[str, Any]:
    """Every scheduled task is called and succeeds. Errors are shown on the operations page: this has no sign-in."""
    lately = timezone.now() - timedelta(seconds=HEARTBEAT_TICKS * settings.MES_TICK_SECONDS)
    alive = WorkerHeartbeat.objects.filter(beat_at__gt=lately)
    bad = list_bad(list_statuses(alive, lately=lately))
    if not bad:
        return {"ok": True}
    failed = [{"name": task.name, "state": task.state, "since": task.since, "failures": task.failures} for task in bad]
    return {"ok": False, "code": TASKS_FAILED, "failed": failed}


def check_space() -> dict[str, Any]:
    """There is room left on the disks, before writes fail."""
    limit = settings.MES_DISK_WARNING
    disks = list(list_disks())
    shown = [{"disk": name, "freeBytes": free, "totalBytes": total} for name, free, total in disks]
    is_low = any(free < limit for _name, free, _total in disks)
    return {"ok": not is_low, **({"code": SPACE_LOW} if is_low else {}), "limitBytes": limit, "disks": shown}


def check_backup() -> dict[str, Any]:
    """Where backups are scheduled, there is one of the last day; the first is waited for as long."""
    if settings.MES_BACKUP_DIR is None:
        return {"ok": True, "scheduled": False}
    last = backup.latest()
    if last is not None:
        made_at, is_late = last.made_at, last.is_late
    else:
        expected_since = TaskOutcome.objects.filter(name=backups.TASK.name).values_list("created_at", flat=True).first()
        made_at, is_late = None, expected_since is not None and timezone.now() - expected_since > backup.LATE
    code = {"code": BACKUP_LATE} if is_late else {}
    return {"ok": not is_late, **code, "scheduled": True, "lastMadeAt": made_at, "ageSeconds": _age(made_at)}


def _age(moment: datetime | None) -> float | None:
    return None if moment is None else round((timezone.now() - moment).total_seconds(), 1)


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "database": check_database,
    "writes": check_writes,
    "migrations": check_migrations,
    "worker": check_worker,
    "backlog": check_backlog,
}
WARNINGS: dict[str, Callable[[], dict[str, Any]]] = {
    "tasks": check_tasks,
    "space": check_space,
    "backup": check_backup,  # last: its folder may be of another machine, and hang
}
SURVEY = Survey(lambda: {name: partial(_outcome, check) for name, check in (CHECKS | WARNINGS).items()})
