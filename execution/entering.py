"""May a unit enter here: every refusal, in the order that decides which one is told.

The only list of the guards (each is in `rules`): who enters is refused by the first, who asks beforehand is told all.
A guard without its premise is not asked: without a unit none about units, without a step none about places of steps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.conf import settings
from django.utils import timezone

from execution import minimum_times, rules
from execution.deviations.rules import lets_run
from execution.quality.first_article import trial_units
from execution.unit_state import StationState, UnitState
from mes import errors
from mes.labels import SetUpFault
from mes.line_setup.set_up_lists.goodness import find_faults
from mes.line_setup.set_up_lists.kept import list_faults
from mes.plant.models import StationType
from mes.production import runs
from mes.production.models import Run, UnitStatus
from mes.qualifications.queries import Worker
from mes.routing.snapshots import StepSnapshot

NOBODY = Worker()
_WITHOUT_STEP = (UnitStatus.DONE, UnitStatus.SCRAPPED)


@dataclass
class Entering:
    """A unit that enters a station, or is asked about; without a `state` one that is not known, without a `run` of
    none.

    `line_stop` is why the line of the run is stopped. With `is_report` it is what a machine reports: the unit was
    there; with `is_inferred` only that it left, which no set-up stops. `step_no` is the step that it is for, where that
    is known. `worker` is who works, where a machine does not.
    """

    place: StationState
    state: UnitState | None
    run: Run | None
    at: datetime
    by_machine: bool
    line_stop: str | None = None
    is_report: bool = False
    is_inferred: bool = False
    step_no: int | None = None
    worker: Worker | None = None

    @cached_property
    def step(self) -> StepSnapshot | None:
        """The step that the unit would enter here, whether it may or not: its current step or, where that is optional,
        of the steps up to the next mandatory one the first that the station fits. With `step_no`, that, if it is one of
        them.
        """
        state, run = self.state, self.run
        if state is None or run is None or not rules.is_of_run(state.unit, run):
            return None
        if state.unit.standing in _WITHOUT_STEP:
            return None
        steps = state.list_enterable(runs.snapshot_of(run))
        if self.step_no is not None:
            steps = tuple(step for step in steps if step.step_no == self.step_no)
        return self._choose(steps, run, state) if steps else None

    def _choose(self, steps: Sequence[StepSnapshot], run: Run, state: UnitState) -> StepSnapshot:
        """Return the first of these steps that a station fits; where none does, the one that says best why not."""
        if len(steps) == 1:
            return steps[0]
        station, at = self.place.station, self.at
        able = [step for step in steps if rules.station_may_run(station, step)]
        fitting = (
            step
            for step in steps
            if (step in able and rules.line_fits(station, step, run))
            or lets_run(state.in_force, station.code, step, at)
        )
        return next(fitting, (able or steps)[0])

    def list_refusals(self) -> Iterator[errors.DomainError]:
        """Yield why the unit may not enter, the first first; nothing where it may."""
        place, state, run = self.place, self.state, self.run
        if run is not None:
            unit = None if state is None else state.unit
            yield from trial_units.list_refusals_of_run(run, unit, by_machine=self.by_machine)
        if state is not None:
            yield from self._list_refusals_of_unit(state)
        yield from rules.list_refusals_of_equipment(place.station, place.equipment)
        stops = {place.station.line: place.line_stop}
        if run is not None:
            stops[run.line] = self.line_stop
        yield from rules.list_refusals_of_lines(stops)
        if place.stop is not None:
            yield errors.StationStopped(station=place.station.code, reason=place.stop)
        yield from self._list_refusals_of_worker()
        if state is not None:
            yield from self._list_refusals_of_time(state)
            yield from self._list_refusals_of_set_up(state)
            yield from self._list_refusals_of_waits(state)

    def _list_refusals_of_unit(self, state: UnitState) -> Iterator[errors.DomainError]:
        run, step = self.run, self.step
        unit, track = state.unit, state.open_track
        if run is not None and not rules.is_of_run(unit, run):
            yield errors.UnitRunMismatch(sn=unit.sn, run=run.run_no)
        yield from rules.list_refusals_of_unit(
            unit,
            is_report=self.is_report,
            station_of_open_track=track.station.code if track else "",
            has_open_repair=state.has_open_repair,
        )
        if run is None or not rules.is_of_run(unit, run) or unit.standing in _WITHOUT_STEP:
            return
        if step is None:
            current = unit.current_step_no
            yield errors.StepMismatch(current=current, step_no=current if self.step_no is None else self.step_no)
        elif not lets_run(state.in_force, self.place.station.code, step, self.at):
            yield from rules.list_refusals_of_place(self.place.station, step, run)

    def _list_refusals_of_worker(self) -> Iterator[errors.DomainError]:
        """Ask whoever takes the unit in by hand, where the step wants that; only then anything is read."""
        step = self.step
        if self.by_machine or step is None or not step.requires_qualification:
            return
        worker = (self.worker or NOBODY).find_unqualified(step.operation_code, at=self.at)
        if worker is not None:
            yield errors.OperatorNotQualified(operator=worker.name, operation=step.operation_code, step_no=step.step_no)

    def _list_refusals_of_set_up(self, state: UnitState) -> Iterator[errors.DomainError]:
        """Ask what was read with the state; where nothing is kept of the run yet, look. What time alone spoils counts
        as of the entry, however late that is reported.
        """
        run, station = self.run, self.place.station
        if self.is_inferred or run is None or not rules.is_of_run(state.unit, run):
            return
        if state.set_ups is not None:
            faults = list_faults(state.set_ups, station.pk, self.at)
        else:
            faults = find_faults(run, station.pk, at=self.at)
        if faults:
            told = [f"{fault['slot']} {SetUpFault(fault['code']).label}" for fault in faults]
            yield errors.SetUpIncomplete(station=station.code, run=run.run_no, slots=told, faults=faults)

    def _list_refusals_of_time(self, state: UnitState) -> Iterator[errors.DomainError]:
        try:
            rules.check_time(self.at, now=timezone.now(), previous=state.last_out, skew=settings.MES_CLOCK_SKEW)
        except errors.DomainError as refusal:
            yield refusal

    def _list_refusals_of_waits(self, state: UnitState) -> Iterator[errors.DomainError]:
        run, step = self.run, self.step
        if state.waits is None or run is None or step is None:
            return
        attempt = state.count_attempts(run.pk, step.step_no) + 1
        source = step.station_type if self.by_machine else StationType.MANUAL
        yield from minimum_times.list_refusals(
            state.waits, sn=state.unit.sn, run=run, step=step, source=source, attempt=attempt, at=self.at
        )
