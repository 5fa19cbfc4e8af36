"""Indexes of what is rare among much, and of the event ids of reports: each table is read once."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('integration', '0008_held_units'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='settledmessage',
            index=models.Index(models.F('business_key'), condition=models.Q(('business_key', models.F('dedupe_key')), _negated=True), name='settled_message_by_other_key'),
        ),
    ]
