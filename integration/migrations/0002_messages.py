"""Open and settled messages share one sequence of ids, so that a message keeps its id when it is settled.

The view over both serves the list of messages.
"""

from django.db import migrations

COLUMNS = """id, received_at, direction, system, entity_type, business_key, dedupe_key, status, payload, error_code,
    error, count, last_at, record_id, note"""


class Migration(migrations.Migration):
    dependencies = [("integration", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql="""
                ALTER TABLE integration_failedmessage ALTER COLUMN id DROP IDENTITY;
                ALTER TABLE integration_failedmessage
                    ALTER COLUMN id SET DEFAULT nextval('integration_settledmessage_id_seq');
            """,
            reverse_sql="ALTER TABLE integration_failedmessage ALTER COLUMN id DROP DEFAULT;",
        ),
        migrations.RunSQL(
            sql=f"""
                CREATE VIEW integration_message AS
                    SELECT {COLUMNS} FROM integration_failedmessage
                    UNION ALL
                    SELECT {COLUMNS} FROM integration_settledmessage;
            """,
            reverse_sql="DROP VIEW integration_message;",
        ),
    ]
