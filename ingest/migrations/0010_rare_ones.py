"""Indexes of what is rare among much, and of the event ids of reports: each table is read once."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ingest', '0009_left_out'),
        ('mes', '0027_rare_ones'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='settledingestevent',
            index=models.Index(models.F('status'), models.F('id'), condition=models.Q(('status', 'APPLIED'), _negated=True), name='settled_ingest_unusual'),
        ),
        migrations.AddIndex(
            model_name='settledingestevent',
            index=models.Index(models.F('error_code'), models.F('id'), condition=models.Q(('error_code__gt', '')), name='settled_ingest_by_code'),
        ),
    ]
