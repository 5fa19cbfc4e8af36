"""Units that were held before are held by cases: one for each reason since they were freed last, at least one."""

from django.db import migrations

# A decision about a refused report says which; what the system decided else came of values. Several reports that say
# the same are one case. `held_from` stays: the unit goes back there when all have ended. Decisions stay as they were
# written, and name no case: the reason they have in common with it tells them.
OPEN_CASES = """
    WITH held AS MATERIALIZED (
        SELECT u.id AS unit_id, u.hold_reason, u.updated_at,
               coalesce((SELECT max(d.id) FROM execution_disposition d
                          WHERE d.unit_id = u.id AND d.action NOT IN ('HOLD', 'SKIP', 'UNSCRAP')), 0) AS freed_id
          FROM mes_unit u
         WHERE u.status = 'ON_HOLD'
           AND NOT EXISTS (SELECT FROM mes_heldunit h WHERE h.unit_id = u.id AND h.ended_at IS NULL)
    ), told AS (
        SELECT held.unit_id, d.reason, min(d.id) AS first_id,
               bool_or(d.about_step_no IS NOT NULL OR d.about_event_id IS NOT NULL OR d.about_message_id IS NOT NULL)
                   AS is_of_report
          FROM held
          JOIN execution_disposition d ON d.unit_id = held.unit_id AND d.id > held.freed_id
         WHERE d.action IN ('HOLD', 'UNSCRAP')
         GROUP BY held.unit_id, d.reason
    ), cases AS (
        SELECT told.unit_id, told.reason, d.decided_by, d.decided_at, told.first_id,
               CASE WHEN told.is_of_report THEN 'REPORT' WHEN d.decided_by <> 'system' THEN 'PERSON' ELSE 'DATA' END
                   AS source
          FROM told JOIN execution_disposition d ON d.id = told.first_id
         UNION ALL
        SELECT unit_id, coalesce(nullif(hold_reason, ''), 'On hold'), 'system', updated_at, 0, 'PERSON'
          FROM held
         WHERE NOT EXISTS (SELECT FROM told WHERE told.unit_id = held.unit_id)
    ), made AS MATERIALIZED (
        SELECT ordered.*, nextval(pg_get_serial_sequence('mes_hold', 'id')) AS hold_id
          FROM (SELECT * FROM cases ORDER BY decided_at, first_id, unit_id) ordered
    ), opened AS (
        INSERT INTO mes_hold (id, scope, source, status, reason, opened_by, opened_at, ended_by, end_reason)
        SELECT hold_id, 'UNITS', source, 'OPEN', reason, decided_by, decided_at, '', '' FROM made
    ), holding AS (
        INSERT INTO mes_heldunit (hold_id, unit_id, held_at, held_by, ended_by, "end", end_reason)
        SELECT hold_id, unit_id, decided_at, decided_by, '', '', '' FROM made ORDER BY hold_id
    )
    UPDATE mes_unit u SET hold_reason = (
        SELECT left(string_agg(made.reason, ' · ' ORDER BY made.hold_id), 500) FROM made WHERE made.unit_id = u.id)
     WHERE u.hold_reason = '' AND u.id IN (SELECT unit_id FROM held)
"""


class Migration(migrations.Migration):
    dependencies = [("execution", "0025_defects_of_old_tracks"), ("mes", "0045_quality_loop")]

    operations = [migrations.RunSQL(OPEN_CASES, migrations.RunSQL.noop)]
