"""What the worker takes from django-q2's queue: registered tasks and nothing else.

A queued task names its function, and django-q2 would import and call whatever it names. Whoever can write a row of its
tables, through the admin site or otherwise, must not choose what code runs here.
"""

from collections.abc import Sequence

import structlog
from django.core.exceptions import SuspiciousOperation
from django_q.brokers.orm import ORM
from django_q.signing import SignedPackage

from mes.platform.outbox.schedules import tasks

logger = structlog.get_logger(__name__)


class RegisteredTasksBroker(ORM):
    """django-q2's queue in the database. Tasks that are not registered (`schedules.tasks`) are dropped and logged."""

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Return (id, payload) of tasks to be run; None when there is none."""
        taken: Sequence[tuple[int, str]] = super().dequeue() or ()
        kept = [(task_id, payload) for task_id, payload in taken if self._may_run(task_id, payload)]
        return kept or None

    def _may_run(self, task_id: int, payload: str) -> bool:
        try:
            check_registered(payload)
        except SuspiciousOperation as refusal:
            logger.error("dropped a task that is not registered", task=task_id, reason=str(refusal))
            self.delete(task_id)
            return False
        return True


def check_registered(payload: str) -> None:
    """Raise SuspiciousOperation for a queued task that cannot be read, is not registered, or calls something else when
    it ends.
    """
    try:
        task = SignedPackage.loads(payload)
    except Exception as error:  # a signature of another key, a pickle of what is not there any more
        raise SuspiciousOperation(f"cannot be read: {error}") from None
    if task.get("func") not in {registered.func for registered in tasks}:
        raise SuspiciousOperation(f"calls {task.get('func')!r}")
    if task.get("hook"):
        raise SuspiciousOperation(f"calls {task['hook']!r} at its end")
