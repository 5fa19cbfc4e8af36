"""First articles are tracked; what was decided about units is kept as it was written."""

from django.db import migrations

from mes.platform.database.tracking import TrackTable


class Migration(migrations.Migration):
    dependencies = [("execution", "0016_about_message"), ("mes", "0028_audit")]

    operations = [
        TrackTable("execution_firstarticle", ("fai", "id", "id", "", "", "", "", "{}", "{}")),
        migrations.RunSQL(
            """
            CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE ON execution_disposition
                FOR EACH ROW EXECUTE FUNCTION mes_refuse_rewriting();
            CREATE TRIGGER untruncatable BEFORE TRUNCATE ON execution_disposition
                FOR EACH STATEMENT EXECUTE FUNCTION mes_refuse_rewriting();
            """,
            """
            DROP TRIGGER unchangeable ON execution_disposition;
            DROP TRIGGER untruncatable ON execution_disposition;
            """,
        ),
    ]
