"""Machine events keep the id of the request that brought them."""

from django.db import migrations, models
from django.db.models import F, Q

import mes.platform.request_ids

COLUMNS = """
    id, received_at, source_system, dedupe_key, event_type, occurred_at, run_id, station_id, step_no, carrier_no, sns,
    unit_ids, track_ids, carrier_track_id, result, test_result_id, transaction_id, payload, normalized, skipped,
    unmapped_count, status, error_code, error, attempts, count, last_at
"""

REQUEST_ID = models.CharField(
    blank=True, db_default="", default=mes.platform.request_ids.current, max_length=64, verbose_name="request"
)


VIEW = """
    CREATE VIEW ingest_event AS
        SELECT {columns} FROM ingest_openingestevent UNION ALL SELECT {columns} FROM ingest_settledingestevent
"""
BEFORE, AFTER = VIEW.format(columns=COLUMNS), VIEW.format(columns=f"{COLUMNS}, request_id")
DROP = "DROP VIEW ingest_event"


class Migration(migrations.Migration):
    dependencies = [("ingest", "0004_kept_waits")]

    operations = [
        migrations.RunSQL(DROP, BEFORE),
        migrations.AddField(model_name="openingestevent", name="request_id", field=REQUEST_ID),
        migrations.AddField(model_name="settledingestevent", name="request_id", field=REQUEST_ID),
        migrations.AddIndex(
            model_name="settledingestevent",
            index=models.Index(F("request_id"), condition=Q(request_id__gt=""), name="settled_ingest_by_request"),
        ),
        migrations.RunSQL(AFTER, DROP),
    ]
