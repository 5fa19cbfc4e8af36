"""Moves of units, decided from their state: pure but for the clock. Nothing is written here.

The one exception: a unit that enters while its run is in preparation becomes a sample of the first article
(`trial_units`).

Operators and machines both go through `enter` and `leave`; `execution.moves_sql` writes what they decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from execution import rules
from execution.data import values
from execution.deviations.skipping import pass_over
from execution.dispositions import put_on_hold
from execution.entering import Entering
from execution.models import Defect, Disposition, ResultOverride, Track, TrackResult, TrackSource
from execution.outbox_events import alarm_event, alarm_reason, track_event
from execution.quality import defects as found
from execution.quality.defect_codes.catalogue import NO_CODES, Catalogue, of_version
from execution.quality.defects import Finder, Place, ReportedDefect, build_defects
from execution.quality.first_article import trial_units
from execution.quality.models import DefectSource, DefectStatus
from execution.unit_state import StationState, UnitState
from mes import errors
from mes.labels import Action
from mes.platform.outbox.emit import NewEvent
from mes.platform.outbox.models import EventType
from mes.production import runs, transitions
from mes.production.hold_models import HoldSource
from mes.production.models import Run, Unit, UnitStatus
from mes.qualifications.queries import worker_of
from mes.routing import judging
from mes.routing.snapshots import StepSnapshot


@dataclass
class Move:
    """A unit that enters, leaves, or both at once, and all that is to be written of it.

    `earlier` are the values that came before, on the track and on the carrier's pass it is part of; `values_source` and
    `values_operator` say who reported the others, `values_by` who was signed in, if not who moves the unit; `misfits`
    are values of a failing report that are left out. `passed_defect_ids` are open defects that are settled by it.
    """

    state: UnitState
    track: Track
    is_entry: bool
    earlier: values.Earlier = values.NOTHING_EARLIER
    judged: list[judging.JudgedValue] = field(default_factory=list)
    values_source: str = ""
    values_operator: str = ""
    misfits: list[judging.Misfit] = field(default_factory=list)
    values_by: str = ""
    events: list[NewEvent] = field(default_factory=list)
    dispositions: list[Disposition] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    passed_defect_ids: list[int] = field(default_factory=list)
    next_step_no: int | None = None

    @property
    def unit(self) -> Unit:
        """The unit that moves."""
        return self.state.unit


# --- entering ----------------------------------------------------------------------------------------------


def check_may_enter(entering: Entering) -> StepSnapshot:
    """Return the step that a unit enters, or raise the first reason why it may not."""
    for refusal in entering.list_refusals():
        raise refusal
    assert entering.step is not None  # else that is the reason
    return entering.step


def enter(
    state: UnitState,
    station_state: StationState,
    *,
    run: Run,
    source: TrackSource,
    at: datetime,
    by: str,
    operator: str = "",
    is_entry_inferred: bool = False,
    step_no: int | None = None,
) -> Move:
    """Open a track. `operator` is who is said to do it, `by` who is signed in; they must be qualified where the step
    wants that and no machine does it (`worker_of`). `step_no` is the step that it is for, where that is known: one of
    those that the unit may enter.

    Raises the first refusal of the entering guards (`execution.entering`), in their order.
    """
    unit = state.unit
    by_machine = source != TrackSource.MANUAL
    step = check_may_enter(
        Entering(
            station_state,
            state,
            run,
            at,
            by_machine=by_machine,
            line_stop=state.line_stop,
            is_report=by_machine,
            is_inferred=is_entry_inferred,
            step_no=step_no,
            worker=None if by_machine else worker_of(by, operator),
        )
    )
    doubtful = rules.check_time(
        at, now=timezone.now(), previous=state.last_out, skew=settings.MES_CLOCK_SKEW, since=run.created_at
    )
    track = Track(
        id=state.next_track_id,
        unit=unit,
        run=run,
        step_no=step.step_no,
        operation_code=step.operation_code,
        station=station_state.station,
        source=source,
        attempt=state.count_attempts(run.pk, step.step_no) + 1,
        rework_no=unit.rework_no,
        in_at=at,
        operator_in=operator,
        in_by=by,
        is_trial=trial_units.claim(run, unit),
        is_time_doubtful=doubtful,
        is_entry_inferred=is_entry_inferred,
    )
    unit.stand(transitions.UNIT.next_state(Action.ENTER, unit.standing))
    unit.current_step_no = step.step_no  # what is optional between lies behind it now
    event = track_event(EventType.TRACK_IN, track, unit=unit, run=run, step=step)
    return Move(state, track, is_entry=True, events=[event])


# --- leaving -----------------------------------------------------------------------------------------------


def of_open_track(state: UnitState, earlier: values.Earlier) -> Move:
    """Return a move that will close the open track, which has the values `earlier` already."""
    assert state.open_track is not None
    return Move(state, state.open_track, is_entry=False, earlier=earlier)


def leave(
    move: Move,
    *,
    claimed_result: TrackResult | str,
    at: datetime,
    by: str,
    source: str = TrackSource.MANUAL,
    operator: str = "",
    readings: Sequence[judging.Reading] = (),
    misfits: Sequence[judging.Misfit] = (),
    defects: Sequence[ReportedDefect] = (),
    source_system: str = "",
    override: ResultOverride | None = None,
    strokes: int = 1,
) -> None:
    """Close the track of a move and send the unit where the result leads. With an `override`, that is FAIL.

    `source` is AUTO for what a machine reports: then only AUTO specs take values. `operator` is who is said to do it,
    `by` who is signed in, `source_system` what reported. `strokes` are 0 of a unit that others of its print left with.
    `misfits` are values that could not even be read. What does not fit is left out of a report that fails the unit or
    holds it, and named in the move's `misfits`; any other report is refused for it. `defects` are made, and a FAIL
    always has one. A unit with open defects does not pass: what a person says of it is refused, what a machine says
    becomes FAIL.
    Raises DefectCodeNotFound, ResultContradictsDefect, the first of `misfits`, RequiredDataMissing, DataSpecNotFound,
    SpecNotBound, SpecNotAuto, DataTypeMismatch, EventTimeInFuture, EventTimeOutOfOrder.
    """
    track, unit = move.track, move.unit
    is_by_hand = source == TrackSource.MANUAL
    finder = Finder(DefectSource.TRACK_OUT if is_by_hand else DefectSource.MACHINE, by, source_system)
    codes = _codes_for(move, defects)
    if is_by_hand:
        found.check_named(defects, codes)
    named = build_defects(Place.of_track(track, unit), defects, finder=finder, at=at, catalogue=codes)
    against = [str(defect) for defect in found.list_against(named, codes)]
    if is_by_hand and against and claimed_result == TrackResult.PASS:
        raise errors.ResultContradictsDefect(sn=unit.sn, defects=against)
    against += [defect.in_words for defect in found.list_standing(move.state.open_defects, track)]
    step = runs.snapshot_of(track.run).step_of_track(track.step_no)
    is_failed = override is not None or track.inspection_override or track.result_override == ResultOverride.REPORT
    failed = _collect(
        move,
        step,
        claimed_result,
        readings,
        misfits,
        is_failed=is_failed,
        against=against,
        source=source,
        default_time=at,
    )
    move.values_source, move.values_operator = source, operator
    track.operator_out, track.out_by = operator, by
    since, skew = track.run.created_at, settings.MES_CLOCK_SKEW
    if rules.check_time(at, now=timezone.now(), previous=track.in_at, skew=skew, since=since):
        track.is_time_doubtful = True
    _close(track, claimed_result=str(claimed_result), failed=failed, at=at)
    if override is None and against and claimed_result == TrackResult.PASS and not track.result_override:
        override = ResultOverride.DEFECT
    if override is not None:
        track.result, track.result_override = TrackResult.FAIL, override
    move.defects += named
    if track.result == TrackResult.FAIL:
        _give_reason(move, finder, at=at)
    else:
        move.passed_defect_ids = found.list_passed(move.state.open_defects, track)
    move.next_step_no = _advance(move)
    move.events.append(track_event(EventType.TRACK_OUT, track, unit=unit, run=track.run, step=step, strokes=strokes))
    _raise_alarms(move, key=f"track-out:{track.pk}")


def _codes_for(move: Move, defects: Sequence[ReportedDefect]) -> Catalogue:
    """Return the defect codes, where something was reported that they decide about."""
    return of_version(move.state.codes_version) if any(defect.says_something for defect in defects) else NO_CODES


def _give_reason(move: Move, finder: Finder, *, at: datetime) -> None:
    """Have a failed pass a defect, where none is named and none was found before: a KEY value each that is outside its
    limits, or one that says no more than that it failed.
    """
    track = move.track
    named = any(defect.status == DefectStatus.OPEN for defect in move.defects)
    if named or any(defect.track_id == track.pk for defect in move.state.open_defects):
        return
    place = Place.of_track(track, move.unit)
    of_values = found.build_of_values(place, values.list_failed(move.earlier, move.judged), by=finder.by, at=at)
    move.defects += of_values or [found.build_unspecified(place, finder=finder, at=at)]


def bring_values(
    move: Move,
    *,
    at: datetime,
    by: str,
    source: str,
    readings: Sequence[judging.Reading],
    misfits: Sequence[judging.Misfit],
    claims_failure: bool,
    key: str,
) -> None:
    """Judge values for the track of a move that does not close it: they decide when it is closed, or hold the unit.

    `key` tells their alarms from those of other reports. What does not fit is left out of a failing report, as by
    `leave`. Raises the first of `misfits`, DataSpecNotFound, SpecNotBound, SpecNotAuto, DataTypeMismatch.
    """
    step = runs.snapshot_of(move.track.run).step_of_track(move.track.step_no)
    refusal = _judge(move, step, readings, misfits, source=source, default_time=at)
    is_failing = claims_failure or any(value.is_failing for value in move.judged)
    if misfits and not is_failing:
        raise misfits[0].error
    if refusal is not None and not is_failing:
        raise refusal
    move.values_source, move.values_by = source, by
    _raise_alarms(move, key=f"{key}:{move.track.pk}")


def fail_at_exit(move: Move) -> None:
    """Note on an open track that a report said FAIL: it is closed so, whatever the machine says of its exit."""
    move.track.result_override = ResultOverride.REPORT


def add_defects(
    move: Move, defects: Sequence[ReportedDefect], *, at: datetime, by: str, source_system: str
) -> list[Defect]:
    """Have a move that closes no track make what a machine found; return those with which the unit does not pass."""
    codes, place = _codes_for(move, defects), Place.of_track(move.track, move.unit)
    finder = Finder(DefectSource.MACHINE, by, source_system)
    made = build_defects(place, defects, finder=finder, at=at, catalogue=codes)
    move.defects += made
    return found.list_against(made, codes)


def _raise_alarms(move: Move, *, key: str) -> None:
    """Tell which values of a move alarm, and put its unit on hold where one asks for that; after it moved."""
    track = move.track
    move.events += [
        alarm_event(value, key=f"{key}:{index}", track_id=track.pk, sn=move.unit.sn, run_id=track.run_id)
        for index, value in enumerate(move.judged)
        if value.alarmed
    ]
    hold_for(move, [value for value in move.judged if value.holds])


def hold_for(move: Move, alarms: Sequence[judging.JudgedValue]) -> None:
    """Put the unit on hold for values that alarm with HOLD; after it moved."""
    if alarms:
        reason = alarm_reason([value.spec.name for value in alarms])
        disposition = put_on_hold(move.unit, reason=reason, source=HoldSource.ALARM)
        move.dispositions += [disposition] if disposition else []


def _collect(
    move: Move,
    step: StepSnapshot,
    claimed_result: TrackResult | str,
    readings: Sequence[judging.Reading],
    misfits: Sequence[judging.Misfit],
    *,
    is_failed: bool,
    against: Sequence[str],
    source: str,
    default_time: datetime,
) -> bool:
    """Judge the values of a move, which `is_failed` already or not; return whether a KEY value forces FAIL. `against`
    are the open defects with which the unit does not pass.

    Judged first: a PASS that is forced to FAIL needs no required data, and no other value saves it. Else open defects,
    what could not be read, then required data, then what does not fit: the order decides the code of a refusal.
    """
    refusal = _judge(move, step, readings, misfits, source=source, default_time=default_time)
    forced = values.is_failed(move.earlier, move.judged)
    fails = forced or is_failed or claimed_result == TrackResult.FAIL
    if against and not fails:
        if source == TrackSource.MANUAL:
            raise errors.ResultContradictsDefect(sn=move.unit.sn, defects=against)
        fails = True
    is_failing = fails or any(value.holds for value in move.judged)
    if misfits and not is_failing:
        raise misfits[0].error
    if not fails and any(spec.is_required for spec in step.specs):
        given_specs = {spec.id for reading in readings for spec in step.specs if reading.spec_name == spec.name}
        rules.check_required(step, on_track=move.earlier.on_track | given_specs, on_carrier=move.earlier.on_carrier)
    if refusal is not None and not is_failing:
        raise refusal
    return forced


def _judge(
    move: Move,
    step: StepSnapshot,
    readings: Sequence[judging.Reading],
    misfits: Sequence[judging.Misfit],
    *,
    source: str,
    default_time: datetime,
) -> errors.DomainError | None:
    """Judge the values of a move, as far as they fit; return what those are refused for that do not."""
    move.misfits = list(misfits)
    try:
        move.judged = judging.collect(readings, step, source=source, default_time=default_time) if readings else []
    except errors.DomainError as error:
        move.judged, unfit = judging.collect_fitting(readings, step, source=source, default_time=default_time)
        move.misfits += unfit
        return error
    return None


def _close(track: Track, *, claimed_result: str, failed: bool, at: datetime) -> None:
    """Set the result of a track. A `failed` KEY value forces FAIL, and so does what was reported before: by an
    inspection (see `quality`), or by a report of values that said so.
    """
    was_reported = track.result_override == ResultOverride.REPORT
    track.result = track.claimed_result = claimed_result
    if claimed_result == TrackResult.PASS and failed:
        track.result, track.result_override = TrackResult.FAIL, ResultOverride.DATA
    if was_reported:
        track.result, track.result_override = TrackResult.FAIL, ResultOverride.REPORT
    if track.inspection_override:
        track.result = TrackResult.FAIL
    track.out_at = at


def _advance(move: Move) -> int | None:
    """Move the unit where the result leads; return the next step."""
    failures = move.state.count_failures(move.track) + (move.track.result == TrackResult.FAIL)
    next_step_no = lead(move.unit, move.track, failures=failures)
    if next_step_no is None or not move.state.in_force:
        return next_step_no
    assert move.track.out_at is not None  # it is closed
    skipped = pass_over(move.unit, runs.snapshot_of(move.track.run), move.state.in_force, at=move.track.out_at)
    move.dispositions += skipped
    if skipped and move.track.result == TrackResult.FAIL and move.unit.standing == UnitStatus.DONE:
        _hold_failed(move)
    return move.unit.current_step_no if move.unit.standing == UnitStatus.QUEUED else None


def _hold_failed(move: Move) -> None:
    """Hold a unit that is done because the retest of its last step is skipped: it failed there."""
    reason = _("Failed at step %(step)s, whose retest is skipped") % {"step": move.track.step_no}
    disposition = put_on_hold(move.unit, reason=reason, source=HoldSource.DEFECT)
    move.dispositions += [disposition] if disposition else []


def lead(unit: Unit, track: Track, *, failures: int) -> int | None:
    """Send a unit, unsaved, where the result of its track leads; return the next step. A held unit stays held; its
    release goes there.

    `failures` counts the failed passes of this step since the last rework, this one included.
    """
    snapshot = runs.snapshot_of(track.run)
    step = snapshot.step_of_track(track.step_no)
    following = snapshot.next_step_no(track.step_no)
    action = rules.leads_to(
        result=track.result, next_step_no=following, failures=failures, retest_limit=step.retest_limit
    )
    status = transitions.UNIT.next_state(action, UnitStatus.IN_STATION)
    unit.stand(status)
    if track.result == TrackResult.PASS:
        unit.current_step_no = following if following is not None else track.step_no
    return unit.current_step_no if status == UnitStatus.QUEUED else None
