"""Runs of the retention: nightly by the worker, a slice at a time, or at once by hand."""

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.platform.database import retention
from mes.platform.database.models import RetentionRun
from mes.platform.database.retention import Outcome
from mes.platform.outbox.schedules import GOES_ON, ScheduledTask
from mes.platform.sweeps import Sweep

MOST_SLICES = 2000  # of one night: more than eight hours


def retain(run_id: int | None = None, slice_no: int = 1) -> str:
    """Remove what may go, a slice at a time: the worker's other tasks come in between. The worker calls it nightly.

    Safe to be called twice: a second run at the same time ends at once. A policy that failed waits for the next night,
    and is raised when the others are through.
    """
    known = RetentionRun.objects.filter(pk=run_id).first() if run_id else None
    run = known or RetentionRun.objects.create()
    outcome = retention.run(budget=settings.MES_RETENTION_BUDGET, skip=run.errors)
    goes_on = not outcome.is_finished and not outcome.is_busy and slice_no < MOST_SLICES
    _note(run, outcome, ended=not goes_on)
    if goes_on:
        TASK.queue_again(run.pk, slice_no + 1)
        return GOES_ON
    with Sweep(TASK.name) as sweep:
        sweep.failed.update(run.errors)
    return "done"


TASK = ScheduledTask("retention", _("Removal of what is no longer kept"), retain, cron="0 3 * * *")


def retain_all() -> Outcome:
    """Remove all that may go now, however long it takes."""
    run = RetentionRun.objects.create()
    outcome = retention.run()
    _note(run, outcome, ended=True)
    return outcome


def _note(run: RetentionRun, outcome: Outcome, *, ended: bool) -> None:
    for name, rows in outcome.rows.items():
        run.rows[name] = run.rows.get(name, 0) + rows
    for name, tables in outcome.tables.items():
        run.tables.setdefault(name, []).extend(tables)
    run.errors |= outcome.errors
    run.ended_at = timezone.now() if ended else None
    run.save()
