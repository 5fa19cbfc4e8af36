"""Writing moves: one statement, however many units move."""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from execution import hooks
from execution.data import values
from execution.models import Track
from execution.moves import Move
from execution.quality.holds import records
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.outbox import emit
from mes.production import runs

_TRACK_TYPES = {
    "run_id": "bigint",
    "step_no": "integer",
    "operation_code": "text",
    "station_id": "bigint",
    "source": "text",
    "attempt": "smallint",
    "rework_no": "smallint",
    "in_at": "timestamptz",
    "operator_in": "text",
    "in_by": "text",
    "is_trial": "boolean",
    "is_entry_inferred": "boolean",
}
_CLOSING_TYPES = {
    "out_at": "timestamptz",
    "result": "text",
    "claimed_result": "text",
    "result_override": "text",
    "inspection_override": "boolean",
    "operator_out": "text",
    "out_by": "text",
    "is_time_doubtful": "boolean",
    "reported_at": "timestamptz",
}
_DEFECT_TYPES = {
    "unit_id": "bigint",
    "run_id": "bigint",
    "track_id": "bigint",
    "station_id": "bigint",
    "inspection_id": "bigint",
    "step_no": "integer",
    "rework_no": "smallint",
    "code": "text",
    "reported_code": "text",
    "source_system": "text",
    "location": "text",
    "quantity": "integer",
    "remark": "text",
    "source": "text",
    "status": "text",
    "found_by": "text",
    "found_at": "timestamptz",
    "settled_by": "text",
    "settled_at": "timestamptz",
    "settled_reason": "text",
}
_UNIT_TYPES = {"status": "text", "held_from": "text", "hold_reason": "text", "current_step_no": "integer"}
_GIVEN_TYPES = {
    "track_id": "bigint",
    "unit_id": "bigint",
    "is_entry": "boolean",
    "values_source": "text",
    "values_operator": "text",
    "values_by": "text",
    "rows": "jsonb",
    **_TRACK_TYPES,
    **_CLOSING_TYPES,
    **{f"unit_{name}": kind for name, kind in _UNIT_TYPES.items()},
}

# A track that is entered and left at once is written closed; a unit that is done leaves its carrier. To be embedded in
# the statement of who moves units for a reason that is written along.
CTES = f"""
    moved AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(%(moves)s::jsonb)
            AS m({", ".join(f"{name} {kind}" for name, kind in _GIVEN_TYPES.items())})
    ), opened AS (
        INSERT INTO execution_track (id, unit_id, created_at, {", ".join([*_TRACK_TYPES, *_CLOSING_TYPES])})
        SELECT track_id, unit_id, %(now)s, {", ".join([*_TRACK_TYPES, *_CLOSING_TYPES])} FROM moved WHERE is_entry
    ), closed AS (
        UPDATE execution_track t SET {", ".join(f"{name} = m.{name}" for name in _CLOSING_TYPES)}
          FROM moved m
         WHERE t.id = m.track_id AND t.id = ANY(ARRAY(SELECT track_id FROM moved WHERE NOT is_entry))
    ), units AS (
        UPDATE mes_unit u SET {", ".join(f"{name} = m.unit_{name}" for name in _UNIT_TYPES)}, updated_at = %(now)s
          FROM moved m WHERE u.id = m.unit_id AND u.id = ANY(ARRAY(SELECT unit_id FROM moved))
    ), unloaded AS (
        UPDATE execution_carrierload SET unloaded_at = GREATEST(loaded_at, %(now)s)
         WHERE unloaded_at IS NULL
           AND unit_id = ANY(ARRAY(SELECT unit_id FROM moved WHERE 'DONE' IN (unit_status, unit_held_from)))
    ), owners AS (
        SELECT NULL::bigint AS record_id, NULL::bigint AS carrier_track_id, %(now)s::timestamptz AS received_at,
               values_source AS source, values_operator AS operator,
               COALESCE(NULLIF(values_by, ''), CASE WHEN out_at IS NULL THEN in_by ELSE out_by END) AS recorded_by,
               unit_id, run_id, track_id, station_id, step_no, operation_code, rows
          FROM moved WHERE rows IS NOT NULL
    ), found AS (
        INSERT INTO execution_defect (created_at, {", ".join(_DEFECT_TYPES)})
        SELECT %(now)s, {", ".join(_DEFECT_TYPES)} FROM jsonb_to_recordset(%(defects)s::jsonb)
            AS d({", ".join(f"{name} {kind}" for name, kind in _DEFECT_TYPES.items())})
    ), passed AS (
        UPDATE execution_defect d SET status = 'NO_FAULT_FOUND', settled_at = %(now)s, settled_by = p.settled_by
          FROM jsonb_to_recordset(%(passed_defects)s::jsonb) AS p(id bigint, settled_by text)
         WHERE d.id = p.id AND d.id = ANY(ARRAY(
            SELECT (given ->> 'id')::bigint FROM jsonb_array_elements(%(passed_defects)s::jsonb) AS given))
           AND d.status = 'OPEN'
    ), stored AS ({values.INSERT_ROWS}
    ), told AS ({emit.INSERT_EVENTS})
"""
WRITE = f"WITH {CTES} {emit.COMPLETED_AT_ONCE}"


def write(
    decided: Sequence[Move],
    *,
    now: datetime,
    statement: str = WRITE,
    parameters: Mapping[str, Any] | None = None,
    watched: Container[int] | None = None,
) -> None:
    """Write moves in the caller's transaction, and whatever `statement` writes along; announce them after the commit.

    It ends with `emit.COMPLETED_AT_ONCE`. An authorized run is started by the first of its moves that enters. `watched`
    are the units for which open events wait, where the caller knows.
    """
    emit.check_transaction()
    for move in decided:
        if move.is_entry:
            runs.start(move.track.run, at=move.track.in_at)
    [[completed_types]] = fetch_all(
        emit.with_interest(statement),
        {
            "moves": as_json([_row(move) for move in decided]),
            "events": as_json(emit.to_rows([event for move in decided for event in move.events])),
            "defects": as_json([_columns(defect, _DEFECT_TYPES) for move in decided for defect in move.defects]),
            "passed_defects": as_json(
                [{"id": pk, "settled_by": move.track.out_by[:150]} for move in decided for pk in move.passed_defect_ids]
            ),
            "now": now,
            **(parameters or {}),
        },
    )
    emit.count_at_once(completed_types)
    if dispositions := [disposition for move in decided for disposition in move.dispositions]:
        records.write(dispositions)
    for move in decided:
        if watched is None or move.unit.pk in watched:
            hooks.announce(move.unit.pk)


def _row(move: Move) -> dict[str, Any]:
    track: Track = move.track
    row: dict[str, Any] = {
        "track_id": track.pk,
        "unit_id": move.unit.pk,
        "is_entry": move.is_entry,
        "values_source": move.values_source,
        "values_operator": move.values_operator,
        "values_by": move.values_by,
        "rows": values.to_rows(move.judged) if move.judged else None,
    }
    row |= _columns(track, (*_TRACK_TYPES, *_CLOSING_TYPES))
    for name in _UNIT_TYPES:
        row[f"unit_{name}"] = getattr(move.unit, name)
    return row


def _columns(row: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
