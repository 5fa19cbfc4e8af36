"""The state of units: everything that decides what they may do, read in one statement after their rows are locked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from django.db.models import Model

from execution import minimum_times
from execution.data import values
from execution.deviations import rules as deviations
from execution.deviations.rules import InForce
from execution.models import Track, TrackResult
from execution.quality.defect_codes import catalogue
from execution.quality.defects import OPEN_DEFECTS, OpenDefect
from mes.line_setup.set_up_lists.kept import KEPT_OF_RUN, KeptSetUp, decode_set_ups
from mes.plant.models import Equipment, Line, Station, StationGroup
from mes.platform.database.prepared import as_json, fetch_all
from mes.production.hold_models import HoldScope
from mes.production.locking import Locked
from mes.production.models import Run, Unit, WorkOrder
from mes.production.names import SELECT_NAMES, Names, read_names
from mes.routing.models import RouteVersion
from mes.routing.snapshots import RouteSnapshot, StepSnapshot

M = TypeVar("M", bound=Model)


class Pass(msgspec.Struct, array_like=True, frozen=True):
    """A track of a unit, as far as later ones depend on it."""

    id: int
    run_id: int
    step_no: int
    rework_no: int
    result: str
    in_at: datetime
    out_at: datetime | None
    station_id: int


@dataclass(slots=True)
class UnitState:
    """A locked unit, its run with line, order and route version, and its tracks in order.

    `next_track_id` is the id of the track that it may open; `carrier_track_id` the carrier's pass of its open one.
    `line_stop` is why the line of its run is stopped, None while it runs; `in_force` are the deviations of its run that
    cover it; `has_open_repair`: it is to be repaired before it enters a step again. `codes_version` is that of the
    defect codes (`catalogue.of_version`). `waits` is what least times are read from, None where no rule has one.
    `set_ups` are the stations whose set-up for its run is bad or will be, where its line enforces that; None where it
    is to be looked at.
    """

    unit: Unit
    run: Run | None
    open_track: Track | None
    carrier_track_id: int | None
    passes: list[Pass]
    next_track_id: int
    line_stop: str | None = None
    in_force: Sequence[InForce] = ()
    has_open_repair: bool = False
    open_defects: Sequence[OpenDefect] = ()
    codes_version: str = ""
    waits: minimum_times.Waits | None = None
    set_ups: Sequence[KeptSetUp] | None = ()

    @property
    def failed_steps(self) -> frozenset[int]:
        """The steps whose latest pass failed, in whatever run that was."""
        latest = {past.step_no: past.result for past in self.passes if past.out_at is not None}
        return frozenset(step_no for step_no, result in latest.items() if result == TrackResult.FAIL)

    def list_enterable(self, route: RouteSnapshot) -> tuple[StepSnapshot, ...]:
        """Return the steps that the unit may enter as far as its way through the route goes; see `RouteSnapshot`."""
        failed = self.failed_steps if route.has_optional_steps else ()
        return route.list_enterable(self.unit.current_step_no, failed)

    @property
    def last_out(self) -> datetime | None:
        """When the unit left its last track."""
        return self.passes[-1].out_at if self.passes else None

    def last_attempt_out(self, station_id: int) -> datetime | None:
        """When the unit left a station last, or the step at which it stands, wherever that was."""
        passes = (it for it in self.passes if it.station_id == station_id or it.step_no == self.unit.current_step_no)
        return max((it.out_at for it in passes if it.out_at is not None), default=None)

    def find_pass(self, *, run_id: int, step_no: int, station_id: int) -> Pass | None:
        """Return the latest track of a step at a station, in a run."""
        key = (run_id, step_no, station_id)
        passes = (it for it in reversed(self.passes) if (it.run_id, it.step_no, it.station_id) == key)
        return next(passes, None)

    def count_attempts(self, run_id: int, step_no: int) -> int:
        """Return how many tracks a step has had in a run."""
        return sum(1 for track in self.passes if (track.run_id, track.step_no) == (run_id, step_no))

    def count_failures(self, track: Track) -> int:
        """Return how many earlier tracks of a track's step failed since the last rework."""
        key = (track.run_id, track.step_no, track.rework_no, TrackResult.FAIL)
        return sum(1 for past in self.passes if (past.run_id, past.step_no, past.rework_no, past.result) == key)


@dataclass(frozen=True, slots=True)
class StationState:
    """A station with its line and group, and its machines; `line_stop` is why its line is stopped, if it is, and `stop`
    why the station itself is.
    """

    station: Station
    equipment: Sequence[Equipment] = field(default=())
    line_stop: str | None = None
    stop: str | None = None


