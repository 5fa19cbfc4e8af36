"""What must hold of orders, runs, units, moves, active runs and serial numbers."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from mes.platform.monitoring.integrity import Rule
from mes.production.models import OPEN_RUN_STATUSES, WorkOrderStatus

OPEN = ", ".join(f"'{status}'" for status in OPEN_RUN_STATUSES)
ENDED_ORDERS = ", ".join(f"'{status}'" for status in (WorkOrderStatus.COMPLETED, WorkOrderStatus.CANCELLED))

UNFINISHED_IN_ENDED_RUNS = f"""
    SELECT u.sn, concat_ws(' ', u.status, nullif(u.held_from, ''), 'in', r.run_no, r.status)
      FROM mes_run r
      JOIN mes_unit u ON u.run_id = r.id AND u.status IN ('QUEUED', 'IN_STATION', 'OUT_FAILED', 'ON_HOLD')
     WHERE r.status NOT IN ({OPEN}) AND u.held_from <> 'DONE'
"""
OTHER_ORDER = """
    SELECT u.sn, concat_ws(' ', own.wo_no, 'in', r.run_no, 'of', its.wo_no)
      FROM mes_unit u
      JOIN mes_run r ON r.id = u.run_id AND r.work_order_id <> u.work_order_id
      JOIN mes_workorder own ON own.id = u.work_order_id
      JOIN mes_workorder its ON its.id = r.work_order_id
"""
# Where a unit was taken out of its run it may turn up in any; else it is where it went, or left from there.
BROKEN_MOVES = """
    SELECT u.sn, concat_ws(' ', 'moved to', gone.run_no, CASE WHEN m.next_id IS NULL THEN 'is in' ELSE 'left from' END,
                           coalesce(found.run_no, 'no run'))
      FROM (SELECT id, unit_id, to_run_id, lead(id) OVER later AS next_id, lead(from_run_id) OVER later AS next_from_id
              FROM mes_unitmove WINDOW later AS (PARTITION BY unit_id ORDER BY id)) m
      JOIN mes_unit u ON u.id = m.unit_id
      JOIN mes_run gone ON gone.id = m.to_run_id
      LEFT JOIN mes_run found ON found.id = CASE WHEN m.next_id IS NULL THEN u.run_id ELSE m.next_from_id END
     WHERE found.id IS DISTINCT FROM m.to_run_id
"""
OVERFULL_RUNS = f"""
    SELECT r.run_no, concat_ws(' ', units.count, 'of', r.plan_qty)
      FROM mes_run r
      CROSS JOIN LATERAL (
        SELECT (SELECT count(*) FROM mes_unit WHERE run_id = r.id AND status <> 'SCRAPPED')
             + (SELECT count(*) FROM mes_unitmove WHERE from_run_id = r.id AND counted_as = 'DONE')
      ) units (count)
     WHERE r.status IN ({OPEN}) AND units.count > r.plan_qty
"""
# The places where units stand are few for each run: units are read only of those that its version has not. What is
# scrapped stands nowhere: it stays behind when its run takes a newer version.
UNKNOWN_STEPS = """
    WITH places AS MATERIALIZED (
        SELECT DISTINCT run_id, status, current_step_no FROM mes_unit WHERE run_id IS NOT NULL AND status <> 'SCRAPPED'
    ), versions AS MATERIALIZED (
        SELECT v.id, ARRAY(SELECT (step->>'stepNo')::int FROM jsonb_array_elements(v.snapshot->'steps') step) step_nos
          FROM mes_routeversion v
         WHERE v.id IN (SELECT r.route_version_id FROM mes_run r WHERE r.id IN (SELECT run_id FROM places))
    ), unknown AS MATERIALIZED (
        SELECT place.*, r.run_no
          FROM places place
          JOIN mes_run r ON r.id = place.run_id
          JOIN versions v ON v.id = r.route_version_id
         WHERE place.current_step_no IS NULL OR place.current_step_no <> ALL (v.step_nos)
    )
    SELECT u.sn, concat_ws(' ', 'step', coalesce(place.current_step_no::text, 'none'), 'in', place.run_no)
      FROM unknown place
      JOIN mes_unit u ON u.run_id = place.run_id AND u.status = place.status
                     AND u.current_step_no IS NOT DISTINCT FROM place.current_step_no
"""
OPEN_RUNS_OF_ENDED_ORDERS = f"""
    SELECT o.wo_no, concat_ws(' ', o.status, 'with', r.run_no, r.status)
      FROM mes_run r
      JOIN mes_workorder o ON o.id = r.work_order_id AND o.status IN ({ENDED_ORDERS})
     WHERE r.status IN ({OPEN})
