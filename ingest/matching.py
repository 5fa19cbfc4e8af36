"""Which mapping, which step, which units. Pure: what an event may mean, against where the units stand.

A candidate counts when it names a known unit of a run with its version. The unit's current step wins where the reported
station may run it; else a later step that fits by type and station.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from execution import rules
from execution.tracking import get_run
from execution.unit_state import StationState, UnitState
from ingest.candidates import (
    Candidate,
    Meaning,
    Named,
    no_unit_error,
)
from ingest.mapping import extract as mappings
from mes import errors
from mes.production.models import Run
from mes.routing.snapshots import StepSnapshot

PARTIAL = "PARTIAL"
UnitStates = Mapping[str, UnitState]


@dataclass(frozen=True, slots=True)
class Choice:
    """The step that is meant, and the run and units it is meant for. `units` may miss one that is yet to be made."""

    candidate: Candidate
    run: Run
    units: tuple[UnitState, ...]
    is_ahead: bool

    @property
    def step(self) -> StepSnapshot:
        """The step that is meant."""
        return self.candidate.step

    @property
    def mapping(self) -> Mapping[str, Any]:
        """The mapping that reads the event."""
        return self.candidate.mapping

    @property
    def behind(self) -> UnitState:
        """The unit that is furthest behind."""
        return min(self.units, key=lambda one: one.unit.current_step_no or 0)

    def mismatch(self, state: UnitState) -> errors.StepMismatch:
        """Return the refusal of an event for another step than the unit's, with the steps that are missing."""
        current, meant = state.unit.current_step_no or 0, self.step.step_no
        missing = self.candidate.snapshot.steps_between(current, meant) if current < meant else []
        return errors.StepMismatch(current=current, step_no=meant, missing_steps=missing)

    def wait_expired(self, seconds: int) -> errors.WaitExpired:
        """Return the refusal of an event that waited so long for the unit that is furthest behind."""
        return errors.WaitExpired(**self.mismatch(self.behind).details, waited_seconds=seconds)


def choose(meant: Meaning, unit_states: UnitStates, station_states: Mapping[str, StationState]) -> Choice:
    """Return what an event means.

    Raises RunNotFound, IngestMappingMissing, IngestPayloadInvalid, UnitNotFound, UnitRunMismatch, UnitRunNotFound,
    RunMismatch, StepMismatch.
    """
    if not any(one.sns for one in meant.named):
        raise no_unit_error(one.candidate for one in meant.named)
    fitting = [one for one in meant.named if _fits(one, unit_states, meant.run_no)]
    if not fitting:
        return _choose_new_unit(meant, unit_states)
    best = _choose_best(fitting, unit_states, station_states)
    return _settle(best.candidate, _in_runs(best, unit_states), meant.run_no)


def _fits(one: Named, unit_states: UnitStates, run_no: str | None) -> bool:
    """Whether a known unit is in a run with this version (in the named run, if one is named)."""
    for sn in one.sns:
        run = unit_states[sn].run if sn in unit_states else None
        if run is not None and run.route_version_id == one.candidate.version_id and run_no in (None, run.run_no):
            return True
    return False


def _in_runs(one: Named, unit_states: UnitStates) -> list[UnitState]:
    """Return where the named units stand. One that is in no run stands nowhere, like one that is yet to be made."""
    return [unit_states[sn] for sn in one.sns if sn in unit_states and unit_states[sn].run is not None]


def _choose_best(
    fitting: Sequence[Named], unit_states: UnitStates, station_states: Mapping[str, StationState]
) -> Named:
    """Return the candidate that is meant: by where the units stand and which steps the reported station may run."""
    if len(fitting) == 1:
        return fitting[0]

    def rank(one: Named) -> tuple[int, int]:
        code, step = one.station_code, one.candidate.step
        runs_here = code is None or (
            code in station_states and rules.station_may_run(station_states[code].station, step)
        )
        ahead = step.step_no - _stand(one.candidate, _in_runs(one, unit_states))
        nearness = 0 if ahead == 0 else 1 if ahead > 0 else 2
        return (nearness if runs_here else nearness + 3 if nearness else 2, abs(ahead))

    return min(fitting, key=rank)


def _stand(candidate: Candidate, units: Sequence[UnitState]) -> int:
    """Return the step that units stand at: of the one furthest behind. A PARTIAL batch needs only one at its step."""
    steps = [one.unit.current_step_no or 0 for one in units]
    if candidate.mapping.get("batchPolicy") == PARTIAL and candidate.step.step_no in steps:
        return candidate.step.step_no
    return min(steps, default=0)


def _settle(candidate: Candidate, units: Sequence[UnitState], run_no: str | None) -> Choice:
    """Return the choice for these units, or raise why it cannot be one."""
    owners = {one.run.run_no: one.run for one in units if one.run is not None}
    if len(owners) > 1:
        raise errors.RunMismatch(runs=sorted(owners))
    run = owners[run_no] if run_no in owners else next(iter(owners.values()))
    current, meant = _stand(candidate, units), candidate.step.step_no
    if meant < current:
        raise errors.StepMismatch(current=current, step_no=meant, missing_steps=[])
    return Choice(candidate, run, tuple(units), is_ahead=meant > current)


def _choose_new_unit(meant: Meaning, unit_states: UnitStates) -> Choice:
    """Choose for units that are in no run with these versions: new ones of the named run, at its first step."""
    known = [unit_states[sn] for one in meant.named for sn in one.sns if sn in unit_states]
    run = None if meant.run_no is None else get_run(meant.run_no)
    if known and known[0].run is not None:
        if run is not None:
            raise errors.UnitRunMismatch(sn=known[0].unit.sn, run=run.run_no)
        raise errors.IngestMappingMissing(event_type=meant.named[0].candidate.step.station_type)
    first = next((one for one in meant.named if one.candidate.is_first), None)
    if run is not None and not run.units_registered and first is not None and first.sns:
        return Choice(first.candidate, run, (), is_ahead=False)
    if known:
        raise errors.UnitRunNotFound(code=known[0].unit.sn)
    raise errors.UnitNotFound(code=next(sn for one in meant.named for sn in one.sns))


def find_unopened(meant: Meaning, event: Mapping[str, Any]) -> Named | None:
    """Return how an event names only a transaction whose units no event has named yet, where it may wait for that.

    One that reports an entry is what others wait for.
    """
    if any(one.sns for one in meant.named):
        return None
    waiting = (
        one
        for one in meant.named
        if one.transaction_id
        and one.candidate.mapping.get("waitSeconds", 0) > 0
        and not mappings.is_entry(one.candidate.mapping, event)
    )
    return next(waiting, None)


def is_stale(choice: Choice, event: Mapping[str, Any]) -> bool:
    """Whether an event for a later step occurred before one of its units last was there: it is of an earlier pass."""
    at = mappings.find_occurred_at(choice.mapping, event)
    key = (choice.run.pk, choice.step.step_no)
    return any(
        one.in_at >= at or (one.out_at is not None and one.out_at >= at)
        for state in choice.units
        for one in state.passes
        if (one.run_id, one.step_no) == key
    )
