"""What an event belongs to: the track of its values, or the machine whose counts it brings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from django.db import connection
from django.utils.translation import gettext as _

from integration.counts.targets import Names as CountNames
from integration.counts.targets import ServedStep, find_served_steps
from integration.device_data.body import DeviceDataEvent
from mes import errors
from mes.plant.models import Station
from mes.platform.database.prepared import as_json, columns_of, fetch_all
from mes.platform.http.whole_numbers import whole_number
from mes.production.models import Run, Unit
from mes.production.names import Names as OtherNames
from mes.production.names import find_names
from mes.production.serial_numbers import is_unreadable, no_such_unit
from mes.routing.snapshots import StepSnapshot


class Target(msgspec.Struct, frozen=True, gc=False):
    """A track, or a carrier's, with what is needed to judge its values and to store them."""

    track_id: int | None
    carrier_track_id: int | None
    unit_id: int | None
    run_id: int
    station_id: int | None
    step_no: int
    operation_code: str
    sn: str | None
    run_no: str
    station_code: str
    version_id: int
    version_digest: str


class CountTarget(Target, frozen=True, kw_only=True):
    """A station at a step of a run, without any track."""

    line_id: int


class ReferenceTarget(Target, frozen=True, kw_only=True):
    """A reference unit: what is said of it is kept, and is no value of anything. It has no run: `run_id` is 0."""


_PLACE_TYPES = {"run_no": "text", "station": "text", "step_no": "integer", "sns": "jsonb"}

# One query for all events; what an event names is not read again, and what the events of a place share is looked up
# once. Of several tracks of a unit there, all are returned: sorting them unit by unit would cost as much as finding
# them. A track keeps the run it was made in, so the unit's present run plays no part. OFFSET 0 and comparisons that
# no index serves keep the planner to a unit's tracks by index: while it knows nothing of the tables, it would walk all
# units, or all tracks of the station or step.
FIND = f"""
    WITH place AS MATERIALIZED (
        SELECT p.index, p.step_no, p.sns, r.id AS run_id, s.id AS station_id, r.route_version_id, v.digest
          FROM (SELECT index, {columns_of("place", _PLACE_TYPES)}
                  FROM jsonb_array_elements(%(places)s::jsonb) WITH ORDINALITY AS places(place, index)) AS p
          JOIN mes_run r ON r.run_no = p.run_no
          JOIN mes_station s ON s.code = p.station
          JOIN mes_routeversion v ON v.id = r.route_version_id
    )
    SELECT p.index, n.index, t.id, t.unit_id, p.run_id, p.station_id, t.operation_code, p.route_version_id, p.digest
      FROM place p
      CROSS JOIN LATERAL jsonb_array_elements_text(p.sns) WITH ORDINALITY AS n(sn, index)
      CROSS JOIN LATERAL (SELECT id FROM mes_unit WHERE sn = n.sn OFFSET 0) AS u
      CROSS JOIN LATERAL (
        SELECT id, unit_id, operation_code FROM execution_track
         WHERE unit_id = u.id AND step_no IS NOT DISTINCT FROM p.step_no
           AND run_id IS NOT DISTINCT FROM p.run_id AND station_id IS NOT DISTINCT FROM p.station_id
        OFFSET 0
      ) AS t
"""
# Where no run is named: the tracks of all runs, each by the version of its own.
FIND_IN_ANY_RUN = f"""
    WITH place AS MATERIALIZED (
        SELECT p.index, p.step_no, p.sns, s.id AS station_id
          FROM (SELECT index, {columns_of("place", _PLACE_TYPES)}
                  FROM jsonb_array_elements(%(places)s::jsonb) WITH ORDINALITY AS places(place, index)) AS p
          JOIN mes_station s ON s.code = p.station
    )
    SELECT p.index, n.index, t.id, t.unit_id, t.run_id, p.station_id, t.operation_code, r.route_version_id, v.digest,
           r.run_no
      FROM place p
      CROSS JOIN LATERAL jsonb_array_elements_text(p.sns) WITH ORDINALITY AS n(sn, index)
      CROSS JOIN LATERAL (SELECT id FROM mes_unit WHERE sn = n.sn OFFSET 0) AS u
      CROSS JOIN LATERAL (
        SELECT id, unit_id, run_id, operation_code FROM execution_track
         WHERE unit_id = u.id AND step_no IS NOT DISTINCT FROM p.step_no
           AND station_id IS NOT DISTINCT FROM p.station_id
        OFFSET 0
      ) AS t
      JOIN mes_run r ON r.id = t.run_id
      JOIN mes_routeversion v ON v.id = r.route_version_id
"""
FIND_BY_ID = """
    SELECT t.id, t.id, NULL::bigint, t.unit_id, t.run_id, t.station_id, t.step_no, t.operation_code, u.sn, r.run_no,
           s.code, r.route_version_id, v.digest
      FROM execution_track t
      JOIN mes_unit u ON u.id = t.unit_id
      JOIN mes_run r ON r.id = t.run_id
      JOIN mes_station s ON s.id = t.station_id
      JOIN mes_routeversion v ON v.id = r.route_version_id
     WHERE t.id = ANY(%(ids)s)
"""
FIND_BY_CARRIER = """
    SELECT t.id, NULL::bigint, t.id, NULL::bigint, t.run_id, t.station_id, t.step_no, t.operation_code, NULL, r.run_no,
           coalesce(s.code, ''), r.route_version_id, v.digest
      FROM execution_carriertrack t
      JOIN mes_run r ON r.id = t.run_id
      LEFT JOIN mes_station s ON s.id = t.station_id
      JOIN mes_routeversion v ON v.id = r.route_version_id
     WHERE t.id = ANY(%(ids)s)
"""
Place = tuple[str | None, str | None, int | None]  # run, station, step
Names = tuple[str | None, str | None, str | None, int | None]  # unit, and place


