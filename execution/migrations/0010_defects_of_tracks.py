"""What people said was wrong with a unit whose track failed becomes a defect, as it does from now on."""

from django.db import migrations

MAKE = """
    INSERT INTO execution_defect (unit_id, run_id, track_id, step_no, code, location, remark, status, found_at, created_at)
    SELECT unit_id, run_id, id, step_no, COALESCE(NULLIF(defect_code, ''), 'UNSPECIFIED'), defect_location,
           defect_remark, 'OPEN', out_at, now()
      FROM execution_track t
     WHERE result = 'FAIL' AND (defect_code > '' OR defect_location > '' OR defect_remark > '')
     ORDER BY id
"""


class Migration(migrations.Migration):
    dependencies = [("execution", "0009_reported_holds")]

    operations = [migrations.RunSQL(MAKE, migrations.RunSQL.noop)]
