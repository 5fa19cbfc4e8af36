"""What those who run the installation need to know: reads only, a fixed number of queries."""

import platform
import shutil
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Q
from django.utils import timezone

from mes.platform.database import partitions
from mes.platform.database.models import RetentionRun
from mes.platform.monitoring import integrity_checks, open_work
from mes.platform.monitoring.health import BACKLOG_TICKS, HEARTBEAT_TICKS
from mes.platform.monitoring.models import IntegrityCheck
from mes.platform.monitoring.scheduled_tasks import TaskStatus, list_bad, list_statuses
from mes.platform.outbox.models import (
    DUE_STATUSES,
    EventStatus,
    EventType,
    MesEvent,
    WorkerHeartbeat,
)
from mes.platform.server import backup
from mes.platform.server.backup import Backup

DEAD_SHOWN = 20
TABLES_SHOWN = 15


@dataclass(frozen=True)
class Backlog:
    """Events that are due and not handled yet; `oldest` is when the first of them was due."""

    due: int
    retrying: int
    oldest: datetime | None
    is_late: bool


@dataclass(frozen=True)
class Live:
    """What changes from moment to moment."""

    workers: list[WorkerHeartbeat]
    alive: int
    last_tick: datetime | None
    ticks: bool
    backlog: Backlog
    dead_types: list[tuple[str, str, int]]  # type, label, how many
    dead: list[MesEvent]
    open_work: list[tuple[open_work.OpenWork, int]]
    bad_tasks: list[TaskStatus]

    @property
    def open_work_count(self) -> int:
        """How much waits for people."""
        return sum(count for _kind, count in self.open_work)

    @property
    def dead_count(self) -> int:
        return sum(count for _type, _label, count in self.dead_types)


@dataclass(frozen=True)
class Table:
    """A table with its partitions and indexes. `rows` is the planner's estimate."""

    name: str
    rows: int
    size: int
    partitions: int


@dataclass(frozen=True)
class BrokenRule:
    """A rule that the last check of the stored data found broken; `examples` are (name, what is wrong, address)."""

    rule: str
    label: str
    count: int
    examples: list[tuple[str, str, str]]

    @property
    def more(self) -> int:
        """How many are counted and not named."""
        return self.count - len(self.examples)


@dataclass(frozen=True)
class Storage:
    """What is stored, and what goes."""

    tables: list[Table]
    database_size: int
    disk_free: int
    disk_size: int
    months: list[tuple[str, date | None, bool]]  # table, last month made, enough
    last_retention: RetentionRun | None
    last_check: IntegrityCheck | None
    findings: list[BrokenRule]  # of the last check
    backups: Path | None  # the folder of scheduled ones; None: none are made
    last_backup: Backup | None
    versions: dict[str, str] = field(default_factory=dict)


def read_live() -> Live:
    """Return how workers and events are doing now."""
    lately = _alive_since()
    workers = _list_workers()
    alive = [worker for worker in workers if worker.beat_at > lately]
    ticks = [worker.ticked_at for worker in workers if worker.ticked_at]
    begun = [*ticks, *(worker.started_at for worker in alive)]
    counted = MesEvent.objects.filter(status=EventStatus.DEAD).order_by().values_list("event_type")
    return Live(
        workers=workers,
        alive=len(alive),
        last_tick=max(ticks, default=None),
        ticks=bool(alive) and max(begun) > lately,
        backlog=read_backlog(),
        dead_types=[(name, _label(name), count) for name, count in counted.annotate(n=Count("pk")).order_by("-n")],
        dead=list(MesEvent.objects.filter(status=EventStatus.DEAD).order_by("-id")[:DEAD_SHOWN]),
        open_work=open_work.count_all(),
        bad_tasks=list_bad(list_statuses(workers, lately=lately)),
    )


def read_tasks() -> list[TaskStatus]:
    """Return every scheduled task, those that somebody must look at first."""
    return list_statuses(_list_workers(), lately=_alive_since())


