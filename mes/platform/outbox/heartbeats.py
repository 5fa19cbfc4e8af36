"""Which workers live: one row for each, written by the worker itself; `/readyz` and the operations page read them."""

import os
import socket

from django.utils import timezone

from mes.platform.outbox.models import WorkerHeartbeat

VARIABLE = "LINEKEEPER_WORKER"  # the processes of one worker share its name
MOST_COUNTED = 2**31 - 1  # that the column holds


def take_name() -> None:
    """Name this process's worker; its children inherit the name."""
    os.environ[VARIABLE] = f"{socket.gethostname()[:80]}:{os.getpid()}"


def name() -> str:
    """Return the name of the worker this process belongs to."""
    return os.environ.get(VARIABLE) or socket.gethostname()[:80]


def beat(*, processed: int) -> None:
    """Say that the worker works events off, and how many it has handled since its start."""
    counted = min(processed, MOST_COUNTED)
    WorkerHeartbeat.objects.update_or_create(name=name(), defaults={"beat_at": timezone.now(), "processed": counted})


def tick() -> None:
    """Say that django-q2 ticks in this worker. One that has left the list, and whose last task ends, stays off it."""
    WorkerHeartbeat.objects.filter(name=name()).update(ticked_at=timezone.now())


def leave() -> None:
    """Take the worker off the list: it was stopped, it did not die."""
    WorkerHeartbeat.objects.filter(name=name()).delete()
