"""A review's PASS after track-out. Where nothing but inspections failed the pass, it becomes a PASS, and the unit goes
where that leads.
"""

from django.conf import settings
from django.utils import timezone

from execution import carriers, hooks, moves, rules
from execution.data import values
from execution.deviations.skipping import settle
from execution.models import Disposition, DispositionAction, ResultOverride, Track, TrackResult
from execution.outbox_events import track_event
from execution.quality.defects import has_others, settle_passed, withdraw_all
from execution.quality.models import InspectionResult, InspectionVerdict
from mes import errors
from mes.platform.outbox.emit import emit
from mes.platform.outbox.models import EventType
from mes.production import runs
from mes.production.models import Unit, UnitStatus

DECISIONS = (DispositionAction.RELEASE, DispositionAction.REWORK, DispositionAction.SCRAP)


def take(track: Track, unit: Unit) -> None:
    """Take the PASS of an inspection for a closed track, whose unit is locked (inside a transaction)."""
    if not (track.is_failed_by_inspections_alone and _may_pass(track)):
        return
    track.result, track.result_override, track.inspection_override = TrackResult.PASS, ResultOverride.REVIEW, False
    track.save(update_fields=["result", "result_override", "inspection_override"])
    withdraw_all(track)
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
    hooks.announce(unit.pk)
