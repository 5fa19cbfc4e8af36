"""Everything about one unit, read in three prepared statements: the unit with all that is few, its reports, its values.

Reports and values lie in partitions by month. Those that a parameter excludes are not even opened; what a column of the
unit excludes is known too late. So the unit is read first, and a year of months costs little more than one.

Whatever is few comes as JSON within the row of the unit: a column costs less than a statement of its own. Values are a
hundred or a thousand: as rows they cost the database half of what they cost as JSON. Each part is looked for by the
unit's own keys, in nested loops (`ANY(ARRAY(…))`, LATERAL, scalars), so that no plan can read another unit's rows by a
join. A table that was empty when the plan was made is scanned until PostgreSQL has statistics of it and plans anew.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from execution.materials import contents, trace_levels
from execution.materials.contents import InnerUnit, MaterialRow
from execution.materials.trace_levels import Bill
from execution.quality.defect_codes.catalogue import SELECT_CATEGORY
from execution.quality.record_types import DEFECT
from mes.plant.models import Line
from mes.platform.database.instances import Columns, instances
from mes.platform.database.prepared import fetch_all
from mes.platform.files.queries import select_attached
from mes.production.models import Run, Unit, WorkOrder
from mes.production.names import find_present
from mes.routing.models import RouteVersion, Routing
from trace.unit_rows import (
    AliasRow,
    CarrierPassRow,
    CheckRow,
    ClockRow,
    DefectRow,
    DeviationRow,
    DispositionRow,
    EventRow,
    HeldRow,
    InspectionRow,
    LoadRow,
    MoveRow,
    RecordRow,
    TaskRow,
    TrackRow,
    ValueRow,
)
from trace.values import CLOCKS_DIFFER

EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def _all(columns: str, *, rows: str, order: str) -> str:
    """Return the scalar that is a JSON array with an array of these columns for each row; NULL without rows."""
    return f"(SELECT json_agg(json_build_array({columns}) ORDER BY {order}) FROM {rows})"


def _of(table: str, column: str, identity: str) -> str:
    """Return the JSON array that stands for a row of another table; NULL where there is none."""
    return f"(SELECT json_build_array({column}) FROM {table} WHERE id = {identity})"


_TRACKS = _all(
    f"""
    t.id, t.run_id, {_of("mes_run", "run_no", "t.run_id")}, t.step_no, t.operation_code,
    {_of("mes_station", "code", "t.station_id")}, t.source, t.attempt, t.rework_no, t.in_at, t.out_at, t.result,
    t.claimed_result, t.result_override, t.inspection_override, t.operator_in, t.operator_out, t.in_by, t.out_by,
    t.is_trial, t.is_time_doubtful, t.reported_at
    """,
    rows="execution_track t WHERE t.unit_id = u.id",
    order="t.id",
)
_RECORDS = _all(
    f"""
    d.id, d.event_id, d.event_time, d.received_at, d.source, {_of("mes_station", "code", "d.station_id")}, d.step_no,
    d.track_id, d.equipment_id, d.operator_id, d.system, d.values_count, d.judge, d.payload
    """,
    rows="integration_devicedatarecord d WHERE d.unit_id = %(unit_id)s AND d.received_at >= %(since)s",
    order="d.id",
)
_DISPOSITIONS = _all(
    """
    d.id, d.action, d.from_status, d.to_status, d.step_no, d.about_step_no, d.about_event_id, d.about_message_id,
    d.reason, d.decided_by, d.decided_at, d.approved_by, d.hold_id
    """,
    rows="execution_disposition d WHERE d.unit_id = u.id",
    order="d.id",
)
_HELD = _all(
    """
    h.id, (SELECT json_build_array(c.id, c.source, c.reason, c.scope, c.owner) FROM mes_hold c WHERE c.id = h.hold_id),
    h.held_at, h.held_by, h.ended_at, h.ended_by, h."end", h.end_reason
    """,
    rows="mes_heldunit h WHERE h.unit_id = u.id",
    order="h.id",
)
_MOVES = _all(
    f"""
    m.id, m.act, {_of("mes_run", "run_no", "m.from_run_id")}, {_of("mes_run", "run_no", "m.to_run_id")}, m.status,
    m.step_no, m.counted_as, m.reason, m.moved_by, m.moved_at
    """,
    rows="mes_unitmove m WHERE m.unit_id = u.id",
    order="m.id",
)
# Those that were approved, of the runs that it is and was in.
_DEVIATIONS = _all(
    """
    d.id, d.type, d.status, d.step_no, d.operation_code, d.station_codes, d.expires_at, d.reason, d.requested_by,
    d.approved_by, d.approved_at, d.ended_by, d.ended_at, d.end_reason
    """,
    rows="""
        execution_deviation d
        WHERE d.run_id = ANY(ARRAY(SELECT u.run_id UNION SELECT from_run_id FROM mes_unitmove WHERE unit_id = u.id))
          AND d.approved_at IS NOT NULL AND (d.unit_ids IS NULL OR u.id = ANY(d.unit_ids))
    """,
    order="d.id",
)
_EVENT = f"""
    e.id, e.dedupe_key, e.source_system, e.event_type, e.status, e.occurred_at, e.reported_at, e.received_at,
    e.recorded_by, {_of("mes_station", "code", "e.station_id")}, e.step_no, e.carrier_no, e.result, e.test_result_id,
    e.transaction_id, e.track_ids, e.carrier_track_id, e.skipped, e.unmapped_count, e.error, e.payload, e.normalized,
    e.count