@dataclass(frozen=True, slots=True)
class LoadedStates:
    """The units asked for, as far as they exist by their present serial numbers, and stations by code.

    `names` says what the other serial numbers are. `of_units` and `more` are what the caller asked for in addition, of
    each unit and once.
    """

    unit_states: Mapping[str, UnitState]
    station_states: Mapping[str, StationState]
    names: Names
    of_units: Sequence[Any]
    more: Sequence[Any]


def _columns(model: type[Model], alias: str) -> list[str]:
    return [f"{alias}.{column}" for column in _names(model)]


def _names(model: type[Model]) -> list[str]:
    return [str(column.column) for column in model._meta.concrete_fields]


def _stop(scope: HoldScope, column: str, held_id: str) -> str:
    """Return the scalar in SQL that is why a line or station is stopped; of several holds the oldest."""
    return f"""(SELECT reason FROM mes_hold
                 WHERE {column} = {held_id} AND scope = '{scope}' AND status = 'OPEN' ORDER BY id LIMIT 1)"""


_UNIT, _RUN, _TRACK = _columns(Unit, "u"), _columns(Run, "r"), _columns(Track, "t")
_OTHERS = [
    "(SELECT digest FROM mes_routeversion WHERE id = r.route_version_id)",
    "(SELECT code FROM mes_line WHERE id = r.line_id)",
    "(SELECT wo_no FROM mes_workorder WHERE id = r.work_order_id)",
    "(SELECT code FROM mes_station WHERE id = t.station_id)",
    "(SELECT carrier_track_id FROM execution_carriertrackunit WHERE track_id = t.id)",
    _stop(HoldScope.LINE, "line_id", "r.line_id"),
    deviations.COVERING,
    "EXISTS (SELECT FROM execution_reworktask WHERE unit_id = u.id AND status = 'OPEN')",
    OPEN_DEFECTS,
    catalogue.SELECT_VERSION,
    minimum_times.WAITS,
    KEPT_OF_RUN,
]
_PASSES = """
    (SELECT json_agg(json_build_array(id, run_id, step_no, rework_no, result, in_at, out_at, station_id)
                     ORDER BY id)::text
       FROM execution_track WHERE unit_id = u.id)
"""
_NEXT_TRACK_ID = "CASE WHEN u.id IS NOT NULL THEN nextval('execution_track_id_seq') END"
_STATION = ("id", "code", "name", "line_id", "group_id", "station_type")
_EQUIPMENT = ("id", "code", "name", "station_id", "status", "failed_check")
_STATIONS = f"""
    (SELECT json_agg(json_build_array(
                json_build_array({", ".join(f"s.{name}" for name in _STATION)}),
                (SELECT code FROM mes_line WHERE id = s.line_id),
                (SELECT code FROM mes_stationgroup WHERE id = s.group_id),
                (SELECT json_agg(json_build_array({", ".join(f"e.{name}" for name in _EQUIPMENT)}))
                   FROM mes_equipment e WHERE e.station_id = s.id),
                {_stop(HoldScope.LINE, "line_id", "s.line_id")},
                {_stop(HoldScope.STATION, "station_id", "s.id")}))::text
       FROM mes_station s
      WHERE s.code = ANY(ARRAY(SELECT jsonb_array_elements_text(%(stations)s::jsonb))))
"""


def statement(*once: str, of_unit: str = "NULL", takes_track_id: bool = True) -> str:
    """Return the statement that reads states, with scalars that a caller needs in addition, once or of each unit `u`.

    It takes the id of the track that each unit may open, unless nothing is to be written.

    The plan is made once, perhaps while tables are small: subselects and limits have it find rows by index always.
    """
    return f"""
        SELECT {", ".join([*_UNIT, *_RUN, *_TRACK, *_OTHERS])}, {_PASSES},
               {_NEXT_TRACK_ID if takes_track_id else "0"}, {of_unit},
               {", ".join((_STATIONS, SELECT_NAMES, *once))}
          FROM (SELECT 1) AS always
          LEFT JOIN mes_unit u ON u.sn = ANY(ARRAY(SELECT jsonb_array_elements_text(%(sns)s::jsonb)))
          LEFT JOIN LATERAL (SELECT * FROM mes_run WHERE id = u.run_id LIMIT 1) r ON true
          LEFT JOIN LATERAL (
            SELECT * FROM execution_track WHERE unit_id = u.id AND out_at IS NULL LIMIT 1
          ) t ON true
    """


READ = statement()
_RUN_AT = len(_UNIT)
_TRACK_AT = _RUN_AT + len(_RUN)
_OTHERS_AT = _TRACK_AT + len(_TRACK)
_PASSES_AT = _OTHERS_AT + len(_OTHERS)
_decode_open_defects = msgspec.json.Decoder(list[OpenDefect]).decode
_decode_passes = msgspec.json.Decoder(list[Pass]).decode


