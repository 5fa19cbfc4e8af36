"""Which step an event is for, and which units: its candidates against where the units stand. Pure.

A candidate counts when it names a known unit of a run with its version. The unit's current step wins where the reported
station may run it; else a later step that fits by type and station.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from execution import rules
from execution.deviations.rules import lets_run
from execution.tracking import get_run
from execution.unit_state import StationState, UnitState
from ingest.candidates import Candidate, EventCandidates, no_unit_error
from mes import errors
from mes.production.active_runs import find_active_run
from mes.production.models import Run, UnitStatus
from mes.production.serial_numbers import no_such_unit
from mes.routing.snapshots import StepSnapshot
from mes.routing.step_mapping import StepMapping

UnitStates = Mapping[str, UnitState]
UNDER_WAY = (UnitStatus.QUEUED, UnitStatus.IN_STATION)


@dataclass(frozen=True, slots=True)
class Match:
    """The step that an event is for, with the run and the units. `units` may miss one that is yet to be made.

    `awaited` are those of several for which it may wait: the others go on without them once the wait is over.
    """

    candidate: Candidate
    run: Run
    units: tuple[UnitState, ...]
    is_ahead: bool
    awaited: tuple[UnitState, ...] = ()

    @property
    def step(self) -> StepSnapshot:
        """The step."""
        return self.candidate.step.step

    @property
    def mapping(self) -> StepMapping:
        """The mapping that reads the event."""
        return self.candidate.mapping

    @property
    def hindmost(self) -> UnitState:
        """The unit that is furthest behind, of those that the event may wait for."""
        return min(self.awaited or self.units, key=lambda state: standing_at(self.candidate, state))

    @property
    def others_may_go(self) -> bool:
        """Whether some units of a partial event are at its step, though others are awaited."""
        return any(self.is_at_step(state) for state in self.units if self.awaited)

    def is_at_step(self, state: UnitState) -> bool:
        """Whether a unit stands at the event's step, or may enter it past optional ones."""
        return standing_at(self.candidate, state) == self.step.step_no

    @property
    def ahead_error(self) -> errors.DomainError:
        """Why an event that is ahead of its units cannot be applied yet."""
        if self.candidate.reading.brings_values:
            return errors.TrackNotFound()
        return self.step_mismatch(self.hindmost)

    def step_mismatch(self, state: UnitState) -> errors.StepMismatch:
        """Return the refusal of an event for another step than the unit's, with the steps that are missing."""
        current, step_no = state.unit.current_step_no or 0, self.step.step_no
        missing: list[int] = []
        if current < step_no:
            inside = () if state.open_track is None else (state.open_track.step_no,)
            needed = state.failed_steps.union(inside)
            missing = self.candidate.step.snapshot.missing_steps(current, step_no, needed=needed)
        return errors.StepMismatch(current=current, step_no=step_no, missing_steps=missing)

    def wait_expired(self, seconds: int) -> errors.DomainError:
        """Return the refusal of an event that waited so long for the unit that is furthest behind."""
        if self.candidate.reading.brings_values:
            return errors.TrackNotFound()
        return errors.WaitExpired(**self.step_mismatch(self.hindmost).details, waited_seconds=seconds)


def find_match(
    event_candidates: EventCandidates, unit_states: UnitStates, station_states: Mapping[str, StationState]
) -> Match:
    """Return the step that an event is for, with its units.

    Raises RunNotFound, IngestMappingMissing, IngestPayloadInvalid, UnitNotFound, UnitRunMismatch, UnitRunNotFound,
    RunMismatch, StepMismatch.
    """
    candidates, run_no = event_candidates.candidates, event_candidates.run_no
    if not any(candidate.sns for candidate in candidates):
        raise no_unit_error(candidates)
    fitting = [candidate for candidate in candidates if _has_known_unit(candidate, unit_states, run_no)]
    if not fitting:
        late = _match_earlier_run(event_candidates, unit_states, station_states)
        return late or _match_new_unit(event_candidates, unit_states)
    best = _find_best(fitting, unit_states, station_states)
    return _match(best, _in_runs(best, unit_states), station_states, run_no)


def standing_at(candidate: Candidate, state: UnitState) -> int:
    """Return the number of the step at which a unit stands for a candidate: that of the candidate, where the unit may
    enter it as it stands, past steps that are optional; else its current one.
    """
    current, step = state.unit.current_step_no or 0, candidate.step
    step_no = step.step.step_no
    if step_no <= current or not step.snapshot.has_optional_steps or state.open_track is not None:
        return current
    if state.run is None or state.run.route_version_id != step.version_id:
        return current
    return step_no if step.step in state.list_enterable(step.snapshot) else current