"""
# The settled events that the unit has part in. They may have come before the unit existed, and were tried again.
_EVENT_KEYS = _all("event_id, received_at", rows="ingest_ingesteventunit WHERE unit_id = u.id", order="event_id")
_SETTLED_EVENTS = _all(
    _EVENT,
    rows="""
        ingest_settledingestevent e
        WHERE e.id = ANY(%(event_ids)s::bigint[]) AND e.received_at BETWEEN %(first)s AND %(last)s
    """,
    order="e.id",
)
# Those that wait or were rejected.
_OPEN_EVENTS = _all(
    _EVENT,
    rows="""
        ingest_openingestevent e
        WHERE e.blocked_unit_id = u.id OR u.id = ANY(e.unit_ids) OR e.sns @> ARRAY[u.sn]::varchar[]
    """,
    order="e.id",
)
_LOADS = _all(
    f"l.id, {_of('execution_carrier', 'carrier_no', 'l.carrier_id')}, l.position, l.loaded_at, l.unloaded_at",
    rows="execution_carrierload l WHERE l.unit_id = u.id",
    order="l.id",
)
_CARRIER_PASSES = _all(
    f"""
    p.id, p.track_id, (
        SELECT json_build_array(c.id, {_of("execution_carrier", "carrier_no", "c.carrier_id")},
                                {_of("mes_run", "run_no", "c.run_id")}, c.step_no, c.operation_code,
                                {_of("mes_station", "code", "c.station_id")}, c.in_at, c.out_at)
          FROM execution_carriertrack c WHERE c.id = p.carrier_track_id)
    """,
    rows="""
        execution_carriertrackunit p
        WHERE p.track_id = ANY(ARRAY(SELECT id FROM execution_track WHERE unit_id = u.id))
    """,
    order="p.id",
)
_CLOCKS = _all(
    f"""
    c.id, c.definition_code, {_of("mes_timeruledefinition", "name", "c.definition_id")},
    {_of("mes_run", "run_no", "c.run_id")}, c.status, c.started_at, c.warning_at, c.earliest_at, c.expires_at,
    c.ended_at, c.ending, c.decided_at, c.decided_by, c.decision_reason
    """,
    rows="mes_timeruleinstance c WHERE c.entity_type = 'UNIT' AND c.entity_id = u.sn",
    order="c.started_at, c.id",
)
_INSPECTIONS = _all(
    f"""
    i.id, i.track_id, (
        SELECT json_build_array(t.step_no, {_of("mes_station", "code", "t.station_id")})
          FROM execution_track t WHERE t.id = i.track_id),
    i.inspection_type, i.result, i.status_at, i.source, i.operator_id, i.recorded_by, i.defects
    """,
    rows="""
        execution_inspectionresult i
        WHERE i.track_id = ANY(ARRAY(SELECT id FROM execution_track WHERE unit_id = u.id))
    """,
    order="i.track_id, i.id",
)
_DEFECTS = _all(
    f"""
    d.id, d.track_id, d.inspection_id, {_of("execution_inspectionresult", "inspection_type", "d.inspection_id")},
    {_of("mes_run", "run_no", "d.run_id")}, {_of("mes_station", "code", "d.station_id")}, d.step_no, d.code,
    d.reported_code, d.source_system, d.location, d.quantity, d.remark, d.source, d.status, d.found_by, d.found_at,
    d.settled_by, d.settled_at, d.settled_reason, {SELECT_CATEGORY},
    {select_attached(DEFECT, "d.id")}
    """,
    rows="execution_defect d WHERE d.unit_id = u.id",
    order="d.id",
)
_REPAIRS = _all(
    """
    p.id, p.defect_id, (SELECT code FROM execution_defect WHERE id = p.defect_id),
    (SELECT location FROM execution_defect WHERE id = p.defect_id), p.action, p.result, p.replaced, p.remark,
    p.recorded_by, p.recorded_at
    """,
    rows="execution_repairrecord p WHERE p.task_id = k.id",
    order="p.id",
)
_TASKS = _all(
    f"""
    k.id, k.to_step_no, k.status, k.reason, k.created_by, k.created_at, k.ended_by, k.ended_at, k.end_reason,
    coalesce((SELECT json_agg(defect_id ORDER BY defect_id) FROM execution_reworktask_defects
               WHERE reworktask_id = k.id), '[]'),
    coalesce({_REPAIRS}, '[]')
    """,
    rows="execution_reworktask k WHERE k.unit_id = u.id",
    order="k.id",
)
_ITEMS = _all(
    """
    i.item_type, i.item_key, i.status, i.code, i.reason, i.evidence, (
        SELECT json_build_array(reason, waived_by, waived_at) FROM mes_readinesswaiver WHERE id = i.waiver_id)
    """,
    rows="mes_readinessitem i WHERE i.check_made_id = c.id",
    order="i.id",
)
_ALIASES = _all(
    "a.sn, a.reason, a.relabelled_by, a.relabelled_at", rows="mes_unitalias a WHERE a.unit_id = u.id", order="a.id"
)
# What was checked since does not change what the run was authorized by.
_CHECK = f"""
    (SELECT json_build_array(c.id, c.kind, c.status, c.is_authorization, c.checked_at, c.checked_by,
                             coalesce({_ITEMS}, '[]'))
       FROM (SELECT * FROM mes_readinesscheck
              WHERE run_id = r.id AND (r.authorized_at IS NULL OR (is_authorization AND status = 'PASSED'))
              ORDER BY id DESC LIMIT 1) c)
