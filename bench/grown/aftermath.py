"""What follows from moves and runs: outbox events, clocks, checks, counts, and what people are told."""

from bench.grown.filling import Fill, fill_table, in_turn, run_with
from bench.grown.size import READER, STEPS, UNITS_OF_RUN
from execution import models as execution
from mes.platform.notifications.models import Notification
from mes.platform.outbox.models import MesEvent
from mes.production_counts.models import CountReport, CountStream, HourlyCount
from mes.readiness.models import ReadinessCheck, ReadinessItem
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance, TimeRuleMark

# The outbox has the moves of the last units, all worked off but a few that were given up.
_moved = f"grown_pass WHERE n >= %(units)s - (%(events)s / {2 * len(STEPS)})"


def _outbox_of(event_type: str, at: str) -> Fill:
    key = f"'{event_type.lower().replace('_', '-')}:' || track_id"
    return fill_table(
        MesEvent,
        f"{_moved} AND {at} IS NOT NULL",
        event_type=f"'{event_type}'",
        status="CASE WHEN p %% 25000 = 0 THEN 'DEAD' ELSE 'COMPLETED' END",
        idempotency_key=key,
        entity_type="'UNIT'",
        entity_id="sn",
        run_id="run_id",
        payload="""jsonb_build_object('trackId', track_id::text, 'sn', sn, 'runNo', run_no, 'lineId', line_id,
                     'stationId', station_id, 'stepNo', step_no, 'operationCode', operation_code,
                     'operationKind', kind, 'attempt', 1, 'source', source, 'result', nullif(result, ''))""",
        occurred_at=at,
        created_at=at,
        attempts="1",
        next_attempt_at=at,
        completed_at=at,
        retention_until=f"{at} + interval '30 days'",
        error="CASE WHEN p %% 25000 = 0 THEN 'no answer' ELSE '' END",
    )


fill_outbox = in_turn(_outbox_of("TRACK_IN", "in_at"), _outbox_of("TRACK_OUT", "out_at"))

# A clock from wave to test of each unit; one in a thousand ran out, of which people dealt with most.
fill_clocks = in_turn(
    run_with(
        f"""
        INSERT INTO {TimeRuleDefinition._meta.db_table} (code, name, duration_minutes, warning_minutes, start_event,
               start_condition, end_event, end_condition, scope, scope_value, route_operation_kinds, restarts,
               is_waivable, is_active, priority, notified_roles, updated_at)
        VALUES ('GROWN', 'Test after wave', 600, 30, 'TRACK_OUT', '{{"operationKind": ["WAVE"]}}', 'TRACK_IN',
                '{{"operationKind": ["TEST"]}}', 'ROUTING', 'GROWN', '{{}}', false, true, true, 0, '{{}}', now())
        """
    ),
    fill_table(
        TimeRuleInstance,
        "grown_done d CROSS JOIN (SELECT id FROM mes_timeruledefinition WHERE code = 'GROWN') AS t WHERE step_no = 80",
        definition_id="t.id",
        definition_code="'GROWN'",
        entity_type="'UNIT'",
        entity_id="sn",
        run_id="run_id",
        line_id="line_id",
        status="CASE WHEN n %% 1000 = 0 THEN 'EXPIRED' ELSE 'COMPLETED' END",
        duration_minutes="600",
        warning_minutes="30",
        start_key="'track-out:' || track_id",
        started_at="out_at",
        warning_at="out_at + interval '570 minutes'",
        expires_at="out_at + interval '600 minutes'",
        expired_at="CASE WHEN n %% 1000 = 0 THEN out_at + interval '600 minutes' END",
        ended_at="in_at + interval '601 minutes'",
        ending="'END'",
        decided_at="CASE WHEN n %% 5000 = 1000 THEN out_at + interval '11 hours' END",
        decided_by="CASE WHEN n %% 5000 = 1000 THEN 'grown' ELSE '' END",
        decision_reason="CASE WHEN n %% 5000 = 1000 THEN 'measured' ELSE '' END",
        created_at="out_at",
    ),
    fill_table(
        TimeRuleMark,
        "grown_done d CROSS JOIN (SELECT id FROM mes_timeruledefinition WHERE code = 'GROWN') AS t "
        "WHERE step_no IN (80, 90)",
        event_key="CASE step_no WHEN 80 THEN 'track-out:' ELSE 'track-in:' END || track_id",
        event_type="CASE step_no WHEN 80 THEN 'TRACK_OUT' ELSE 'TRACK_IN' END",
        entity_type="'UNIT'",
        entity_id="sn",
        at="CASE step_no WHEN 80 THEN out_at ELSE in_at END",
        sequence="track_id",
        belongs_at="CASE step_no WHEN 80 THEN out_at ELSE in_at END",
        starts="""CASE step_no WHEN 80 THEN jsonb_build_object(t.id::text,
                    jsonb_build_object('duration_minutes', 600, 'warning_minutes', 30)) ELSE '{}' END""",
        ends="CASE step_no WHEN 90 THEN ARRAY[t.id] ELSE '{}' END",
        run_id="run_id",
        line_id="line_id",
        created_at="in_at",
    ),
)