def find_targets(events: Sequence[DeviceDataEvent]) -> Sequence[Target | errors.DomainError]:
    """Return what each event belongs to, or why to nothing: a track for values, a machine for counts.

    A number of queries by what the events name, not by how many there are.
    """
    counts = [event for event in events if event.production is not None]
    if not counts:
        return find_tracks(events)
    tracks = iter(find_tracks([event for event in events if event.production is None]))
    machines = iter(find_machines(counts))
    return [next(tracks if event.production is None else machines) for event in events]


def find_machines(events: Sequence[DeviceDataEvent]) -> list[Target | errors.DomainError]:
    """Return the station, step and run that counts belong to, or the refusal of `find_served_steps`."""
    steps = find_served_steps([_count_names(event) for event in events])
    return [_count_target(*step) if isinstance(step, ServedStep) else step for step in steps]


def _count_names(event: DeviceDataEvent) -> CountNames:
    assert event.production is not None  # else it has a track
    return CountNames(event.run_no, event.station_code, event.step_no, event.production.counted_at)


def _count_target(run: Run, station: Station, step: StepSnapshot) -> CountTarget:
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


def find_tracks(events: Sequence[DeviceDataEvent]) -> list[Target | errors.DomainError]:
    """Return the track each event belongs to: by id, by the carrier's id, or the latest of unit, station and step, in
    the run that it names or in any.

    Where there is none, the refusal: SnUnreadable, TrackNotFound, CarrierTrackNotFound, RunNotFound, UnitNotFound,
    StationNotFound, UnitRunMismatch. One query for each way of naming, however many events.
    """
    tracks = _query_ids(FIND_BY_ID, [_as_id(event.track_id) for event in events if event.track_id is not None])
    carriers = _query_ids(
        FIND_BY_CARRIER, [_as_id(event.carrier_track_id) for event in events if event.carrier_track_id is not None]
    )
    names = {_names(event) for event in events if event.track_id is None and event.carrier_track_id is None}
    named: dict[Names, Target | errors.DomainError] = {**_query_names(names)}
    if missing := names - named.keys():
        named |= _find_by_other_names(missing)
    return [_choose(event, tracks, carriers, named) for event in events]


def _find_by_other_names(names: set[Names]) -> dict[Names, Target | errors.DomainError]:
    """Return what is meant by names that lead to no track: units by earlier serial numbers, and reference units. Where
    it is nothing, the refusal.
    """
    others = find_names(sn for sn, *_place in names if sn is not None)
    present: dict[Names, Names] = {
        name: (others.present[name[0]], *name[1:])
        for name in names
        if name[0] is not None and name[0] in others.present
    }
    tracks = _query_names(set(present.values()))
    named: dict[Names, Target | errors.DomainError] = {
        name: tracks[known] for name, known in present.items() if known in tracks
    }
    named |= {name: _reference_target(name) for name in names if name[0] in others.references}
    if missing := names - named.keys():
        known = _load_known(missing, others)
        named |= {name: _why_not(name, known) for name in missing}
    return named


def _reference_target(name: Names) -> ReferenceTarget:
    sn, run_no, station_code, step_no = name
    ids = (None, None, None, 0, None, step_no or 0)
    return ReferenceTarget(*ids, "", sn, run_no or "", station_code or "", 0, "")


def _choose(
    event: DeviceDataEvent,
    tracks: dict[int, Target],
    carriers: dict[int, Target],
    named: dict[Names, Target | errors.DomainError],
) -> Target | errors.DomainError:
    if event.unit_sn is not None and is_unreadable(event.unit_sn):
        return errors.SnUnreadable(sn=event.unit_sn)
    if event.carrier_track_id is not None:
        target = carriers.get(_as_id(event.carrier_track_id))
        missing: errors.DomainError = errors.CarrierTrackNotFound(code=event.carrier_track_id)
    elif event.track_id is not None:
        target = tracks.get(_as_id(event.track_id))
        missing = errors.TrackNotFound(track_id=event.track_id)
    else:
        return named[_names(event)]
    return missing if target is None else _find_disagreement(event, target) or target


