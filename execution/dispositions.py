"""Units held, released, reworked and scrapped. Each change happens under the unit's row lock."""

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from execution import hooks
from execution.carriers import take_off
from execution.data import values
from execution.deviations.skipping import settle
from execution.models import FREES_NOTHING, Disposition, DispositionAction, ResultOverride, Track, TrackResult
from execution.outbox_events import track_event
from mes import errors
from mes.labels import Action
from mes.platform.outbox.emit import emit
from mes.platform.outbox.models import EventType
from mes.production import locking, runs, transitions
from mes.production.models import Run, Unit, UnitStatus
from mes.production.names import Relabelled, find_present, under_present_sn
from mes.production.run_counts import FINISHED, counts_changed
from mes.time_rules.services import cancel_of_unit

SYSTEM = "system"


def hold(unit: Unit, *, reason: str, by: str = SYSTEM) -> bool:
    """Put a locked unit on hold and record who decided it; return whether it was not held before."""
    disposition = put_on_hold(unit, reason=reason, by=by)
    if disposition is None:
        return False
    unit.save(update_fields=["status", "held_from", "hold_reason", "updated_at"])
    disposition.save()
    hooks.announce(unit.pk)
    _tell_counts([disposition])
    return disposition.from_status != UnitStatus.ON_HOLD


def put_on_hold(unit: Unit, *, reason: str, by: str = SYSTEM, is_of_report: bool = False) -> Disposition | None:
    """Put a locked unit on hold, unsaved; return the decision to keep, None where nothing changes.

    A unit that is held already is held for one more reason: whoever releases it must see them all. A reason that stands
    there already is not told again, but a decision `is_of_report` is kept: each machine event and message has its own,
    by which it is known what was decided about it since. A scrapped unit stays as it is.
    """
    before = unit.status
    is_told = before == UnitStatus.ON_HOLD and reason in unit.hold_reason
    if before == UnitStatus.SCRAPPED or (is_told and not is_of_report):
        return None
    if is_told:
        pass
    elif before == UnitStatus.ON_HOLD:
        unit.hold_reason = f"{unit.hold_reason} · {reason}"[:500]
    else:
        unit.held_from = before
        unit.status = transitions.UNIT.next_state(Action.HOLD, before)
        unit.hold_reason = reason[:500]
    return _decision(unit, DispositionAction.HOLD, from_status=before, reason=reason, by=by)


def save_holds(decisions: Sequence[Disposition]) -> None:
    """Write the locked units that `put_on_hold` changed, and its decisions in their order: two statements for any
    number.
    """
    if not decisions:
        return
    units = {decision.unit.pk: decision.unit for decision in decisions}
    for unit in units.values():
        unit.updated_at = timezone.now()
    Unit.objects.bulk_update(units.values(), ["status", "held_from", "hold_reason", "updated_at"])
    Disposition.objects.bulk_create(decisions)
    for decision in decisions:
        if decision.from_status != UnitStatus.ON_HOLD:
            hooks.announce(decision.unit.pk)
    _tell_counts(decisions)


def _tell_counts(decisions: Sequence[Disposition], *, held_from: str = "") -> None:
    """Emit that counts change of what has ended, or may be ending: of units that were done or scrapped. Of a held one
    `held_from` says what it was before it was held.
    """
    finished = [each for each in decisions if (held_from or each.from_status) in FINISHED]
    if finished:
        told = finished[0]
        counts_changed([each.run_id for each in finished], reason=told.reason, by=told.decided_by)


def _record(
    unit: Unit,
    action: DispositionAction,
    *,
    from_status: str,
    reason: str,
    by: str,
    held_from: str = "",
    approved_by: str = "",
) -> None:
    """Record who decided what about a unit, and why; of a held one also what it was held from."""
    decision = _decision(unit, action, from_status=from_status, reason=reason, by=by)
    decision.held_from, decision.approved_by = held_from, approved_by[:150]
    decision.save()
    _tell_counts([decision], held_from=held_from)


