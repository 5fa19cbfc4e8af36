"""Indexes of what is rare among much, and of the event ids of reports: each table is read once."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0026_failed_first_articles'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='mesevent',
            index=models.Index(models.F('event_type'), models.F('id'), condition=models.Q(models.Q(('event_type', 'TRACK_IN'), _negated=True), models.Q(('event_type', 'TRACK_OUT'), _negated=True)), name='event_of_no_move'),
        ),
        migrations.AddIndex(
            model_name='statusreport',
            index=models.Index(models.F('event_id'), name='status_report_by_event'),
        ),
    ]