def _names(event: DeviceDataEvent) -> Names:
    return (event.unit_sn, event.run_no, event.station_code, event.step_no)


def _query_ids(sql: str, ids: list[int]) -> dict[int, Target]:
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(sql, {"ids": ids})
        return {row[0]: Target(*row[1:]) for row in cursor.fetchall()}


def _query_names(names: set[Names]) -> dict[Names, Target]:
    """One query for those that name a run, one for those that name none."""
    in_any_run = {name for name in names if name[1] is None}
    return _query_by(FIND, names - in_any_run) | _query_by(FIND_IN_ANY_RUN, in_any_run)


def _query_by(sql: str, names: set[Names]) -> dict[Names, Target]:
    if not names:
        return {}
    places: dict[Place, list[Names]] = {}
    for name in names:
        places.setdefault(name[1:], []).append(name)
    by_place = list(places.items())
    rows = [(*place, [sn for sn, *_place in named]) for place, named in by_place]
    targets: dict[Names, Target] = {}
    for place_no, index, track_id, *row in fetch_all(sql, {"places": as_json(rows)}):
        name = by_place[place_no - 1][1][index - 1]
        earlier = targets.get(name)
        if earlier is None or earlier.track_id < track_id:
            targets[name] = _target(name, track_id, *row)
    return targets


def _target(
    name: Names,
    track_id: int,
    unit_id: int,
    run_id: int,
    station_id: int,
    operation_code: str,
    version_id: int,
    version_digest: str,
    run_of_track: str | None = None,
) -> Target:
    """Return the track that is known by its names, from a row of FIND; without a run, with the track's."""
    sn, named_run, station_code, step_no = name
    run_no = named_run if named_run is not None else run_of_track
    assert run_no is not None and station_code is not None and step_no is not None  # else nothing matches them
    ids = (track_id, None, unit_id, run_id, station_id, step_no)
    return Target(*ids, operation_code, sn, run_no, station_code, version_id, version_digest)


def _as_id(text: str) -> int:
    """Return an opaque id as the row's number; what is no number is no row's."""
    return whole_number(text) or 0


def _find_disagreement(event: DeviceDataEvent, target: Target) -> errors.DomainError | None:
    """Return the refusal of an event that names another run, unit, station or step than its track's."""
    is_other_unit = target.sn is not None and event.unit_sn not in (None, target.sn)
    if is_other_unit and event.unit_sn is not None:
        is_other_unit = find_names([event.unit_sn]).present.get(event.unit_sn) != target.sn
    if event.run_no not in (None, target.run_no) or is_other_unit:
        return errors.UnitRunMismatch(sn=event.unit_sn or target.sn, run=event.run_no or target.run_no)
    if event.station_code not in (None, target.station_code) or event.step_no not in (None, target.step_no):
        return errors.TrackNotFound(track_id=event.track_id)
    if event.operation_code not in (None, target.operation_code):
        message = _("The track is of operation “{code}”.").format(code=target.operation_code)
        return errors.ValidationFailed({"operationCode": message})
    return None


@dataclass(frozen=True, slots=True)
class Known:
    """What exists of the names that led to no track."""

    runs: dict[str, int]
    units: dict[str, int | None]
    stations: frozenset[str]


def _load_known(names: Iterable[Names], others: OtherNames) -> Known:
    """Read which of these runs, units (with their run) and stations exist, in three queries. `others` are earlier
    serial numbers of units.
    """
    sns, run_nos, stations, _step_nos = (set(column) for column in zip(*names, strict=True))
    units = dict(Unit.objects.filter(sn__in={*sns, *others.present.values()}).values_list("sn", "run_id"))
    units |= {sn: units[present] for sn, present in others.present.items() if present in units}
    return Known(
        runs=dict(Run.objects.filter(run_no__in=run_nos).values_list("run_no", "pk")),
        units=units,
        stations=frozenset(Station.objects.filter(code__in=stations).values_list("code", flat=True)),
    )


def _why_not(names: Names, known: Known) -> errors.DomainError:
    """Return the refusal for a track that is not there."""
    sn, run_no, station, step_no = names
    if run_no is not None and run_no not in known.runs:
        return errors.RunNotFound(code=run_no)
    if sn not in known.units:
        return no_such_unit(sn or "")
    if station not in known.stations:
        return errors.StationNotFound(code=station)
    if run_no is not None and known.units[sn] != known.runs[run_no]:
        return errors.UnitRunMismatch(sn=sn, run=run_no)
    return errors.TrackNotFound(sn=sn, run_no=run_no, station_code=station, step_no=step_no)
