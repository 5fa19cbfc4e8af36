"""What the worker does by the clock. django-q2 only ticks; leases, attempts and dead letters are ours."""

from mes.platform.database import partitions
from mes.platform.outbox import heartbeats
from mes.platform.outbox.processor import process_due


def tick() -> int:
    """Work off due events, beside the worker's loop, and note that the clock ticks; return how many were handled."""
    heartbeats.tick()
    return process_due()


def make_partitions() -> list[str]:
    """Make the partitions of the coming months."""
    return partitions.make_months()
