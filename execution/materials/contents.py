"""What units are made of: SQL that other statements select it with, or that is run alone."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from execution.materials.definition import (
    IS_LISTED,
    ITEMS,
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
from mes.platform.database.prepared import fetch_all
from mes.production.models import Unit

CLOCKS_DIFFER = timedelta(days=1)  # of web servers: what was received and what was made may be stamped by two


class MaterialRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Something that is in a unit, or served to make it. Its `kind` is LOT, TOOL, PROGRAM or SERIAL.

    `listed_code` is the material that the set-up list wants in the slot, `via` the serial number of the inner unit that
    it is in, None for what is in the unit itself.
    """

    unit_id: int
    kind: str
    track_id: int | None
    step_no: int | None
    station_code: str | None
    slot: str
    material_code: str | None
    lot_id: str | None
    supplier_lot: str
    date_code: str
    tool_id: str | None
    program: str
    serial: str | None
    ref_des: list[str]
    certainty: str
    verify: str
    since: datetime
    until: datetime | None
    load_id: int | None
    listed_code: str | None
    via: str | None = None

    @property
    def is_possible(self) -> bool:
        """Whether it is one of several that stood in the slot."""
        return self.certainty == POSSIBLE


_SINCE = "{}.received_at >= %(uses_since)s::timestamptz"
_IS_REPLACED = is_replaced("l.lot_id", received=_SINCE.format("m"))
# Several in a slot at a pass: each may be in the unit.
_ALONE = f"""
    CASE WHEN min({thing("l")}) OVER slot = max({thing("l")}) OVER slot THEN '{SINGLE}' ELSE '{POSSIBLE}' END"""
# Each LATERAL is fenced by OFFSET 0: loads are looked for pass by pass, by the index of their place and time.
_DERIVED = f"""
    SELECT l.unit_id,
           CASE WHEN l.lot_id IS NOT NULL THEN 'LOT' WHEN l.tool_id IS NOT NULL THEN 'TOOL' ELSE 'PROGRAM' END AS kind,
           l.pass_id AS track_id, l.step_no, l.at_station_id AS station_id, l.slot,
           (SELECT material_id FROM mes_materiallot WHERE id = l.lot_id) AS material_id, l.lot_id,
           coalesce(l.tool_id, l.feeder_id) AS tool_id, l.program, NULL::text AS serial, l.ref_des, l.certainty,
           l.verify, l.loaded_at AS since, l.ended_at AS until, l.id AS load_id, l.listed_id
      FROM (
        SELECT l.*, p.unit_id, p.id AS pass_id, p.step_no, p.run_id, p.station_id AS at_station_id, item.ref_des,
               item.material_id AS listed_id, {_ALONE} AS certainty, {_IS_REPLACED} AS is_replaced
          FROM passes p
          CROSS JOIN LATERAL (
            SELECT l.* FROM mes_load l WHERE {at_station("l", "p.station_id")} AND {stood("l")} && p.lasted
             UNION ALL
            SELECT l.* FROM mes_load l
             WHERE {at_line("l", "p.print_line_id")} AND l.slot IN {SLOTS_OF_LINE} AND {stood("l")} && p.lasted
             OFFSET 0) l
          LEFT JOIN LATERAL (SELECT i.ref_des, i.material_id FROM {ITEMS} ORDER BY b.lasted DESC LIMIT 1) item ON true
         WHERE {IS_LISTED}
        WINDOW slot AS (PARTITION BY p.id, l.station_id, l.line_id, l.slot)
      ) l
     WHERE NOT l.is_replaced"""
_REPORTED = f"""
    SELECT m.unit_id, CASE WHEN m.lot_id IS NOT NULL THEN 'LOT' ELSE 'TOOL' END, m.track_id,
           (SELECT step_no FROM execution_track WHERE id = m.track_id), m.station_id, m.slot,
           coalesce((SELECT material_id FROM mes_materiallot WHERE id = m.lot_id), m.material_id), m.lot_id, m.tool_id,
           '', NULL, CASE WHEN m.ref_des = '' THEN ARRAY[]::varchar[] ELSE ARRAY[m.ref_des] END, '{REPORTED}', '',
           m.used_at, NULL, NULL, NULL
      FROM execution_materialuse m
     WHERE m.unit_id = ANY(%(made_of)s::bigint[]) AND {_SINCE.format("m")}
       AND {is_in(received=_SINCE.format("gone"))}"""