"""


FIND_CHECK = f"SELECT {_CHECK}::text FROM mes_run r WHERE r.id = ANY(ARRAY[%(run_id)s::bigint])"

_UNIT, _RUN, _ORDER = Columns(Unit, "u"), Columns(Run, "r"), Columns(WorkOrder, "o")
_LINE, _VERSION = Columns(Line, "l"), Columns(RouteVersion, "v", without=("snapshot", "errors"))
_ROUTE = Columns(Routing, "g")
_MODELS: Sequence[Columns[Any]] = (_UNIT, _RUN, _ORDER, _LINE, _VERSION, _ROUTE)
_PARTS_AT = sum(map(len, _MODELS))
_DECODE: Mapping[str, Callable[[str], Any]] = {
    _TRACKS: msgspec.json.Decoder(list[TrackRow]).decode,
    _DISPOSITIONS: msgspec.json.Decoder(list[DispositionRow]).decode,
    _HELD: msgspec.json.Decoder(list[HeldRow]).decode,
    _MOVES: msgspec.json.Decoder(list[MoveRow]).decode,
    _DEVIATIONS: msgspec.json.Decoder(list[DeviationRow]).decode,
    _EVENT_KEYS: msgspec.json.Decoder(list[tuple[int, datetime]]).decode,
    _OPEN_EVENTS: msgspec.json.Decoder(list[EventRow]).decode,
    _LOADS: msgspec.json.Decoder(list[LoadRow]).decode,
    _CARRIER_PASSES: msgspec.json.Decoder(list[CarrierPassRow]).decode,
    _CLOCKS: msgspec.json.Decoder(list[ClockRow]).decode,
    _INSPECTIONS: msgspec.json.Decoder(list[InspectionRow]).decode,
    _DEFECTS: msgspec.json.Decoder(list[DefectRow]).decode,
    _TASKS: msgspec.json.Decoder(list[TaskRow]).decode,
    _CHECK: msgspec.json.Decoder(CheckRow).decode,
    _ALIASES: msgspec.json.Decoder(list[AliasRow]).decode,
    contents.SELECT_INNER: contents.decode_inner,
}
_DECODE_RECEIVED: Mapping[str, Callable[[str], Any]] = {
    _RECORDS: msgspec.json.Decoder(list[RecordRow]).decode,
    _SETTLED_EVENTS: _DECODE[_OPEN_EVENTS],
    contents.SELECT_CONTENTS: contents.decode_contents,
    trace_levels.SELECT_BILL: trace_levels.decode_bill,
}
FIND = f"""
    SELECT {", ".join([*map(str, _MODELS), *(f"{json}::text" for json in _DECODE)])}
      FROM mes_unit u
      LEFT JOIN LATERAL (SELECT * FROM mes_workorder WHERE id = u.work_order_id LIMIT 1) o ON true
      LEFT JOIN LATERAL (SELECT * FROM mes_run WHERE id = u.run_id LIMIT 1) r ON true
      LEFT JOIN LATERAL (SELECT * FROM mes_line WHERE id = r.line_id LIMIT 1) l ON true
      LEFT JOIN LATERAL (SELECT * FROM mes_routeversion WHERE id = r.route_version_id LIMIT 1) v ON true
      LEFT JOIN LATERAL (SELECT * FROM mes_routing WHERE id = v.routing_id LIMIT 1) g ON true
     WHERE u.sn = %(sn)s