def _has_known_unit(candidate: Candidate, unit_states: UnitStates, run_no: str | None) -> bool:
    """Whether a known unit is in a run with this version (in the named run, if one is named)."""
    for sn in candidate.sns:
        run = unit_states[sn].run if sn in unit_states else None
        if run is not None and run.route_version_id == candidate.step.version_id and run_no in (None, run.run_no):
            return True
    return False


def _in_runs(candidate: Candidate, unit_states: UnitStates) -> list[UnitState]:
    """Return the states of the named units that are in a run: the others are at no step, like one yet to be made.

    Units that were not processed count only where no other does.
    """
    named = [unit_states[sn] for sn in candidate.sns if sn in unit_states and unit_states[sn].run is not None]
    return [state for state in named if state.unit.sn not in candidate.units.skipped] or named


def _find_best(
    fitting: Sequence[Candidate], unit_states: UnitStates, station_states: Mapping[str, StationState]
) -> Candidate:
    """Return the candidate that fits best: by where the units stand and which steps the reported station may run."""
    if len(fitting) == 1:
        return fitting[0]

    def rank(candidate: Candidate) -> tuple[int, int]:
        step = candidate.step.step
        units = _in_runs(candidate, unit_states)
        runs_here = _runs_here(candidate, units, station_states)
        ahead = step.step_no - _current_step_no(candidate, units)
        nearness = 0 if ahead == 0 else 1 if ahead > 0 else 2
        if candidate.reading.brings_values:
            was_here = any(_has_pass(candidate, state, station_states) for state in units)
            return (0 if was_here else nearness + 1 if runs_here else nearness + 3, abs(ahead))
        return (nearness if runs_here else nearness + 3 if nearness else 2, abs(ahead))

    return min(fitting, key=rank)


def _runs_here(candidate: Candidate, units: Sequence[UnitState], station_states: Mapping[str, StationState]) -> bool:
    """Whether the reported station may run a candidate's step, by its config or by a deviation; an event that names
    none may be of any.
    """
    code, step = candidate.station_code, candidate.step.step
    if code is None or (code in station_states and rules.station_may_run(station_states[code].station, step)):
        return True
    at = candidate.reading.occurred_at_or_sent()
    return any(lets_run(state.in_force, code, step, at) for state in units if state.in_force)


def _has_pass(
    candidate: Candidate,
    state: UnitState,
    station_states: Mapping[str, StationState],
    *,
    run: Run | None = None,
) -> bool:
    """Whether a unit was, or is, at the step of a candidate in the station that the event reports: in the run that it
    is in, or another one.
    """
    station_state, run = station_states.get(candidate.station_code or ""), run or state.run
    if station_state is None or run is None:
        return False
    step_no = candidate.step.step.step_no
    found = state.find_pass(run_id=run.pk, step_no=step_no, station_id=station_state.station.pk)
    return found is not None


def _current_step_no(candidate: Candidate, units: Sequence[UnitState]) -> int:
    """Return the step that units stand at: of the one furthest behind. A PARTIAL batch needs only one at its step."""
    step_nos = [standing_at(candidate, state) for state in units]
    if candidate.mapping.is_partial and candidate.step.step.step_no in step_nos:
        return candidate.step.step.step_no
    return min(step_nos, default=0)


def _match(
    candidate: Candidate,
    units: Sequence[UnitState],
    station_states: Mapping[str, StationState],
    run_no: str | None,
) -> Match:
    """Return the match of a candidate and these units, or raise why it cannot be one."""
    runs = {state.run.run_no: state.run for state in units if state.run is not None}
    if len(runs) > 1:
        raise errors.RunMismatch(runs=sorted(runs))
    run = runs[run_no] if run_no in runs else next(iter(runs.values()))
    if all(state.unit.sn in candidate.units.skipped for state in units):
        return Match(candidate, run, tuple(units), is_ahead=False)
    current, step_no = _current_step_no(candidate, units), candidate.step.step.step_no
    if candidate.reading.brings_values:
        without_pass = [state for state in units if not _has_pass(candidate, state, station_states)]
        lacks_pass = len(without_pass) == len(units) if candidate.mapping.is_partial else bool(without_pass)
        return Match(candidate, run, tuple(units), is_ahead=lacks_pass and step_no >= current)
    if step_no < current:
        raise errors.StepMismatch(current=current, step_no=step_no, missing_steps=[])
    awaited = _list_awaited(candidate, units)
    return Match(candidate, run, tuple(units), is_ahead=step_no > current or bool(awaited), awaited=tuple(awaited))


