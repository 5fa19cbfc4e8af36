"""Finding the units that a condition is about: one statement, whatever it says.

It is planned each time, because a condition may fit one unit or nearly all. Of units that are named (`among`), only
they and their passes are read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import connection

from execution.materials.where_used import Passes, list_inner, parameters, select_units
from execution.quality.holds.condition import OF_PASS, Condition, Named, resolve
from execution.quality.models import NOT_A_DEFECT
from mes.production.models import UnitStatus

SHOWN = 200  # units of a preview

# What narrows passes down so far that their values are looked up pass by pass; else the values are read first.
_NARROWING = ("sns", "run_no", "wo_no", "station_code", "carrier_no", "since")

_VALUE_FITS = """v.spec_id = ANY(%(spec_ids)s)
       AND (%(value_min)s::double precision IS NULL OR v.value_number >= %(value_min)s)
       AND (%(value_max)s::double precision IS NULL OR v.value_number <= %(value_max)s)"""
# Of a pass `t`: its own values, or those of its carrier's.
_PASS_HAS_VALUE = f"""(EXISTS (
        SELECT FROM execution_datavalue v WHERE v.unit_id = t.unit_id AND v.track_id = t.id AND {_VALUE_FITS})
    OR EXISTS (
        SELECT FROM execution_carriertrackunit c
          JOIN execution_datavalue v ON v.carrier_track_id = c.carrier_track_id AND {_VALUE_FITS}
         WHERE c.track_id = t.id))"""
_PASS_IS_OF_VALUE = f"""t.id IN (
        SELECT v.track_id FROM execution_datavalue v WHERE v.track_id IS NOT NULL AND {_VALUE_FITS}
         UNION ALL
        SELECT c.track_id FROM execution_datavalue v
          JOIN execution_carriertrackunit c ON c.carrier_track_id = v.carrier_track_id
         WHERE {_VALUE_FITS})"""

_OF_UNIT = {
    "sns": "u.id = ANY(%(unit_ids)s)",
    "run_no": "u.run_id = %(run_id)s",
    "wo_no": "u.work_order_id = %(work_order_id)s",
    "product_code": "u.work_order_id IN (SELECT id FROM mes_workorder WHERE product_code = %(product_code)s)",
    "line_code": "u.run_id IN (SELECT id FROM mes_run WHERE line_id = %(line_id)s)",
    "statuses": "u.status = ANY(%(statuses)s)",
}
_OF_PASS = {
    "station_code": "t.station_id = %(station_id)s",
    "step_no": "t.step_no = %(step_no)s",
    "operation_code": "t.operation_code = %(operation_code)s",
    "result": "t.result = %(result)s",
    "carrier_no": """EXISTS (
        SELECT FROM execution_carriertrackunit c JOIN execution_carriertrack p ON p.id = c.carrier_track_id
         WHERE c.track_id = t.id AND p.carrier_id = %(carrier_id)s)""",
    "since": "(t.out_at IS NULL OR t.out_at >= %(since)s)",
    "until": "t.in_at < %(until)s",
}
_OF_DEFECT = {
    "defect_code": "d.code = ANY(%(defect_codes)s)",
    "defect_location": "d.location = upper(%(defect_location)s)",
}


_NOT_HELD = """NOT EXISTS (
        SELECT FROM mes_heldunit h WHERE h.hold_id = %(hold_id)s AND h.unit_id = u.id AND h.ended_at IS NULL)"""
_DECIDED_AT = "(SELECT max(h.ended_at) FROM mes_heldunit h WHERE h.hold_id = %(hold_id)s AND h.unit_id = u.id)"


@dataclass(frozen=True)
class Found:
    """How many units a condition fits, which they are, and what is known of them."""

    count: int
    by_status: dict[str, int]
    by_run: dict[str | None, int]
    first: list[dict[str, Any]]
    already_held: int


def find(condition: Condition, *, among: Sequence[int] | None = None) -> list[int]:
    """Return the ids of the units that a condition fits, in their order; `among` some of them only.

    Raises ValidationFailed for what it names and there is not.
    """
    return find_named(condition, resolve(condition), among=among)


def find_named(
    condition: Condition, named: Named, *, among: Sequence[int] | None = None, catching: int | None = None
) -> list[int]:
    """Return the ids of the units that a condition fits, where what it names has been looked up.

    Of those that are `catching` for a hold, by its id, only what that does not hold; and what people decided about only
    if it fits by a pass or a defect that was recorded since: a released unit is not caught again for the same.
    """
    if among is not None and not among:
        return []
    fits = _fits(condition, among, is_catching=catching is not None)
    rows = _run(f"SELECT u.id FROM mes_unit u WHERE {fits} ORDER BY u.id", condition, named, among, catching)
    return [unit_id for (unit_id,) in rows]


_PREVIEW = """
    WITH found AS MATERIALIZED (
        SELECT u.id, u.sn, u.status, u.current_step_no, r.run_no FROM mes_unit u LEFT JOIN mes_run r ON r.id = u.run_id
         WHERE {fits}
    )
    SELECT (SELECT count(*) FROM found),
           (SELECT json_object_agg(status, n)
              FROM (SELECT status, count(*) AS n FROM found GROUP BY status ORDER BY status) s)::text,
           (SELECT json_agg(json_build_array(run_no, n))
              FROM (SELECT run_no, count(*) AS n FROM found GROUP BY run_no ORDER BY run_no NULLS LAST) r)::text,
           (SELECT count(*) FROM found WHERE status = '{held}'),
           (SELECT json_agg(json_build_array(sn, status, run_no, current_step_no))
              FROM (SELECT * FROM found ORDER BY id LIMIT %(shown)s) f)::text
