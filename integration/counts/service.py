"""Production counts: which machine of which run and step a report means, and keeping it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from execution import rules
from integration.device_data.body import DeviceDataEvent
from integration.device_data.resolving import Target
from integration.device_data.writing import Accepted, Received
from mes import errors
from mes.plant.models import Station
from mes.production.models import Run
from mes.production.runs import snapshot_of
from mes.production_counts.hours import Machine, NewReport, record
from mes.routing.snapshots import StepSnapshot


class CountTarget(Target, frozen=True, kw_only=True):
    """A station at a step of a run, without any track."""

    line_id: int


def find_count_targets(events: Sequence[DeviceDataEvent]) -> list[CountTarget | errors.DomainError]:
    """Return what each report belongs to, whatever the state of its run, in two queries.

    Where there is nothing, the refusal: RunNotFound, StationNotFound, StepNotFound, StationMismatch, StepAmbiguous,
    StationLineMismatch.
    """
    runs = Run.objects.select_related("line", "route_version").defer("route_version__snapshot")
    stations = Station.objects.select_related("line", "group")
    runs_by_no = {run.run_no: run for run in runs.filter(run_no__in={event.run_no for event in events})}
    by_code = {one.code: one for one in stations.filter(code__in={event.station_code for event in events})}
    return [_find(event, runs_by_no.get(event.run_no or ""), by_code.get(event.station_code or "")) for event in events]


def _find(event: DeviceDataEvent, run: Run | None, station: Station | None) -> CountTarget | errors.DomainError:
    if run is None:
        return errors.RunNotFound(code=event.run_no)
    if station is None:
        return errors.StationNotFound(code=event.station_code)
    try:
        step = _choose_step(run, station, event.step_no)
        rules.check_line(station, step, run)
    except errors.DomainError as refusal:
        return refusal
    return CountTarget(
        track_id=None,
        carrier_track_id=None,
        unit_id=None,
        run_id=run.pk,
        station_id=station.pk,
        step_no=step.step_no,
        operation_code=step.operation_code,
        sn=None,
        run_no=run.run_no,
        station_code=station.code,
        version_id=run.route_version_id,
        version_digest=run.route_version.digest,
        line_id=run.line_id,
    )


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


def keep(accepted: Sequence[Accepted], answers: Mapping[str, Received], *, at: datetime) -> None:
    """Keep the counts of events that were written, in the same transaction."""
    reports = [
        _new_report(one, answers[one.event.event_id].record_id, at) for one in accepted if one.event.event_id in answers
    ]
    if reports:
        record(reports)


def _new_report(one: Accepted, record_id: int, at: datetime) -> NewReport:
    target, production = one.target, one.event.production
    assert isinstance(target, CountTarget) and target.station_id is not None and production is not None
    machine = Machine(
        run_id=target.run_id,
        station_id=target.station_id,
        step_no=target.step_no,
        equipment_id=one.event.equipment_id or "",
        line_id=target.line_id,
        operation_code=target.operation_code,
    )
    return NewReport(
        id=record_id,
        received_at=at,
        machine=machine,
        window_start=production.window_start,
        window_end=production.window_end,
        is_cumulative=production.mode == "CUMULATIVE",
        counts=production.counts,
    )
