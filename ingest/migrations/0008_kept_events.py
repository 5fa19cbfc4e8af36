"""Refused events are kept until somebody decides about them: conflicts and dismissed ones, what each is about, and whom it holds."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.db import migrations, models


COLUMNS = """
    id, received_at, source_system, dedupe_key, event_type, occurred_at, run_id, station_id, step_no, carrier_no, sns,
    unit_ids, track_ids, carrier_track_id, result, test_result_id, transaction_id, payload, normalized, skipped,
    unmapped_count, status, error_code, error, attempts, count, last_at, request_id, recorded_by,
    reported_at
"""
VIEW = """
    CREATE VIEW ingest_event AS
        SELECT {columns} FROM ingest_openingestevent UNION ALL SELECT {columns} FROM ingest_settledingestevent
"""
BEFORE, AFTER = VIEW.format(columns=COLUMNS), VIEW.format(columns=f"{COLUMNS}, note")
DROP = "DROP VIEW ingest_event"
HOLDING = """
    UPDATE ingest_openingestevent e SET is_failing = true, held_unit_ids = h.unit_ids
      FROM (SELECT about_event_id, array_agg(DISTINCT unit_id) AS unit_ids
              FROM execution_disposition WHERE about_event_id IS NOT NULL AND action = 'HOLD' GROUP BY 1) h
     WHERE h.about_event_id = e.id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('ingest', '0007_reported_times'),
        ('execution', '0009_reported_holds'),
        ('mes', '0018_request_ids'),
    ]

    operations = [
        migrations.RunSQL(DROP, BEFORE),
        migrations.RemoveConstraint(
            model_name='openingestevent',
            name='open_ingest_event_waits_or_is_rejected',
        ),
        migrations.AddField(
            model_name='openingestevent',
            name='held_unit_ids',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), db_default=models.Value([], django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)), default=list, size=None),
        ),
        migrations.AddField(
            model_name='openingestevent',
            name='is_failing',
            field=models.BooleanField(db_default=False, default=False, verbose_name='reports a failure'),
        ),
        migrations.AddField(
            model_name='openingestevent',
            name='note',
            field=models.JSONField(null=True, verbose_name='note'),
        ),
        migrations.AddField(
            model_name='openingestevent',
            name='subject',
            field=models.CharField(blank=True, db_default='', default='', max_length=200, verbose_name='about'),
        ),
        migrations.AddField(
            model_name='settledingestevent',
            name='note',
            field=models.JSONField(null=True, verbose_name='note'),
        ),
        migrations.AlterField(
            model_name='openingestevent',
            name='status',
            field=models.CharField(choices=[('APPLIED', 'Applied'), ('WAITING', 'Waiting'), ('REJECTED', 'Rejected'), ('CONFLICT', 'Conflict'), ('DISMISSED', 'Dismissed')], max_length=9, verbose_name='status'),
        ),
        migrations.AlterField(
            model_name='settledingestevent',
            name='status',
            field=models.CharField(choices=[('APPLIED', 'Applied'), ('WAITING', 'Waiting'), ('REJECTED', 'Rejected'), ('CONFLICT', 'Conflict'), ('DISMISSED', 'Dismissed')], max_length=9, verbose_name='status'),
        ),
        migrations.AddIndex(
            model_name='openingestevent',
            index=models.Index(models.F('status'), models.F('error_code'), models.F('source_system'), name='open_ingest_by_cause'),
        ),
        migrations.AddIndex(
            model_name='openingestevent',
            index=django.contrib.postgres.indexes.GinIndex(models.F('held_unit_ids'), fastupdate=False, name='open_ingest_holding'),
        ),
        migrations.AddConstraint(
            model_name='openingestevent',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ('REJECTED', 'CONFLICT')), models.Q(('status', 'WAITING'), ('wait_until__isnull', False)), _connector='OR'), name='open_ingest_event_waits_or_is_refused'),
        ),
        migrations.RunSQL(AFTER, DROP),
        migrations.RunSQL(HOLDING, migrations.RunSQL.noop),
    ]
