"""Units that were done or scrapped before they left their carriers by themselves leave them now."""

from django.db import migrations

UNLOAD = """
    UPDATE execution_carrierload l SET unloaded_at = GREATEST(l.loaded_at, u.updated_at)
      FROM mes_unit u
     WHERE u.id = l.unit_id AND l.unloaded_at IS NULL
       AND (u.status = 'SCRAPPED' OR 'DONE' IN (u.status, u.held_from))
"""


class Migration(migrations.Migration):

    dependencies = [
        ('execution', '0007_field_sources'),
        ('mes', '0015_task_outcomes'),
    ]

    operations = [
        migrations.RunSQL(UNLOAD, migrations.RunSQL.noop),
    ]
