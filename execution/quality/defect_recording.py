"""Defects that somebody records by hand, wherever the unit is: also when it has passed, and in a run that has ended."""

from django.utils import timezone
from django.utils.translation import gettext as _

from execution.dispositions import hold
from execution.models import Defect, Track
from execution.outbox_events import defect_event
from execution.quality.defect_codes.catalogue import load
from execution.quality.defects import Finder, Place, ReportedDefect, build_defects, check_named, list_against
from execution.quality.models import DefectSource, DefectStatus
from execution.reach import check_reads
from mes import errors
from mes.platform.inbound.sender import Sender
from mes.platform.outbox.emit import emit
from mes.production import locking, runs
from mes.production.decision_models import LONGEST_REASON, UnitMove
from mes.production.hold_models import HoldSource
from mes.production.models import Run, Unit, UnitStatus
from mes.production.names import under_present_sn


@under_present_sn
@locking.atomically
def record_defect(
    *, sn: str, said: ReportedDefect, sender: Sender, step_no: int | None = None, run_no: str | None = None
) -> Defect:
    """Record a defect of a unit, by default at the step where it stands in its run. One that has passed all steps is
    held, if it is not acceptable so; one that is scrapped stays so, and so is the defect.

    Raises UnitNotFound, UnitRunNotFound, RunNotFound, UnitRunMismatch, StepMismatch, DefectCodeNotFound,
    LineNotAllowed.
    """
    unit = locking.lock_named_units([sn])[0]
    check_reads(sender, [unit])
    run = _find_run(unit, run_no)
    step_no = _find_step(unit, run, step_no)
    catalogue = load()
    check_named([said], catalogue)
    place = _find_place(unit, run, step_no)
    finder = Finder(DefectSource.HAND, sender.system)
    [defect] = build_defects(place, [said], finder=finder, at=timezone.now(), catalogue=catalogue)
    if unit.status == UnitStatus.SCRAPPED:
        defect.status, defect.settled_by, defect.settled_at = DefectStatus.SCRAPPED, sender.system[:150], timezone.now()
    defect.save()
    emit(defect_event(unit.pk, found=str(defect.pk), at=defect.found_at))
    if unit.standing == UnitStatus.DONE and list_against([defect], catalogue):
        reason = _("Defect found after the last step: %(defect)s") % {"defect": defect}
        hold(unit, reason=reason[:LONGEST_REASON], by=sender.system, source=HoldSource.DEFECT)
    return defect


def _find_run(unit: Unit, run_no: str | None) -> Run:
    """Return the run that a defect is of: the named one, of those that the unit is or was in."""
    if run_no is None:
        if unit.run is None:
            raise errors.UnitRunNotFound(code=unit.sn)
        return unit.run
    run = Run.objects.select_related("route_version").filter(run_no=run_no).first()
    if run is None:
        raise errors.RunNotFound(code=run_no)
    if run.pk != unit.run_id and not (
        UnitMove.objects.filter(unit=unit, from_run=run).exists() or Track.objects.filter(unit=unit, run=run).exists()
    ):
        raise errors.UnitRunMismatch(sn=unit.sn, run=run_no)
    return run


def _find_step(unit: Unit, run: Run, step_no: int | None) -> int:
    """Return the step that a defect is of: the named one, else where the unit stands, or where it was last."""
    current = unit.current_step_no if unit.run_id == run.pk else None
    if step_no is None and current is None:
        last = Track.objects.filter(unit=unit, run=run).order_by("-id").first()
        current = last.step_no if last else runs.snapshot_of(run).first_step_no
    step_no = current if step_no is None else step_no
    if step_no is None or runs.snapshot_of(run).step(step_no) is None:
        raise errors.StepMismatch(current=current, step_no=step_no)
    return step_no


def _find_place(unit: Unit, run: Run, step_no: int) -> Place:
    """Return the place of a defect: at the latest pass of its step, where it has one."""
    track = Track.objects.filter(unit=unit, run=run, step_no=step_no).order_by("-id").first()
    if track is None:
        return Place(unit.pk, run.pk, step_no, unit.rework_no)
    return Place.of_track(track, unit)
