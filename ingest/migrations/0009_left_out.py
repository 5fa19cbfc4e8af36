"""What applied events left out is open work: a row for each such event, and a view over all that is open.

All settled events are read once, to find those that left something out before.
"""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models

COLUMNS = """
    id, received_at, source_system, dedupe_key, occurred_at, last_at, run_id, station_id, step_no, sns, status,
    error_code, error, subject, is_failing, blocked_unit_id, wait_until, failures, next_attempt_at
"""
VIEW = f"""
    CREATE VIEW ingest_work AS
        SELECT {COLUMNS} FROM ingest_openingestevent
        UNION ALL
        SELECT id, received_at, source_system, dedupe_key, occurred_at, last_at, run_id, station_id, step_no, sns,
               'APPLIED'::varchar(9), error_code, error, subject, is_failing, NULL::bigint, NULL::timestamptz, 0,
               NULL::timestamptz
          FROM ingest_partialingestevent
"""
LEFT_OUT = """
    WITH holds AS MATERIALIZED (
        SELECT DISTINCT d.about_event_id, d.unit_id, u.sn
          FROM execution_disposition d JOIN mes_unit u ON u.id = d.unit_id
         WHERE d.about_event_id IS NOT NULL AND d.action = 'HOLD'
    )
    INSERT INTO ingest_partialingestevent (
        id, received_at, source_system, dedupe_key, occurred_at, last_at, run_id, station_id, step_no,
        sns, error_code, error, subject, is_failing, held_unit_ids
    )
    SELECT e.id, e.received_at, e.source_system, e.dedupe_key, e.occurred_at, e.last_at, e.run_id, e.station_id, e.step_no,
           COALESCE(i.sns, '{}'), i.told->>'code',
           jsonb_build_object(
               'code', i.told->'code', 'message', COALESCE(i.told->'message', i.told->'code'), 'details', '{}'::jsonb
           ),
           CASE WHEN i.number = 1 THEN COALESCE(i.told->>'sn', '') ELSE '' END,
           i.told @> '{"failing": true}' OR i.told ? 'held',
           ARRAY(SELECT h.unit_id FROM holds h WHERE h.about_event_id = e.id AND h.sn = ANY (i.sns) ORDER BY 1)
      FROM ingest_settledingestevent e CROSS JOIN LATERAL (
               SELECT array_agg(item->>'sn' ORDER BY place) FILTER (WHERE item ? 'sn') AS sns, count(*) AS number,
                      (array_agg(item ORDER BY item @> '{"failing": true}' OR item ? 'held' DESC, place))[1] AS told
                 FROM jsonb_array_elements(e.skipped) WITH ORDINALITY AS each (item, place)
           ) i
     WHERE e.status = 'APPLIED' AND e.skipped <> '[]'::jsonb
"""


class Migration(migrations.Migration):

    dependencies = [
        ('ingest', '0008_kept_events'),
        ('mes', '0026_failed_first_articles'),
    ]

    operations = [
        migrations.CreateModel(
            name='PartialIngestEvent',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('received_at', models.DateTimeField(verbose_name='received')),
                ('source_system', models.CharField(db_collation='C', max_length=100, verbose_name='source system')),
                ('dedupe_key', models.CharField(db_collation='C', max_length=200, verbose_name='key')),
                ('occurred_at', models.DateTimeField(null=True, verbose_name='occurred')),
                ('last_at', models.DateTimeField(verbose_name='last time')),
                ('step_no', models.PositiveIntegerField(null=True, verbose_name='step')),
                ('sns', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), default=list, size=None, verbose_name='serial numbers')),
                ('error_code', models.CharField(max_length=60, verbose_name='error code')),
                ('error', models.JSONField(verbose_name='error')),
                ('subject', models.CharField(blank=True, max_length=200, verbose_name='about')),
                ('is_failing', models.BooleanField(verbose_name='reports a failure')),
                ('held_unit_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('run', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='mes.run')),
                ('station', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='mes.station')),
            ],
            options={
                'verbose_name': 'partly applied ingest event',
                'verbose_name_plural': 'partly applied ingest events',
                'ordering': ['-id'],
                'indexes': [models.Index(models.F('received_at'), name='partial_ingest_by_month'), django.contrib.postgres.indexes.GinIndex(models.F('held_unit_ids'), fastupdate=False, name='partial_ingest_holding')],
            },
        ),
        migrations.CreateModel(
            name='IngestWork',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('received_at', models.DateTimeField()),
                ('source_system', models.CharField(db_collation='C', max_length=100)),
                ('dedupe_key', models.CharField(db_collation='C', max_length=200)),
                ('occurred_at', models.DateTimeField(null=True)),
                ('last_at', models.DateTimeField()),
                ('step_no', models.PositiveIntegerField(null=True)),
                ('sns', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), size=None)),
                ('status', models.CharField(choices=[('APPLIED', 'Applied'), ('WAITING', 'Waiting'), ('REJECTED', 'Rejected'), ('CONFLICT', 'Conflict'), ('DISMISSED', 'Dismissed')], max_length=9)),
                ('error_code', models.CharField(max_length=60)),
                ('error', models.JSONField(null=True)),
                ('subject', models.CharField(max_length=200)),
                ('is_failing', models.BooleanField()),
                ('blocked_unit_id', models.BigIntegerField(null=True)),
                ('wait_until', models.DateTimeField(null=True)),
                ('failures', models.PositiveIntegerField()),
                ('next_attempt_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'open ingest event',
                'verbose_name_plural': 'open ingest events',
                'db_table': 'ingest_work',
                'ordering': ['-id'],
                'managed': False,
            },
        ),
        migrations.RunSQL(VIEW, "DROP VIEW ingest_work"),
        migrations.RunSQL(LEFT_OUT, migrations.RunSQL.noop),
    ]
