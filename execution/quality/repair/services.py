"""The bench: what was done about each defect, and the end of a repair."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from execution import dispositions, hooks
from execution.deviations.skipping import settle
from execution.quality.models import Defect, DefectStatus
from execution.quality.repair.models import RepairRecord, RepairResult, ReworkTask
from execution.quality.transitions import DEFECT, REWORK_TASK
from mes import errors
from mes.labels import Action
from mes.plant.scans import ScanKind, check_kinds
from mes.platform.database.lookup import get_or_raise
from mes.production import locking
from mes.production.decision_models import LONGEST_REASON
from mes.production.hold_models import HoldSource
from mes.production.models import Unit, UnitStatus

_SETTLED_AS = {
    RepairResult.FIXED: DefectStatus.REPAIRED,
    RepairResult.NO_FAULT_FOUND: DefectStatus.NO_FAULT_FOUND,
}


def _lock(task_id: int) -> ReworkTask:
    """Return a task whose unit is locked, and with that the task. Raises ReworkTaskNotFound."""
    unit_id = get_or_raise(ReworkTask.objects, errors.ReworkTaskNotFound, pk=task_id).unit_id
    [unit] = locking.lock_units(Unit.objects.filter(pk=unit_id))
    task = ReworkTask.objects.get(pk=task_id)
    task.unit = unit
    return task


@locking.atomically
def record(
    *,
    task_id: int,
    defect_id: int,
    action: str,
    result: str,
    replaced: Sequence[dict[str, Any]] = (),
    remark: str = "",
    by: str,
) -> RepairRecord:
    """Record what was done about a defect of an open task; of several records the latest counts.

    `replaced`: {materialCode, lotNo?, location}. Raises ReworkTaskNotFound, DefectNotFound, InvalidTransition,
    ScanTypeMismatch.
    """
    check_kinds(list(_list_scanned(replaced)))
    task = _lock(task_id)
    REWORK_TASK.next_state(Action.RECORD_REPAIR, task.status)
    defect = get_or_raise(task.defects, errors.DefectNotFound, pk=defect_id)
    DEFECT.next_state(Action.RECORD_REPAIR, defect.status)
    return RepairRecord.objects.create(
        task=task,
        defect=defect,
        action=action,
        result=result,
        replaced=list(replaced),
        remark=remark,
        recorded_by=by,
    )


def _list_scanned(replaced: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ScanKind]]:
    """Yield what was scanned of the parts that were put in, with the kind of thing that it should be."""
    for part in replaced:
        yield part["materialCode"], ScanKind.MATERIAL
        if part.get("lotNo"):
            yield part["lotNo"], ScanKind.PASTE_LOT


@locking.atomically
def complete(*, task_id: int, by: str) -> ReworkTask:
    """End a repair: each defect becomes what its latest record says, and the unit may enter its step again. One that
    is not fixed holds the unit, and stays open.

    Raises ReworkTaskNotFound, InvalidTransition, RepairRecordMissing.
    """
    task = _lock(task_id)
    status = REWORK_TASK.next_state(Action.COMPLETE, task.status)
    defects = list(task.defects.filter(status=DefectStatus.OPEN).order_by("id"))
    latest = {record.defect_id: record for record in task.records.order_by("id")}
    missing = [str(defect) for defect in defects if defect.pk not in latest]
    if missing:
        raise errors.RepairRecordMissing(defects=missing)
    not_fixed = [defect for defect in defects if latest[defect.pk].result == RepairResult.NOT_FIXED]
    _settle([defect for defect in defects if defect not in not_fixed], latest)
    _end(task, status, by=by)
    if not_fixed:
        names = ", ".join(str(defect) for defect in not_fixed)
        reason = _("Not fixed at the bench: %(defects)s") % {"defects": names}
        dispositions.hold(task.unit, reason=reason[:LONGEST_REASON], by=by, source=HoldSource.REPAIR)
    _go_on(task)
    return task


def _settle(defects: Sequence[Defect], records: dict[int, RepairRecord]) -> None:
    now = timezone.now()
    for defect in defects:
        record = records[defect.pk]
        defect.status = _SETTLED_AS[RepairResult(record.result)]
        defect.settled_by, defect.settled_at, defect.settled_reason = record.recorded_by, now, record.remark
    Defect.objects.bulk_update(defects, ["status", "settled_by", "settled_at", "settled_reason"])


@locking.atomically
def cancel(*, task_id: int, reason: str, by: str) -> ReworkTask:
    """Let a unit go on without its repair; its defects stay open. Raises ReworkTaskNotFound, InvalidTransition."""
    task = _lock(task_id)
    _end(task, REWORK_TASK.next_state(Action.CANCEL, task.status), by=by, reason=reason)
    _go_on(task)
    return task


def _go_on(task: ReworkTask) -> None:
    """Let the unit of a task that has ended go on: past its step, where that is skipped. One that is done so with what
    was found since is held.
    """
    if task.run.has_deviations and task.unit.standing == UnitStatus.QUEUED:
        settle([task.unit])
        dispositions.hold_done([task.unit])
    hooks.announce(task.unit_id)


def _end(task: ReworkTask, status: str, *, by: str, reason: str = "") -> None:
    task.status, task.ended_by, task.ended_at, task.end_reason = status, by[:150], timezone.now(), reason
    task.save(update_fields=["status", "ended_by", "ended_at", "end_reason"])
