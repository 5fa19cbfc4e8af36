"""What the platform does by the clock. django-q2 only ticks; leases, attempts and dead letters are ours."""

from django.utils.translation import gettext_lazy as _

from mes.platform.database import partitions
from mes.platform.outbox import heartbeats
from mes.platform.outbox.processor import process_due
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep


def tick() -> int:
    """Work off due events, beside the worker's loop, and note that the clock ticks; return how many were handled."""
    with Sweep("tick") as sweep:
        with sweep.row("heartbeat"):
            heartbeats.tick()
        return process_due()


def make_partitions() -> list[str]:
    """Make the partitions of the coming months."""
    return partitions.make_months()


TASKS = (
    ScheduledTask("tick", _("Handling of due events"), tick, cron="* * * * * */30"),
    ScheduledTask("partitions", _("Partitions of the coming months"), make_partitions, cron="15 * * * *"),
)
