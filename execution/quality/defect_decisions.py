"""What people decide about a defect: rework, scrap or hold its unit, accept it, or call it a false call.

Rework and scrap are decisions about the unit, which take all its open defects along (`execution.dispositions`). A false
call is about one defect alone; where nothing real is left of a failed pass, the pass becomes a PASS (`reviews`).
"""

from dataclasses import dataclass

from django.utils import timezone

from execution import dispositions
from execution.quality import reviews
from execution.quality.holds import cases
from execution.quality.models import Defect, DefectSource, DefectStatus
from execution.quality.repair.models import ReworkTask, ReworkTaskStatus
from execution.quality.repair.reentries import Override
from execution.quality.transitions import DEFECT
from mes import errors
from mes.labels import Action, Entity
from mes.platform.database.lookup import get_or_raise
from mes.production import locking, transitions
from mes.production.decision_models import LONGEST_REASON
from mes.production.hold_models import Hold, HoldSource
from mes.production.models import Unit


@dataclass(frozen=True, slots=True)
class Decided:
    """A defect and its unit after a decision, and the task of the bench that the unit waits for, if it does."""

    defect: Defect
    unit: Unit
    task: ReworkTask | None = None


def _lock(defect_id: int, action: Action) -> tuple[Defect, Unit]:
    """Return an open defect and its unit, with run and unit locked. Raises DefectNotFound, InvalidTransition."""
    defects = Defect.objects.select_related("unit__run__route_version", "track__run__route_version")
    sn = get_or_raise(defects, errors.DefectNotFound, pk=defect_id).unit.sn
    locked = locking.lock([sn])
    defect = defects.get(pk=defect_id)
    unit = defect.unit
    locked.check(unit_ids=[unit.pk], run_ids=[] if unit.run_id is None else [unit.run_id])
    DEFECT.next_state(action, defect.status)
    return defect, unit


def _answer(defect: Defect, unit: Unit) -> Decided:
    defect.refresh_from_db()
    return Decided(defect, unit, ReworkTask.objects.filter(unit=unit, status=ReworkTaskStatus.OPEN).first())


def _settle(defect: Defect, action: Action, *, reason: str, by: str) -> None:
    defect.status = DEFECT.next_state(action, defect.status)
    defect.settled_by, defect.settled_at, defect.settled_reason = by[:150], timezone.now(), reason
    defect.save(update_fields=["status", "settled_by", "settled_at", "settled_reason"])


@locking.atomically
def rework(
    *,
    defect_id: int,
    reason: str,
    by: str,
    to_step_no: int | None = None,
    repair: bool = True,
    override: Override | None = None,
) -> Decided:
    """Send the unit back, with `repair` to the bench first; all its open defects go along.

    Raises DefectNotFound, InvalidTransition, UnitRunNotFound, UnitOnHold, StepMismatch, ReentryLimitReached.
    """
    defect, unit = _lock(defect_id, Action.REWORK)
    if unit.run is None:
        raise errors.UnitRunNotFound(code=unit.sn)
    dispositions.rework([unit], reason=reason, by=by, to_step_no=to_step_no, repair=repair, override=override)
    return _answer(defect, unit)


@locking.atomically
def scrap(*, defect_id: int, reason: str, by: str) -> Decided:
    """Scrap the unit for it. Raises DefectNotFound, InvalidTransition."""
    defect, unit = _lock(defect_id, Action.SCRAP)
    dispositions.scrap([unit], reason=reason, by=by)
    return _answer(defect, unit)


@locking.atomically
def hold(*, defect_id: int, reason: str, by: str) -> Decided:
    """Hold the unit in a case of its own, which the defect's release ends. Raises DefectNotFound, InvalidTransition."""
    defect, unit = _lock(defect_id, Action.HOLD)
    if _find_case(defect, unit) is not None:
        return _answer(defect, unit)
    transitions.UNIT.next_state(Action.HOLD, unit.standing)
    case = Hold(source=HoldSource.DEFECT, reason=f"{defect}: {reason}"[:LONGEST_REASON], opened_by=by[:150])
    decision = dispositions.put_on_hold(unit, reason=case.reason, by=by, source=HoldSource.DEFECT, hold=case)
    assert decision is not None  # as the case is named
    dispositions.save_holds([decision])
    Defect.objects.filter(pk=defect.pk).update(hold=decision.hold_id)  # of one that says the same, that
    return _answer(defect, unit)


def _find_case(defect: Defect, unit: Unit) -> Hold | None:
    """Return the case that holds a locked unit for this defect."""
    held = (row.hold for row in cases.list_open_cases([unit])[unit.pk])
    return next((hold for hold in held if hold.pk == defect.hold_id), None)


@locking.atomically
def release(*, defect_id: int, reason: str, by: str) -> Decided:
    """Accept the defect and end the case that holds its unit for it, unless it is that of another that is open: what
    else holds the unit stays.

    Raises DefectNotFound, InvalidTransition, also where no case was opened for it.
    """
    defect, unit = _lock(defect_id, Action.RELEASE)
    if defect.hold_id is None:
        raise errors.InvalidTransition(action=Action.RELEASE, entity=Entity.DEFECT, state=DefectStatus.OPEN)
    case = _find_case(defect, unit)
    alike = Defect.objects.filter(unit=unit, hold=case, status=DefectStatus.OPEN).exclude(pk=defect.pk)
    if case is not None and not alike.exists():
        cases.end_cases([unit], hold=case, reason=reason, by=by)
    _settle(defect, Action.RELEASE, reason=reason, by=by)
    return _answer(defect, unit)


@locking.atomically
def call_false(*, defect_id: int, reason: str, by: str) -> Decided:
    """Settle one defect as a false call. Raises DefectNotFound, InvalidTransition, FalseCallOfValue."""
    defect, unit = _lock(defect_id, Action.FALSE_CALL)
    if defect.source == DefectSource.VALUE:
        raise errors.FalseCallOfValue
    _settle(defect, Action.FALSE_CALL, reason=reason, by=by)
    if defect.track is not None:
        reviews.take_false_call(defect.track, unit)
    return _answer(defect, unit)
