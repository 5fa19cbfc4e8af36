"""What production counts belong to: a station at a step of a run."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from execution import rules
from mes import errors
from mes.plant.models import Station
from mes.production.active_runs import Moment, find_active_run_nos
from mes.production.models import Run
from mes.production.runs import snapshot_of
from mes.routing.snapshots import StepSnapshot


class Names(NamedTuple):
    """How a report names what it belongs to; without a run, to the one that was active at its station at `at`."""

    run_no: str | None
    station_code: str | None
    step_no: int | None
    at: datetime


class ServedStep(NamedTuple):
    """A station at a step of a run that it serves."""

    run: Run
    station: Station
    step: StepSnapshot


def find_served_steps(reports: Sequence[Names]) -> list[ServedStep | errors.DomainError]:
    """Return what each report belongs to, whatever the state of its run, in two queries; in one more where some name no
    run.

    Where there is nothing, the refusal: RunNotFound, NoActiveRun, StationNotFound, StepNotFound, StationServesNoStep,
    StepAmbiguous, StationLineMismatch.
    """
    reports = _with_active_runs(reports)
    runs = Run.objects.select_related("line", "route_version").defer("route_version__snapshot")
    stations = Station.objects.select_related("line", "group")
    runs_by_no = {run.run_no: run for run in runs.filter(run_no__in={names.run_no for names in reports})}
    by_code = {station.code: station for station in stations.filter(code__in={names.station_code for names in reports})}
    return [
        _find(names, runs_by_no.get(names.run_no or ""), by_code.get(names.station_code or "")) for names in reports
    ]


def _with_active_runs(reports: Sequence[Names]) -> list[Names]:
    """Return the reports, with the active run where they name none."""
    nameless = [names for names in reports if names.run_no is None]
    run_nos = iter(find_active_run_nos([Moment(names.station_code or "", names.at) for names in nameless]))
    return [
        Names(next(run_nos), names.station_code, names.step_no, names.at) if names.run_no is None else names
        for names in reports
    ]


def _find(names: Names, run: Run | None, station: Station | None) -> ServedStep | errors.DomainError:
    if run is None and names.run_no is not None:
        return errors.RunNotFound(code=names.run_no)
    if station is None:
        return errors.StationNotFound(code=names.station_code)
    if run is None:
        return errors.NoActiveRun(place=station.code)
    try:
        step = _choose_step(run, station, names.step_no)
        rules.check_line(station, step, run)
    except errors.DomainError as refusal:
        return refusal
    return ServedStep(run, station, step)


def _choose_step(run: Run, station: Station, step_no: int | None) -> StepSnapshot:
    """Return the step of the frozen route that a station serves, the one that is named or the only one."""
    snapshot = snapshot_of(run)
    if step_no is not None:
        named = snapshot.step(step_no)
        if named is None:
            raise errors.StepNotFound(code=step_no, run=run.run_no)
        if not rules.station_may_run(station, named):
            raise errors.StationServesNoStep(station=station.code, run=run.run_no)
        return named
    served = [step for step in snapshot.steps if rules.station_may_run(station, step)]
    if not served:
        raise errors.StationServesNoStep(station=station.code, run=run.run_no)
    if len(served) > 1:
        steps = [step.step_no for step in served]
        raise errors.StepAmbiguous(station=station.code, run=run.run_no, steps=steps)
    return served[0]