"""


def preview(condition: Condition) -> Found:
    """Return what a condition fits now, in one statement beside those that look up what it names."""
    named = resolve(condition)
    statement = _PREVIEW.format(fits=_fits(condition, None), held=UnitStatus.ON_HOLD)
    [[count, by_status, by_run, held, first]] = _run(statement, condition, named, None)
    items = [dict(zip(("sn", "status", "runNo", "stepNo"), row, strict=True)) for row in _decoded(first, [])]
    return Found(count, _decoded(by_status, {}), dict(_decoded(by_run, [])), items, held)


def _decoded(text: str | None, nothing: Any) -> Any:
    return nothing if text is None else msgspec.json.decode(text)


def _fits(condition: Condition, among: Iterable[int] | None, *, is_catching: bool = False) -> str:
    given = condition.given
    parts = [f"u.status <> '{UnitStatus.SCRAPPED}'"]
    parts += [] if among is None else ["u.id = ANY(%(among)s)"]
    parts += [sql for name, sql in _OF_UNIT.items() if name in given]
    if condition.asks_for_material:
        parts.append(f"u.id IN ({select_units(passes_of(condition, is_among=among is not None))})")
    elif condition.asks_for_pass:
        of_pass = [sql for name, sql in _OF_PASS.items() if name in given]
        if condition.asks_for_value:
            is_narrow = among is not None or any(name in given for name in _NARROWING)
            of_pass.append(_PASS_HAS_VALUE if is_narrow else _PASS_IS_OF_VALUE)
        if is_catching:
            of_pass.append(f"(t.created_at >= {_DECIDED_AT}) IS NOT FALSE")
        parts.append(f"EXISTS (SELECT FROM execution_track t WHERE {' AND '.join(['t.unit_id = u.id', *of_pass])})")
    if condition.asks_for_defect:
        counted = ", ".join(f"'{status}'" for status in NOT_A_DEFECT)
        of_defect = ["d.unit_id = u.id", f"d.status NOT IN ({counted})"]
        of_defect += [sql for name, sql in _OF_DEFECT.items() if name in given]
        if is_catching and not condition.asks_for_pass:
            of_defect.append(f"(d.created_at >= {_DECIDED_AT}) IS NOT FALSE")
        parts.append(f"EXISTS (SELECT FROM execution_defect d WHERE {' AND '.join(of_defect)})")
    if is_catching:
        parts.append(_NOT_HELD)
        if condition.asks_for_material or not (condition.asks_for_pass or condition.asks_for_defect):
            parts.append(f"{_DECIDED_AT} IS NULL")
    return " AND ".join(parts)


# Of what has no pass, such as a part that was reported after its unit had gone: its own station and time.
_OF_REPORT = {
    "station_code": "m.station_id = %(station_id)s",
    "since": "m.used_at >= %(since)s",
    "until": "m.used_at < %(until)s",
}


def passes_of(condition: Condition, *, is_among: bool = False) -> Passes:
    """Return the passes at which what a condition looks for may have come into a unit."""
    asked = [name for name in condition.given if name in OF_PASS]
    of_track = [_OF_PASS[name] for name in asked if name in _OF_PASS]
    without_track = [_OF_REPORT.get(name, "false") for name in asked]
    if condition.asks_for_value:
        of_track.append(_PASS_HAS_VALUE)
    if is_among:
        of_track.append("t.unit_id = ANY(%(inner)s)")
        without_track.append("m.unit_id = ANY(%(inner)s)")
    return Passes(of_track=of_track, without_track=without_track)


def parameters_of(condition: Condition, named: Named) -> dict[str, Any]:
    """Return the parameters that the parts of a condition have."""
    return {
        **{name: getattr(condition, name) for name in _PLAIN},
        "statuses": list(condition.statuses or ()),
        **{name: getattr(named, name) for name in Named.__dataclass_fields__ if name != "sought"},
        **parameters(named.sought),
    }


def _run(
    statement: str, condition: Condition, named: Named, among: Sequence[int] | None, catching: int | None = None
) -> list[tuple[Any, ...]]:
    values = {
        **parameters_of(condition, named),
        "inner": list_inner(among) if among and condition.asks_for_material else [],
        "among": None if among is None else list(among),
        "shown": SHOWN,
        "hold_id": catching,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


_PLAIN = (
    "product_code",
    "step_no",
    "operation_code",
    "result",
    "since",
    "until",
    "value_min",
    "value_max",
    "defect_location",
)
