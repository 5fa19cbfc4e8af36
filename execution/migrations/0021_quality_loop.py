"""The quality loop: the tree of defect codes, defects that are decided, repair, and the cases of dispositions."""

import django.db.models.deletion
import django.utils.timezone
import mes.platform.validators
from django.db import migrations, models

from mes.platform.database.tracking import TrackTable


class Migration(migrations.Migration):

    dependencies = [
        ('execution', '0020_deviations'),
        ('mes', '0045_quality_loop'),
    ]

    operations = [
        migrations.CreateModel(
            name='DefectAlias',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source_system', models.CharField(blank=True, db_collation='C', max_length=100, verbose_name='source system')),
                ('reported', models.CharField(db_collation='C', max_length=100, verbose_name='reported code')),
            ],
            options={
                'verbose_name': 'alias of a defect code',
                'verbose_name_plural': 'aliases of defect codes',
                'ordering': ['source_system', 'reported'],
            },
        ),
        migrations.CreateModel(
            name='DefectCode',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(db_collation='C', max_length=100, unique=True, validators=[mes.platform.validators.validate_code], verbose_name='code')),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('category', models.CharField(blank=True, choices=[('COMPONENT', 'Component'), ('PLACEMENT', 'Placement'), ('TERMINATION', 'Termination'), ('ASSEMBLY', 'Assembly')], max_length=11, verbose_name='category')),
                ('severity', models.CharField(choices=[('DEFECT', 'Defect'), ('PROCESS_INDICATOR', 'Process indicator')], default='DEFECT', max_length=17, verbose_name='severity')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
            ],
            options={
                'verbose_name': 'defect code',
                'verbose_name_plural': 'defect codes',
                'ordering': ['code'],
            },
        ),
        migrations.CreateModel(
            name='RepairRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(choices=[('RESOLDERED', 'Resoldered'), ('REPLACED', 'Replaced'), ('CLEANED', 'Cleaned'), ('ADJUSTED', 'Adjusted'), ('REPROGRAMMED', 'Reprogrammed'), ('NONE', 'Nothing')], max_length=12, verbose_name='what was done')),
                ('result', models.CharField(choices=[('FIXED', 'Fixed'), ('NO_FAULT_FOUND', 'No fault found'), ('NOT_FIXED', 'Not fixed')], max_length=14, verbose_name='result')),
                ('replaced', models.JSONField(blank=True, default=list, verbose_name='replaced parts')),
                ('remark', models.CharField(blank=True, max_length=500, verbose_name='remark')),
                ('recorded_by', models.CharField(blank=True, db_default='', default='', max_length=200, verbose_name='recorded by')),
                ('recorded_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='recorded')),
            ],
            options={
                'verbose_name': 'repair record',
                'verbose_name_plural': 'repair records',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='ReworkTask',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('to_step_no', models.PositiveIntegerField(verbose_name='back to step')),
                ('rework_no', models.PositiveSmallIntegerField(verbose_name='times reworked')),
                ('status', models.CharField(choices=[('OPEN', 'Open'), ('DONE', 'Done'), ('CANCELLED', 'Cancelled')], default='OPEN', max_length=9, verbose_name='status')),
                ('reason', models.CharField(max_length=500, verbose_name='reason')),
                ('created_by', models.CharField(max_length=150, verbose_name='sent by')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='sent')),
                ('ended_by', models.CharField(blank=True, db_default='', default='', max_length=150, verbose_name='ended by')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='ended')),
            ],
            options={
                'verbose_name': 'rework task',
                'verbose_name_plural': 'rework tasks',
                'ordering': ['-id'],
            },
        ),
        migrations.AddField(
            model_name='defect',
            name='found_by',
            field=models.CharField(blank=True, db_default='', default='', max_length=200, verbose_name='found by'),
        ),
        migrations.AddField(
            model_name='defect',
            name='quantity',
            field=models.PositiveIntegerField(db_default=1, default=1, verbose_name='quantity'),
        ),
        migrations.AddField(
            model_name='defect',
            name='reported_code',
            field=models.CharField(blank=True, db_default='', default='', max_length=100, verbose_name='reported code'),
        ),
        migrations.AddField(
            model_name='defect',
            name='settled_at',
            field=models.DateTimeField(null=True, verbose_name='settled'),
        ),
        migrations.AddField(
            model_name='defect',
            name='settled_by',
            field=models.CharField(blank=True, db_default='', default='', max_length=150, verbose_name='settled by'),
        ),
        migrations.AddField(
            model_name='defect',
            name='settled_reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='why'),
        ),
        migrations.AddField(
            model_name='defect',
            name='source',
            field=models.CharField(choices=[('TRACK_OUT', 'Track-out'), ('INSPECTION', 'Inspection'), ('MACHINE', 'Machine'), ('VALUE', 'A value'), ('HAND', 'By hand'), ('OQC', 'Outgoing inspection'), ('FAI', 'First article')], db_default='TRACK_OUT', default='TRACK_OUT', max_length=10, verbose_name='source'),
        ),
        migrations.AddField(
            model_name='defect',
            name='source_system',
            field=models.CharField(blank=True, db_default='', default='', max_length=100, verbose_name='source system'),
        ),
        migrations.AddField(
            model_name='defect',
            name='station',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='defects', to='mes.station', verbose_name='station'),
        ),
        migrations.AddField(
            model_name='disposition',
            name='hold',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='dispositions', to='mes.hold', verbose_name='case'),
        ),
        migrations.AlterField(
            model_name='defect',
            name='status',
            field=models.CharField(choices=[('OPEN', 'Open'), ('REPAIRED', 'Repaired'), ('NO_FAULT_FOUND', 'No fault found'), ('FALSE_CALL', 'False call'), ('ACCEPTED', 'Accepted'), ('SCRAPPED', 'Scrapped'), ('WITHDRAWN', 'Withdrawn')], default='OPEN', max_length=14, verbose_name='status'),
        ),
        migrations.AlterField(
            model_name='defect',
            name='track',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='defects', to='execution.track', verbose_name='track'),
        ),
        migrations.AlterField(
            model_name='track',
            name='result_override',
            field=models.CharField(blank=True, choices=[('DATA', 'A key value failed'), ('REWORK', 'Closed by rework'), ('SCRAP', 'Closed by scrapping'), ('SKIP', 'Not processed by the machine'), ('REPORT', 'Failed by a report'), ('REVIEW', 'Passed by a review'), ('DEFECT', 'Failed by a defect')], max_length=6, verbose_name='override'),
        ),
        migrations.AddIndex(
            model_name='defect',
            index=models.Index(models.F('code'), models.F('found_at'), name='defect_by_code_and_time'),
        ),
        migrations.AddIndex(
            model_name='disposition',
            index=models.Index(models.F('hold'), condition=models.Q(('hold__isnull', False)), name='disposition_by_hold'),
        ),
        migrations.AddConstraint(
            model_name='defect',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='defect_quantity_positive'),
        ),
        migrations.AddField(
            model_name='defectcode',
            name='parent',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='execution.defectcode', verbose_name='parent'),
        ),
        migrations.AddField(
            model_name='defectalias',
            name='code',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='aliases', to='execution.defectcode', verbose_name='code'),
        ),
        migrations.AddField(
            model_name='repairrecord',
            name='defect',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='repairs', to='execution.defect', verbose_name='defect'),
        ),
        migrations.AddField(
            model_name='reworktask',
            name='defects',
            field=models.ManyToManyField(related_name='rework_tasks', to='execution.defect', verbose_name='defects'),
        ),
        migrations.AddField(
            model_name='reworktask',
            name='run',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='rework_tasks', to='mes.run'),
        ),
        migrations.AddField(
            model_name='reworktask',
            name='unit',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='rework_tasks', to='mes.unit'),
        ),
        migrations.AddField(
            model_name='repairrecord',
            name='task',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='records', to='execution.reworktask', verbose_name='task'),
        ),
        migrations.AddConstraint(
            model_name='defectcode',
            constraint=models.CheckConstraint(condition=models.Q(('parent', None), models.Q(('parent', models.F('id')), _negated=True), _connector='OR'), name='defect_code_not_its_own_parent'),
        ),
        migrations.AddConstraint(
            model_name='defectalias',
            constraint=models.UniqueConstraint(fields=('source_system', 'reported'), name='defect_alias_once_per_source'),
        ),
        migrations.AddIndex(
            model_name='reworktask',
            index=models.Index(models.F('unit'), models.OrderBy(models.F('id'), descending=True), name='rework_task_by_unit'),
        ),
        migrations.AddIndex(
            model_name='reworktask',
            index=models.Index(models.OrderBy(models.F('id'), descending=True), condition=models.Q(('status', 'OPEN')), name='rework_task_open'),
        ),
        migrations.AddConstraint(
            model_name='reworktask',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'OPEN')), fields=('unit',), name='rework_task_one_open_per_unit'),
        ),
        migrations.AddConstraint(
            model_name='reworktask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('status', 'OPEN')), models.Q(models.Q(('status', 'OPEN'), _negated=True), ('ended_at__isnull', False)), _connector='OR'), name='rework_task_ended_when_it_ends'),
        ),
        TrackTable("execution_defectcode", ("defect-codes", "code", "name", "", "", "", "", "{}", "{}")),
        TrackTable("execution_defectalias", ("defect-aliases", "id", "reported", "", "", "", "", "{}", "{}")),
    ]