"""
FIND_RECEIVED = f"SELECT {', '.join(f'{json}::text' for json in _DECODE_RECEIVED)}"
_VALUE = ", ".join(ValueRow.__struct_fields__)
FIND_VALUES = f"""
    SELECT {_VALUE}, false AS is_of_carrier FROM execution_datavalue
     WHERE unit_id = %(unit_id)s AND received_at >= %(since)s
    UNION ALL
    SELECT {_VALUE}, true FROM execution_datavalue
     WHERE carrier_track_id = ANY(%(carrier_track_ids)s::bigint[]) AND received_at >= %(since)s
     ORDER BY collected_at, id
"""


@dataclass(frozen=True, slots=True)
class UnitRows:
    """A unit with work order, run, line, route version and route, and all rows that are its own, in order."""

    unit: Unit
    tracks: Sequence[TrackRow]
    records: Sequence[RecordRow]
    dispositions: Sequence[DispositionRow]
    moves: Sequence[MoveRow]
    deviations: Sequence[DeviationRow]
    events: Sequence[EventRow]
    loads: Sequence[LoadRow]
    carrier_passes: Sequence[CarrierPassRow]
    clocks: Sequence[ClockRow]
    inspections: Sequence[InspectionRow]
    defects: Sequence[DefectRow]
    check: CheckRow | None
    values: Sequence[ValueRow]
    carrier_values: Sequence[ValueRow]
    aliases: Sequence[AliasRow] = ()
    holds: Sequence[HeldRow] = ()
    tasks: Sequence[TaskRow] = ()
    materials: Sequence[MaterialRow] = ()
    bill: Bill | None = None


def read_unit(sn: str) -> UnitRows:
    """Read a unit by its serial number or one that it had. Raises UnitNotFound, SnUnreadable, SnIsReference. Three
    statements, whatever there is; two more by one that it had, and two in all if there is no unit.
    """
    found = fetch_all(FIND, {"sn": sn})
    if not found:
        return read_unit(find_present(sn))
    row = found[0]
    unit = _unit_of(row)
    tracks, dispositions, holds, moves, deviations, event_keys, opened, loads, passes, *others = _decoded(
        _DECODE, row[_PARTS_AT:]
    )
    clocks, inspections, defects, tasks, check, aliases, inner = others
    since = unit.created_at - CLOCKS_DIFFER  # nothing was received before it existed, but for events
    records, settled, materials, bill = _read_received(
        unit, since, dict(event_keys or ()), dispositions or (), inner or ()
    )
    values, carrier_values = _read_values(unit, since, passes or ())
    return UnitRows(
        unit=unit,
        tracks=tracks or (),
        records=records or (),
        dispositions=dispositions or (),
        moves=moves or (),
        deviations=deviations or (),
        events=[*(settled or ()), *(opened or ())],
        loads=loads or (),
        carrier_passes=passes or (),
        clocks=clocks or (),
        inspections=inspections or (),
        defects=defects or (),
        check=check,
        values=values,
        carrier_values=carrier_values,
        aliases=aliases or (),
        holds=holds or (),
        tasks=tasks or (),
        materials=contents.with_via(materials or (), unit.pk, inner or ()),
        bill=bill,
    )


def read_check(run_id: int) -> CheckRow | None:
    """Read what a run was authorized by, else its latest check; None where it was never checked. One statement."""
    ((text,),) = fetch_all(FIND_CHECK, {"run_id": run_id})
    return None if text is None else _DECODE[_CHECK](text)


def _unit_of(row: Sequence[Any]) -> Unit:
    """Return the unit that a row of FIND begins with, with what it belongs to."""
    unit: Unit
    unit, run, order, line, version, route = instances(row, *_MODELS)
    unit.work_order, unit.run = order, run
    if run is not None:
        run.line, run.route_version, version.routing = line, version, route
    return unit


def _decoded(decode: Mapping[str, Callable[[str], Any]], row: Sequence[str | None]) -> list[Any]:
    """Return what the columns of a row are in JSON, each by its own decoder; None where there is nothing."""
    return [None if text is None else read(text) for read, text in zip(decode.values(), row, strict=True)]


def _read_received(
    unit: Unit,
    since: datetime,
    event_times: Mapping[int, datetime],
    dispositions: Iterable[DispositionRow],
    inner: Sequence[InnerUnit],
) -> list[Any]:
    """Return the device data records of a unit, the settled events it has part in, what it is made of and the bill of
    materials, each None where there are none.

    Those are the applied ones, whose times are known, and those that it was held about: where such a one left the unit
    out, it may have come at any time.
    """
    about = {decision.about_event_id for decision in dispositions if decision.about_event_id is not None}
    times = event_times.values() if about <= event_times.keys() else EVER
    names = {
        "unit_id": unit.pk,
        "since": since,
        "event_ids": [*(event_times.keys() | about)],
        "first": min(times, default=since),
        "last": max(times, default=since),
        **contents.parameters(unit, inner),
        "run_id": unit.run_id,
        "product_code": unit.work_order.product_code,
    }
    (row,) = fetch_all(FIND_RECEIVED, names)
    return _decoded(_DECODE_RECEIVED, row)


def _read_values(
    unit: Unit, since: datetime, passes: Iterable[CarrierPassRow]
) -> tuple[list[ValueRow], list[ValueRow]]:
    """Return the values of a unit, and those of the carriers that it passed on, each in the order of collection."""
    carrier_track_ids = [part.carrier_track.id for part in passes]
    names = {"unit_id": unit.pk, "since": since, "carrier_track_ids": carrier_track_ids}
    of_unit: list[ValueRow] = []
    of_carriers: list[ValueRow] = []
    for *columns, is_of_carrier in fetch_all(FIND_VALUES, names, binary=True):
        (of_carriers if is_of_carrier else of_unit).append(ValueRow(*columns))
    return of_unit, of_carriers
