"""Units held, released, reworked and scrapped. Each change happens under the unit's row lock."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from execution import hooks
from execution.carriers import take_off
from execution.data import values
from execution.deviations.skipping import settle
from execution.models import Disposition, DispositionAction, ResultOverride, Track, TrackResult
from execution.outbox_events import track_event
from execution.quality.defects import find_counting_of
from execution.quality.holds import cases, records, signed_release
from execution.quality.repair import reentries, tasks
from execution.quality.repair.reentries import Override
from mes import errors
from mes.labels import Action
from mes.platform.outbox.emit import emit
from mes.platform.outbox.models import EventType
from mes.platform.signatures.services import Signing
from mes.production import locking, runs, transitions
from mes.production.decision_models import LONGEST_REASON
from mes.production.hold_models import HeldUnit, HeldUnitEnd, Hold, HoldSource
from mes.production.models import Run, Unit, UnitStatus
from mes.production.names import Relabelled, find_present, under_present_sn
from mes.production.run_counts import FINISHED, counts_changed
from mes.time_rules.services import cancel_of_unit

SYSTEM = "system"
# What holds a unit for something that failed: sending it back is the answer to that.
ANSWERED_BY_REWORK = (
    HoldSource.REPORT,
    HoldSource.ALARM,
    HoldSource.DATA,
    HoldSource.INSPECTION,
    HoldSource.DEFECT,
    HoldSource.REPAIR,
)


def hold(unit: Unit, *, reason: str, by: str = SYSTEM, source: HoldSource) -> bool:
    """Put a locked unit on hold and record who decided it; return whether it was not held before."""
    disposition = put_on_hold(unit, reason=reason, by=by, source=source)
    if disposition is None:
        return False
    save_holds([disposition])
    return disposition.from_status != UnitStatus.ON_HOLD


def hold_together(units: Iterable[Unit], hold: Hold, *, by: str) -> None:
    """Put locked units on hold in one case, saved or not, for its reason; scrapped ones stay as they are."""
    source = HoldSource(hold.source)
    decisions = [put_on_hold(unit, reason=hold.reason, by=by, source=source, hold=hold) for unit in units]
    save_holds([decision for decision in decisions if decision is not None])


def put_on_hold(
    unit: Unit,
    *,
    reason: str,
    by: str = SYSTEM,
    source: HoldSource,
    hold: Hold | None = None,
    is_of_report: bool = False,
) -> Disposition | None:
    """Put a locked unit on hold, unsaved; return the decision to keep with its case, None where nothing changes.

    `hold` is the case that holds it, saved or not, where several units or other conditions belong to it; else it gets
    one of its own, which `save_holds` lets units of one run share. A unit that is held already is held for one more
    reason: whoever releases it must see them all. A reason that one of its cases tells already makes no second case,
    but a decision `is_of_report` is kept: each machine event and message has its own, by which it is known what was
    decided about it since. A scrapped unit stays as it is.
    """
    before, reason = unit.status, reason[:LONGEST_REASON]
    is_told = before == UnitStatus.ON_HOLD and _tells(unit.hold_reason, reason)
    if before == UnitStatus.SCRAPPED or (is_told and not is_of_report and hold is None):
        return None
    if before != UnitStatus.ON_HOLD:
        unit.held_from = before
        unit.status = transitions.UNIT.next_state(Action.HOLD, before)
        unit.hold_reason = reason
    elif not is_told:
        unit.hold_reason = cases.in_words([unit.hold_reason, reason])
    decision = _decision(unit, DispositionAction.HOLD, from_status=before, reason=reason, by=by)
    decision.hold = hold or Hold(source=source, reason=reason, opened_by=by[:150], opened_at=decision.decided_at)
    return decision


def _tells(hold_reason: str, reason: str) -> bool:
    """Whether the reasons for which a unit is held have this one among them, as far as they are kept with the unit."""
    return f"{cases.BETWEEN}{reason}{cases.BETWEEN}" in f"{cases.BETWEEN}{hold_reason}{cases.BETWEEN}"


def save_holds(decisions: Sequence[Disposition]) -> None:
    """Write the locked units that `put_on_hold` changed, their cases, and its decisions in their order: one statement
    for any number. Of unsaved cases those that tell the same of units of one run become one.

    Raises Outdated where a saved case was named that has ended meanwhile: whoever names one may lock it before.
    """
    if not decisions:
        return
    records.write(decisions, units={decision.unit.pk: decision.unit for decision in decisions}.values())
    hooks.announce_all(decision.unit.pk for decision in decisions if decision.from_status != UnitStatus.ON_HOLD)
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
) -> Disposition:
    """Record who decided what about a unit, and why; of a held one also what it was held from."""
    decision = _decision(unit, action, from_status=from_status, reason=reason, by=by)
    decision.held_from = held_from
    decision.save()
    _tell_counts([decision], held_from=held_from)
    return decision


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


def hold_done(units: Iterable[Unit]) -> None:
    """Hold, of locked units that came by another way than a pass of theirs to where they are, those that are done with
    an open defect: no board leaves so that nobody decided about.
    """
    done = {unit.pk: unit for unit in units if unit.standing == UnitStatus.DONE}
    defects = find_counting_of(list(done)) if done else {}
    decisions = []
    for unit_id, found in defects.items():
        reason = _("Done with what was found wrong: %(defects)s") % {"defects": ", ".join(it.in_words for it in found)}
        decisions.append(put_on_hold(done[unit_id], reason=reason, source=HoldSource.DEFECT))
    save_holds([decision for decision in decisions if decision is not None])


def _lock(sn: str) -> Unit:
    return locking.lock_named_units([sn])[0]


@locking.atomically
def hold_unit(*, sn: str, reason: str, by: str) -> Unit:
    """Put a unit on hold by hand. Raises UnitNotFound, InvalidTransition."""
    unit = _lock(sn)
    transitions.UNIT.next_state(Action.HOLD, unit.status)
    hold(unit, reason=reason, by=by, source=HoldSource.PERSON)
    return unit


@locking.atomically
def release_unit(*, sn: str, reason: str, by: str, signing: Signing | None = None, may_end_all: bool = False) -> Unit:
    """End what holds a unit but cases that end by a signature only, and these too where it is signed, or may be done
    without; one that nothing holds any more gets back the status it was held from, or goes where its closed track led.

    Raises UnitNotFound, InvalidTransition, UnitOnHold where all cases want a signature.
    """
    unit = _lock(sn)
    transitions.UNIT.next_state(Action.RELEASE, unit.status)
    open_cases = cases.list_open_cases([unit])[unit.pk]
    to_sign = set() if may_end_all or signing else cases.find_to_sign(row.hold_id for row in open_cases)
    by_id = sorted(open_cases, key=lambda row: row.hold_id)  # as cases are locked
    ending = [row.hold for row in by_id if row.hold_id not in to_sign] if to_sign else [None]
    if not ending:
        raise _on_hold(unit, open_cases)
    for each in ending:
        cases.end_cases([unit], hold=each, reason=reason, by=by)
    if signing is not None:
        signed_release.sign(unit, signing)
    return unit


def _on_hold(unit: Unit, open_cases: Sequence[HeldUnit]) -> errors.UnitOnHold:
    """Return the refusal that names cases of a unit."""
    reasons = cases.BETWEEN.join(f"{row.hold.hold_no} {row.hold.reason}" for row in open_cases)
    return errors.UnitOnHold(sn=unit.sn, reason=reasons, holds=[row.hold.hold_no for row in open_cases])


@locking.atomically
def scrap_unit(*, sn: str, reason: str, by: str) -> Unit:
    """Scrap a unit and take it off its carrier; an open track is FAIL. Raises UnitNotFound, InvalidTransition."""
    unit = _lock(sn)
    scrap([unit], reason=reason, by=by)
    return unit


def scrap(units: Sequence[Unit], *, reason: str, by: str) -> None:
    """Scrap locked units (inside a transaction): see `scrap_unit`. All that holds them ends. Raises InvalidTransition
    before anything is written.
    """
    for unit in units:
        transitions.UNIT.next_state(Action.SCRAP, unit.status)
    for unit in units:
        _close_open_track(unit, override=ResultOverride.SCRAP, by=by)
        before, held_from, unit.held_from, unit.hold_reason = unit.status, unit.held_from, "", ""
        unit.status, unit.scrap_reason = transitions.UNIT.next_state(Action.SCRAP, before), reason[:500]
        unit.save(update_fields=["status", "held_from", "hold_reason", "scrap_reason", "updated_at"])
        _record(unit, DispositionAction.SCRAP, from_status=before, reason=reason, by=by, held_from=held_from)
    for unit in units:
        take_off(unit, at=timezone.now())
    cases.end_cases(units, hold=None, end=HeldUnitEnd.SCRAP, reason=reason, by=by)
    tasks.settle_scrapped(units, reason=reason, by=by)
    for unit in units:
        cancel_of_unit(unit.sn)
        hooks.announce(unit.pk)
    hooks.announce_decisions([unit.pk for unit in units])


def undo_scrap(unit: Unit, *, scrapped_from: str, reason: str, by: str, approved_by: str) -> None:
    """Put a locked scrapped unit on hold, held from what it was scrapped from, and record who asked and who approved.

    Nothing of what scrapping ended begins anew: its clocks stay cancelled, its carrier goes without it, and what held
    it is no reason any more. What is wrong with it is so still.
    """
    unit.status = transitions.UNIT.next_state(Action.UNDO_SCRAP, unit.status)
    unit.held_from, unit.hold_reason, unit.scrap_reason = scrapped_from, reason[:500], ""
    columns = ["status", "held_from", "hold_reason", "scrap_reason", "current_step_no", "updated_at"]
    unit.save(update_fields=columns)
    decision = _decision(unit, DispositionAction.UNSCRAP, from_status=UnitStatus.SCRAPPED, reason=reason, by=by)
    decision.approved_by = approved_by[:150]
    decision.hold = Hold(source=HoldSource.PERSON, reason=unit.hold_reason, opened_by=decision.decided_by)
    records.write([decision])
    tasks.reopen_scrapped(unit)
    _tell_counts([decision])
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
def rework_unit(
    *,
    sn: str,
    reason: str,
    by: str,
    to_step_no: int | None = None,
    repair: bool | None = None,
    override: Override | None = None,
) -> Unit:
    """Send a unit back to a step, by default to the one that failed last; later steps are passed again. With `repair`
    to the bench first; by default only one that waits for its repair already.

    An open track is closed as FAIL. Raises UnitNotFound, UnitRunNotFound, InvalidTransition, UnitOnHold, StepMismatch,
    ReentryLimitReached.
    """
    locked = locking.lock([sn])
    unit = Unit.objects.select_related("run__route_version").filter(sn=sn).first()
    if unit is None:
        raise Relabelled({sn: find_present(sn)})
    if unit.run is None:
        raise errors.UnitRunNotFound(code=sn)
    locked.check(unit_ids=[unit.pk], run_ids=[unit.run.pk])
    rework([unit], reason=reason, by=by, to_step_no=to_step_no, repair=repair, override=override)
    return unit


def rework(
    units: Sequence[Unit],
    *,
    reason: str,
    by: str,
    to_step_no: int | None = None,
    repair: bool | None = None,
    override: Override | None = None,
    hold: Hold | None = None,
) -> None:
    """Send locked units of locked runs back (inside a transaction): see `rework_unit`.

    It is the answer to what values, inspections, defects and reports hold them for, and to one case besides, the named
    one if a `hold` is decided about: whatever holds them ends. More of those are for people to decide about first. Who
    goes beyond the limit of re-entries needs an `override`.
    Raises what it is refused for before anything is written.
    """
    open_cases = cases.list_open_cases(units)
    step_nos = {}
    for unit in units:
        check_may_go_back(unit, open_cases[unit.pk], to_step_no=to_step_no, hold=hold)
        step_nos[unit.pk] = _find_way_back(unit, to_step_no, override)
    for unit in units:
        _close_open_track(unit, override=ResultOverride.REWORK, by=by)
        before, unit.held_from, unit.hold_reason = unit.status, "", ""
        unit.status, unit.current_step_no = transitions.UNIT.next_state(Action.REWORK, before), step_nos[unit.pk]
        unit.rework_no += 1
        unit.save(update_fields=["status", "held_from", "hold_reason", "current_step_no", "rework_no", "updated_at"])
        decision = _record(unit, DispositionAction.REWORK, from_status=before, reason=reason, by=by)
        tasks.open_for(unit, repair=repair, reason=reason, by=by)
        if override is not None:
            reentries.sign(decision, override)
    settle([unit for unit in units if unit.run is not None and unit.run.has_deviations])
    cases.end_cases(units, hold=None, end=HeldUnitEnd.REWORK, reason=reason, by=by)
    hooks.announce_decisions([unit.pk for unit in units])


def check_may_go_back(unit: Unit, open_cases: Sequence[HeldUnit], *, to_step_no: int | None, hold: Hold | None) -> None:
    """Raise UnitRunNotFound, InvalidTransition, UnitOnHold, StepMismatch where what is known of a unit forbids its
    rework. One that was never made left its run, held or not.
    """
    if unit.run is None:
        raise errors.UnitRunNotFound(code=unit.sn)
    runs.check_open(unit.run)
    runs.check_lot_moves(unit.run)
    transitions.UNIT.next_state(Action.REWORK, unit.status)
    others = [row for row in open_cases if row.hold.source not in ANSWERED_BY_REWORK]
    if hold is not None:
        others = [row for row in others if row.hold_id != hold.pk]
    if len(others) > (1 if hold is None else 0):
        raise _on_hold(unit, others)
    if to_step_no is not None:
        current = unit.current_step_no or 0
        if runs.snapshot_of(unit.run).step(to_step_no) is None or to_step_no > current:
            raise errors.StepMismatch(current=current, step_no=to_step_no)


def _find_way_back(unit: Unit, to_step_no: int | None, override: Override | None) -> int:
    """Return the step that a unit goes back to. Raises ReentryLimitReached."""
    assert unit.run is not None
    step_no = _choose_step(unit, unit.run) if to_step_no is None else to_step_no
    if override is None:
        reentries.check_limit(unit, unit.run, to_step_no=step_no)
    return step_no


def _choose_step(unit: Unit, run: Run) -> int:
    """Return the step to go back to, never past the current: the first that failed, by its pass or by a report that was
    refused and holds the unit.
    """
    current = unit.current_step_no or 0
    passes = Track.objects.filter(unit=unit, run=run, rework_no=unit.rework_no, step_no__lte=current)
    latest = {track.step_no: track for track in passes.order_by("id")}
    by_data = values.find_failed(latest.values())
    failed = [no for no, track in latest.items() if track.pk in by_data or _is_failed(track)]
    failed += [no for no in _list_reported_steps(unit) if no <= current]
    return min(failed, default=current)


def _list_reported_steps(unit: Unit) -> list[int]:
    """Return the steps that the reports were about for which a unit is held. A report has the reason of its case in
    common with it; those of before there were cases name none.
    """
    of_reason = HeldUnit.objects.filter(hold__reason=OuterRef("reason"), held_at__lte=OuterRef("decided_at"))
    held = of_reason.filter(unit=unit, ended_at=None)
    decisions = Disposition.objects.filter(Exists(held), unit=unit, action=DispositionAction.HOLD)
    return [step_no for step_no in decisions.values_list("about_step_no", flat=True) if step_no is not None]


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