def load_states(
    sns: Sequence[str],
    *,
    locked: Locked | None,
    stations: Sequence[str] = (),
    reading: str = READ,
    parameters: Mapping[str, Any] | None = None,
) -> LoadedStates:
    """Read the states of units. Raises Outdated when one of them, or its run, is not among those that are `locked`.

    Without `locked`, the units are the caller's own, just made, or only read.
    """
    own = {"sns": as_json(sns), "stations": as_json(stations)}
    rows = fetch_all(reading, own | dict(parameters or {}))
    runs: dict[int, Run] = {}
    by_sn = {state.unit.sn: state for row in rows if row[0] is not None and (state := _unit_state(row, runs))}
    unit_states = {sn: by_sn[sn] for sn in sns if sn in by_sn}
    # The rows come in any order; the ids of the tracks of one report count up in its own.
    track_ids = sorted(state.next_track_id for state in by_sn.values())
    for state, track_id in zip(unit_states.values(), track_ids, strict=True):
        state.next_track_id = track_id
    if locked is not None:
        locked.check(unit_ids=[state.unit.pk for state in unit_states.values()], run_ids=runs)
    station_states, names, *more = rows[0][_PASSES_AT + 3 :]
    of_units = [row[_PASSES_AT + 2] for row in rows]
    return LoadedStates(unit_states, _station_states(station_states), read_names(names), of_units, more)


def _unit_state(row: Sequence[Any], runs: dict[int, Run]) -> UnitState:
    (
        digest,
        line_code,
        wo_no,
        station_code,
        carrier_track_id,
        line_stop,
        in_force,
        is_in_repair,
        found,
        version,
        waits,
        set_ups,
    ) = row[_OTHERS_AT:_PASSES_AT]
    unit = _from_row(Unit, row[:_RUN_AT])
    run = None
    if unit.run_id is not None:
        run = runs.get(unit.run_id)
        if run is None:
            run = runs[unit.run_id] = _from_row(Run, row[_RUN_AT:_TRACK_AT])
            run.line = _from_columns(Line, id=run.line_id, code=line_code)
            run.route_version = _from_columns(RouteVersion, id=run.route_version_id, digest=digest)
            run.work_order = _from_columns(WorkOrder, id=run.work_order_id, wo_no=wo_no)
        unit.run = run
    track = None
    if row[_TRACK_AT] is not None:
        track = _from_row(Track, row[_TRACK_AT:_OTHERS_AT])
        track.unit = unit
        track.station = _from_columns(Station, id=track.station_id, code=station_code)
        if run is not None and track.run_id == run.pk:
            track.run = run
    passes, next_track_id = row[_PASSES_AT : _PASSES_AT + 2]
    return UnitState(
        unit,
        run,
        track,
        carrier_track_id,
        _decode_passes(passes) if passes else [],
        next_track_id,
        line_stop,
        deviations.decode(in_force) if in_force else (),
        is_in_repair,
        _decode_open_defects(found) if found else (),
        version or "",
        minimum_times.decode(waits) if waits else None,
        decode_set_ups(set_ups) if set_ups else (),
    )


_FIELDS: Mapping[type[Model], list[str]] = {
    model: [column.attname for column in model._meta.concrete_fields] for model in (Unit, Run, Track)
}


def _from_row(model: type[M], values: Sequence[Any]) -> M:
    """Return an instance with all columns, as the ORM would (none of these models has a field that needs decoding)."""
    return model.from_db("default", _FIELDS[model], values)


def _from_columns(model: type[M], **values: Any) -> M:
    """Return an instance with only these columns; the ORM reads the others on access."""
    return model.from_db("default", list(values), list(values.values()))


def _station_states(text: str | None) -> dict[str, StationState]:
    station_states = {}
    for columns, line_code, group_code, machines, line_stop, stop in msgspec.json.decode(text) if text else ():
        station = Station.from_db("default", _STATION, columns)
        station.line = _from_columns(Line, id=station.line_id, code=line_code) if station.line_id else None
        station.group = _from_columns(StationGroup, id=station.group_id, code=group_code) if station.group_id else None
        station_states[station.code] = StationState(
            station, [Equipment.from_db("default", _EQUIPMENT, row) for row in machines or ()], line_stop, stop
        )
    return station_states


def find_earlier(unit_states: Iterable[UnitState]) -> dict[int, values.Earlier]:
    """Return the values of open tracks and their carriers' passes, by track; one query, none where no track is open."""
    tracks = {state.open_track: state.carrier_track_id for state in unit_states if state.open_track is not None}
    if not tracks:
        return {}
    passes = [values.Passing(track.unit_id, track.pk, carrier_track_id) for track, carrier_track_id in tracks.items()]
    return values.find_earlier(passes, created_since=min(track.created_at for track in tracks))
