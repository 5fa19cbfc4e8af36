"""Figures of the plant for Prometheus: read from the database and the disk when they are asked for.

They name kinds, states and tasks, and no product: whoever may read them need not be allowed to read serial numbers.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.utils import timezone

from mes.platform.hooks import Hook
from mes.platform.monitoring import open_work
from mes.platform.monitoring.disk import list_disks
from mes.platform.monitoring.health import HEARTBEAT_TICKS
from mes.platform.monitoring.operations import read_backlog
from mes.platform.monitoring.scheduled_tasks import list_statuses
from mes.platform.outbox.models import EventStatus, MesEvent, WorkerHeartbeat
from mes.platform.server import backup

Sample = tuple[tuple[str, ...], float]  # the values of the labels, and the figure


@dataclass(frozen=True)
class Figure:
    """A gauge: `read` returns its samples, by a cheap query. The name says the unit."""

    name: str
    help: str
    read: Callable[[], Iterable[Sample]]
    labels: tuple[str, ...] = ()


# Read when `/metrics` is asked for, in a thread of its own; nothing that names a product.
figures: Hook[Figure] = Hook(key=lambda figure: figure.name)

CONNECTIONS = """
    SELECT (SELECT sum(numbackends) FROM pg_stat_database), current_setting('max_connections')::integer
"""


def _age(moment: datetime | None) -> float:
    return 0.0 if moment is None else (timezone.now() - moment).total_seconds()


def _read_outbox() -> Iterator[Sample]:
    backlog = read_backlog()
    yield ("due",), backlog.due
    yield ("retrying",), backlog.retrying
    yield ("dead",), MesEvent.objects.filter(status=EventStatus.DEAD).order_by().count()


def _read_backlog_age() -> Iterator[Sample]:
    yield (), _age(read_backlog().oldest)


def _lately() -> datetime:
    return timezone.now() - timedelta(seconds=HEARTBEAT_TICKS * settings.MES_TICK_SECONDS)


def _read_workers() -> Iterator[Sample]:
    yield (), WorkerHeartbeat.objects.filter(beat_at__gt=_lately()).count()


def _read_worker_ages() -> Iterator[Sample]:
    latest = WorkerHeartbeat.objects.aggregate(beat=Max("beat_at"), tick=Max("ticked_at"))
    for what, moment in latest.items():
        if moment is not None:
            yield (what,), _age(moment)


def _read_tasks() -> Iterator[Sample]:
    alive = WorkerHeartbeat.objects.filter(beat_at__gt=_lately())
    for task in list_statuses(alive, lately=_lately()):
        yield (task.name,), not task.is_bad


def _read_open_work() -> Iterator[Sample]:
    for kind, count in open_work.count_all():
        yield (kind.name,), count


def _read_database() -> Iterator[Sample]:
    with connection.cursor() as cursor:
        cursor.execute(CONNECTIONS)
        used, most = cursor.fetchone()
    yield ("used",), used
    yield ("most",), most


def _read_database_size() -> Iterator[Sample]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        yield (), cursor.fetchone()[0]


def _read_disks_free() -> Iterator[Sample]:
    for name, free, _total in list_disks():
        yield (name,), free


def _read_disk_sizes() -> Iterator[Sample]:
    for name, _free, total in list_disks():
        yield (name,), total


def _read_backup_age() -> Iterator[Sample]:
    last = backup.latest()
    if last is not None:
        yield (), last.age.total_seconds()


figures.register(
    Figure("linekeeper_outbox_backlog", "Events of the outbox: due, retrying, dead.", _read_outbox, ("state",)),
    Figure("linekeeper_outbox_oldest_due_seconds", "How long the oldest due event has waited.", _read_backlog_age),
    Figure("linekeeper_workers_alive", "Workers that showed themselves lately.", _read_workers),
    Figure(
        "linekeeper_worker_age_seconds", "Time since a worker's last heartbeat and tick.", _read_worker_ages, ("what",)
    ),
    Figure("linekeeper_task_ok", "Whether a scheduled task is called and succeeds.", _read_tasks, ("task",)),
    Figure("linekeeper_open_work", "Work that waits for people.", _read_open_work, ("kind",)),
    Figure("linekeeper_database_connections", "Connections to the server: used, most.", _read_database, ("state",)),
    Figure("linekeeper_database_size_bytes", "Size of the database.", _read_database_size),
    Figure("linekeeper_disk_free_bytes", "Room on the disks.", _read_disks_free, ("disk",)),
    Figure("linekeeper_disk_size_bytes", "Size of the disks.", _read_disk_sizes, ("disk",)),
    Figure("linekeeper_backup_age_seconds", "Age of the last scheduled backup.", _read_backup_age),
)
