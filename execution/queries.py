"""Reads about stations and the units at them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.utils import timezone

from execution import rules
from execution.deviations import rules as deviations
from execution.deviations.models import Deviation, DeviationStatus, DeviationType
from execution.deviations.rules import lets_run
from execution.models import Disposition, DispositionAction
from execution.reach import check_reads
from mes import errors
from mes.plant.models import Station, StationGroup
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.inbound.sender import EVERYWHERE, Sender
from mes.production.models import OPEN_RUN_STATUSES, Run, Unit, UnitStatus
from mes.production.names import find_present
from mes.routing import snapshots
from mes.routing.snapshots import SpecSnapshot, StepSnapshot

QUEUE_LIMIT = 500

STATION_AND_RUNS = """
    SELECT s.id, s.code, s.station_type, s.line_id,
           (SELECT code FROM mes_stationgroup WHERE id = s.group_id),
           (SELECT json_agg(json_build_array(r.id, r.line_id, r.route_version_id, v.digest, r.has_deviations))::text
              FROM mes_run r JOIN mes_routeversion v ON v.id = r.route_version_id
             WHERE r.status IN ('AUTHORIZED', 'IN_PROGRESS'))
      FROM mes_station s
     WHERE s.code = ANY(ARRAY[%(code)s])
"""
# By the index of open tracks, in its order; of one of a list of stations, all open tracks of the plant would be read.
INSIDE = """
    SELECT u.sn, r.run_no, t.step_no, t.id::text, t.in_at, u.status
      FROM execution_track t JOIN mes_unit u ON u.id = t.unit_id JOIN mes_run r ON r.id = t.run_id
     WHERE t.station_id = %(station_id)s::bigint AND t.out_at IS NULL
     ORDER BY t.in_at, t.id
     LIMIT %(most)s::bigint
"""
# Of units that would leave out optional steps, only those that did not fail one of these last. `unit_ids`, as JSON, are
# those that a deviation is for; null is all.
_MAY_ENTER = """
           (place.unit_ids IS NULL OR to_jsonb(u.id) <@ place.unit_ids::jsonb)
       AND (place.enters = place.step_no OR NOT EXISTS (
               SELECT FROM execution_track t
                WHERE t.unit_id = u.id AND t.step_no >= place.step_no AND t.step_no < place.enters AND t.result = 'FAIL'
                  AND NOT EXISTS (SELECT FROM execution_track later
                                   WHERE later.unit_id = u.id AND later.step_no = t.step_no AND later.id > t.id)))
"""
# Each place is looked up by the index of runs and states: joined, all units that wait in the plant would be read where
# a run has most of them.
WAITING = f"""
    SELECT u.sn, r.run_no, place.enters
      FROM unnest(%(run_ids)s::bigint[], %(step_nos)s::integer[], %(enters)s::integer[], %(unit_ids)s::text[])
               AS place(run_id, step_no, enters, unit_ids)
      CROSS JOIN LATERAL (
          SELECT * FROM mes_unit u
           WHERE u.run_id = place.run_id AND u.status = 'QUEUED' AND u.current_step_no = place.step_no AND {_MAY_ENTER}
           ORDER BY u.updated_at, u.id
           LIMIT {QUEUE_LIMIT}
      ) AS u
      JOIN mes_run r ON r.id = u.run_id
     ORDER BY u.updated_at, u.id
     LIMIT {QUEUE_LIMIT}
"""
OPEN_RUNS = """
    SELECT r.id, r.line_id, r.route_version_id, v.digest, r.has_deviations
      FROM mes_run r JOIN mes_routeversion v ON v.id = r.route_version_id
     WHERE r.status IN ('AUTHORIZED', 'IN_PROGRESS')
