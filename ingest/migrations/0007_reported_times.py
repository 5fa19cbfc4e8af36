"""Machine events keep when they occurred as their source says, whose clock may be off.

The index holds what says a time from now on: no event of before is written into it.
"""

from django.db import migrations, models
from django.db.models import F, Q

COLUMNS = """
    id, received_at, source_system, dedupe_key, event_type, occurred_at, run_id, station_id, step_no, carrier_no, sns,
    unit_ids, track_ids, carrier_track_id, result, test_result_id, transaction_id, payload, normalized, skipped,
    unmapped_count, status, error_code, error, attempts, count, last_at, request_id, recorded_by
"""
VIEW = """
    CREATE VIEW ingest_event AS
        SELECT {columns} FROM ingest_openingestevent UNION ALL SELECT {columns} FROM ingest_settledingestevent
"""
BEFORE, AFTER = VIEW.format(columns=COLUMNS), VIEW.format(columns=f"{COLUMNS}, reported_at")
DROP = "DROP VIEW ingest_event"

REPORTED_AT = models.DateTimeField(null=True, verbose_name="occurred by its source")


class Migration(migrations.Migration):
    dependencies = [("ingest", "0006_recorded_by")]

    operations = [
        migrations.RunSQL(DROP, BEFORE),
        migrations.AddField(model_name="openingestevent", name="reported_at", field=REPORTED_AT),
        migrations.AddField(model_name="settledingestevent", name="reported_at", field=REPORTED_AT),
        migrations.AddIndex(
            model_name="settledingestevent",
            index=models.Index(
                F("source_system"),
                F("received_at"),
                condition=Q(reported_at__isnull=False),
                include=("reported_at",),
                name="settled_ingest_clocks",
            ),
        ),
        migrations.RunSQL(AFTER, DROP),
    ]
