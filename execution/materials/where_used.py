"""Which units something is in: SQL over the loads, the reports and the installed serial numbers that name it.

Passes are looked for load by load, by the index of the station and the end: what was in a station for a day at most
ended within a day of the load. The few that are longer, or open, have an index of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from execution.materials.definition import (
    IS_LISTED,
    PASS,
    POSSIBLE,
    REPORTED,
    SINGLE,
    SLOTS_OF_LINE,
    at_line,
    at_station,
    is_in,
    is_replaced,
    stood,
    thing,
    tolerances,
)

_OPEN, _LONG = "t.out_at IS NULL", "(t.out_at - t.in_at) > interval '24:00'"
_MOST = "(interval '24:00' + %(pass_window)s::interval + %(tolerance)s::interval)"


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What is looked for, by the ids of its rows; one of them is given, or none where nothing is known of it."""

    lot_ids: Sequence[int] = ()
    tool_ids: Sequence[int] = ()
    programs: Sequence[str] = ()
    serials: Sequence[str] = ()
    child_ids: Sequence[int] = ()  # the units that the serial numbers are or were of


@dataclass(frozen=True, kw_only=True)
class Passes:
    """Which passes count: conditions in SQL on a track `t`, and on a report or installed part `m` that has no pass."""

    of_track: Sequence[str] = ()
    without_track: Sequence[str] = ()


def _others(load: str, place: str) -> str:
    """Return the times in which something else stood in the slot of a load, as far as passes of a day meet both."""
    return f"""
        (SELECT range_agg({stood("o")}) FROM mes_load o
          WHERE {place} AND o.slot = {load}.slot AND {thing("o")} <> {thing(load)}
            AND {stood("o")} && tstzrange({load}.loaded_at - {_MOST}, {load}.ended_at + {_MOST}))"""


_ELSE = f"o.slot = l.slot AND {thing('o')} <> l.thing AND {stood('o')} && p.lasted"
_IS_SHARED_FOR_LONG = f"""
    (EXISTS (SELECT FROM mes_load o WHERE {at_station("o", "l.station_id")} AND {_ELSE})
     OR EXISTS (SELECT FROM mes_load o WHERE {at_line("o", "l.line_id")} AND {_ELSE}))"""
# Whether anything was ever reported that may stand in the place of a load: where nothing was, no pass is asked.
_IS_REPORTED_THERE = """
    EXISTS (SELECT FROM execution_materialuse m
             WHERE (l.station_id IS NULL OR m.station_id = l.station_id)
               AND (m.slot = l.slot
                    OR m.slot = ''
                    AND m.material_id = (SELECT material_id FROM mes_materiallot WHERE id = l.lot_id)))"""


def select_base(passes: Passes) -> str:
    """Return the SELECT of what holds what is sought itself: `unit_id, station_id, slot, lot_id, tool_id, program,
    serial, certainty`, as often as it does.
    """
    of_track = "".join(f" AND {condition}" for condition in passes.of_track)
    narrow = ["m.track_id IS NULL", *passes.without_track]
    reported_at = "true"
    if passes.of_track:
        reported_at = f"""
            (EXISTS (SELECT FROM execution_track t WHERE t.id = m.track_id AND t.unit_id = m.unit_id{of_track})
             OR {" AND ".join(narrow)})"""
    found = f"""
        SELECT l.id AS load_id, p.* FROM placed l CROSS JOIN LATERAL (
            SELECT {PASS} FROM execution_track t WHERE t.station_id = l.at_station_id AND {{}}{of_track} OFFSET 0
        ) p WHERE l.stood && p.lasted AND (l.line_id IS NULL OR l.line_id = p.print_line_id)"""
    short = found.format(f"""
        t.out_at >= lower(l.stood) - {_MOST} AND t.out_at <= coalesce(upper(l.stood), 'infinity') + {_MOST}
        AND NOT ({_LONG})""")
    return f"""
    WITH sought AS MATERIALIZED (
        SELECT l.id, l.station_id, l.line_id, l.slot, l.lot_id, coalesce(l.tool_id, l.feeder_id) AS tool_id, l.program,
               {stood("l")} AS stood, {thing("l")} AS thing,
               CASE WHEN l.line_id IS NULL THEN {_others("l", at_station("o", "l.station_id"))}
                    ELSE {_others("l", at_line("o", "l.line_id"))} END AS others,
               {_IS_REPORTED_THERE} AS is_reported_there
          FROM mes_load l
         WHERE l.lot_id = ANY(%(lot_ids)s::bigint[]) OR l.tool_id = ANY(%(tool_ids)s::bigint[])
            OR l.feeder_id = ANY(%(tool_ids)s::bigint[]) OR l.program = ANY(%(programs)s::varchar[]) AND l.program <> ''
    ), placed AS MATERIALIZED (
        SELECT id, station_id AS at_station_id, line_id, stood FROM sought WHERE line_id IS NULL
         UNION ALL
        SELECT l.id, s.id, l.line_id, l.stood FROM sought l CROSS JOIN mes_station s
         WHERE l.line_id IS NOT NULL AND l.slot IN {SLOTS_OF_LINE}
    ), short AS ({short}), long AS ({found.format(_LONG)} UNION ALL {found.format(_OPEN)})
    SELECT p.unit_id, p.station_id, l.slot, l.lot_id, l.tool_id, l.program, NULL::text AS serial,
           CASE WHEN l.others && p.lasted THEN '{POSSIBLE}' ELSE '{SINGLE}' END AS certainty
      FROM short p JOIN sought l ON l.id = p.load_id
     WHERE {IS_LISTED} AND NOT (l.is_reported_there AND {is_replaced("l.lot_id")})
     UNION ALL
    SELECT p.unit_id, p.station_id, l.slot, l.lot_id, l.tool_id, l.program, NULL,
           CASE WHEN {_IS_SHARED_FOR_LONG} THEN '{POSSIBLE}' ELSE '{SINGLE}' END
      FROM long p JOIN sought l ON l.id = p.load_id
     WHERE {IS_LISTED} AND NOT (l.is_reported_there AND {is_replaced("l.lot_id")})
     UNION ALL
    SELECT m.unit_id, m.station_id, m.slot, m.lot_id, m.tool_id, '', NULL, '{REPORTED}'
      FROM execution_materialuse m
     WHERE (m.lot_id = ANY(%(lot_ids)s::bigint[]) OR m.tool_id = ANY(%(tool_ids)s::bigint[]))
       AND {is_in()} AND {reported_at}
     UNION ALL
    SELECT m.unit_id, m.station_id, '', NULL, NULL, '', m.serial, '{REPORTED}'
      FROM (SELECT s.*, s.installed_at AS used_at FROM execution_installedserial s
             WHERE s.removed_at IS NULL
               AND (s.serial = ANY(%(serials)s::varchar[]) OR s.child_id = ANY(%(child_ids)s::bigint[]))) m
     WHERE {reported_at}"""