"""
# Units are looked at one by one only where that decides: elsewhere those of a step are counted once for all stations.
COUNT_WAITING = f"""
    WITH place AS MATERIALIZED (
        SELECT *, enters = step_no AND unit_ids IS NULL AS takes_all
          FROM unnest(%(station_ids)s::bigint[], %(run_ids)s::bigint[], %(step_nos)s::integer[], %(enters)s::integer[],
                      %(unit_ids)s::text[]) AS given(station_id, run_id, step_no, enters, unit_ids)
    ), queued AS (
        SELECT run_id, current_step_no AS step_no, count(*) AS units FROM mes_unit
         WHERE run_id = ANY(%(run_ids)s::bigint[]) AND status = 'QUEUED' GROUP BY run_id, current_step_no
    )
    SELECT station_id, sum(units)::integer
      FROM (SELECT place.station_id, queued.units FROM place JOIN queued USING (run_id, step_no) WHERE place.takes_all
             UNION ALL
            SELECT place.station_id, (SELECT count(*) FROM mes_unit u
                                       WHERE u.run_id = place.run_id AND u.status = 'QUEUED'
                                         AND u.current_step_no = place.step_no AND {_MAY_ENTER})
              FROM place WHERE NOT place.takes_all) AS counted
     GROUP BY station_id
"""
_INSIDE = ("sn", "runNo", "stepNo", "trackId", "inAt", "unitStatus")
_WAITING = ("sn", "runNo", "stepNo")


def get_station_queue(station_code: str, *, most_inside: int | None = None) -> dict[str, Any]:
    """Return the units in a station and those that wait for a step it may run, oldest first, in three statements, and
    one more where a run has deviations. A unit that may leave optional steps out waits for the first that it may run.

    At most `QUEUE_LIMIT` waiting units, and `most_inside` of those in it; None is all. Raises StationNotFound.
    """
    rows = fetch_all(STATION_AND_RUNS, {"code": station_code})
    if not rows:
        raise errors.StationNotFound(code=station_code)
    *columns, open_runs = rows[0]
    station = _as_station(*columns)
    runs: list[OpenRun] = msgspec.json.decode(open_runs) if open_runs else []
    places = list(_waited_at(station, runs, _list_allowed([station.code], _deviating(runs))))
    inside = {"station_id": station.pk, "most": most_inside}
    return {
        "stationCode": station.code,
        "inStation": [_named(_INSIDE, row) for row in fetch_all(INSIDE, inside)],
        "waiting": [_named(_WAITING, row) for row in fetch_all(WAITING, _as_columns(places))] if places else [],
    }


def count_waiting(stations: Sequence[Station]) -> dict[int, int]:
    """Return how many units wait for a step that each of these stations may run, by its id: two statements for however
    many, and one more where a run has deviations. The stations have their groups.
    """
    runs: Sequence[OpenRun] = fetch_all(OPEN_RUNS, {})
    allowed = _list_allowed([station.code for station in stations], _deviating(runs))
    waited_at = [(station.pk, place) for station in stations for place in _waited_at(station, runs, allowed)]
    given = {"station_ids": [pk for pk, _place in waited_at], **_as_columns([place for _pk, place in waited_at])}
    return dict.fromkeys((station.pk for station in stations), 0) | dict(fetch_all(COUNT_WAITING, given))


def _as_station(pk: int, code: str, station_type: str, line_id: int | None, group_code: str | None) -> Station:
    group = None if group_code is None else StationGroup(code=group_code)
    return Station(id=pk, code=code, station_type=station_type, line_id=line_id, group=group)


OpenRun = Sequence[Any]  # id, line, route version, its digest, whether it has deviations
Place = tuple[int, int, int, list[int] | None]  # a run, where its units wait, what they enter here, which of them
Allowed = dict[tuple[str, int, int], list[int] | None]  # by station, run and step: which units; None is all


def _as_columns(places: Sequence[Place]) -> dict[str, Any]:
    """Return places as statements take them."""
    return {
        "run_ids": [run_id for run_id, *_others in places],
        "step_nos": [step_no for _run_id, step_no, *_others in places],
        "enters": [enters for *_others, enters, _unit_ids in places],
        "unit_ids": [None if unit_ids is None else as_json(unit_ids) for *_others, unit_ids in places],
    }


def _waited_at(station: Station, runs: Iterable[OpenRun], allowed: Allowed) -> Iterator[Place]:
    """Yield the open runs, the steps at which their units wait, and those of their frozen routes that they may enter at
    a station: their own or, past optional ones, the first that the station may run.
    """
    for run_id, line_id, version_id, digest, _has_deviations in runs:
        run, route = Run(id=run_id, line_id=line_id), snapshots.load(version_id=version_id, digest=digest)
        for place in route.steps:
            fitting = (
                step.step_no
                for step in route.list_enterable(place.step_no)
                if rules.station_may_run(station, step) and rules.line_fits(station, step, run)
            )
            enters = next(fitting, None)
            allowed_here = (station.code, run_id, place.step_no)
            if enters is not None:
                yield run_id, place.step_no, enters, None
            elif allowed_here in allowed:
                yield run_id, place.step_no, place.step_no, allowed[allowed_here]


def _deviating(runs: Iterable[OpenRun]) -> list[int]:
    return [run[0] for run in runs if run[-1]]


def _list_allowed(station_codes: Collection[str], run_ids: Collection[int]) -> Allowed:
    """Return which steps of these runs deviations let stations run."""
    if not run_ids:
        return {}
    found = Deviation.objects.filter(
        run__in=run_ids,
        status=DeviationStatus.IN_FORCE,
        type=DeviationType.STATION,
        expires_at__gt=timezone.now(),
        station_codes__overlap=list(station_codes),
    )
    allowed: Allowed = {}
    for run_id, step_no, unit_ids, codes in found.values_list("run_id", "step_no", "unit_ids", "station_codes"):
        for code in codes:
            known = allowed.get((code, run_id, step_no), [])
            allowed[code, run_id, step_no] = None if unit_ids is None or known is None else [*known, *unit_ids]
    return allowed


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


AT_STATION = f"""
    SELECT s.id, s.code, s.station_type, s.line_id, (SELECT code FROM mes_stationgroup WHERE id = s.group_id),
           u.id, u.current_step_no, v.id, v.digest,
           (SELECT step_no FROM execution_track WHERE unit_id = u.id AND out_at IS NULL AND station_id = s.id),
           ARRAY(SELECT t.step_no FROM execution_track t
                  WHERE t.unit_id = u.id AND t.result = 'FAIL'
                    AND NOT EXISTS (SELECT FROM execution_track later
                                     WHERE later.unit_id = u.id AND later.step_no = t.step_no AND later.id > t.id)),
           {deviations.COVERING}
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
    *columns, unit_id, step_no, version_id, digest, inside_at, failed, in_force = rows[0]
    if unit_id is None:
        return get_data_specs(station_code, find_present(sn))
    if version_id is None:
        raise errors.UnitRunNotFound(code=sn)
    route = snapshots.load(version_id=version_id, digest=digest)
    if inside_at is not None:
        return _describe_step(route.step_of_track(inside_at))
    steps = route.list_enterable(step_no, failed)
    if not steps:
        raise errors.StepMismatch(current=step_no, step_no=step_no)
    station, covering = _as_station(*columns), deviations.decode(in_force) if in_force else ()
    for step in steps:
        if rules.station_may_run(station, step) or lets_run(covering, station.code, step, timezone.now()):
            return _describe_step(step)
    raise errors.StationMismatch(station=station.code, step_no=steps[0].step_no, operation=steps[0].operation_code)