def _decision(unit: Unit, action: DispositionAction, *, from_status: str, reason: str, by: str) -> Disposition:
    return Disposition(
        unit=unit,
        run_id=unit.run_id,
        action=action,
        from_status=from_status,
        to_status=unit.status,
        step_no=unit.current_step_no,
        reason=reason[:500],
        decided_by=by[:150],
    )


def _lock(sn: str) -> Unit:
    return locking.lock_named_units([sn])[0]


@locking.atomically
def hold_unit(*, sn: str, reason: str, by: str) -> Unit:
    """Put a unit on hold by hand. Raises UnitNotFound, InvalidTransition."""
    unit = _lock(sn)
    transitions.UNIT.next_state(Action.HOLD, unit.status)
    hold(unit, reason=reason, by=by)
    return unit


@locking.atomically
def release_unit(*, sn: str, reason: str, by: str) -> Unit:
    """Give a held unit back the status it was held from, or where its closed track led. Raises InvalidTransition."""
    unit = _lock(sn)
    transitions.UNIT.next_state(Action.RELEASE, unit.status)
    held_from, unit.status, unit.held_from, unit.hold_reason = unit.held_from, unit.held_from, "", ""
    unit.save(update_fields=["status", "held_from", "hold_reason", "updated_at"])
    _record(unit, DispositionAction.RELEASE, from_status=UnitStatus.ON_HOLD, reason=reason, by=by, held_from=held_from)
    settle([unit])
    hooks.announce_decision(unit.pk)
    return unit


@locking.atomically
def scrap_unit(*, sn: str, reason: str, by: str) -> Unit:
    """Scrap a unit and take it off its carrier; an open track is FAIL. Raises UnitNotFound, InvalidTransition."""
    unit = _lock(sn)
    status = transitions.UNIT.next_state(Action.SCRAP, unit.status)
    _close_open_track(unit, override=ResultOverride.SCRAP, by=by)
    before, held_from, unit.status, unit.held_from, unit.hold_reason = unit.status, unit.held_from, status, "", ""
    unit.scrap_reason = reason[:500]
    unit.save(update_fields=["status", "held_from", "hold_reason", "scrap_reason", "updated_at"])
    _record(unit, DispositionAction.SCRAP, from_status=before, reason=reason, by=by, held_from=held_from)
    take_off(unit, at=timezone.now())
    cancel_of_unit(unit.sn)
    hooks.announce(unit.pk)
    hooks.announce_decision(unit.pk)
    return unit


def undo_scrap(unit: Unit, *, scrapped_from: str, reason: str, by: str, approved_by: str) -> None:
    """Put a locked scrapped unit on hold, held from what it was scrapped from, and record who asked and who approved.

    Nothing of what scrapping ended begins anew: its clocks stay cancelled, its carrier goes without it.
    """
    unit.status = transitions.UNIT.next_state(Action.UNDO_SCRAP, unit.status)
    unit.held_from, unit.hold_reason, unit.scrap_reason = scrapped_from, reason[:500], ""
    columns = ["status", "held_from", "hold_reason", "scrap_reason", "current_step_no", "updated_at"]
    unit.save(update_fields=columns)
    _record(
        unit,
        DispositionAction.UNSCRAP,
        from_status=UnitStatus.SCRAPPED,
        reason=reason,
        by=by,
        approved_by=approved_by,
    )
    hooks.announce(unit.pk)


def find_scrapping(unit: Unit) -> tuple[str, datetime]:
    """Return what a scrapped unit was scrapped from, and when: of one in a station that it waited, of a held one what
    stood behind the hold.

    Decisions of earlier releases do not say that: there the hold does from which it came.
    """
    decisions = Disposition.objects.filter(unit=unit).order_by("-id")
    scrapping = decisions.filter(action=DispositionAction.SCRAP).first()
    if scrapping is None:  # scrapped by an import, or before decisions were kept
        return UnitStatus.QUEUED, unit.updated_at
    status = scrapping.held_from or scrapping.from_status
    if status == UnitStatus.ON_HOLD:
        holds = decisions.filter(action=DispositionAction.HOLD, id__lt=scrapping.pk)
        hold = holds.exclude(from_status=UnitStatus.ON_HOLD).first()
        status = UnitStatus.QUEUED if hold is None else hold.from_status
    return UnitStatus.QUEUED if status == UnitStatus.IN_STATION else status, scrapping.decided_at


