"""Orders, runs, units and their moves, panels, and what people decided."""

from bench.grown.filling import fill_table, in_turn, run_with
from bench.grown.size import UNITS_OF_RUN, WAITING_ORDERS
from execution import models as execution
from mes.production.hold_models import HeldUnit, Hold
from mes.production.models import Run, Unit, WorkOrder

_order_ends = "%(start)s::timestamptz + (%(end)s::timestamptz - %(start)s::timestamptz) * ((w + 1.0) / %(orders)s)"
_orders = fill_table(
    WorkOrder,
    "generate_series(0, %(orders)s - 1) AS w JOIN mes_workorder m ON m.wo_no = 'GROWN-MODEL'",
    wo_no="'GROWN-W' || to_char(w, 'FM000000')",
    product_code="m.product_code",
    planned_qty=f"{4 * UNITS_OF_RUN}",
    line_id="m.line_id",
    routing_id="m.routing_id",
    status="CASE WHEN w = %(orders)s - 1 THEN 'IN_PROGRESS' ELSE 'COMPLETED' END",
    due_date=f"({_order_ends} + interval '3 days')::date",
    received_at="%(start)s::timestamptz",
    updated_at=_order_ends,
)
# Beside them those for which nothing is made yet, every other one late: as many in a plant of any size.
_waiting = fill_table(
    WorkOrder,
    f"generate_series(0, {WAITING_ORDERS} - 1) AS w JOIN mes_workorder m ON m.wo_no = 'GROWN-MODEL'",
    wo_no="'GROWN-N' || to_char(w, 'FM000000')",
    product_code="m.product_code",
    planned_qty=f"{4 * UNITS_OF_RUN}",
    line_id="m.line_id",
    routing_id="m.routing_id",
    status="'RELEASED'",
    due_date=f"(%(end)s::timestamptz + (w - {WAITING_ORDERS // 2}) * interval '1 day')::date",
    received_at="%(end)s::timestamptz",
    updated_at="%(end)s::timestamptz",
)
fill_orders = in_turn(_orders, _waiting)
fill_runs = fill_table(
    Run,
    "grown_run",
    id="id",
    run_no="run_no",
    work_order_id="work_order_id",
    line_id="line_id",
    route_version_id="route_version_id",
    plan_qty=f"{UNITS_OF_RUN}",
    status="status",
    units_registered="true",
    created_at="started_at",
    authorized_at="started_at",
    authorized_by="'grown'",
    started_at="started_at",
    ended_at="CASE WHEN status = 'COMPLETED' THEN started_at + %(lasts)s::interval END",
)
fill_units = fill_table(
    Unit,
    "grown_unit",
    id="id",
    sn="sn",
    run_id="run_id",
    work_order_id="work_order_id",
    status="status",
    current_step_no="100",
    held_from="CASE WHEN status = 'ON_HOLD' THEN 'DONE' ELSE '' END",
    hold_reason="CASE WHEN status = 'ON_HOLD' THEN 'scratched' ELSE '' END",
    scrap_reason="CASE WHEN status = 'SCRAPPED' THEN 'broken' ELSE '' END",
    created_at="at",
    updated_at="at + pace * 11",
)
fill_tracks = fill_table(
    execution.Track,
    "grown_pass",
    id="track_id",
    unit_id="unit_id",
    run_id="run_id",
    step_no="step_no",
    operation_code="operation_code",
    station_id="station_id",
    source="source",
    in_at="in_at",
    out_at="out_at",
    result="result",
    claimed_result="result",
    operator_in="'grown'",
    operator_out="'grown'",
    in_by="'token:grown'",
    out_by="'token:grown'",
    created_at="in_at",
)