def _describe_step(step: StepSnapshot) -> dict[str, Any]:
    return {"stepNo": step.step_no, "operationCode": step.operation_code, "specs": list(map(describe_spec, step.specs))}


OF_TRACK = """
    SELECT t.step_no, v.id, v.digest
      FROM execution_track t JOIN mes_run r ON r.id = t.run_id JOIN mes_routeversion v ON v.id = r.route_version_id
     WHERE t.id = ANY(ARRAY[%(track_id)s::bigint])
"""


def get_form(track_id: int) -> dict[str, Any]:
    """Return what is shown of a step to whoever has a unit in work there: its operation, the specs and the instructions
    frozen in it. One statement. Raises TrackNotFound.
    """
    rows = fetch_all(OF_TRACK, {"track_id": track_id})
    if not rows:
        raise errors.TrackNotFound(code=track_id)
    step_no, version_id, digest = rows[0]
    route = snapshots.load(version_id=version_id, digest=digest)
    step = route.step_of_track(step_no)
    return {
        "operation": {"code": step.operation_code, "name": step.operation_name},
        "dataSpecs": list(map(describe_spec, step.specs)),
        "steps": [{"stepNo": each.step_no, "name": each.operation_name} for each in route.steps],
        "workInstructions": [{"title": each.title, "address": each.address} for each in step.work_instructions],
    }


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
