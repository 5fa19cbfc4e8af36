"""Where something was used: a page of units with the counts of all, all of them row by row, and holding them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection, transaction
from django.utils.translation import gettext as _

from execution.materials import criterion
from execution.materials.where_used import CERTAINTY, select_rows, select_units
from execution.quality.holds import matching, services
from execution.quality.holds.condition import Condition, build, resolve
from execution.quality.holds.services import Done
from mes import errors
from mes.plant.models import Station
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.envelope import camel_case
from mes.platform.http.tables import Table
from mes.production.models import UnitStatus

FETCHED = 2000  # rows at a time, of all
PARTS = (*criterion.NAMES, "station_code", "since", "until")


class Use(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A unit, and where something that was looked for came into it. `via` is the inner unit that it is in."""

    unit_id: int
    sn: str
    run_no: str | None
    status: str
    station_code: str | None
    slot: str
    lot_id: str | None
    material_code: str | None
    supplier_lot: str | None
    date_code: str | None
    tool_id: str | None
    program: str
    serial: str | None
    rank: int
    via: str | None

    @property
    def certainty(self) -> str:
        """How sure it is."""
        return CERTAINTY[self.rank]


@dataclass(frozen=True)
class Page:
    """Some units and the counts of all: of `certain` ones one thing at least is SINGLE or REPORTED."""

    units: int
    certain: int
    possible: int
    rows: list[Use]
    after: int | None


def read_condition(given: Mapping[str, Any]) -> Condition:
    """Return what is asked, by attribute, as a condition of units. Raises ValidationFailed, and what is not there:
    LotNotFound, MaterialNotFound, ToolNotFound, StationNotFound.
    """
    parts = {name: given.get(name) for name in PARTS}
    looked_for = criterion.Criterion(**{name: parts[name] for name in criterion.NAMES})
    if problems := criterion.find_problems(looked_for):
        raise errors.ValidationFailed({camel_case(name): problem for name, problem in problems.items()})
    since, until = parts["since"], parts["until"]
    if since is not None and until is not None and since >= until:
        raise errors.ValidationFailed({"from": _("Must lie before “to”.")})
    criterion.find(looked_for)
    if parts["station_code"] is not None:
        get_or_raise(Station.objects, errors.StationNotFound, code=parts["station_code"])
    return build(parts)


_USES = """
    SELECT f.unit_id, u.sn, r.run_no, u.status, s.code AS station_code, f.slot, k.lot_id, m.code AS material_code,
           k.supplier_lot, k.date_code, o.tool_id, f.program, f.serial, f.rank, v.sn AS via
      FROM {found} f JOIN mes_unit u ON u.id = f.unit_id
      LEFT JOIN mes_run r ON r.id = u.run_id
      LEFT JOIN mes_station s ON s.id = f.station_id
      LEFT JOIN mes_materiallot k ON k.id = f.lot_id
      LEFT JOIN mes_material m ON m.id = k.material_id
      LEFT JOIN mes_tool o ON o.id = f.tool_id
      LEFT JOIN mes_unit v ON v.id = f.via_id
     ORDER BY f.unit_id DESC, s.code, f.slot, k.lot_id, o.tool_id, f.serial, v.sn"""
_PAGE = f"""
    , page AS (
        SELECT DISTINCT unit_id FROM found
         WHERE %(after)s::bigint IS NULL OR unit_id < %(after)s ORDER BY unit_id DESC LIMIT %(size)s + 1
    ), shown AS (SELECT f.* FROM found f WHERE f.unit_id IN (SELECT unit_id FROM page))
    SELECT (SELECT json_build_array(count(*), count(*) FILTER (WHERE rank > 1))
              FROM (SELECT max(rank) AS rank FROM found GROUP BY unit_id) counted)::text,
           (SELECT json_agg(json_build_array(
                       unit_id, sn, run_no, status, station_code, slot, lot_id, material_code, supplier_lot, date_code,
                       tool_id, program, serial, rank, via))
              FROM ({_USES.format(found="shown")}) x)::text"""
_decode = msgspec.json.Decoder(list[Use]).decode


def read_page(condition: Condition, *, size: int, after: int | None = None) -> Page:
    """Return so many units, the newest first, those before `after`, with all their rows; and the counts of all. One
    statement beside those that look up what is asked.
    """
    statement = select_rows(matching.passes_of(condition)) + _PAGE
    with connection.cursor() as cursor:
        cursor.execute(statement, {**_parameters(condition), "after": after, "size": size})
        [[counts, shown]] = cursor.fetchall()
    units, certain = msgspec.json.decode(counts)
    rows = [] if shown is None else _decode(shown)
    ids = list(dict.fromkeys(row.unit_id for row in rows))
    if len(ids) > size:
        rows = [row for row in rows if row.unit_id != ids[-1]]
    return Page(units, certain, units - certain, rows, ids[size - 1] if len(ids) > size else None)


def walk(condition: Condition) -> Iterator[Use]:
    """Yield all rows, fetched in parts: the database keeps what is yet to come."""
    statement = select_rows(matching.passes_of(condition)) + _USES.format(found="found")
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(statement, _parameters(condition))
        while rows := cursor.fetchmany(FETCHED):
            yield from (Use(*row) for row in rows)


def _parameters(condition: Condition) -> dict[str, Any]:
    return matching.parameters_of(condition, resolve(condition))


def as_table(condition: Condition) -> Table:
    """Return all rows as a table."""
    heads = [
        _("Unit"), _("Run"), _("Status"), _("Station"), _("Slot"), _("Lot"), _("Material"), _("Supplier's lot"),
        _("Date code"), _("Tool"), _("Program"), _("Serial number of a part"), _("Certainty"), _("In unit"),
    ]  # fmt: skip
    return heads, (
        [
            row.sn, row.run_no, row.status, row.station_code, row.slot, row.lot_id, row.material_code, row.supplier_lot,
            row.date_code, row.tool_id, row.program, row.serial, row.certainty, row.via,
        ]
        for row in walk(condition)
    )  # fmt: skip


_SCRAPPED = f"""
    SELECT count(*) FROM mes_unit u WHERE u.status = '{UnitStatus.SCRAPPED}' AND u.id IN ({{units}})"""


def hold(
    condition: Condition, *, expected_count: int, reason: str, by: str, owner: str = "", catches: bool | None = None
) -> Done:
    """Hold the units that are found, as many as were seen; a scrapped one counts, and is held by nothing.

    Raises HoldCountChanged, ValidationFailed where all are scrapped and nothing is caught.
    """
    with connection.cursor() as cursor:
        units = select_units(matching.passes_of(condition))
        cursor.execute(_SCRAPPED.format(units=units), _parameters(condition))
        [scrapped] = cursor.fetchone()
    try:
        return services.hold_units(
            condition=condition,
            reason=reason,
            by=by,
            owner=owner,
            catches=catches,
            expected_count=max(0, expected_count - scrapped),
        )
    except errors.HoldCountChanged as changed:
        raise errors.HoldCountChanged(count=changed.details["count"] + scrapped, expected=expected_count) from None


def name_of(condition: Condition, at: datetime) -> str:
    """Return what a file of the rows is called, without its ending."""
    name = next(str(getattr(condition, kind)) for kind in criterion.KINDS if getattr(condition, kind) is not None)
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)[:60]
    return f"where-used-{safe}-{at:%Y-%m-%d}"
