"""What is known better after track-out: a review's PASS where nothing but inspections failed the pass, and false calls
where nothing real is left of it. The pass becomes a PASS, and the unit goes where that leads.
"""

from django.conf import settings
from django.utils import timezone

from execution import carriers, hooks, moves, rules
from execution.data import values
from execution.deviations.skipping import settle
from execution.dispositions import hold_done
from execution.models import Disposition, DispositionAction, ResultOverride, Track, TrackResult
from execution.outbox_events import track_event
from execution.quality.defect_codes.catalogue import load
from execution.quality.defects import has_others, settle_passed, withdraw_all
from execution.quality.models import NOT_A_DEFECT, Defect, DefectStatus, InspectionResult, InspectionVerdict
from mes import errors
from mes.platform.outbox.emit import emit
from mes.platform.outbox.models import EventType
from mes.production import runs
from mes.production.models import Unit, UnitStatus

# A pass that nobody finished: whatever was found of it, it is no PASS.
CLOSED_BY_DECISION = (ResultOverride.REWORK, ResultOverride.SCRAP, ResultOverride.SKIP)
WAS_NOTHING = (*NOT_A_DEFECT, DefectStatus.NO_FAULT_FOUND)
DECISIONS = (DispositionAction.RELEASE, DispositionAction.REWORK, DispositionAction.SCRAP)


def take(track: Track, unit: Unit) -> None:
    """Take the PASS of an inspection for a closed track, whose unit is locked (inside a transaction)."""
    if not (track.is_failed_by_inspections_alone and _may_pass(track)):
        return
    withdraw_all(track)
    _pass(track, unit)


def take_false_call(track: Track, unit: Unit) -> None:
    """Take that a defect of a track, whose unit is locked, was a false call (inside a transaction).

    Of a failed pass the last one makes a PASS, where nothing else speaks against it: a defect that was real, however it
    is settled, a KEY value, missing data, or that somebody closed the pass.
    """
    if track.result != TrackResult.FAIL or track.result_override in CLOSED_BY_DECISION:
        return
    if _was_real(track):
        return
    collected = values.find_of_tracks([track])[track.pk]
    if not values.is_failed(collected) and _has_required(track, collected):
        _pass(track, unit)


def _was_real(track: Track) -> bool:
    """Whether something was found of a track that is open still, or was settled as more than nothing; a process
    indicator that is open keeps nothing from passing.
    """
    found = Defect.objects.filter(track=track).exclude(status__in=WAS_NOTHING).values_list("status", "code")
    catalogue = load()
    return any(status != DefectStatus.OPEN or catalogue.is_defect(code) for status, code in found)


def _pass(track: Track, unit: Unit) -> None:
    """Make a failed pass a PASS; what was claimed stays."""
    track.result, track.result_override, track.inspection_override = TrackResult.PASS, ResultOverride.REVIEW, False
    track.save(update_fields=["result", "result_override", "inspection_override"])
    settle_passed(track)
    step = runs.snapshot_of(track.run).step_of_track(track.step_no)
    emit(track_event(EventType.TRACK_OUT, track, unit=unit, run=track.run, step=step, is_reviewed=True))
    if _leads(track, unit):
        _send_on(unit, track)


def _may_pass(track: Track) -> bool:
    """Whether no inspection, KEY value, other defect or missing value speaks against a track by now."""
    if InspectionResult.objects.filter(track=track, result=InspectionVerdict.FAIL).exists():
        return False
    if has_others(track):
        return False
    collected = values.find_of_tracks([track])[track.pk]
    return not values.is_failed(collected) and _has_required(track, collected)


def _has_required(track: Track, collected: values.Earlier) -> bool:
    step = runs.snapshot_of(track.run).step_of_track(track.step_no)
    try:
        rules.check_required(step, on_track=collected.on_track, on_carrier=collected.on_carrier)
    except errors.RequiredDataMissing:
        return False
    return True


def _leads(track: Track, unit: Unit) -> bool:
    """Whether a unit stands where this track, its latest, left it, and nobody decided about it since."""
    here = (unit.run_id, unit.current_step_no, unit.rework_no) == (track.run_id, track.step_no, track.rework_no)
    if not here or unit.standing not in (UnitStatus.QUEUED, UnitStatus.OUT_FAILED):
        return False
    if Track.objects.filter(unit=unit, id__gt=track.pk).exists():
        return False
    assert track.out_at is not None  # it is closed
    since = max(track.created_at, track.out_at - settings.MES_CLOCK_SKEW)
    decided = Disposition.objects.filter(unit=unit, action__in=DECISIONS, decided_at__gte=since)
    return not decided.exclude(to_status=UnitStatus.ON_HOLD).exists()  # of several cases that hold it one ended


def _send_on(unit: Unit, track: Track) -> None:
    moves.lead(unit, track, failures=0)
    unit.save(update_fields=["status", "held_from", "current_step_no", "updated_at"])
    if track.run.has_deviations:
        settle([unit])
    if unit.standing == UnitStatus.DONE:
        carriers.take_off(unit, at=timezone.now())
        hold_done([unit])
    hooks.announce(unit.pk)
