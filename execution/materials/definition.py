"""What a unit is made of, as SQL: the one definition that is read from both ends, from units and from what is in them.

A pass has a window: from when the unit went in to when it came out, or now; of one whose entry was not reported, or
whose time is in doubt, the time before its end that `MES_PASS_WINDOW` says. The window is widened at both ends by
`MES_LOAD_TOLERANCE`. A load counts for a pass if it stood at its station in the window, and the set-up list that the
run went by then names its slot; without a list, every slot counts. What serves a line counts for its printing steps.

The statements have the parameters of `tolerances()`; `t` is a track, `p` a pass as `PASS` selects it, `l` a load.
"""

from typing import Any

from django.conf import settings

from mes.line_setup.loads.models import PASTE_SLOT, STENCIL_SLOT
from mes.plant.models import OperationKind

SINGLE, POSSIBLE, REPORTED = "SINGLE", "POSSIBLE", "REPORTED"  # one in its slot; one of several; told by a machine

_BEGAN = """
    CASE WHEN t.is_entry_inferred OR t.is_time_doubtful THEN coalesce(t.out_at, t.in_at) - %(pass_window)s::interval
         ELSE t.in_at END"""
# The columns of a pass; a range must not end before it begins, whatever clocks said.
PASS = f"""
    t.id, t.unit_id, t.run_id, t.step_no, t.station_id,
    tstzrange({_BEGAN} - %(tolerance)s::interval,
              greatest(coalesce(t.out_at, statement_timestamp()), {_BEGAN}) + %(tolerance)s::interval, '[]') AS lasted,
    CASE WHEN EXISTS (SELECT FROM mes_operation o WHERE o.code = t.operation_code AND o.kind = '{OperationKind.PRINT}')
         THEN (SELECT r.line_id FROM mes_run r WHERE r.id = t.run_id) END AS print_line_id
"""
SLOTS_OF_LINE = f"('{STENCIL_SLOT}', '{PASTE_SLOT}')"


def stood(load: str) -> str:
    """Return when a load was in its slot, as the indexes of loads have it; an empty range meets nothing."""
    return f"tstzrange({load}.loaded_at, {load}.ended_at)"


def thing(load: str) -> str:
    """Return what is in a slot, so that two loads of the same are one thing."""
    return f"concat_ws(' ', {load}.lot_id, '/', {load}.tool_id, '/', {load}.program)"


def at_station(load: str, station: str) -> str:
    """Return the condition that a load is at a station, as the index of ranges has it."""
    return f"{load}.station_id IS NOT NULL AND int8range({load}.station_id, {load}.station_id, '[]') @> {station}"


def at_line(load: str, line: str) -> str:
    """Return the condition that a load serves a line, as the index of ranges has it."""
    return f"{load}.line_id IS NOT NULL AND int8range({load}.line_id, {load}.line_id, '[]') @> {line}"


# Which list a run went by, and when: its first from the beginning.
_BOUND = """
    (SELECT b.run_id, b.set_up_list_id,
            tstzrange(CASE WHEN lag(b.id) OVER w IS NULL THEN NULL ELSE b.bound_at END,
                      lead(b.bound_at) OVER w) AS lasted
       FROM mes_runsetuplist b WINDOW w AS (PARTITION BY b.run_id ORDER BY b.bound_at, b.id))"""
# The items of lists that name the slot of a load, in the time of a pass.
ITEMS = f"""
    {_BOUND} AS b JOIN mes_setupitem i ON i.set_up_list_id = b.set_up_list_id
     WHERE b.run_id = p.run_id AND b.lasted && p.lasted AND i.station_id = l.station_id AND i.slot = l.slot"""
IS_LISTED = f"""
    (l.line_id IS NOT NULL
     OR NOT EXISTS (SELECT FROM mes_runsetuplist b WHERE b.run_id = p.run_id)
     OR EXISTS (SELECT FROM {ITEMS}))"""


def is_replaced(lot: str, *, received: str = "true") -> str:
    """Return the condition that what was reported at a pass stands in the place of a load: in its slot, or, without a
    slot, of its material. `received` narrows the reports `m` to months.
    """
    return f"""
    EXISTS (SELECT FROM execution_materialuse m
             WHERE m.unit_id = p.unit_id AND m.track_id = p.id AND NOT m.is_removed AND {received}
               AND (m.slot = l.slot OR m.slot = ''
                    AND m.material_id = (SELECT material_id FROM mes_materiallot WHERE id = {lot})))"""


def is_in(*, received: str = "true") -> str:
    """Return the condition that a report `m` put in what no report, `gone`, took out again."""
    return f"""
    (NOT m.is_removed AND NOT EXISTS (
        SELECT FROM execution_materialuse gone
         WHERE gone.unit_id = m.unit_id AND gone.is_removed AND gone.used_at >= m.used_at AND {received}
           AND gone.lot_id IS NOT DISTINCT FROM m.lot_id AND gone.tool_id IS NOT DISTINCT FROM m.tool_id
           AND gone.slot IN ('', m.slot) AND gone.ref_des IN ('', m.ref_des)))"""


def tolerances() -> dict[str, Any]:
    """Return the parameters that every statement with a pass has."""
    return {"pass_window": settings.MES_PASS_WINDOW, "tolerance": settings.MES_LOAD_TOLERANCE}
