"""Reads about stations and the units at them."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from execution import rules
from execution.models import Disposition, DispositionAction
from execution.reach import check_reads
from mes import errors
from mes.plant.models import Station, StationGroup
from mes.platform.database.prepared import fetch_all
from mes.platform.inbound.sender import EVERYWHERE, Sender
from mes.production.models import OPEN_RUN_STATUSES, Run, Unit, UnitStatus
from mes.production.names import find_present
from mes.routing import snapshots
from mes.routing.snapshots import SpecSnapshot, StepSnapshot

QUEUE_LIMIT = 500

STATION_AND_RUNS = """
    SELECT s.id, s.code, s.station_type, s.line_id,
           (SELECT code FROM mes_stationgroup WHERE id = s.group_id),
           (SELECT json_agg(json_build_array(r.id, r.line_id, r.route_version_id, v.digest))::text
              FROM mes_run r JOIN mes_routeversion v ON v.id = r.route_version_id
             WHERE r.status IN ('AUTHORIZED', 'IN_PROGRESS'))
      FROM mes_station s
     WHERE s.code = ANY(ARRAY[%(code)s])
"""
INSIDE = """
    SELECT u.sn, r.run_no, t.step_no, t.id::text, t.in_at, u.status
      FROM execution_track t JOIN mes_unit u ON u.id = t.unit_id JOIN mes_run r ON r.id = t.run_id
     WHERE t.station_id = ANY(ARRAY[%(station_id)s::bigint]) AND t.out_at IS NULL
     ORDER BY t.in_at, t.id
"""
WAITING = f"""
    SELECT u.sn, r.run_no, u.current_step_no
      FROM unnest(%(run_ids)s::bigint[], %(step_nos)s::integer[]) AS place(run_id, step_no)
      JOIN mes_run r ON r.id = place.run_id
      JOIN mes_unit u ON u.run_id = r.id AND u.status = 'QUEUED' AND u.current_step_no = place.step_no
     ORDER BY u.updated_at, u.id
     LIMIT {QUEUE_LIMIT}
"""
_INSIDE = ("sn", "runNo", "stepNo", "trackId", "inAt", "unitStatus")
_WAITING = ("sn", "runNo", "stepNo")


def get_station_queue(station_code: str) -> dict[str, Any]:
    """Return the units in a station and those that wait for a step it may run, oldest first, in three statements.

    At most `QUEUE_LIMIT` waiting units. Raises StationNotFound.
    """
    rows = fetch_all(STATION_AND_RUNS, {"code": station_code})
    if not rows:
        raise errors.StationNotFound(code=station_code)
    *columns, open_runs = rows[0]
    station = _as_station(*columns)
    places = list(_waited_at(station, open_runs)) if open_runs else []
    waiting = {"run_ids": [run_id for run_id, _step in places], "step_nos": [step_no for _run, step_no in places]}
    return {
        "stationCode": station.code,
        "inStation": [_named(_INSIDE, row) for row in fetch_all(INSIDE, {"station_id": station.pk})],
        "waiting": [_named(_WAITING, row) for row in fetch_all(WAITING, waiting)] if places else [],
    }


def _as_station(pk: int, code: str, station_type: str, line_id: int | None, group_code: str | None) -> Station:
    group = None if group_code is None else StationGroup(code=group_code)
    return Station(id=pk, code=code, station_type=station_type, line_id=line_id, group=group)


def _waited_at(station: Station, open_runs: str) -> Iterator[tuple[int, int]]:
    """Yield the open runs and the steps of their frozen routes that a station may run."""
    for run_id, line_id, version_id, digest in msgspec.json.decode(open_runs):
        run = Run(id=run_id, line_id=line_id)
        for step in snapshots.load(version_id=version_id, digest=digest).steps:
            if rules.station_may_run(station, step) and rules.line_fits(station, step, run):
                yield run_id, step.step_no


def _named(names: Iterable[str], row: Iterable[Any]) -> dict[str, Any]:
    return dict(zip(names, row, strict=True))


SCANNED = """
    SELECT u.id, u.sn, w.wo_no, r.run_no, u.status, u.current_step_no
      FROM mes_unit u JOIN mes_workorder w ON w.id = u.work_order_id LEFT JOIN mes_run r ON r.id = u.run_id
     WHERE u.sn = ANY(ARRAY[%(sn)s])
"""
_SCANNED = ("sn", "woNo", "runNo", "status", "currentStepNo")


def resolve_unit(sn: str, *, sender: Sender = EVERYWHERE) -> dict[str, Any]:
    """Return where a scanned unit belongs and stands, in one statement.

    Raises UnitNotFound, SnIsReference, UnitRunNotFound, LineNotAllowed.
    """
    rows = fetch_all(SCANNED, {"sn": sn})
    if not rows:
        return resolve_unit(find_present(sn), sender=sender)
    unit_id, *columns = rows[0]
    resolved = _named(_SCANNED, columns)
    if resolved["runNo"] is None:
        raise errors.UnitRunNotFound(code=sn)
    check_reads(sender, [Unit(id=unit_id)])
    return resolved


AT_STATION = """
    SELECT s.id, s.code, s.station_type, s.line_id, (SELECT code FROM mes_stationgroup WHERE id = s.group_id),
           u.id, u.current_step_no, v.id, v.digest,
           EXISTS (SELECT FROM execution_track WHERE unit_id = u.id AND out_at IS NULL AND station_id = s.id)
      FROM mes_station s
      LEFT JOIN mes_unit u ON u.sn = ANY(ARRAY[%(sn)s])
      LEFT JOIN mes_run r ON r.id = u.run_id
      LEFT JOIN mes_routeversion v ON v.id = r.route_version_id
     WHERE s.code = ANY(ARRAY[%(code)s])
"""


def get_data_specs(station_code: str, sn: str) -> dict[str, Any]:
    """Return what is to be collected for a unit at a station: at its open track there, else at its current step, in one
    statement.

    Raises StationNotFound, UnitNotFound, SnIsReference, UnitRunNotFound, StepMismatch, StationMismatch.
    """
    rows = fetch_all(AT_STATION, {"code": station_code, "sn": sn})
    if not rows:
        raise errors.StationNotFound(code=station_code)
    *columns, unit_id, step_no, version_id, digest, is_inside = rows[0]
    if unit_id is None:
        return get_data_specs(station_code, find_present(sn))
    if version_id is None:
        raise errors.UnitRunNotFound(code=sn)
    step = snapshots.load(version_id=version_id, digest=digest).step(step_no)
    if step is None:
        raise errors.StepMismatch(current=step_no, step_no=step_no)
    if not is_inside:
        rules.check_station(_as_station(*columns), step)
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


def find_scrap_times(sns: Collection[str]) -> dict[str, datetime]:
    """Return when each of these units was scrapped; without those that are not."""
    scrapped = Disposition.objects.filter(action=DispositionAction.SCRAP, unit__sn__in=sns)
    return dict(scrapped.order_by("pk").values_list("unit__sn", "decided_at"))


def count_held() -> int:
    """Return how many units of open runs are on hold."""
    return Unit.objects.filter(run__status__in=OPEN_RUN_STATUSES, status=UnitStatus.ON_HOLD).order_by().count()
