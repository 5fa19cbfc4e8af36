"""What people decided about orders, runs and lines, where units went, active runs, and other serial numbers."""

from bench.grown.filling import fill_table, in_turn
from bench.grown.size import LINES
from execution.deviations.models import Deviation
from mes.production.decision_models import Approval, Decision, RunActivation, UnitMove
from mes.production.hold_models import Hold
from mes.production.identity_models import ReferencePass, ReferenceUnit, UnitAlias

_DEVIATING, _HELD, _STOPPED = "r %% 10 = 0", "r %% 50 = 0", "r %% 20 = 0"
_later = "(SELECT grown_run.*, lead(started_at) OVER (PARTITION BY line_id ORDER BY r) AS next_at FROM grown_run) AS r"
_ended = (
    "CASE WHEN next_at IS NOT NULL THEN next_at WHEN status = 'COMPLETED' THEN started_at + %(lasts)s::interval END"
)

# Each run was the active one of its line until the next one was; the last one is.
fill_activations = fill_table(
    RunActivation,
    _later,
    run_id="id",
    line_id="line_id",
    active_from="started_at",
    active_to=_ended,
    set_by="'grown'",
    ended_by=f"CASE WHEN {_ended} IS NOT NULL THEN 'grown' ELSE '' END",
)

_of_line = (
    ("activate", "true", "jsonb_build_object('activeRun', jsonb_build_array(NULL, run_no))", "started_at", "''"),
    ("hold", _STOPPED, "'{}'::jsonb", "started_at + %(lasts)s::interval * 0.2", "'the oven alarms'"),
    ("resume", _STOPPED, "'{}'::jsonb", "started_at + %(lasts)s::interval * 0.21", "'mended'"),
)
_of_run = (
    ("authorize", "PREP", "AUTHORIZED", "true", 0.0),
    ("start", "AUTHORIZED", "IN_PROGRESS", "true", 0.01),
    ("hold", "IN_PROGRESS", "ON_HOLD", _HELD, 0.2),
    ("resume", "ON_HOLD", "IN_PROGRESS", _HELD, 0.3),
    ("close", "IN_PROGRESS", "COMPLETED", "status = 'COMPLETED'", 1.0),
)
_of_order = (("release", "RECEIVED", "RELEASED", "true"), ("complete", "IN_PROGRESS", "COMPLETED", "is_over"))
fill_decisions = in_turn(
    *(
        fill_table(
            Decision,
            f"grown_run WHERE {condition} ORDER BY r",
            line_id="line_id",
            act=f"'{act}'",
            changes=changes,
            reason=reason,
            decided_by="'grown'",
            decided_at=at,
        )
        for act, condition, changes, at, reason in _of_line
    ),
    *(
        fill_table(
            Decision,
            f"grown_run WHERE {condition} ORDER BY r",
            run_id="id",
            act=f"'{act}'",
            from_status=f"'{before}'",
            to_status=f"'{after}'",
            reason="'looked at'",
            decided_by="'grown'",
            decided_at=f"started_at + %(lasts)s::interval * {passed}",
        )
        for act, before, after, condition, passed in _of_run
    ),
    *(
        fill_table(
            Decision,
            "(SELECT work_order_id, min(started_at) AS began_at, max(started_at) + %(lasts)s::interval AS over_at,"
            " bool_and(status = 'COMPLETED') AS is_over FROM grown_run GROUP BY work_order_id) AS o"
            f" WHERE {condition} ORDER BY work_order_id",
            work_order_id="work_order_id",
            act=f"'{act}'",
            from_status=f"'{before}'",
            to_status=f"'{after}'",
            decided_by="'grown'",
            decided_at="began_at" if act == "release" else "over_at",
        )
        for act, before, after, condition in _of_order
    ),
)
fill_holds = in_turn(
    *(
        fill_table(
            Hold,
            f"grown_run WHERE {condition} ORDER BY r",
            scope=f"'{scope}'",
            **{f"{scope.lower()}_id": column},
            status="'RELEASED'",
            reason="'looked at'",
            opened_by="'grown'",
            opened_at="started_at + %(lasts)s::interval * 0.2",
            ended_by="'grown'",
            ended_at=f"started_at + %(lasts)s::interval * {end}",
            end_reason="'mended'",
        )
        for scope, column, condition, end in (("RUN", "id", _HELD, 0.3), ("LINE", "line_id", _STOPPED, 0.21))
    )
)