@under_present_sn
@locking.atomically
def rework_unit(*, sn: str, reason: str, by: str, to_step_no: int | None = None) -> Unit:
    """Send a unit back to a step, by default to the one that failed last; later steps are passed again.

    An open track is closed as FAIL. Raises UnitNotFound, UnitRunNotFound, InvalidTransition, StepMismatch.
    """
    locked = locking.lock([sn])
    unit = Unit.objects.select_related("run__route_version").filter(sn=sn).first()
    if unit is None:
        raise Relabelled({sn: find_present(sn)})
    run = unit.run
    if run is None:
        raise errors.UnitRunNotFound(code=sn)
    locked.check(unit_ids=[unit.pk], run_ids=[run.pk])
    runs.check_open(run)
    status = transitions.UNIT.next_state(Action.REWORK, unit.status)
    _close_open_track(unit, override=ResultOverride.REWORK, by=by)
    step_no = _choose_step(unit, run, to_step_no)
    before, unit.status, unit.held_from, unit.hold_reason = unit.status, status, "", ""
    unit.current_step_no = step_no
    unit.rework_no += 1
    unit.save(update_fields=["status", "held_from", "hold_reason", "current_step_no", "rework_no", "updated_at"])
    _record(unit, DispositionAction.REWORK, from_status=before, reason=reason, by=by)
    if run.has_deviations:
        settle([unit])
    hooks.announce_decision(unit.pk)
    return unit


def _choose_step(unit: Unit, run: Run, to_step_no: int | None) -> int:
    """Return the step to go back to, never past the current: the named one, or the first that failed, by its pass or by
    a report that was refused and holds the unit.
    """
    current = unit.current_step_no or 0
    if to_step_no is not None:
        if runs.snapshot_of(run).step(to_step_no) is None or to_step_no > current:
            raise errors.StepMismatch(current=current, step_no=to_step_no)
        return to_step_no
    passes = Track.objects.filter(unit=unit, run=run, rework_no=unit.rework_no, step_no__lte=current)
    latest = {track.step_no: track for track in passes.order_by("id")}
    by_data = values.find_failed(latest.values())
    failed = [no for no, track in latest.items() if track.pk in by_data or _is_failed(track)]
    failed += [no for no in _list_reported_steps(unit) if no <= current]
    return min(failed, default=current)


def _list_reported_steps(unit: Unit) -> list[int]:
    """Return the steps that the reports were about for which a unit is held."""
    decisions = Disposition.objects.filter(unit=unit)
    freed = decisions.exclude(action__in=FREES_NOTHING).order_by("-id").values_list("id", flat=True)[:1]
    since = decisions.filter(id__gt=next(iter(freed), 0)).values_list("about_step_no", flat=True)
    return [step_no for step_no in since if step_no is not None]


def _is_failed(track: Track) -> bool:
    """Whether a pass failed, or is known by now to have failed by inspections that came after it."""
    return track.result == TrackResult.FAIL or track.inspections.filter(result=TrackResult.FAIL).exists()


def _close_open_track(unit: Unit, *, override: ResultOverride, by: str) -> None:
    track = Track.objects.filter(unit=unit, out_at=None).select_related("run__route_version").first()
    if track is None:
        return
    now = timezone.now()
    track.out_at, track.result, track.result_override = max(now, track.in_at), TrackResult.FAIL, override
    track.out_by = by
    track.save(update_fields=["out_at", "out_by", "result", "result_override"])
    step = runs.snapshot_of(track.run).step_of_track(track.step_no)
    emit(track_event(EventType.TRACK_OUT, track, unit=unit, run=track.run, step=step))
