"""What was under way when the old code was stopped: events of the outbox in every state, tasks of the worker."""

import uuid
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Task
from django_q.tasks import async_task

from . import erp
from .calls import Interface, scheduled
from .hand import close_for_the_erp, go_through, make_run


def make_dead(admin: Interface, work_off: Any) -> None:
    """Runs that the ERP took, and one that it refused for good."""
    close_for_the_erp(admin, "ERP-TOLD", "E-TOLD")
    work_off()
    erp.answer_with(422)
    close_for_the_erp(admin, "ERP-REFUSED", "E-REFUSED")
    work_off()
    erp.answer_with(200)


def make_failed(admin: Interface, work_off: Any) -> None:
    """A run that the ERP could not take just now: tried again later, which the real clock decides."""
    erp.answer_with(503)
    close_for_the_erp(admin, "ERP-LATER", "E-LATER")
    work_off()
    erp.answer_with(200)


def make_pending(admin: Interface) -> None:
    """What no worker has looked at, and what one had begun when it died."""
    make_run(admin, "LAST", "BOARD", ["L-1", "L-2"])
    for sn in ("L-1", "L-2"):
        go_through(admin, "H-PRN-1", sn, "LAST")
    close_for_the_erp(admin, "ERP-PENDING", "E-PENDING")
    events = apps.get_model("mes", "MesEvent").objects
    begun = events.filter(status="PENDING", event_type="TRACK_OUT", entity_id="L-2").latest("id")
    lease_end = timezone.now() - timedelta(seconds=1)
    taken = {"claim_token": uuid.uuid4(), "begun_at": lease_end - timedelta(minutes=2), "attempts": 1}
    events.filter(pk=begun.pk).update(status="PROCESSING", next_attempt_at=lease_end, **taken)


def make_tasks() -> None:
    """Tasks that the clock had queued and that nobody had begun, one that queued itself again in the midst of its work,
    and results as django-q2 keeps them.
    """
    now = timezone.now()
    budget, settings.MES_RETENTION_BUDGET = settings.MES_RETENTION_BUDGET, timedelta(0)
    scheduled("retention")()
    settings.MES_RETENTION_BUDGET = budget
    assert OrmQ.objects.exists()
    for schedule in Schedule.objects.order_by("id"):
        async_task(schedule.func)
        Task.objects.create(
            id=uuid.uuid4().hex,
            name=f"failed {schedule.name}",
            func=schedule.func,
            args=(),
            kwargs={},
            result="OperationalError : Traceback …",
            group=str(schedule.pk),
            started=now - timedelta(minutes=3),
            stopped=now - timedelta(minutes=3),
            success=False,
            attempt_count=3,
        )
        Task.objects.create(
            id=uuid.uuid4().hex,
            name=f"done {schedule.name}",
            func=schedule.func,
            result=0,
            group=str(schedule.pk),
            started=now - timedelta(minutes=1),
            stopped=now - timedelta(minutes=1),
            success=True,
            attempt_count=1,
        )
    Schedule.objects.update(next_run=now)