# Beside each unit that holds it, the units that this one is in, at any depth; UNION ends it where there is a circle.
_CLIMB = """
    outer_unit(inner_id, unit_id) AS (
        SELECT s.child_id, s.unit_id FROM execution_installedserial s
         WHERE s.removed_at IS NULL AND s.child_id = ANY(ARRAY(SELECT DISTINCT unit_id FROM held))
         UNION
        SELECT o.inner_id, s.unit_id FROM outer_unit o JOIN execution_installedserial s ON s.child_id = o.unit_id
         WHERE s.removed_at IS NULL
    )"""


def select_units(passes: Passes) -> str:
    """Return the SELECT of the ids of the units that hold what is sought, themselves or by a unit in them."""
    return f"""
    WITH RECURSIVE held AS MATERIALIZED ({select_base(passes)}), {_CLIMB}
    SELECT unit_id FROM held UNION SELECT unit_id FROM outer_unit"""


def select_rows(passes: Passes) -> str:
    """Return the statement's beginning whose `found` has a row for each unit, place and thing: `via_id` is the inner
    unit that it is in, NULL for the unit itself; `rank` is 1 where it is POSSIBLE, 2 SINGLE, 3 REPORTED.
    """
    return f"""
    WITH RECURSIVE held AS MATERIALIZED (
        SELECT unit_id, station_id, slot, lot_id, tool_id, program, serial,
               max(CASE certainty WHEN '{REPORTED}' THEN 3 WHEN '{SINGLE}' THEN 2 ELSE 1 END) AS rank
          FROM ({select_base(passes)}) base
         GROUP BY unit_id, station_id, slot, lot_id, tool_id, program, serial
    ), {_CLIMB}, found AS MATERIALIZED (
        SELECT h.*, NULL::bigint AS via_id FROM held h
         UNION ALL
        SELECT o.unit_id, h.station_id, h.slot, h.lot_id, h.tool_id, h.program, h.serial, h.rank, h.unit_id
          FROM outer_unit o JOIN held h ON h.unit_id = o.inner_id AND o.unit_id <> h.unit_id
    )"""


CERTAINTY = {1: POSSIBLE, 2: SINGLE, 3: REPORTED}


def parameters(sought: Sought) -> dict[str, Any]:
    """Return the parameters of a statement."""
    return {
        "lot_ids": list(sought.lot_ids),
        "tool_ids": list(sought.tool_ids),
        "programs": list(sought.programs),
        "serials": list(sought.serials),
        "child_ids": list(sought.child_ids),
        **tolerances(),
    }


_INNER_OF = """
    WITH RECURSIVE inner_unit(id) AS (
        SELECT unnest(%(unit_ids)s::bigint[])
         UNION
        SELECT s.child_id FROM inner_unit i JOIN execution_installedserial s ON s.unit_id = i.id
         WHERE s.removed_at IS NULL AND s.child_id IS NOT NULL
    ) SELECT id FROM inner_unit"""
_OUTER_OF = """
    WITH RECURSIVE outer_unit(id) AS (
        SELECT unnest(%(unit_ids)s::bigint[])
         UNION
        SELECT s.unit_id FROM outer_unit o JOIN execution_installedserial s ON s.child_id = o.id
         WHERE s.removed_at IS NULL
    ) SELECT id FROM outer_unit"""


def list_inner(unit_ids: Sequence[int]) -> list[int]:
    """Return units with those that are in them, at any depth."""
    return _list(_INNER_OF, unit_ids)


def list_outer(unit_ids: Sequence[int]) -> list[int]:
    """Return units with those that they are in, at any depth."""
    return _list(_OUTER_OF, unit_ids)


def _list(statement: str, unit_ids: Sequence[int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"unit_ids": list(unit_ids)})
        return sorted(unit_id for (unit_id,) in cursor.fetchall())