def _list_awaited(candidate: Candidate, units: Sequence[UnitState]) -> list[UnitState]:
    """Return the units behind its step that a partial event waits for: those that are on their way. One that failed, is
    held or scrapped delays no other.
    """
    mapping, step_no = candidate.mapping, candidate.step.step.step_no
    if not mapping.is_partial or mapping.wait_seconds <= 0 or len(units) < 2:
        return []
    behind = [state for state in units if standing_at(candidate, state) < step_no]
    return [state for state in behind if state.unit.status in UNDER_WAY]


def _match_earlier_run(
    event_candidates: EventCandidates, unit_states: UnitStates, station_states: Mapping[str, StationState]
) -> Match | None:
    """Return the match of values that come late, for passes which the units made in the named run before they left it;
    None where there are no such passes.
    """
    late = [candidate for candidate in event_candidates.candidates if candidate.reading.brings_values]
    if event_candidates.run_no is None or not late:
        return None
    run = get_run(event_candidates.run_no)
    for candidate in late:
        units = tuple(unit_states[sn] for sn in candidate.sns if sn in unit_states)
        with_pass = [state for state in units if _has_pass(candidate, state, station_states, run=run)]
        if with_pass and (candidate.mapping.is_partial or len(with_pass) == len(candidate.sns)):
            return Match(candidate, run, units, is_ahead=False)
    return None


def _match_new_unit(event_candidates: EventCandidates, unit_states: UnitStates) -> Match:
    """Match units that are in no run with these versions: new ones at the first step of the named run, or where none is
    named, of the one that was active then.
    """
    candidates, run_no = event_candidates.candidates, event_candidates.run_no
    known = [unit_states[sn] for candidate in candidates for sn in candidate.sns if sn in unit_states]
    run = None if run_no is None else get_run(run_no)
    if known and known[0].run is not None:
        if run is not None:
            raise errors.UnitRunMismatch(sn=known[0].unit.sn, run=run.run_no)
        raise errors.IngestMappingMissing(event_type=candidates[0].step.step.station_type)
    if run is None and event_candidates.moment is not None:
        run = find_active_run(event_candidates.moment)
    first = next((each for each in candidates if each.step.is_first and _is_of(each, run)), None)
    if run is not None and not run.units_registered and first is not None and first.sns:
        return Match(first, run, (), is_ahead=False)
    if known:
        raise errors.UnitRunNotFound(code=known[0].unit.sn)
    raise no_such_unit(next(sn for candidate in candidates for sn in candidate.sns), run)


def _is_of(candidate: Candidate, run: Run | None) -> bool:
    return run is not None and candidate.step.version_id == run.route_version_id


def find_unopened_transaction(event_candidates: EventCandidates) -> Candidate | None:
    """Return a candidate by which an event names only a transaction whose units no event has named yet, where it may
    wait for that.

    One that reports an entry is what others wait for.
    """
    if any(candidate.sns for candidate in event_candidates.candidates):
        return None
    waiting = (
        candidate
        for candidate in event_candidates.candidates
        if candidate.units.transaction_id
        and candidate.mapping.wait_seconds > 0
        and not candidate.reading.may_be_entry()
    )
    return next(waiting, None)


def find_later_move(match: Match, state: UnitState, at: datetime, *, tolerance: timedelta) -> datetime | None:
    """Return when a unit at an event's step moved after the event occurred, so that it may not be tried by itself: it
    left a step more than the tolerance later, or something later of this very step was applied. None: it did not.
    """
    outs = [earlier.out_at for earlier in state.passes if earlier.out_at is not None]
    here = [earlier for earlier in state.passes if earlier.step_no == match.step.step_no]  # in whatever run
    later = [out_at for out_at in outs if at < out_at - tolerance]
    later += [
        moved_at for earlier in here for moved_at in (earlier.in_at, earlier.out_at) if moved_at and moved_at > at
    ]
    return max(later, default=None)


def is_stale(match: Match) -> bool:
    """Whether an event for a later step occurred before one of its units last was there: it is of an earlier pass,
    perhaps in a run that the unit has left.
    """
    at = match.candidate.reading.occurred_at_or_sent()
    return any(
        earlier.in_at >= at or (earlier.out_at is not None and earlier.out_at >= at)
        for state in match.units
        for earlier in state.passes
        if earlier.step_no == match.step.step_no
    )
