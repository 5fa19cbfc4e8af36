"""Reads about stations and the units at them."""

from typing import Any

from django.db.models import Q

from execution import rules
from execution.models import Track
from execution.reach import check_reads
from mes import errors
from mes.plant.models import Station
from mes.platform.database.lookup import get_or_raise
from mes.platform.inbound.sender import EVERYWHERE, Sender
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus, Unit, UnitStatus
from mes.production.runs import snapshot_of
from mes.production.serial_numbers import no_such_unit
from mes.routing.snapshots import SpecSnapshot, StepSnapshot

QUEUE_LIMIT = 500


def get_station_queue(station: Station) -> dict[str, Any]:
    """Return the units in a station and those that wait for a step it may run, oldest first.

    At most `QUEUE_LIMIT` waiting units.
    """
    inside = Track.objects.filter(station=station, out_at=None).select_related("unit", "run").order_by("in_at", "id")
    return {
        "stationCode": station.code,
        "inStation": [
            {
                "sn": track.unit.sn,
                "runNo": track.run.run_no,
                "stepNo": track.step_no,
                "trackId": str(track.pk),
                "inAt": track.in_at,
                "unitStatus": track.unit.status,
            }
            for track in inside
        ],
        "waiting": _list_waiting(station),
    }


def _list_waiting(station: Station) -> list[dict[str, Any]]:
    """Return queued units whose step the station may run: by run and step, so that only those are read."""
    open_runs = Run.objects.filter(status__in=(RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS))
    waiting = Q(pk=None)
    for run in open_runs.select_related("route_version").defer("route_version__snapshot"):
        steps = [
            step.step_no
            for step in snapshot_of(run).steps
            if rules.station_may_run(station, step) and rules.line_fits(station, step, run)
        ]
        if steps:
            waiting |= Q(run=run, current_step_no__in=steps)
    units = Unit.objects.filter(waiting, status=UnitStatus.QUEUED).select_related("run").order_by("updated_at", "id")
    return [
        {"sn": unit.sn, "runNo": unit.run.run_no, "stepNo": unit.current_step_no}
        for unit in units[:QUEUE_LIMIT]
        if unit.run is not None
    ]


def get_unit(sn: str) -> Unit:
    """Return a unit with its order, run and route version. Raises UnitNotFound."""
    units = Unit.objects.select_related("work_order", "run__route_version").defer("run__route_version__snapshot")
    return get_or_raise(units, no_such_unit, sn=sn)


def resolve_unit(sn: str, *, sender: Sender = EVERYWHERE) -> dict[str, Any]:
    """Return where a scanned unit belongs and stands. Raises UnitNotFound, UnitRunNotFound, LineNotAllowed."""
    unit = get_unit(sn)
    if unit.run is None:
        raise errors.UnitRunNotFound(code=sn)
    check_reads(sender, [unit])
    return {
        "sn": unit.sn,
        "woNo": unit.work_order.wo_no,
        "runNo": unit.run.run_no,
        "status": unit.status,
        "currentStepNo": unit.current_step_no,
    }


def get_data_specs(station: Station, sn: str) -> dict[str, Any]:
    """Return what is to be collected for a unit at a station: at its open track there, else at its current step.

    Raises UnitNotFound, UnitRunNotFound, StationMismatch.
    """
    unit = get_unit(sn)
    if unit.run is None:
        raise errors.UnitRunNotFound(code=sn)
    step = snapshot_of(unit.run).step(unit.current_step_no)
    track = Track.objects.filter(unit=unit, out_at=None, station=station).first()
    if step is None:
        raise errors.StepMismatch(current=unit.current_step_no, step_no=unit.current_step_no)
    if track is None:
        rules.check_station(station, step)
    return _describe_step(step)


def _describe_step(step: StepSnapshot) -> dict[str, Any]:
    return {"stepNo": step.step_no, "operationCode": step.operation_code, "specs": list(map(describe_spec, step.specs))}


def describe_spec(spec: SpecSnapshot) -> dict[str, Any]:
    """Return a frozen spec in the words of the HTTP interface."""
    return {
        "id": str(spec.id),
        "name": spec.name,
        "itemType": spec.item_type,
        "dataType": spec.data_type,
        "method": spec.method,
        "triggerType": spec.trigger_type,
        "isRequired": spec.is_required,
        "limits": {"lsl": spec.lsl, "usl": spec.usl, "target": spec.target, "unit": spec.unit},
        "alarm": {"min": spec.alarm_min, "max": spec.alarm_max, "action": spec.alarm_action},
    }


def count_held() -> int:
    """Return how many units of open runs are on hold."""
    return Unit.objects.filter(run__status__in=OPEN_RUN_STATUSES, status=UnitStatus.ON_HOLD).order_by().count()
