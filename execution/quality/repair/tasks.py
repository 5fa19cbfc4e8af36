"""Tasks of the bench: made by rework, ended by what makes them pointless. All under the lock of their unit."""

from collections.abc import Iterable, Mapping, Sequence

from django.utils import timezone

from execution.quality.models import Defect, DefectStatus
from execution.quality.repair.models import ReworkTask, ReworkTaskStatus
from mes.production.decision_models import LONGEST_REASON
from mes.production.models import Run, Unit


def open_for(unit: Unit, *, repair: bool | None, reason: str, by: str) -> ReworkTask | None:
    """Send a locked unit, which has just been sent back, to the bench with all its open defects; return the task.

    One that is open already is replaced: its defects are still open and go along. So a unit that waits for its repair
    still does, unless `repair` says that it needs none.
    """
    had_task = cancel_open([unit], reason=reason, by=by)
    if repair is False or (repair is None and not had_task):
        return None
    assert unit.run is not None and unit.current_step_no is not None  # it was sent back
    task = ReworkTask.objects.create(
        unit=unit,
        run=unit.run,
        to_step_no=unit.current_step_no,
        rework_no=unit.rework_no,
        reason=reason[:LONGEST_REASON],
        created_by=by[:150],
    )
    task.defects.set(Defect.objects.filter(unit=unit, status=DefectStatus.OPEN))
    return task


def cancel_open(units: Iterable[Unit], *, reason: str, by: str) -> bool:
    """Cancel the open tasks of locked units; return whether there was one."""
    ended = {"ended_by": by[:150], "ended_at": timezone.now(), "end_reason": reason[:LONGEST_REASON]}
    tasks = ReworkTask.objects.filter(unit__in=[unit.pk for unit in units], status=ReworkTaskStatus.OPEN)
    return tasks.update(status=ReworkTaskStatus.CANCELLED, **ended) > 0


def settle_scrapped(units: Sequence[Unit], *, reason: str, by: str) -> None:
    """Settle what is open of locked units that are scrapped: nothing of it is repaired any more."""
    cancel_open(units, reason=reason, by=by)
    settled = {"settled_by": by[:150], "settled_at": timezone.now(), "settled_reason": reason[:LONGEST_REASON]}
    defects = Defect.objects.filter(unit__in=[unit.pk for unit in units], status=DefectStatus.OPEN)
    defects.update(status=DefectStatus.SCRAPPED, **settled)


def reopen_scrapped(unit: Unit) -> None:
    """Open again what scrapping settled of a locked unit whose scrap is undone: nobody has found it to be nothing."""
    defects = Defect.objects.filter(unit=unit, status=DefectStatus.SCRAPPED)
    defects.update(status=DefectStatus.OPEN, settled_by="", settled_at=None, settled_reason="")


def take_along(units: Iterable[Unit], target: Run, steps: Mapping[int, int]) -> None:
    """Let the open tasks of locked units follow them into another run: whoever moves a board repairs nothing."""
    tasks = list(ReworkTask.objects.filter(unit__in=[unit.pk for unit in units], status=ReworkTaskStatus.OPEN))
    for task in tasks:
        task.run, task.to_step_no = target, steps[task.unit_id]
    ReworkTask.objects.bulk_update(tasks, ["run", "to_step_no"])