"""
# As `execution.rules.line_fits` says of a station: of the run's line, shared by all, or named by a step.
MISPLACED_ACTIVE_RUNS = f"""
    SELECT coalesce(l.code, s.code), concat_ws(' ', r.run_no, r.status)
      FROM mes_runactivation a
      JOIN mes_run r ON r.id = a.run_id
      LEFT JOIN mes_line l ON l.id = a.line_id
      LEFT JOIN mes_station s ON s.id = a.station_id
     WHERE a.active_to IS NULL
       AND (r.status NOT IN ({OPEN}) OR coalesce(a.line_id, s.line_id, r.line_id) <> r.line_id)
       AND (r.status NOT IN ({OPEN}) OR a.station_id IS NULL OR NOT EXISTS (
            SELECT FROM mes_routeversion v, jsonb_array_elements(v.snapshot->'steps') step
             WHERE v.id = r.route_version_id AND step->'allowedStationCodes' @> to_jsonb(ARRAY[s.code])))
"""
SHARED_SERIAL_NUMBERS = """
    SELECT sn, 'a unit, and the earlier number of another one' FROM mes_unitalias JOIN mes_unit u USING (sn)
    UNION ALL
    SELECT sn, 'a unit and a reference unit' FROM mes_referenceunit JOIN mes_unit USING (sn)
    UNION ALL
    SELECT sn, 'a reference unit, and the earlier number of a unit'
      FROM mes_referenceunit JOIN mes_unitalias USING (sn)
"""

# Each case that is open has few units beside all that there are; held units are found as those of ended runs are.
HELD_UNITS = """
    SELECT u.sn, 'on hold, and no case holds it'
      FROM (SELECT of_run.* FROM mes_run r
              JOIN mes_unit of_run ON of_run.run_id = r.id AND of_run.status = 'ON_HOLD'
             UNION ALL
            SELECT * FROM mes_unit WHERE run_id IS NULL AND status = 'ON_HOLD') u
     WHERE NOT EXISTS (SELECT FROM mes_heldunit h WHERE h.unit_id = u.id AND h.ended_at IS NULL)
    UNION ALL
    SELECT u.sn, concat_ws(' ', u.status, 'though held by', 'H-' || h.hold_id)
      FROM mes_heldunit h
      JOIN mes_unit u ON u.id = h.unit_id AND u.status <> 'ON_HOLD'
     WHERE h.ended_at IS NULL
"""
UNEXPLAINED_HOLDS = """
    SELECT DISTINCT u.sn, 'on hold without a reason'
      FROM mes_heldunit h
      JOIN mes_unit u ON u.id = h.unit_id AND u.hold_reason = ''
     WHERE h.ended_at IS NULL
"""
ENDED_HOLDS = """
    SELECT u.sn, concat_ws(' ', 'held by', 'H-' || h.hold_id, c.status)
      FROM mes_heldunit h
      JOIN mes_hold c ON c.id = h.hold_id AND c.status = 'RELEASED'
      JOIN mes_unit u ON u.id = h.unit_id
     WHERE h.ended_at IS NULL
"""


def unit_page(sn: str) -> str:
    """Return the address of a unit's page."""
    return reverse("unit", args=[sn])


def run_page(run_no: str) -> str:
    """Return the address of a run's page."""
    return reverse("run", args=[run_no])


RULES = (
    Rule(
        "ENDED_RUN",
        _("In a run that has ended every unit is done or scrapped, or held from done."),
        UNFINISHED_IN_ENDED_RUNS,
        unit_page,
    ),
    Rule("UNIT_ORDER", _("A unit is of the order of its run."), OTHER_ORDER, unit_page),
    Rule("UNIT_MOVES", _("The moves of a unit lead to the run that it is in."), BROKEN_MOVES, unit_page),
    Rule("RUN_PLAN", _("An open run has no more units than planned, scrapped ones aside."), OVERFULL_RUNS, run_page),
    Rule("UNIT_STEP", _("A unit stands at a step of its run's route version."), UNKNOWN_STEPS, unit_page),
    Rule("ENDED_ORDER", _("An order that has ended has no open run."), OPEN_RUNS_OF_ENDED_ORDERS),
    Rule("ACTIVE_RUN", _("An active run is open and may run where it is active."), MISPLACED_ACTIVE_RUNS),
    Rule(
        "SERIAL_NUMBERS",
        _("A serial number is of one unit, or of one reference unit: earlier numbers included."),
        SHARED_SERIAL_NUMBERS,
        unit_page,
    ),
    Rule("HELD_UNIT", _("A unit is on hold exactly while a case holds it."), HELD_UNITS, unit_page),
    Rule("HOLD_REASON", _("A held unit says why."), UNEXPLAINED_HOLDS, unit_page),
    Rule("ENDED_HOLD", _("A case that has ended holds no unit."), ENDED_HOLDS, unit_page),
)
