"""How far a unit can be traced, by the levels of IPC-1782, against the bill of materials of its product. Pure but for
the SQL that selects the bill.

1: a lot of each part stood in a slot of the run. 2: each part is in the unit, perhaps as one of several lots. 3: none
is one of several, and each has the supplier's lot or date code. 4: what is at each designator was reported.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from execution.materials.contents import MaterialRow
from execution.materials.definition import REPORTED, at_station, stood
from mes.line_setup.loads.models import Verify

HIGHEST = 4


class Part(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A part of the product, its designators, and whether a lot of it stood in a slot of the run."""

    code: str
    ref_des: list[str]
    is_in_run: bool


class Bill(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the product says: the level that it declares, and its parts."""

    declared: int | None
    parts: list[Part]


# A scalar: the `Bill` of the product of a unit; NULL where it is no material. The slots of a run are those of its
# lists, without a list those of its line's stations.
SELECT_BILL = f"""(
    SELECT json_build_array(m.trace_level, coalesce((
             SELECT json_agg(json_build_array(c.code, b.ref_des, coalesce(b.child_id = ANY(ARRAY(
                        SELECT unnest(ARRAY[i.material_id, k.material_id])
                          FROM mes_run r
                          JOIN LATERAL (
                            SELECT i.station_id, i.slot, i.material_id
                              FROM mes_runsetuplist s JOIN mes_setupitem i ON i.set_up_list_id = s.set_up_list_id
                             WHERE s.run_id = r.id
                             UNION ALL
                            SELECT s.id, NULL, NULL FROM mes_station s
                             WHERE s.line_id = r.line_id
                               AND NOT EXISTS (SELECT FROM mes_runsetuplist WHERE run_id = r.id)) i ON true
                          JOIN LATERAL (
                            SELECT l.lot_id FROM mes_load l
                             WHERE {at_station("l", "i.station_id")} AND (i.slot IS NULL OR l.slot = i.slot)
                               AND {stood("l")} && tstzrange(coalesce(r.started_at, r.authorized_at, r.created_at),
                                                             r.ended_at, '[]')) l ON true
                          JOIN mes_materiallot k ON k.id = l.lot_id
                         WHERE r.id = %(run_id)s::bigint)), false)) ORDER BY c.code)
               FROM mes_bomitem b JOIN mes_material c ON c.id = b.child_id WHERE b.parent_id = m.id), '[]'))
      FROM mes_material m WHERE m.code = %(product_code)s)"""
decode_bill = msgspec.json.Decoder(Bill).decode


@dataclass(frozen=True)
class Missing:
    """Why a level is not reached."""

    level: int
    code: str
    material_code: str | None = None
    ref_des: str | None = None


@dataclass(frozen=True)
class Traceability:
    """The level that is meant, the highest that holds with all below, and what is missing for the next."""

    declared: int | None
    reached: int
    missing: Sequence[Missing]


def judge(bill: Bill | None, rows: Iterable[MaterialRow]) -> Traceability:
    """Return how far a unit can be traced; `rows` are what is in it, those in inner units left aside."""
    if bill is None or not bill.parts:
        return Traceability(None if bill is None else bill.declared, 0, [Missing(1, "NO_BOM")])
    own = [row for row in rows if row.via is None]
    for level, find in enumerate(_LEVELS, start=1):
        missing = [Missing(level, *reason) for part in bill.parts for reason in find(part, _of(part, own))]
        if missing:
            return Traceability(bill.declared, level - 1, missing)
    return Traceability(bill.declared, HIGHEST, [])


def _of(part: Part, rows: Iterable[MaterialRow]) -> list[MaterialRow]:
    """Return what is in the unit of a part, or in its place as the list allows it."""
    parts = [row for row in rows if row.kind in ("LOT", "SERIAL")]
    return [
        row
        for row in parts
        if part.code == row.material_code or (part.code == row.listed_code and row.verify != Verify.WRONG_PART)
    ]


def _not_in_run(part: Part, rows: Sequence[MaterialRow]) -> Iterator[tuple[Any, ...]]:
    if not rows and not part.is_in_run:
        yield "NOT_IN_RUN", part.code


def _not_in_unit(part: Part, rows: Sequence[MaterialRow]) -> Iterator[tuple[Any, ...]]:
    if not rows:
        yield "NOT_IN_UNIT", part.code


def _not_exact(part: Part, rows: Sequence[MaterialRow]) -> Iterator[tuple[Any, ...]]:
    if any(row.is_possible for row in rows):
        yield "ONE_OF_SEVERAL", part.code
    if any(row.kind == "LOT" and not (row.supplier_lot or row.date_code) for row in rows):
        yield "NO_SUPPLIER_LOT", part.code


def _not_reported(part: Part, rows: Sequence[MaterialRow]) -> Iterator[tuple[Any, ...]]:
    reported = [row for row in rows if row.certainty == REPORTED]
    if not part.ref_des and not reported:
        yield "NOT_REPORTED", part.code
    told = {ref_des for row in reported for ref_des in row.ref_des}
    for ref_des in part.ref_des:
        if ref_des not in told:
            yield "NOT_REPORTED", part.code, ref_des


_LEVELS: Sequence[Callable[[Part, Sequence[MaterialRow]], Iterator[tuple[Any, ...]]]] = (
    _not_in_run,
    _not_in_unit,
    _not_exact,
    _not_reported,
)
