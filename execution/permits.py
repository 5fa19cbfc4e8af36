"""May it run here: a machine, or whoever stands at it, asks before it takes a unit, and is told every reason why not.

The answer is that of track-in: the same guards in the same order (`entering`), all of them instead of the first.
Nothing is written and nothing locked, so that what is answered is so at this moment only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils import timezone

from execution import carriers, rules, tracking, unit_state
from execution.deviations.rules import lets_run
from execution.entering import Entering
from execution.models import Carrier
from execution.permit_reasons import Reason, explain
from execution.unit_state import StationState, UnitState
from mes import errors
from mes.plant.models import MaterialControl, StationType
from mes.plant.scans import ScanKind, check_kind
from mes.production import holds, runs
from mes.production.active_runs import Moment
from mes.production.models import OPEN_RUN_STATUSES, Run, Unit, UnitStatus
from mes.production.names import Names
from mes.production.serial_numbers import check_readable
from mes.qualifications.queries import Worker
from mes.routing.snapshots import StepSnapshot

READ = unit_state.statement(takes_track_id=False)


class PermitAction(StrEnum):
    """What is to be done with the unit."""

    RUN = "RUN"
    PASS_THROUGH = "PASS_THROUGH"
    STOP = "STOP"


@dataclass(frozen=True)
class UnitPermit:
    """Whether one unit may run; `step_no` is the step that it would be for, `position` where its carrier has it."""

    sn: str
    action: PermitAction
    step_no: int | None
    already_in: bool
    reasons: Sequence[Reason]
    position: str = ""

    @property
    def allowed(self) -> bool:
        """Whether it may."""
        return self.action == PermitAction.RUN


@dataclass(frozen=True)
class Permit:
    """Whether a unit, or all units of a carrier, may run. `units` are those of the carrier."""

    action: PermitAction
    step_no: int | None
    already_in: bool
    reasons: Sequence[Reason]
    units: Sequence[UnitPermit] | None = None

    @property
    def allowed(self) -> bool:
        """Whether it may."""
        return self.action == PermitAction.RUN


@dataclass(frozen=True)
class _Asked:
    """What everything that is asked at once has in common."""

    place: StationState
    states: Mapping[str, UnitState]
    names: Names
    run_no: str | None
    by_machine: bool
    at: datetime
    worker: Worker | None


@dataclass(frozen=True)
class _Found:
    """What was found of one unit: its refusals, and where it would enter."""

    refusals: Sequence[errors.DomainError]
    entering: Entering
    is_in: bool = False


def ask_for_unit(
    *,
    station_code: str,
    sn: str,
    run_no: str | None = None,
    by_machine: bool | None = None,
    worker: Worker | None = None,
) -> Permit:
    """Return whether a unit may enter a station, by its present serial number, an earlier one, or one that a run would
    make on the fly. By default a machine asks, but at a MANUAL station; `worker` is who would take it in by hand.
    Raises StationNotFound.
    """
    asked = _read(station_code, [sn], run_no, by_machine, worker)
    if sn in asked.names.present:
        sn = asked.names.present[sn]
        asked = _read(station_code, [sn], run_no, by_machine, worker)
    found = _examine(asked, sn)
    [permit] = _answer([(sn, "", found)])
    return Permit(permit.action, permit.step_no, permit.already_in, permit.reasons)


def ask_for_carrier(
    *,
    station_code: str,
    carrier_no: str,
    run_no: str | None = None,
    by_machine: bool | None = None,
    worker: Worker | None = None,
) -> Permit:
    """Return whether all units on a carrier may enter a station: it needs some, of one run. Raises StationNotFound."""
    carrier = Carrier.objects.filter(carrier_no=carrier_no).first()
    loads = [] if carrier is None else carriers.list_loads(carrier)
    asked = _read(station_code, [load.unit.sn for load in loads], run_no, by_machine, worker)
    found = [(load.unit.sn, load.position, _examine(asked, load.unit.sn)) for load in loads]
    units = _answer(found)
    own: list[errors.DomainError] = []
    if carrier is None:
        own.append(errors.CarrierNotFound(code=carrier_no))
    elif not loads:
        own.append(errors.CarrierEmpty(carrier=carrier_no))
    run_nos = sorted({state.run.run_no for state in asked.states.values() if state.run is not None})
    if len(run_nos) > 1:
        own.append(errors.RunMismatch(runs=run_nos))
    if not loads:
        own += Entering(asked.place, None, None, asked.at, by_machine=asked.by_machine).list_refusals()
    return _of_carrier(units, explain([(refusal, None) for refusal in own]))


def _read(
    station_code: str, sns: Sequence[str], run_no: str | None, by_machine: bool | None, worker: Worker | None
) -> _Asked:
    """Read the station and where the units stand, in one statement. Raises StationNotFound."""
    loaded = unit_state.load_states(sns, stations=[station_code], locked=None, reading=READ)
    place = loaded.station_states.get(station_code)
    if place is None:
        raise errors.StationNotFound(code=station_code)
    if by_machine is None:
        by_machine = place.station.station_type != StationType.MANUAL
    return _Asked(place, loaded.unit_states, loaded.names, run_no, by_machine, timezone.now(), worker)


def _answer(found: Sequence[tuple[str, str, _Found]]) -> list[UnitPermit]:
    """Return what is answered of units, with who may lift each reason and which hold it is."""
    refusals = [(refusal, of_unit.entering.state) for _sn, _position, of_unit in found for refusal in of_unit.refusals]
    reasons = iter(explain([(refusal, None if state is None else state.unit) for refusal, state in refusals]))
    return [
        UnitPermit(
            sn=sn,
            position=position,
            action=_action_of(of_unit),
            step_no=_step_no(of_unit),
            already_in=of_unit.is_in,
            reasons=[next(reasons) for _refusal in of_unit.refusals],
        )
        for sn, position, of_unit in found
    ]


def _of_carrier(units: Sequence[UnitPermit], own: Sequence[Reason]) -> Permit:
    actions, step_nos = {unit.action for unit in units}, {unit.step_no for unit in units}
    reasons = [*own, *(reason for unit in units for reason in unit.reasons)]
    return Permit(
        action=actions.pop() if len(actions) == 1 and not own else PermitAction.STOP,
        step_no=step_nos.pop() if len(step_nos) == 1 else None,
        already_in=bool(units) and all(unit.already_in for unit in units),
        reasons=list({(each.code, each.hold_no, repr(each.fact)): each for each in reasons}.values()),
        units=units,
    )


# --- one unit ----------------------------------------------------------------------------------------------


def _examine(asked: _Asked, sn: str) -> _Found:
    """Return every refusal of a unit, as track-in would find them, which tells the first."""
    state = asked.states.get(sn)
    try:
        check_readable(sn)
        if state is None and not asked.by_machine:
            check_kind(sn, ScanKind.UNIT)
        run = tracking.find_run(state, asked.names, run_no=asked.run_no, sn=sn, moment=_moment(asked))
    except errors.DomainError as refusal:
        entering = _entering(asked, state, None)
        return _Found([refusal, *entering.list_refusals()], entering)
    if state is None or tracking.is_to_be_made(state, run):
        return _examine_new(asked, sn, state, run)
    entering = _entering(asked, state, run)
    if _is_in(asked, state, run):
        return _Found(list(rules.list_refusals_to_stay(state.unit)), entering, is_in=True)
    return _Found(list(entering.list_refusals()), entering)


def _is_in(asked: _Asked, state: UnitState, run: Run) -> bool:
    """Whether a unit is in the station already, for that run: then a track-in is repeated. One that is held meanwhile
    stays there, and is not to be run.
    """
    track = state.open_track
    return track is not None and (track.station_id, track.run_id) == (asked.place.station.pk, run.pk)


def _examine_new(asked: _Asked, sn: str, state: UnitState | None, run: Run) -> _Found:
    """Return every refusal of a unit that its run would make on the fly, or take in, at its first track-in."""
    station = asked.place.station
    refusals = list(
        tracking.list_refusals_to_make(run, sn=sn, station=station, by_machine=asked.by_machine, locked=None)
    )
    is_made_here = not any(isinstance(refusal, errors.UnitNotFound | errors.SnUnreadable) for refusal in refusals)
    if is_made_here:
        refusals += _list_refusals_of_label(run, sn)
    entering = _entering(asked, _as_made(sn, state, run) if is_made_here else None, run)
    if state is not None and not refusals and _is_in(asked, state, run):
        return _Found([], entering, is_in=True)
    told = [(type(refusal), refusal.details) for refusal in refusals]
    further = [each for each in entering.list_refusals() if (type(each), each.details) not in told]
    return _Found([*refusals, *further], entering)


def _list_refusals_of_label(run: Run, sn: str) -> Iterator[errors.DomainError]:
    try:
        runs.check_may_add(run, [sn], held=None)
    except errors.DomainError as refusal:
        yield refusal


def _as_made(sn: str, state: UnitState | None, run: Run) -> UnitState:
    """Return the state of a unit that is yet to be made, or to be put into the run, at its first step."""
    place: dict[str, Any] = {"run": run, "current_step_no": runs.snapshot_of(run).first_step_no}
    set_ups = None if run.line.material_control == MaterialControl.ENFORCE else ()
    if state is None:
        return UnitState(Unit(sn=sn, **place), run, None, None, [], 0, set_ups=set_ups)
    unit = Unit(pk=state.unit.pk, sn=sn, status=state.unit.status, hold_reason=state.unit.hold_reason, **place)
    return replace(state, unit=unit, run=run, set_ups=set_ups)


def _moment(asked: _Asked) -> Moment:
    return Moment(asked.place.station.code, asked.at)


def _entering(asked: _Asked, state: UnitState | None, run: Run | None) -> Entering:
    line_stop = None
    if run is not None and run.line_id == asked.place.station.line_id:
        line_stop = asked.place.line_stop
    elif run is not None and state is not None and state.run is run and state.unit.pk is not None:
        line_stop = state.line_stop
    elif run is not None:
        line_stop = next((hold.reason for hold in holds.list_open(line=run.line)), None)
    return Entering(
        asked.place,
        state,
        run,
        asked.at,
        by_machine=asked.by_machine,
        line_stop=line_stop,
        worker=asked.worker,
    )


# --- what is to be done with it ----------------------------------------------------------------------------


def _step_no(found: _Found) -> int | None:
    state, step = found.entering.state, found.entering.step
    if found.is_in and state is not None and state.open_track is not None:
        return state.open_track.step_no
    return None if step is None else step.step_no


def _action_of(found: _Found) -> PermitAction:
    if not found.refusals:
        return PermitAction.RUN
    state = found.entering.state
    if state is not None and _has_nothing_to_do_here(state, found.entering):
        return PermitAction.PASS_THROUGH
    return PermitAction.STOP


def _has_nothing_to_do_here(state: UnitState, entering: Entering) -> bool:
    """Whether a unit of an open run is done, or waits for a step after every one that the station may run."""
    unit, run = state.unit, state.run
    if run is None or run.status not in OPEN_RUN_STATUSES:
        return False
    if unit.status == UnitStatus.DONE:
        return True
    current = unit.current_step_no
    if unit.status != UnitStatus.QUEUED or current is None:
        return False
    return all(step.step_no < current for step in runs.snapshot_of(run).steps if _may_run(step, state, entering))


def _may_run(step: StepSnapshot, state: UnitState, entering: Entering) -> bool:
    station = entering.place.station
    return rules.station_may_run(station, step) or lets_run(state.in_force, station.code, step, entering.at)