_INSTALLED = f"""
    SELECT s.unit_id, 'SERIAL', s.track_id, (SELECT step_no FROM execution_track WHERE id = s.track_id), s.station_id,
           '', s.material_id, NULL, NULL, '', s.serial,
           CASE WHEN s.ref_des = '' THEN ARRAY[]::varchar[] ELSE ARRAY[s.ref_des] END, '{REPORTED}', '', s.installed_at,
           NULL, NULL, NULL
      FROM execution_installedserial s WHERE s.unit_id = ANY(%(made_of)s::bigint[]) AND s.removed_at IS NULL"""
# A scalar: a JSON array of `MaterialRow`s of the units `made_of`, in the order of their passes; NULL without any.
SELECT_CONTENTS = f"""(
    WITH passes AS MATERIALIZED (
        SELECT {PASS} FROM execution_track t WHERE t.unit_id = ANY(%(made_of)s::bigint[])
    )
    SELECT json_agg(json_build_array(
               x.unit_id, x.kind, x.track_id, x.step_no, (SELECT code FROM mes_station WHERE id = x.station_id), x.slot,
               (SELECT code FROM mes_material WHERE id = x.material_id), k.lot_id, coalesce(k.supplier_lot, ''),
               coalesce(k.date_code, ''), (SELECT tool_id FROM mes_tool WHERE id = x.tool_id), x.program, x.serial,
               coalesce(x.ref_des, ARRAY[]::varchar[]), x.certainty, x.verify, x.since, x.until, x.load_id,
               (SELECT code FROM mes_material WHERE id = x.listed_id))
           ORDER BY x.unit_id, x.track_id, x.slot, x.since, x.load_id)
      FROM ({_DERIVED} UNION ALL {_REPORTED} UNION ALL {_INSTALLED}) x
      LEFT JOIN mes_materiallot k ON k.id = x.lot_id)"""
decode_contents = msgspec.json.Decoder(list[MaterialRow]).decode


class InnerUnit(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A unit that is installed in another, or in one that is."""

    id: int
    sn: str
    created_at: datetime


# A scalar: a JSON array of the `InnerUnit`s of a unit `u`, at any depth; UNION ends it where there is a circle.
SELECT_INNER = """(
    WITH RECURSIVE inner_unit(id) AS (
        SELECT s.child_id FROM execution_installedserial s
         WHERE s.unit_id = u.id AND s.removed_at IS NULL AND s.child_id IS NOT NULL
         UNION
        SELECT s.child_id FROM inner_unit i JOIN execution_installedserial s ON s.unit_id = i.id
         WHERE s.removed_at IS NULL AND s.child_id IS NOT NULL
    )
    SELECT json_agg(json_build_array(n.id, n.sn, n.created_at) ORDER BY n.id)
      FROM inner_unit i JOIN mes_unit n ON n.id = i.id)"""
decode_inner = msgspec.json.Decoder(list[InnerUnit]).decode


def parameters(unit: Unit, inner: Iterable[InnerUnit]) -> dict[str, Any]:
    """Return the parameters of `SELECT_CONTENTS` for a unit with those in it: nothing was reported of any of them
    before it existed.
    """
    within = list(inner)
    return {
        "made_of": [unit.pk, *(each.id for each in within)],
        "uses_since": min([unit.created_at, *(each.created_at for each in within)]) - CLOCKS_DIFFER,
        **tolerances(),
    }


def with_via(rows: Sequence[MaterialRow], unit_id: int, inner: Iterable[InnerUnit]) -> list[MaterialRow]:
    """Return what was read of a unit and those in it: what is in an inner one tells so."""
    sns = {unit.id: unit.sn for unit in inner}
    own = [row for row in rows if row.unit_id == unit_id]
    return own + [msgspec.structs.replace(row, via=sns[row.unit_id]) for row in rows if row.unit_id in sns]


def read_contents(unit: Unit) -> list[MaterialRow]:
    """Read what is in a unit, and in those that are in it. Two statements."""
    ((found,),) = fetch_all(
        f"SELECT {SELECT_INNER}::text FROM mes_unit u WHERE u.id = %(unit_id)s", {"unit_id": unit.pk}
    )
    inner = decode_inner(found) if found else []
    ((text,),) = fetch_all(f"SELECT {SELECT_CONTENTS}::text", parameters(unit, inner))
    return with_via(decode_contents(text) if text else [], unit.pk, inner)
