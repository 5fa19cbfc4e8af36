"""The whole life of orders, runs and units: kinds, decisions, moves, holds, active runs, approvals, labels."""

import django.db.models.deletion
import django.db.models.lookups
import django.utils.timezone
import mes.platform.validators
from django.db import migrations, models

from mes.platform.database.tracking import TrackTable


# Runs that were on hold waited for a decision about their outgoing inspection: that is what holds them now.
HELD_RUNS = """
    UPDATE mes_run SET held_from = 'IN_PROGRESS' WHERE status = 'ON_HOLD';
    INSERT INTO mes_hold (scope, run_id, source, status, reason, opened_by, opened_at, ended_by, end_reason)
    SELECT 'RUN', id, 'OQC', 'OPEN', status_reason, status_by, now(), '', '' FROM mes_run WHERE status = 'ON_HOLD';
"""

# Ranges of a single id stand for `=`, for which GiST has no operators without an extension.
NO_OVERLAP = "".join(
    f"""
    ALTER TABLE mes_runactivation ADD CONSTRAINT run_activation_no_overlap_{place} EXCLUDE USING gist (
        int8range({place}_id, {place}_id, '[]') WITH &&, tstzrange(active_from, active_to) WITH &&
    ) WHERE ({place}_id IS NOT NULL);
    """
    for place in ("line", "station")
)
OVERLAP = "".join(
    f"ALTER TABLE mes_runactivation DROP CONSTRAINT run_activation_no_overlap_{place};" for place in ("line", "station")
)