# Each run was checked, its first article signed, and two of its machines count boards.
fill_checks = in_turn(
    fill_table(
        ReadinessCheck,
        "grown_run",
        run_id="id",
        kind="'FORMAL'",
        status="'PASSED'",
        is_authorization="true",
        checked_at="started_at",
        checked_by="'grown'",
    ),
    fill_table(
        ReadinessItem,
        "mes_readinesscheck c JOIN grown_run r ON r.id = c.run_id CROSS JOIN generate_series(1, 10) AS place",
        check_made_id="c.id",
        item_type="'EQUIPMENT'",
        item_key="'EQ-' || place",
        status="'PASSED'",
    ),
    fill_table(
        execution.FirstArticle,
        "grown_run",
        run_id="id",
        status="'PASSED'",
        sample_qty="1",
        created_by="'grown'",
        created_at="started_at",
        completed_by="'grown'",
        completed_at="started_at",
        signed_by="'grown'",
        signed_at="started_at",
    ),
    fill_table(
        execution.FirstArticleSample,
        f"execution_firstarticle f JOIN grown_unit u ON u.run_id = f.run_id AND u.n %% {UNITS_OF_RUN} = 0",
        first_article_id="f.id",
        unit_id="u.id",
        claimed_at="f.created_at",
    ),
    fill_table(
        execution.FirstArticleItem,
        "execution_firstarticlesample s JOIN grown_unit u ON u.id = s.unit_id, generate_series(1, 5) AS place",
        first_article_id="s.first_article_id",
        unit_id="s.unit_id",
        item_name="'Item ' || place",
        result="'PASS'",
        recorded_by="'grown'",
        recorded_at="s.claimed_at",
    ),
)
fill_counts = in_turn(
    fill_table(
        CountStream,
        "grown_run r JOIN grown_step s USING (line_id) WHERE s.step_no IN (30, 40)",
        run_id="r.id",
        line_id="line_id",
        station_id="s.station_id",
        step_no="s.step_no",
        operation_code="s.operation_code",
        equipment_id="s.station_code",
        counts_boards_in="true",
        counts_boards_out="true",
        created_at="r.started_at",
    ),
    fill_table(
        CountReport,
        "mes_countstream s JOIN grown_run r ON r.id = s.run_id CROSS JOIN generate_series(1, 12) AS h "
        "CROSS JOIN LATERAL (SELECT date_trunc('hour', r.started_at + %(lasts)s::interval * (h / 14.0)) AS at) AS hour",
        received_at="at",
        stream_id="s.id",
        window_start="at - interval '1 hour'",
        window_end="at",
        is_cumulative="false",
        boards_in="8",
        boards_out="8",
        scrapped="0",
        picked="1200",
        placed="1195",
    ),
    fill_table(
        HourlyCount,
        "mes_countreport c JOIN mes_countstream s ON s.id = c.stream_id JOIN grown_run r ON r.id = s.run_id "
        "GROUP BY s.id, s.line_id, window_start, window_end",
        stream_id="s.id",
        line_id="s.line_id",
        date="(window_start AT TIME ZONE 'UTC')::date",
        started_at="window_start",
        ended_at="window_end",
        first_at="window_start",
        last_at="window_end",
        boards_in="sum(boards_in)",
        boards_out="sum(boards_out)",
        scrapped="sum(scrapped)",
        picked="sum(picked)",
        placed="sum(placed)",
    ),
)
fill_notifications = fill_table(
    Notification,
    f"generate_series(1, %(told)s) AS n JOIN auth_user u ON u.username = '{READER}'",
    recipient_id="u.id",
    key="'grown-' || n",
    severity="'WARNING'",
    text="'A clock ran out.'",
    created_at="%(end)s::timestamptz - n * interval '5 minutes'",
    read_at="CASE WHEN n > 20 THEN %(end)s::timestamptz END",
)
