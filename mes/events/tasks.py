"""What the worker does by the clock. django-q2 only ticks; leases, attempts and dead letters are ours."""

import socket

from django.utils import timezone

from mes.database import partitions
from mes.events.models import WorkerHeartbeat
from mes.events.processor import process_due


def tick() -> int:
    """Work off due events and leave a heartbeat that `/readyz` reads; return how many events were handled."""
    beat()
    handled = process_due()
    beat(processed=handled)
    return handled


def beat(*, processed: int = 0) -> None:
    """Say that this host's worker is alive."""
    WorkerHeartbeat.objects.update_or_create(
        name=socket.gethostname()[:100],
        defaults={"beat_at": timezone.now(), "processed": processed},
    )


def make_partitions() -> list[str]:
    """Make the partitions of the coming months."""
    return partitions.make_months()