_KEPT = ("mes_decision", "mes_unitmove")
UNCHANGEABLE = "".join(
    f"""
    CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION mes_refuse_rewriting();
    CREATE TRIGGER untruncatable BEFORE TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION mes_refuse_rewriting();
    """
    for table in _KEPT
)
CHANGEABLE = "".join(f"DROP TRIGGER unchangeable ON {t}; DROP TRIGGER untruncatable ON {t};" for t in _KEPT)


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0037_spreadsheets'),
    ]

    operations = [
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('type', models.CharField(choices=[('UNSCRAP', 'Undo a scrap'), ('DEVIATION', 'Deviation')], max_length=9, verbose_name='what')),
                ('status', models.CharField(choices=[('REQUESTED', 'Requested'), ('APPROVED', 'Approved'), ('REFUSED', 'Refused'), ('WITHDRAWN', 'Withdrawn'), ('EXPIRED', 'Expired')], default='REQUESTED', max_length=9, verbose_name='status')),
                ('arguments', models.JSONField(default=dict, help_text='What was asked for, named as in the API.', verbose_name='arguments')),
                ('reason', models.CharField(max_length=500, verbose_name='reason')),
                ('requested_by', models.CharField(max_length=150, verbose_name='requested by')),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='requested')),
                ('expires_at', models.DateTimeField(verbose_name='expires')),
                ('decided_by', models.CharField(blank=True, max_length=150, verbose_name='decided by')),
                ('decided_at', models.DateTimeField(null=True, verbose_name='decided')),
                ('decision_reason', models.CharField(blank=True, max_length=500, verbose_name='reason of the decision')),
            ],
            options={
                'verbose_name': 'approval',
                'verbose_name_plural': 'approvals',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Decision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('act', models.CharField(help_text='A value of `mes.labels.Action`.', max_length=40, verbose_name='decision')),
                ('from_status', models.CharField(blank=True, max_length=13, verbose_name='from')),
                ('to_status', models.CharField(blank=True, max_length=13, verbose_name='to')),
                ('changes', models.JSONField(default=dict, help_text='Field to [old, new], named as in the API.', verbose_name='changes')),
                ('reason', models.CharField(blank=True, max_length=500, verbose_name='reason')),
                ('decided_by', models.CharField(max_length=150, verbose_name='decided by')),
                ('approved_by', models.CharField(blank=True, max_length=150, verbose_name='approved by')),
                ('decided_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='decided')),
            ],
            options={
                'verbose_name': 'decision',
                'verbose_name_plural': 'decisions',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(choices=[('RUN', 'Run'), ('LINE', 'Line')], max_length=4, verbose_name='scope')),
                ('source', models.CharField(choices=[('PERSON', 'A person'), ('OQC', 'Outgoing inspection')], default='PERSON', max_length=10, verbose_name='source')),
                ('status', models.CharField(choices=[('OPEN', 'Open'), ('RELEASED', 'Released')], default='OPEN', max_length=8, verbose_name='status')),
                ('reason', models.CharField(max_length=500, verbose_name='reason')),
                ('opened_by', models.CharField(max_length=150, verbose_name='held by')),
                ('opened_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='held')),
                ('ended_by', models.CharField(blank=True, max_length=150, verbose_name='released by')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='released')),
                ('end_reason', models.CharField(blank=True, max_length=500, verbose_name='reason of release')),
            ],
            options={
                'verbose_name': 'hold',
                'verbose_name_plural': 'holds',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='ReferencePass',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('passed_at', models.DateTimeField(verbose_name='at')),
                ('result', models.CharField(blank=True, choices=[('PASS', 'Pass'), ('FAIL', 'Fail')], help_text='Empty: the machine told none.', max_length=4, verbose_name='result')),
                ('event_id', models.BigIntegerField(null=True, verbose_name='machine event')),
                ('recorded_by', models.CharField(blank=True, max_length=150, verbose_name='recorded by')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='recorded')),
            ],
            options={
                'verbose_name': 'pass of a reference unit',
                'verbose_name_plural': 'passes of reference units',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='ReferenceUnit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sn', models.CharField(db_collation='C', max_length=100, unique=True, validators=[mes.platform.validators.validate_code], verbose_name='serial number')),
                ('kind', models.CharField(choices=[('GOLDEN', 'Golden board'), ('DUMMY', 'Dummy board')], max_length=6, verbose_name='kind')),
                ('expected_result', models.CharField(blank=True, choices=[('PASS', 'Pass'), ('FAIL', 'Fail')], help_text='Empty: any will do.', max_length=4, verbose_name='expected result')),
                ('expires_at', models.DateTimeField(blank=True, null=True, verbose_name='expires')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
            ],
            options={
                'verbose_name': 'reference unit',
                'verbose_name_plural': 'reference units',
                'ordering': ['sn'],
            },
        ),
        migrations.CreateModel(
            name='RunActivation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('active_from', models.DateTimeField(verbose_name='from')),
                ('active_to', models.DateTimeField(null=True, verbose_name='to')),
                ('set_by', models.CharField(max_length=150, verbose_name='set by')),
                ('ended_by', models.CharField(blank=True, max_length=150, verbose_name='ended by')),
            ],
            options={
                'verbose_name': 'active run',
                'verbose_name_plural': 'active runs',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='UnitAlias',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sn', models.CharField(db_collation='C', max_length=100, unique=True, validators=[mes.platform.validators.validate_code], verbose_name='earlier serial number')),
                ('reason', models.CharField(max_length=500, verbose_name='reason')),
                ('relabelled_by', models.CharField(max_length=150, verbose_name='relabelled by')),
                ('relabelled_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='relabelled')),
            ],
            options={
                'verbose_name': 'earlier serial number',
                'verbose_name_plural': 'earlier serial numbers',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='UnitMove',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('act', models.CharField(choices=[('MOVE', 'Moved to another run'), ('RETURN', 'Returned into a run'), ('TAKE_BACK', 'Taken back'), ('NOT_MADE', 'Not made')], max_length=9, verbose_name='act')),
                ('status', models.CharField(choices=[('QUEUED', 'Queued'), ('IN_STATION', 'In station'), ('DONE', 'Done'), ('OUT_FAILED', 'Failed'), ('ON_HOLD', 'On hold'), ('SCRAPPED', 'Scrapped')], max_length=10, verbose_name='status before')),
                ('step_no', models.PositiveIntegerField(null=True, verbose_name='step before')),
                ('counted_as', models.CharField(blank=True, choices=[('DONE', 'Done'), ('SCRAPPED', 'Scrapped')], max_length=8, verbose_name='counted as')),
                ('ended_at', models.DateTimeField(help_text='When the unit was done or scrapped in the run that it left.', null=True, verbose_name='ended there')),
                ('reason', models.CharField(blank=True, max_length=500, verbose_name='reason')),
                ('moved_by', models.CharField(max_length=150, verbose_name='moved by')),
                ('moved_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='moved')),
            ],
            options={
                'verbose_name': 'unit move',
                'verbose_name_plural': 'unit moves',
                'ordering': ['-id'],
            },
        ),
        migrations.AddField(
            model_name='run',
            name='correction_no',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='The number of the last correction to the ERP.', verbose_name='corrections told'),
        ),
        migrations.AddField(
            model_name='run',
            name='has_deviations',
            field=models.BooleanField(db_default=False, default=False, help_text='Then units are asked whether a deviation covers them.', verbose_name='has deviations'),
        ),
        migrations.AddField(
            model_name='run',
            name='held_from',
            field=models.CharField(blank=True, choices=[('PREP', 'In preparation'), ('AUTHORIZED', 'Authorized'), ('IN_PROGRESS', 'In progress'), ('ON_HOLD', 'On hold'), ('COMPLETED', 'Completed'), ('CLOSED_REWORK', 'Closed for rework'), ('SCRAPPED', 'Scrapped'), ('CANCELLED', 'Cancelled')], db_default='', default='', help_text='The status in which it goes on when nothing holds it any more.', max_length=13, verbose_name='held from'),
        ),
        migrations.AddField(
            model_name='run',
            name='kind',
            field=models.CharField(choices=[('PRODUCTION', 'Production'), ('REWORK', 'Rework'), ('ENGINEERING', 'Engineering')], db_default='PRODUCTION', default='PRODUCTION', max_length=11, verbose_name='kind'),
        ),
        migrations.AddField(
            model_name='workorder',
            name='kind',
            field=models.CharField(choices=[('PRODUCTION', 'Production'), ('REWORK', 'Rework'), ('ENGINEERING', 'Engineering')], db_default='PRODUCTION', default='PRODUCTION', max_length=11, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='run',
            name='status',
            field=models.CharField(choices=[('PREP', 'In preparation'), ('AUTHORIZED', 'Authorized'), ('IN_PROGRESS', 'In progress'), ('ON_HOLD', 'On hold'), ('COMPLETED', 'Completed'), ('CLOSED_REWORK', 'Closed for rework'), ('SCRAPPED', 'Scrapped'), ('CANCELLED', 'Cancelled')], default='PREP', max_length=13, verbose_name='status'),
        ),
        migrations.AlterField(
            model_name='workorder',
            name='status',
            field=models.CharField(choices=[('RECEIVED', 'Received'), ('RELEASED', 'Released'), ('IN_PROGRESS', 'In progress'), ('COMPLETED', 'Completed'), ('CANCELLED', 'Cancelled')], default='RECEIVED', max_length=11, verbose_name='status'),
        ),
        migrations.AddField(
            model_name='approval',
            name='run',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='approvals', to='mes.run'),
        ),
        migrations.AddField(
            model_name='approval',
            name='unit',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='approvals', to='mes.unit'),
        ),
        migrations.AddField(
            model_name='decision',
            name='line',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='mes.line'),
        ),
        migrations.AddField(
            model_name='decision',
            name='run',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='mes.run'),
        ),
        migrations.AddField(
            model_name='decision',
            name='work_order',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='mes.workorder'),
        ),
        migrations.AddField(
            model_name='hold',
            name='line',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='mes.line'),
        ),
        migrations.AddField(
            model_name='hold',
            name='run',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='mes.run'),
        ),
        migrations.AddField(
            model_name='referencepass',
            name='station',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reference_passes', to='mes.station'),
        ),
        migrations.AddField(
            model_name='referencepass',
            name='reference_unit',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='passes', to='mes.referenceunit'),
        ),
        migrations.AddField(
            model_name='runactivation',
            name='line',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='activations', to='mes.line'),
        ),
        migrations.AddField(
            model_name='runactivation',
            name='run',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='activations', to='mes.run'),
        ),
        migrations.AddField(
            model_name='runactivation',
            name='station',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='activations', to='mes.station'),
        ),
        migrations.AddField(
            model_name='unitalias',
            name='unit',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='aliases', to='mes.unit'),
        ),
        migrations.AddField(
            model_name='unitmove',
            name='from_run',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='moves_from', to='mes.run'),
        ),
        migrations.AddField(
            model_name='unitmove',
            name='to_run',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='moves_to', to='mes.run'),
        ),
        migrations.AddField(
            model_name='unitmove',
            name='unit',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='moves', to='mes.unit'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(models.F('status'), models.F('expires_at'), name='approval_by_status'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'REQUESTED'), ('unit__isnull', False)), fields=('type', 'unit'), name='approval_one_request_per_unit'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('status', 'REQUESTED')), models.Q(models.Q(('status', 'REQUESTED'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='approval_decided_when_not_requested'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'APPROVED'), _negated=True), models.Q(('decided_by', models.F('requested_by')), _negated=True), _connector='OR'), name='approval_by_another_person'),
        ),
        migrations.AddConstraint(
            model_name='decision',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Exact(models.Func('work_order', 'run', 'line', function='num_nonnulls', output_field=models.IntegerField()), 1), name='decision_about_one_thing'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.UniqueConstraint(condition=models.Q(('scope', 'RUN'), ('status', 'OPEN')), fields=('run', 'source'), name='hold_open_run'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.UniqueConstraint(condition=models.Q(('scope', 'LINE'), ('status', 'OPEN')), fields=('line', 'source'), name='hold_open_line'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('line__isnull', True), ('run__isnull', False), ('scope', 'RUN')), models.Q(('line__isnull', False), ('run__isnull', True), ('scope', 'LINE')), _connector='OR'), name='hold_of_what_its_scope_says'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('status', 'OPEN')), models.Q(('ended_at__isnull', False), ('status', 'RELEASED')), _connector='OR'), name='hold_ended_when_released'),
        ),
        migrations.AddIndex(
            model_name='referencepass',
            index=models.Index(models.F('reference_unit'), models.OrderBy(models.F('passed_at'), descending=True), name='reference_pass_by_unit'),
        ),
        migrations.AddIndex(
            model_name='referencepass',
            index=models.Index(models.F('created_at'), name='reference_pass_by_age'),
        ),
        migrations.AddIndex(
            model_name='runactivation',
            index=models.Index(models.F('line'), models.OrderBy(models.F('active_from'), descending=True), name='run_activation_by_line'),
        ),
        migrations.AddIndex(
            model_name='runactivation',
            index=models.Index(models.F('station'), models.OrderBy(models.F('active_from'), descending=True), name='run_activation_by_station'),
        ),
        migrations.AddIndex(
            model_name='runactivation',
            index=models.Index(models.F('active_to'), name='run_activation_by_end'),
        ),
        migrations.AddConstraint(
            model_name='runactivation',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Exact(models.Func('line', 'station', function='num_nonnulls', output_field=models.IntegerField()), 1), name='run_activation_of_one_place'),
        ),
        migrations.AddConstraint(
            model_name='runactivation',
            constraint=models.CheckConstraint(condition=models.Q(('active_to', None), ('active_to__gte', models.F('active_from')), _connector='OR'), name='run_activation_ends_after_start'),
        ),
        migrations.AddIndex(
            model_name='unitmove',
            index=models.Index(models.F('from_run'), models.F('counted_as'), name='unit_move_by_run'),
        ),
        migrations.RunSQL(HELD_RUNS, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('held_from__in', ('PREP', 'AUTHORIZED', 'IN_PROGRESS')), ('status', 'ON_HOLD')), models.Q(models.Q(('status', 'ON_HOLD'), _negated=True), ('held_from', '')), _connector='OR'), name='run_held_from_only_on_hold'),
        ),
        migrations.RunSQL(NO_OVERLAP, OVERLAP),
        migrations.RunSQL(UNCHANGEABLE, CHANGEABLE),
        TrackTable(
            "mes_referenceunit", ("reference-units", "sn", "sn", "", "", "", "", "{}", "{}")
        ),
    ]
