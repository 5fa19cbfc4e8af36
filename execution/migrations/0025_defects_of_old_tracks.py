"""Defects have one home: what people said at a track-out becomes rows, and only what no pass has answered stays open."""

from django.db import migrations

# What was said of a track that has no defect of its own, whatever its result; a code of nobody's tree stays as it was.
MAKE = """
    INSERT INTO execution_defect (
        unit_id, run_id, track_id, station_id, step_no, rework_no, code, reported_code, source_system, location,
        quantity, remark, source, status, found_by, found_at, settled_by, settled_reason, created_at)
    SELECT t.unit_id, t.run_id, t.id, t.station_id, t.step_no, t.rework_no,
           COALESCE(NULLIF(t.defect_code, ''), 'UNSPECIFIED'), '', '', upper(t.defect_location),
           1, t.defect_remark, 'TRACK_OUT', 'OPEN', t.out_by, t.out_at, '', '', now()
      FROM execution_track t
     WHERE (t.defect_code > '' OR t.defect_location > '' OR t.defect_remark > '') AND t.out_at IS NOT NULL
       AND NOT EXISTS (SELECT FROM execution_defect d WHERE d.track_id = t.id AND d.inspection_id IS NULL)
     ORDER BY t.id
"""
# Open ones, whose step the unit passed then or later, and those of scrapped units. What was found after its pass had
# passed, by an inspection or a late report, is answered by a later one only, or by the release of the unit that was
# held for it: whoever decided that let the unit go on with it.
SETTLE = """
    UPDATE execution_defect d
       SET status = CASE WHEN passed.at IS NOT NULL THEN 'NO_FAULT_FOUND'
                         WHEN u.status = 'SCRAPPED' THEN 'SCRAPPED' ELSE 'ACCEPTED' END,
           settled_at = CASE WHEN passed.at IS NOT NULL THEN passed.at
                             WHEN u.status = 'SCRAPPED' THEN now() ELSE released.decided_at END,
           settled_by = CASE WHEN passed.at IS NOT NULL OR u.status = 'SCRAPPED' THEN 'system'
                             ELSE released.decided_by END,
           settled_reason = CASE WHEN passed.at IS NOT NULL OR u.status = 'SCRAPPED' THEN ''
                                 ELSE released.reason END
      FROM execution_defect o
      JOIN mes_unit u ON u.id = o.unit_id
      LEFT JOIN LATERAL (
        SELECT t.out_at AS at FROM execution_track t
         WHERE t.unit_id = o.unit_id AND t.step_no = o.step_no AND t.run_id = o.run_id AND t.result = 'PASS'
           AND (t.id > o.track_id OR t.id = o.track_id AND o.inspection_id IS NULL AND o.found_at <= t.out_at)
         ORDER BY t.id LIMIT 1) passed ON true
      LEFT JOIN LATERAL (
        SELECT r.decided_at, r.decided_by, r.reason FROM execution_disposition r
         WHERE r.unit_id = o.unit_id AND r.action = 'RELEASE' AND r.decided_at >= o.created_at
         ORDER BY r.id LIMIT 1) released ON true
     WHERE o.status = 'OPEN' AND d.id = o.id
       AND (passed.at IS NOT NULL OR u.status = 'SCRAPPED' OR released.decided_at IS NOT NULL)
"""


class Migration(migrations.Migration):
    dependencies = [("execution", "0024_defect_catalogue")]

    operations = [
        migrations.RunSQL(MAKE, migrations.RunSQL.noop),
        migrations.RunSQL(SETTLE, migrations.RunSQL.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.RemoveField(model_name="track", name="defect_code"),
        migrations.RemoveField(model_name="track", name="defect_location"),
        migrations.RemoveField(model_name="track", name="defect_remark"),
    ]
