"""The quality loop: cases that hold units and stations, hold rules, signatures."""

import django.db.models.deletion
import django.db.models.lookups
import django.utils.timezone
import mes.platform.validators
from django.db import migrations, models

from mes.platform.database.tracking import TrackTable


UNCHANGEABLE = """
    CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE ON mes_signature
        FOR EACH ROW EXECUTE FUNCTION mes_refuse_rewriting();
    CREATE TRIGGER untruncatable BEFORE TRUNCATE ON mes_signature
        FOR EACH STATEMENT EXECUTE FUNCTION mes_refuse_rewriting();
"""
CHANGEABLE = "DROP TRIGGER unchangeable ON mes_signature; DROP TRIGGER untruncatable ON mes_signature;"


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0044_steering_indexes'),
    ]

    operations = [
        migrations.CreateModel(
            name='HeldUnit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('held_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='held')),
                ('held_by', models.CharField(max_length=150, verbose_name='held by')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='ended')),
                ('ended_by', models.CharField(blank=True, db_default='', default='', max_length=150, verbose_name='ended by')),
                ('end', models.CharField(blank=True, choices=[('RELEASED', 'Released'), ('REWORK', 'Reworked'), ('SCRAP', 'Scrapped')], db_default='', default='', max_length=8, verbose_name='end')),
                ('end_reason', models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='why')),
            ],
            options={
                'verbose_name': 'held unit',
                'verbose_name_plural': 'held units',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='HoldRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(db_collation='C', max_length=100, unique=True, validators=[mes.platform.validators.validate_code], verbose_name='code')),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('product_code', models.CharField(blank=True, max_length=100, verbose_name='product')),
                ('kind', models.CharField(choices=[('CONSECUTIVE_FAIL', 'Failed in a row'), ('SAME_DEFECT', 'The same defect'), ('FPY_BELOW', 'First-pass yield below')], max_length=16, verbose_name='kind')),
                ('n', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='how many')),
                ('of', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='of the last')),
                ('percent', models.DecimalField(blank=True, decimal_places=2, max_digits=5, null=True, verbose_name='percent')),
                ('action', models.CharField(choices=[('STOP_STATION', 'Stop the station'), ('HOLD_LINE', 'Stop the line'), ('NOTIFY', 'Tell')], max_length=12, verbose_name='what then')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created')),
            ],
            options={
                'verbose_name': 'hold rule',
                'verbose_name_plural': 'hold rules',
                'ordering': ['code'],
            },
        ),
        migrations.CreateModel(
            name='Signature',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('record_type', models.CharField(max_length=40, verbose_name='record')),
                ('record_id', models.CharField(max_length=100, verbose_name='number of the record')),
                ('meaning', models.CharField(max_length=200, verbose_name='meaning')),
                ('signer', models.CharField(max_length=150, verbose_name='signer')),
                ('printed_name', models.CharField(max_length=310, verbose_name='printed name')),
                ('document', models.TextField(verbose_name='signed document')),
                ('sha256', models.CharField(max_length=64, verbose_name='hash of the document')),
                ('signed_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='signed')),
            ],
            options={
                'verbose_name': 'signature',
                'verbose_name_plural': 'signatures',
                'ordering': ['-id'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='decision',
            name='decision_about_one_thing',
        ),
        migrations.RemoveConstraint(
            model_name='hold',
            name='hold_of_what_its_scope_says',
        ),
        migrations.AddField(
            model_name='decision',
            name='station',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='mes.station'),
        ),
        migrations.AddField(
            model_name='hold',
            name='applied_up_to',
            field=models.BigIntegerField(null=True, verbose_name='held up to'),
        ),
        migrations.AddField(
            model_name='hold',
            name='catches',
            field=models.BooleanField(db_default=False, default=False, verbose_name='catches what comes'),
        ),
        migrations.AddField(
            model_name='hold',
            name='condition',
            field=models.JSONField(null=True, verbose_name='condition'),
        ),
        migrations.AddField(
            model_name='hold',
            name='owner',
            field=models.CharField(blank=True, db_default='', default='', max_length=150, verbose_name='owner'),
        ),
        migrations.AddField(
            model_name='hold',
            name='station',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='mes.station'),
        ),
        migrations.AddField(
            model_name='hold',
            name='to_apply',
            field=models.PositiveIntegerField(null=True, verbose_name='to be held'),
        ),
        migrations.AddField(
            model_name='run',
            name='is_in_oqc',
            field=models.BooleanField(db_default=False, default=False, help_text='Then the lot stands still until it is decided: nothing enters, leaves the run or joins it.', verbose_name='in outgoing inspection'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='scope',
            field=models.CharField(choices=[('UNITS', 'Units'), ('RUN', 'Run'), ('STATION', 'Station'), ('LINE', 'Line')], max_length=7, verbose_name='scope'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='source',
            field=models.CharField(choices=[('PERSON', 'A person'), ('REPORT', 'A refused report'), ('ALARM', 'An alarm'), ('DATA', 'A value'), ('INSPECTION', 'An inspection'), ('DEFECT', 'A defect'), ('REPAIR', 'A repair'), ('FAI', 'First article'), ('OQC', 'Outgoing inspection'), ('RULE', 'A hold rule'), ('MATERIAL', 'Material'), ('ERP', 'ERP')], default='PERSON', max_length=10, verbose_name='source'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(condition=models.Q(('station__isnull', False)), fields=['station', '-id'], name='decision_by_station'),
        ),
        migrations.AddConstraint(
            model_name='decision',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Exact(models.Func('work_order', 'run', 'line', 'station', function='num_nonnulls', output_field=models.IntegerField()), 1), name='decision_about_one_thing'),
        ),
        migrations.AddField(
            model_name='heldunit',
            name='hold',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='held_units', to='mes.hold'),
        ),
        migrations.AddField(
            model_name='heldunit',
            name='unit',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='held_units', to='mes.unit'),
        ),
        migrations.AddField(
            model_name='holdrule',
            name='line',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='hold_rules', to='mes.line'),
        ),
        migrations.AddField(
            model_name='holdrule',
            name='operation',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='hold_rules', to='mes.operation'),
        ),
        migrations.AddField(
            model_name='holdrule',
            name='station',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='hold_rules', to='mes.station'),
        ),
        migrations.AddField(
            model_name='hold',
            name='rule',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='mes.holdrule'),
        ),
        migrations.AddIndex(
            model_name='hold',
            index=models.Index(condition=models.Q(('catches', True), ('status', 'OPEN')), fields=['id'], name='hold_open_that_catches'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.UniqueConstraint(condition=models.Q(('scope', 'STATION'), ('status', 'OPEN')), fields=('station', 'source'), name='hold_open_station'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('line__isnull', True), ('run__isnull', False), ('scope', 'RUN'), ('station__isnull', True)), models.Q(('line__isnull', False), ('run__isnull', True), ('scope', 'LINE'), ('station__isnull', True)), models.Q(('line__isnull', True), ('run__isnull', True), ('scope', 'STATION'), ('station__isnull', False)), models.Q(('line__isnull', True), ('run__isnull', True), ('scope', 'UNITS'), ('station__isnull', True)), _connector='OR'), name='hold_of_what_its_scope_says'),
        ),
        migrations.AddIndex(
            model_name='signature',
            index=models.Index(models.F('record_type'), models.F('record_id'), models.OrderBy(models.F('id'), descending=True), name='signature_by_record'),
        ),
        migrations.AddIndex(
            model_name='heldunit',
            index=models.Index(fields=['hold', 'id'], name='held_unit_by_hold'),
        ),
        migrations.AddIndex(
            model_name='heldunit',
            index=models.Index(fields=['unit', '-id'], name='held_unit_by_unit'),
        ),
        migrations.AddConstraint(
            model_name='heldunit',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('unit', 'hold'), name='held_unit_once_open_per_hold'),
        ),
        migrations.AddConstraint(
            model_name='heldunit',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('end', ''), ('ended_at', None)), models.Q(('ended_at__isnull', False), models.Q(('end', ''), _negated=True)), _connector='OR'), name='held_unit_ended_with_its_end'),
        ),
        migrations.RunSQL(UNCHANGEABLE, CHANGEABLE),
        TrackTable("mes_holdrule", ("hold-rules", "code", "name", "", "", "", "", "{}", "{}")),
    ]