# One unit in a hundred came from the run before of its order, half of them done there; one in five hundred was taken
# back once, and registered anew.
fill_moves = in_turn(
    fill_table(
        UnitMove,
        "grown_unit u JOIN grown_run r ON r.id = u.run_id"
        " JOIN grown_run b ON b.r = r.r - 1 AND b.work_order_id = r.work_order_id WHERE n %% 100 = 7 ORDER BY n",
        unit_id="u.id",
        from_run_id="b.id",
        to_run_id="u.run_id",
        act="'MOVE'",
        status="CASE WHEN r.r %% 2 = 0 THEN 'DONE' ELSE 'QUEUED' END",
        step_no="CASE WHEN r.r %% 2 = 0 THEN 100 ELSE 10 END",
        counted_as="CASE WHEN r.r %% 2 = 0 THEN 'DONE' ELSE '' END",
        ended_at="CASE WHEN r.r %% 2 = 0 THEN u.at END",
        reason="'the other line was free'",
        moved_by="'grown'",
        moved_at="u.at",
    ),
    fill_table(
        UnitMove,
        "grown_unit WHERE n %% 500 = 33 ORDER BY n",
        unit_id="id",
        from_run_id="run_id",
        act="'TAKE_BACK'",
        status="'QUEUED'",
        step_no="10",
        moved_by="'grown'",
        moved_at="at",
    ),
)
fill_aliases = fill_table(
    UnitAlias,
    "grown_unit WHERE n %% 200 = 50 ORDER BY n",
    sn="'GROWN-OLD-' || to_char(n, 'FM00000000')",
    unit_id="id",
    reason="'unreadable'",
    relabelled_by="'grown'",
    relabelled_at="at + pace * 2",
)

# A golden board for each line, which passes two of its stations before each run.
fill_reference_passes = in_turn(
    fill_table(
        ReferenceUnit,
        f"generate_series(0, {LINES} - 1) AS place",
        sn="'GROWN-GOLD-' || place",
        kind="'GOLDEN'",
        expected_result="'PASS'",
        created_at="%(start)s::timestamptz",
    ),
    fill_table(
        ReferencePass,
        f"grown_run r JOIN mes_referenceunit g ON g.sn = 'GROWN-GOLD-' || r.r %% {LINES}"
        " JOIN grown_step s USING (line_id) WHERE step_no IN (50, 90) ORDER BY r.r, step_no",
        reference_unit_id="g.id",
        station_id="s.station_id",
        passed_at="r.started_at",
        result="'PASS'",
        recorded_by="'grown'",
        created_at="r.started_at",
    ),
)

# Scraps that were undone, one unit in three hundred; a deviation that has ended in one run of ten; a few still open.
_arguments = (
    "jsonb_build_object('type', 'SKIP', 'stepNo', 60, 'stationCodes', '[]'::jsonb, 'sns', NULL, "
    "'expiresAt', '2026-12-01T06:00:00Z')"
)
fill_approvals = in_turn(
    fill_table(
        Approval,
        "grown_unit WHERE n %% 300 = 11 ORDER BY n",
        type="'UNSCRAP'",
        status="CASE WHEN n %% 900 = 11 THEN 'REFUSED' ELSE 'APPROVED' END",
        unit_id="id",
        run_id="run_id",
        arguments="jsonb_build_object('toRunNo', run_no, 'toStepNo', 100)",
        reason="'the crack was a hair'",
        requested_by="'grown'",
        requested_at="at + pace * 11",
        expires_at="at + pace * 11 + interval '1 day'",
        decided_by="'another'",
        decided_at="at + pace * 12",
    ),
    fill_table(
        Approval,
        f"grown_run WHERE {_DEVIATING} ORDER BY r",
        type="'DEVIATION'",
        status="'APPROVED'",
        run_id="id",
        arguments=_arguments,
        reason="'the washer is down'",
        requested_by="'grown'",
        requested_at="started_at",
        expires_at="started_at + interval '1 day'",
        decided_by="'another'",
        decided_at="started_at + interval '1 minute'",
    ),
    fill_table(
        Deviation,
        "mes_approval a JOIN grown_run r ON r.id = a.run_id WHERE type = 'DEVIATION' ORDER BY a.id",
        approval_id="a.id",
        run_id="r.id",
        type="'SKIP'",
        status="'ENDED'",
        step_no="60",
        operation_code="'GROWN-WASH'",
        expires_at="started_at + interval '1 day'",
        reason="a.reason",
        requested_by="a.requested_by",
        requested_at="a.requested_at",
        approved_by="a.decided_by",
        approved_at="a.decided_at",
        ended_by="'grown'",
        ended_at="started_at + interval '1 hour'",
        end_reason="'the washer runs again'",
    ),
    fill_table(
        Approval,
        "grown_unit WHERE n %% 300 = 11 ORDER BY n DESC LIMIT 20",
        type="'UNSCRAP'",
        unit_id="id",
        run_id="run_id",
        arguments="jsonb_build_object('toRunNo', run_no, 'toStepNo', 100)",
        reason="'the crack was a hair'",
        requested_by="'another'",
        requested_at="%(end)s::timestamptz",
        expires_at="%(end)s::timestamptz + interval '7 days'",
    ),
)