# Each twentieth was held by a case of its own on its way; those that are on hold are held still.
_cases = run_with(
    """
    CREATE TEMP TABLE grown_case AS
        SELECT nextval(pg_get_serial_sequence('mes_hold', 'id')) AS id, held.*
          FROM (SELECT id AS unit_id, at + pace * 5.95 AS held_at, at + pace * 5.97 AS ended_at, 'looked at' AS reason
                  FROM grown_unit WHERE n %% 20 = 0
                 UNION ALL
                SELECT id, at + pace * 11, NULL, 'scratched' FROM grown_unit WHERE status = 'ON_HOLD'
                 ORDER BY held_at, unit_id) held;
    CREATE INDEX ON grown_case (unit_id)
    """
)
_ended_by = "CASE WHEN ended_at IS NULL THEN '' ELSE 'grown' END"
fill_cases = in_turn(
    _cases,
    fill_table(
        Hold,
        "grown_case",
        id="id",
        scope="'UNITS'",
        status="CASE WHEN ended_at IS NULL THEN 'OPEN' ELSE 'RELEASED' END",
        reason="reason",
        opened_by="'grown'",
        opened_at="held_at",
        ended_by=_ended_by,
        ended_at="ended_at",
    ),
    fill_table(
        HeldUnit,
        "grown_case",
        hold_id="id",
        unit_id="unit_id",
        held_at="held_at",
        held_by="'grown'",
        ended_by=_ended_by,
        ended_at="ended_at",
        end="CASE WHEN ended_at IS NULL THEN '' ELSE 'RELEASED' END",
    ),
)
fill_dispositions = in_turn(
    *(
        fill_table(
            execution.Disposition,
            f"grown_unit WHERE {condition}",
            unit_id="id",
            run_id="run_id",
            action=f"'{action}'",
            from_status=before,
            to_status=f"'{after}'",
            reason="'looked at'",
            decided_by="'grown'",
            decided_at=f"at + pace * {passed}",
            hold_id=f"(SELECT c.id FROM grown_case c WHERE c.unit_id = grown_unit.id AND c.{case})" if case else "NULL",
        )
        for action, before, after, condition, passed, case in (
            ("HOLD", "'QUEUED'", "ON_HOLD", "n %% 20 = 0", 5.95, "ended_at IS NOT NULL"),
            ("RELEASE", "'ON_HOLD'", "QUEUED", "n %% 20 = 0", 5.97, ""),
            ("HOLD", "'DONE'", "ON_HOLD", "status = 'ON_HOLD'", 11, "ended_at IS NULL"),
            (
                *("SCRAP", "CASE WHEN n %% 89 = 0 THEN 'OUT_FAILED' ELSE 'DONE' END", "SCRAPPED"),
                *("status = 'SCRAPPED'", 11, ""),
            ),
        )
    )
)

# Panels of eight go through SPI together.
_panel = f"n / {UNITS_OF_RUN} * {-(-UNITS_OF_RUN // 8)} + n %% {UNITS_OF_RUN} / 8"
fill_carriers = in_turn(
    fill_table(
        execution.Carrier,
        "generate_series(0, %(carriers)s - 1) AS c",
        carrier_no="'GROWN-C' || to_char(c, 'FM0000')",
        created_at="%(start)s::timestamptz",
        changed_at="%(end)s::timestamptz",
    ),
    run_with(
        f"""
        CREATE TEMP TABLE grown_panel AS
            SELECT panel, c.id AS carrier_id, nextval(pg_get_serial_sequence('execution_carriertrack', 'id')) AS id,
                   run_id, step_no, operation_code, station_id, in_at, out_at
              FROM (SELECT DISTINCT ON ({_panel}) {_panel} AS panel, grown_done.* FROM grown_done WHERE step_no = 20
                     ORDER BY {_panel}, n DESC) AS p
              JOIN execution_carrier c ON c.carrier_no = 'GROWN-C' || to_char(panel %% %(carriers)s, 'FM0000')
             ORDER BY panel
        """
    ),
    fill_table(
        execution.CarrierTrack,
        "grown_panel",
        id="id",
        carrier_id="carrier_id",
        run_id="run_id",
        step_no="step_no",
        operation_code="operation_code",
        station_id="station_id",
        in_at="in_at",
        out_at="out_at",
        created_at="in_at",
    ),
    fill_table(
        execution.CarrierTrackUnit,
        f"grown_done d JOIN grown_panel p ON p.panel = {_panel} AND d.step_no = 20",
        carrier_track_id="p.id",
        track_id="d.track_id",
    ),
    fill_table(
        execution.CarrierLoad,
        f"grown_done d JOIN grown_panel p ON p.panel = {_panel} AND d.step_no = 20",
        carrier_id="p.carrier_id",
        unit_id="d.unit_id",
        position="(n %% 8 + 1)::text",
        loaded_at="d.in_at",
        unloaded_at="greatest(p.out_at, d.out_at)",
    ),
    run_with("DROP TABLE grown_panel"),
)
