"""Open and settled events share one sequence of ids, so that an event keeps its id when it is settled.

The view over both serves the list of events.
"""

from django.db import migrations

COLUMNS = """
    id, received_at, source_system, dedupe_key, event_type, occurred_at, run_id, station_id, step_no, carrier_no, sns,
    unit_ids, track_ids, carrier_track_id, result, test_result_id, transaction_id, payload, normalized, skipped,
    unmapped_count, status, error_code, error, attempts, count, last_at
"""


class Migration(migrations.Migration):
    dependencies = [("ingest", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql="""
                ALTER TABLE ingest_openingestevent ALTER COLUMN id DROP IDENTITY;
                ALTER TABLE ingest_openingestevent
                    ALTER COLUMN id SET DEFAULT nextval('ingest_settledingestevent_id_seq');
            """,
            reverse_sql="ALTER TABLE ingest_openingestevent ALTER COLUMN id DROP DEFAULT;",
        ),
        migrations.RunSQL(
            sql=f"""
                CREATE VIEW ingest_event AS
                    SELECT {COLUMNS} FROM ingest_openingestevent
                    UNION ALL
                    SELECT {COLUMNS} FROM ingest_settledingestevent;
            """,
            reverse_sql="DROP VIEW ingest_event;",
        ),
    ]
