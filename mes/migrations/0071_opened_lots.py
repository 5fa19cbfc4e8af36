"""Lots whose floor life may be running are found by when they were opened or loaded."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0070_tool_hours_bounded'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='load',
            index=models.Index(models.F('loaded_at'), condition=models.Q(('lot__isnull', False)), name='load_of_some_lot'),
        ),
        migrations.AddIndex(
            model_name='lotevent',
            index=models.Index(models.F('at'), condition=models.Q(('kind__in', ['OPENED', 'DRY_OUT', 'BAKE_END'])), name='lot_event_opened'),
        ),
    ]