def _alive_since() -> datetime:
    """Return since when a worker must have shown itself to count as alive."""
    return timezone.now() - timedelta(seconds=HEARTBEAT_TICKS * settings.MES_TICK_SECONDS)


def _list_workers() -> list[WorkerHeartbeat]:
    return list(WorkerHeartbeat.objects.order_by("-beat_at")[:50])


def _label(event_type: str) -> str:
    return str(EventType(event_type).label) if event_type in EventType.values else event_type


def read_backlog() -> Backlog:
    """Return what is due and not handled yet."""
    now = timezone.now()
    waits = Q(next_attempt_at__lte=now) & ~Q(status=EventStatus.FAILED)
    seen = MesEvent.objects.filter(status__in=DUE_STATUSES).aggregate(
        due=Count("pk", filter=Q(next_attempt_at__lte=now)),
        retrying=Count("pk", filter=Q(status=EventStatus.FAILED)),
        oldest=Min("next_attempt_at", filter=waits),
    )
    late = now - timedelta(seconds=BACKLOG_TICKS * settings.MES_TICK_SECONDS)
    return Backlog(**seen, is_late=seen["oldest"] is not None and seen["oldest"] < late)


SIZES = """
    SELECT root.relname, count(*) - 1, sum(GREATEST(part.reltuples, 0))::bigint,
           sum(pg_total_relation_size(part.oid))::bigint AS size
      FROM pg_class root JOIN pg_namespace n ON n.oid = root.relnamespace AND n.nspname = current_schema()
      CROSS JOIN LATERAL
           (SELECT root.oid UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = root.oid) tree (oid)
      JOIN pg_class part ON part.oid = tree.oid
     WHERE root.relkind IN ('r', 'p') AND NOT root.relispartition
     GROUP BY root.oid, root.relname ORDER BY size DESC LIMIT %s
"""


def read_storage() -> Storage:
    """Return sizes, partitions and versions. The sizes are read from the disk: not for every few seconds."""
    with connection.cursor() as cursor:
        cursor.execute(SIZES, [TABLES_SHOWN])
        tables = [Table(name, int(rows), int(size), int(parts)) for name, parts, rows, size in cursor.fetchall()]
        cursor.execute("SELECT pg_database_size(current_database()), current_setting('server_version')")
        database_size, server = cursor.fetchone()
    disk = shutil.disk_usage(settings.DATA_DIR)
    last_check = integrity_checks.read_latest()
    return Storage(
        tables=tables,
        database_size=int(database_size),
        disk_free=disk.free,
        disk_size=disk.total,
        months=[_last_month(table) for table in partitions.PARTITIONED_TABLES],
        last_retention=RetentionRun.objects.first(),
        last_check=last_check,
        findings=[_as_broken_rule(**finding) for finding in last_check.findings] if last_check else [],
        backups=settings.MES_BACKUP_DIR,
        last_backup=backup.latest(),
        versions={
            "Linekeeper": str(settings.SPECTACULAR_SETTINGS["VERSION"]),
            "PostgreSQL": server.partition(" ")[0],
            "Django": django.get_version(),
            "Python": platform.python_version(),
        },
    )


def _as_broken_rule(rule: str, label: str, count: int, examples: list[dict[str, str]]) -> BrokenRule:
    links = [(each["name"], each["what"], integrity_checks.link_of(rule, each["name"])) for each in examples]
    return BrokenRule(rule, label, count, links)


def _last_month(table: str) -> tuple[str, date | None, bool]:
    """Return the last month that has a partition, and whether that is ahead of the present one."""
    months = list(partitions.list_months(table))
    last = months[-1] if months else None
    return table, last, last is not None and last > timezone.now().date()


def describe_retention(run: RetentionRun) -> list[tuple[str, Any]]:
    """Return what a run removed, by policy: a number of rows, or the tables dropped."""
    return [*sorted(run.rows.items()), *((name, ", ".join(tables)) for name, tables in sorted(run.tables.items()))]
