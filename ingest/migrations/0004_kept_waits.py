from django.db import migrations

# How long a waiting event may wait was not kept: it is what lay between its last receipt and the end of its wait.
KEEP_WAITS = """
    UPDATE ingest_openingestevent
       SET wait_seconds = greatest(round(extract(epoch FROM wait_until - last_at)), 0)
     WHERE status = 'WAITING'
"""


class Migration(migrations.Migration):
    dependencies = [("ingest", "0003_failed_attempts")]

    operations = [migrations.RunSQL(KEEP_WAITS, migrations.RunSQL.noop)]
