"""Material lots, tools, set-up lists, and what was in which slot."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.utils.timezone
import mes.platform.validators
from django.db import migrations, models

from mes.platform.database.tracking import TrackTable


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0057_tools_and_lots'),
    ]

    operations = [
        migrations.CreateModel(
            name='Load',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.CharField(db_collation='C', max_length=100, verbose_name='slot')),
                ('program', models.CharField(blank=True, db_collation='C', max_length=100, verbose_name='program')),
                ('verify', models.CharField(blank=True, choices=[('PASS', 'As listed'), ('ALTERNATE', 'An alternate'), ('NO_LIST', 'No list'), ('WRONG_PART', 'Wrong part')], max_length=10, verbose_name='compared with the list')),
                ('state', models.CharField(choices=[('ACTIVE', 'In use'), ('NEXT', 'Spliced behind')], default='ACTIVE', max_length=6, verbose_name='state')),
                ('is_shared', models.BooleanField(default=False, verbose_name='may be in several places')),
                ('loaded_at', models.DateTimeField(verbose_name='loaded')),
                ('ended_at', models.DateTimeField(null=True, verbose_name='ended')),
            ],
            options={
                'verbose_name': 'load',
                'verbose_name_plural': 'loads',
                'ordering': ['-loaded_at', '-id'],
            },
        ),
        migrations.CreateModel(
            name='LoadMark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.CharField(db_collation='C', max_length=100, verbose_name='slot')),
                ('program', models.CharField(blank=True, db_collation='C', max_length=100, verbose_name='program')),
                ('verify', models.CharField(blank=True, choices=[('PASS', 'As listed'), ('ALTERNATE', 'An alternate'), ('NO_LIST', 'No list'), ('WRONG_PART', 'Wrong part')], max_length=10, verbose_name='compared with the list')),
                ('kind', models.CharField(choices=[('LOAD', 'Loaded'), ('SPLICE', 'Spliced'), ('SPLICE_POINT', 'Splice passed'), ('UNLOAD', 'Unloaded')], max_length=12, verbose_name='kind')),
                ('at', models.DateTimeField(verbose_name='happened')),
                ('quantity', models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True, verbose_name='quantity')),
                ('source', models.CharField(choices=[('SCAN', 'Scanned'), ('MACHINE', 'Reported by a machine'), ('SYSTEM', 'Worked out')], max_length=7, verbose_name='source')),
                ('operator', models.CharField(blank=True, max_length=150, verbose_name='by')),
                ('recorded_by', models.CharField(blank=True, db_default='', default='', max_length=200, verbose_name='recorded by')),
                ('event_id', models.CharField(blank=True, max_length=200, verbose_name='message')),
                ('voided_at', models.DateTimeField(null=True, verbose_name='voided')),
                ('voided_by', models.CharField(blank=True, max_length=150, verbose_name='voided by')),
                ('void_reason', models.CharField(blank=True, max_length=500, verbose_name='reason')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='recorded')),
            ],
            options={
                'verbose_name': 'mark of a slot',
                'verbose_name_plural': 'marks of slots',
                'ordering': ['-at', '-id'],
            },
        ),
        migrations.CreateModel(
            name='LoadScan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.CharField(blank=True, db_collation='C', max_length=100, verbose_name='slot')),
                ('text', models.CharField(max_length=1000, verbose_name='scanned')),
                ('action', models.CharField(max_length=10, verbose_name='action')),
                ('outcome', models.CharField(blank=True, max_length=40, verbose_name='outcome')),
                ('details', models.JSONField(default=dict, verbose_name='details')),
                ('operator', models.CharField(blank=True, max_length=150, verbose_name='by')),
                ('recorded_by', models.CharField(blank=True, db_default='', default='', max_length=200, verbose_name='recorded by')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='scanned at')),
            ],
            options={
                'verbose_name': 'scan at a slot',
                'verbose_name_plural': 'scans at slots',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='LotEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('OPENED', 'Opened'), ('DRY_IN', 'Put into dry storage'), ('DRY_OUT', 'Taken out of dry storage'), ('SEALED', 'Sealed'), ('BAKE_START', 'Bake begun'), ('BAKE_END', 'Bake ended'), ('COUNTED', 'Counted'), ('SPLIT', 'Split'), ('BLOCKED', 'Blocked'), ('UNBLOCKED', 'Unblocked'), ('USED_UP', 'Used up'), ('SCRAPPED', 'Scrapped')], max_length=10, verbose_name='kind')),
                ('at', models.DateTimeField(verbose_name='happened')),
                ('temperature_c', models.DecimalField(blank=True, decimal_places=2, max_digits=6, null=True, verbose_name='temperature in °C')),
                ('quantity', models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True, verbose_name='quantity')),
                ('reason', models.CharField(blank=True, max_length=500, verbose_name='reason')),
                ('source', models.CharField(default='MANUAL', max_length=6, verbose_name='source')),
                ('operator', models.CharField(blank=True, max_length=150, verbose_name='by')),
                ('recorded_by', models.CharField(blank=True, db_default='', default='', max_length=200, verbose_name='recorded by')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='recorded')),
            ],
            options={
                'verbose_name': 'event of a lot',
                'verbose_name_plural': 'events of lots',
                'ordering': ['-at', '-id'],
            },
        ),
        migrations.CreateModel(
            name='RunSetUpList',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('bound_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='bound')),
                ('bound_by', models.CharField(blank=True, max_length=150, verbose_name='bound by')),
                ('reason', models.CharField(blank=True, max_length=500, verbose_name='reason')),
            ],
            options={
                'verbose_name': 'set-up list of a run',
                'verbose_name_plural': 'set-up lists of runs',
                'ordering': ['-bound_at', '-id'],
            },
        ),
        migrations.CreateModel(
            name='SetUpItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.CharField(db_collation='C', max_length=100, validators=[mes.platform.validators.validate_code], verbose_name='slot')),
                ('kind', models.CharField(choices=[('PART', 'Part'), ('TOOL', 'Tool'), ('PROGRAM', 'Program')], default='PART', max_length=7, verbose_name='kind')),
                ('quantity_per_unit', models.DecimalField(decimal_places=4, default=1, max_digits=14, verbose_name='quantity per unit')),
                ('ref_des', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, size=None, verbose_name='designators')),
                ('program', models.CharField(blank=True, max_length=100, validators=[mes.platform.validators.validate_line], verbose_name='program')),
            ],
            options={
                'verbose_name': 'set-up item',
                'verbose_name_plural': 'set-up items',
                'ordering': ['station', 'slot', 'id'],
            },
        ),
        migrations.CreateModel(
            name='SetUpList',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('revision', models.PositiveIntegerField(verbose_name='revision')),
                ('status', models.CharField(choices=[('DRAFT', 'Draft'), ('RELEASED', 'Released')], default='DRAFT', max_length=8, verbose_name='status')),
                ('created_by', models.CharField(blank=True, max_length=150, verbose_name='made by')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='made')),
                ('released_by', models.CharField(blank=True, max_length=150, verbose_name='released by')),
                ('released_at', models.DateTimeField(blank=True, null=True, verbose_name='released')),
            ],
            options={
                'verbose_name': 'set-up list',
                'verbose_name_plural': 'set-up lists',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='SlotLock',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.CharField(db_collation='C', max_length=100, verbose_name='slot')),
                ('wrong_parts', models.PositiveSmallIntegerField(default=0, verbose_name='wrong parts in a row')),
                ('locked_at', models.DateTimeField(null=True, verbose_name='locked')),
                ('unlocked_at', models.DateTimeField(null=True, verbose_name='unlocked')),
                ('unlocked_by', models.CharField(blank=True, max_length=150, verbose_name='unlocked by')),
                ('unlock_reason', models.CharField(blank=True, max_length=500, verbose_name='reason')),
            ],
            options={
                'verbose_name': 'lock of a slot',
                'verbose_name_plural': 'locks of slots',
                'ordering': ['station', 'slot'],
            },
        ),
        migrations.AlterModelOptions(
            name='materiallot',
            options={'ordering': ['-id'], 'verbose_name': 'material lot', 'verbose_name_plural': 'material lots'},
        ),
        migrations.AlterModelOptions(
            name='tool',
            options={'ordering': ['-id'], 'verbose_name': 'tool', 'verbose_name_plural': 'tools'},
        ),
        migrations.AddField(
            model_name='bomitem',
            name='ref_des',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, db_default=[], default=list, size=None, verbose_name='designators'),
        ),
        migrations.AddField(
            model_name='line',
            name='low_units',
            field=models.PositiveIntegerField(db_default=20, default=20, help_text='People are told when a lot is left for fewer.', verbose_name='warn at a rest for so many units'),
        ),
        migrations.AddField(
            model_name='line',
            name='material_control',
            field=models.CharField(choices=[('OFF', 'Off'), ('RECORD', 'Record'), ('ENFORCE', 'Enforce')], db_default='OFF', default='OFF', help_text='Enforced, no unit enters a station whose set-up is not good. Loads are recorded in any case.', max_length=7, verbose_name='control of materials'),
        ),
        migrations.AddField(
            model_name='material',
            name='body_thickness_mm',
            field=models.DecimalField(blank=True, decimal_places=3, max_digits=6, null=True, verbose_name='body thickness in mm'),
        ),
        migrations.AddField(
            model_name='material',
            name='is_shared',
            field=models.BooleanField(db_default=False, default=False, help_text='Of one lot, as of glue or wire.', verbose_name='in several slots at once'),
        ),
        migrations.AddField(
            model_name='material',
            name='manufacturer_parts',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, db_default=[], default=list, size=None, verbose_name="manufacturers' parts"),
        ),
        migrations.AddField(
            model_name='material',
            name='msl',
            field=models.CharField(blank=True, choices=[('1', '1'), ('2', '2'), ('2a', '2a'), ('3', '3'), ('4', '4'), ('5', '5'), ('5a', '5a'), ('6', '6')], db_default='', default='', help_text='J-STD-020. Empty: it has no floor life.', max_length=2, verbose_name='moisture sensitivity'),
        ),
        migrations.AddField(
            model_name='material',
            name='trace_level',
            field=models.PositiveSmallIntegerField(blank=True, help_text='IPC-1782, 1 to 4: what boards of this product must say.', null=True, verbose_name='trace level'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='block_reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='reason'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='blocked_from',
            field=models.CharField(blank=True, choices=[('AVAILABLE', 'Available'), ('USED_UP', 'Used up'), ('BLOCKED', 'Blocked'), ('SCRAPPED', 'Scrapped')], db_default='', default='', max_length=9),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='body_thickness_mm',
            field=models.DecimalField(blank=True, decimal_places=3, max_digits=6, null=True, verbose_name='body thickness in mm'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='counted_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='counted at'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='counted_quantity',
            field=models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True, verbose_name='counted'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='date_code',
            field=models.CharField(blank=True, db_collation='C', db_default='', default='', max_length=100, verbose_name='date code'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='floor_life_hours',
            field=models.PositiveIntegerField(blank=True, help_text='Of level 6, after a bake, as its label says.', null=True, verbose_name='floor life in hours'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='is_solder_paste',
            field=models.BooleanField(db_default=False, default=False, verbose_name='solder paste'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='manufacturer_part',
            field=models.CharField(blank=True, db_collation='C', db_default='', default='', max_length=100, verbose_name="manufacturer's part"),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='material',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='lots', to='mes.material', verbose_name='material'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='msl',
            field=models.CharField(blank=True, choices=[('1', '1'), ('2', '2'), ('2a', '2a'), ('3', '3'), ('4', '4'), ('5', '5'), ('5a', '5a'), ('6', '6')], db_default='', default='', help_text='J-STD-020. Empty: as its material.', max_length=2, verbose_name='moisture sensitivity'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='parent',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='splits', to='mes.materiallot', verbose_name='split from'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='quantity',
            field=models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True, verbose_name='quantity'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='split_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='split'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='status',
            field=models.CharField(choices=[('AVAILABLE', 'Available'), ('USED_UP', 'Used up'), ('BLOCKED', 'Blocked'), ('SCRAPPED', 'Scrapped')], db_default='AVAILABLE', default='AVAILABLE', max_length=9, verbose_name='status'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='supplier',
            field=models.CharField(blank=True, db_default='', default='', max_length=100, verbose_name='supplier'),
        ),
        migrations.AddField(
            model_name='materiallot',
            name='supplier_lot',
            field=models.CharField(blank=True, db_collation='C', db_default='', default='', max_length=100, verbose_name="supplier's lot"),
        ),
        migrations.AddField(
            model_name='tool',
            name='kind',
            field=models.CharField(choices=[('STENCIL', 'Stencil'), ('SQUEEGEE', 'Squeegee'), ('FIXTURE', 'Fixture'), ('FEEDER', 'Feeder'), ('NOZZLE', 'Nozzle'), ('OTHER', 'Other')], db_default='STENCIL', default='STENCIL', max_length=8, verbose_name='kind'),
        ),
        migrations.AddField(
            model_name='tool',
            name='life_uses',
            field=models.PositiveIntegerField(blank=True, help_text='Strokes after which it is worn for good.', null=True, verbose_name='uses of its life'),
        ),
        migrations.AddField(
            model_name='tool',
            name='uses',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='Strokes of its life.', verbose_name='uses'),
        ),
        migrations.AddField(
            model_name='tool',
            name='warned_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='warned'),
        ),
        migrations.AlterField(
            model_name='materiallot',
            name='paste_status',
            field=models.CharField(blank=True, choices=[('COMPLIANT', 'Compliant'), ('NON_COMPLIANT', 'Not compliant'), ('EXPIRED', 'Expired')], max_length=13, verbose_name='reported status'),
        ),
        migrations.AlterField(
            model_name='mesevent',
            name='event_type',
            field=models.CharField(choices=[('TRACK_IN', 'Track in'), ('TRACK_OUT', 'Track out'), ('SOLDER_PASTE_USAGE_CREATE', 'Solder paste taken into use'), ('SOLDER_PASTE_USAGE_UNBIND', 'Solder paste taken out of use'), ('DATA_ALARM', 'Data alarm'), ('OUTBOUND_FEEDBACK', 'Feedback to another system'), ('HOLD_APPLY', 'Units are held or decided about together'), ('DEFECT_FOUND', 'A defect was found otherwise than by a move'), ('HOLD_RULE_BROKEN', 'Passes that a hold rule does not let go by'), ('NOTICE', 'Something that people are told by rules'), ('NOTICE_MAIL', 'A mail to a person'), ('NOTICE_WEBHOOK', 'A message to a webhook'), ('LOAD_CHANGED', 'What a slot holds changed'), ('MATERIAL_CORRECTED', 'A load was corrected'), ('RUN_COUNTS_CHANGED', 'Counts or status of a run changed after its end')], max_length=40, verbose_name='type'),
        ),
        migrations.AlterField(
            model_name='tool',
            name='max_hours_since_service',
            field=models.PositiveIntegerField(blank=True, help_text='After them it must be cleaned or serviced again.', null=True, verbose_name='most hours since cleaning'),
        ),
        migrations.AlterField(
            model_name='tool',
            name='max_uses',
            field=models.PositiveIntegerField(blank=True, help_text='Strokes after which it must be cleaned or serviced.', null=True, verbose_name='most uses'),
        ),
        migrations.AlterField(
            model_name='tool',
            name='serviced_at',
            field=models.DateTimeField(blank=True, help_text='Or serviced.', null=True, verbose_name='last cleaned'),
        ),
        migrations.AlterField(
            model_name='tool',
            name='tension_min',
            field=models.FloatField(blank=True, help_text='In N/cm; below it, a stencil is not used.', null=True, verbose_name='least tension'),
        ),
        migrations.AlterField(
            model_name='tool',
            name='tool_id',
            field=models.CharField(db_collation='C', max_length=100, unique=True, validators=[mes.platform.validators.validate_code], verbose_name='tool'),
        ),
        migrations.AlterField(
            model_name='tool',
            name='uses_since_service',
            field=models.PositiveIntegerField(default=0, help_text='Strokes since it was cleaned or serviced.', verbose_name='uses since cleaning'),
        ),
        migrations.AddIndex(
            model_name='material',
            index=django.contrib.postgres.indexes.GinIndex(models.F('manufacturer_parts'), name='material_by_manufacturer_part'),
        ),
        migrations.AddIndex(
            model_name='materiallot',
            index=models.Index(models.F('material'), models.F('supplier_lot'), name='material_lot_by_supplier_lot'),
        ),
        migrations.AddIndex(
            model_name='materiallot',
            index=models.Index(models.F('material'), models.F('date_code'), name='material_lot_by_date_code'),
        ),
        migrations.AddConstraint(
            model_name='material',
            constraint=models.CheckConstraint(condition=models.Q(('trace_level', None), models.Q(('trace_level__gte', 1), ('trace_level__lte', 4)), _connector='OR'), name='material_trace_level_of_ipc_1782'),
        ),
        migrations.AddConstraint(
            model_name='materiallot',
            constraint=models.CheckConstraint(condition=models.Q(('quantity', None), ('quantity__gte', 0), _connector='OR'), name='material_lot_quantity_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='materiallot',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('counted_at', None), ('counted_quantity', None)), models.Q(('counted_at__isnull', False), ('counted_quantity__gte', 0)), _connector='OR'), name='material_lot_counted_at_some_time'),
        ),
        migrations.AddConstraint(
            model_name='materiallot',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('blocked_from__in', ['AVAILABLE', 'USED_UP']), ('status', 'BLOCKED')), models.Q(models.Q(('status', 'BLOCKED'), _negated=True), ('blocked_from', '')), _connector='OR'), name='material_lot_blocked_from_somewhere'),
        ),
        migrations.AddConstraint(
            model_name='materiallot',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('parent', None), ('split_at', None)), models.Q(('parent__isnull', False), ('split_at__isnull', False)), _connector='OR'), name='material_lot_split_at_some_time'),
        ),
        migrations.AddConstraint(
            model_name='materiallot',
            constraint=models.CheckConstraint(condition=models.Q(('parent', models.F('id')), _negated=True), name='material_lot_not_of_itself'),
        ),
        migrations.AddField(
            model_name='load',
            name='feeder',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.tool', verbose_name='feeder'),
        ),
        migrations.AddField(
            model_name='load',
            name='line',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.line', verbose_name='line'),
        ),
        migrations.AddField(
            model_name='load',
            name='lot',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.materiallot', verbose_name='lot'),
        ),
        migrations.AddField(
            model_name='load',
            name='station',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.station', verbose_name='station'),
        ),
        migrations.AddField(
            model_name='load',
            name='tool',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.tool', verbose_name='tool'),
        ),
        migrations.AddField(
            model_name='loadmark',
            name='corrects',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.loadmark', verbose_name='in place of'),
        ),
        migrations.AddField(
            model_name='loadmark',
            name='feeder',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.tool', verbose_name='feeder'),
        ),
        migrations.AddField(
            model_name='loadmark',
            name='line',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.line', verbose_name='line'),
        ),
        migrations.AddField(
            model_name='loadmark',
            name='lot',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.materiallot', verbose_name='lot'),
        ),
        migrations.AddField(
            model_name='loadmark',
            name='run',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.run', verbose_name='run'),
        ),
        migrations.AddField(
            model_name='loadmark',
            name='station',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.station', verbose_name='station'),
        ),
        migrations.AddField(
            model_name='loadmark',
            name='tool',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.tool', verbose_name='tool'),
        ),
        migrations.AddField(
            model_name='load',
            name='opened_by',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='load', to='mes.loadmark', verbose_name='opened by'),
        ),
        migrations.AddField(
            model_name='loadscan',
            name='line',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.line', verbose_name='line'),
        ),
        migrations.AddField(
            model_name='loadscan',
            name='load',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='mes.load', verbose_name='load'),
        ),
        migrations.AddField(
            model_name='loadscan',
            name='station',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.station', verbose_name='station'),
        ),
        migrations.AddField(
            model_name='lotevent',
            name='lot',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='events', to='mes.materiallot', verbose_name='lot'),
        ),
        migrations.AddField(
            model_name='lotevent',
            name='other',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.materiallot', verbose_name='other lot'),
        ),
        migrations.AddField(
            model_name='runsetuplist',
            name='run',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='set_up_lists', to='mes.run', verbose_name='run'),
        ),
        migrations.AddField(
            model_name='setupitem',
            name='alternates',
            field=models.ManyToManyField(blank=True, help_text='Parts that may stand in.', related_name='+', to='mes.material', verbose_name='alternates'),
        ),
        migrations.AddField(
            model_name='setupitem',
            name='material',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.material', verbose_name='material'),
        ),
        migrations.AddField(
            model_name='setupitem',
            name='station',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.station', verbose_name='station'),
        ),
        migrations.AddField(
            model_name='setupitem',
            name='tools',
            field=models.ManyToManyField(blank=True, related_name='+', to='mes.tool', verbose_name='tools'),
        ),
        migrations.AddField(
            model_name='setuplist',
            name='line',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='set_up_lists', to='mes.line', verbose_name='line'),
        ),
        migrations.AddField(
            model_name='setuplist',
            name='route',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='set_up_lists', to='mes.routing', verbose_name='route'),
        ),
        migrations.AddField(
            model_name='setupitem',
            name='set_up_list',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='items', to='mes.setuplist', verbose_name='set-up list'),
        ),
        migrations.AddField(
            model_name='runsetuplist',
            name='set_up_list',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='bound_runs', to='mes.setuplist', verbose_name='set-up list'),
        ),
        migrations.AddField(
            model_name='slotlock',
            name='station',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='slot_locks', to='mes.station', verbose_name='station'),
        ),
        migrations.AddIndex(
            model_name='loadmark',
            index=models.Index(models.F('station'), models.F('slot'), models.OrderBy(models.F('at'), descending=True), condition=models.Q(('station__isnull', False)), name='load_mark_of_station'),
        ),
        migrations.AddIndex(
            model_name='loadmark',
            index=models.Index(models.F('line'), models.F('slot'), models.OrderBy(models.F('at'), descending=True), condition=models.Q(('line__isnull', False)), name='load_mark_of_line'),
        ),
        migrations.AddIndex(
            model_name='loadmark',
            index=models.Index(models.F('lot'), models.OrderBy(models.F('at'), descending=True), condition=models.Q(('lot__isnull', False)), name='load_mark_of_lot'),
        ),
        migrations.AddIndex(
            model_name='loadmark',
            index=models.Index(models.F('tool'), models.OrderBy(models.F('at'), descending=True), condition=models.Q(('tool__isnull', False)), name='load_mark_of_tool'),
        ),
        migrations.AddConstraint(
            model_name='loadmark',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('line', None), ('station__isnull', False)), models.Q(('line__isnull', False), ('station', None)), _connector='OR'), name='load_mark_of_one_place'),
        ),
        migrations.AddConstraint(
            model_name='loadmark',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lot__isnull', False), ('program', ''), ('tool', None)), models.Q(('lot', None), ('program', ''), ('tool__isnull', False)), models.Q(('lot', None), ('tool', None), models.Q(('program', ''), _negated=True)), models.Q(('kind__in', ['UNLOAD', 'SPLICE_POINT']), ('lot', None), ('program', ''), ('tool', None)), _connector='OR'), name='load_mark_of_one_thing'),
        ),
        migrations.AddConstraint(
            model_name='loadmark',
            constraint=models.CheckConstraint(condition=models.Q(('voided_at', None), models.Q(('void_reason', ''), _negated=True), _connector='OR'), name='load_mark_voided_with_reason'),
        ),
        migrations.AddIndex(
            model_name='load',
            index=models.Index(models.F('station'), models.F('slot'), models.OrderBy(models.F('loaded_at'), descending=True), condition=models.Q(('station__isnull', False)), name='load_of_station'),
        ),
        migrations.AddIndex(
            model_name='load',
            index=models.Index(models.F('line'), models.F('slot'), models.OrderBy(models.F('loaded_at'), descending=True), condition=models.Q(('line__isnull', False)), name='load_of_line'),
        ),
        migrations.AddIndex(
            model_name='load',
            index=models.Index(models.F('lot'), models.OrderBy(models.F('loaded_at'), descending=True), condition=models.Q(('lot__isnull', False)), name='load_of_lot'),
        ),
        migrations.AddIndex(
            model_name='load',
            index=models.Index(models.F('tool'), models.OrderBy(models.F('loaded_at'), descending=True), condition=models.Q(('tool__isnull', False)), name='load_of_tool'),
        ),
        migrations.AddIndex(
            model_name='load',
            index=models.Index(models.F('program'), models.OrderBy(models.F('loaded_at'), descending=True), condition=models.Q(('program', ''), _negated=True), name='load_of_program'),
        ),
        migrations.AddConstraint(
            model_name='load',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('line', None), ('station__isnull', False)), models.Q(('line__isnull', False), ('station', None)), _connector='OR'), name='load_of_one_place'),
        ),
        migrations.AddConstraint(
            model_name='load',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lot__isnull', False), ('program', ''), ('tool', None)), models.Q(('lot', None), ('program', ''), ('tool__isnull', False)), models.Q(('lot', None), ('tool', None), models.Q(('program', ''), _negated=True)), _connector='OR'), name='load_of_one_thing'),
        ),
        migrations.AddConstraint(
            model_name='load',
            constraint=models.CheckConstraint(condition=models.Q(('ended_at', None), ('ended_at__gte', models.F('loaded_at')), _connector='OR'), name='load_ends_after_start'),
        ),
        migrations.AddConstraint(
            model_name='load',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None), ('station__isnull', False)), fields=('station', 'slot', 'state'), name='load_one_open_per_slot'),
        ),
        migrations.AddConstraint(
            model_name='load',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None), ('line__isnull', False)), fields=('line', 'slot', 'state'), name='load_one_open_per_slot_of_line'),
        ),
        migrations.AddConstraint(
            model_name='load',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None), ('is_shared', False)), fields=('lot',), name='load_lot_in_one_place'),
        ),
        migrations.AddConstraint(
            model_name='load',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('tool',), name='load_tool_in_one_place'),
        ),
        migrations.AddIndex(
            model_name='loadscan',
            index=models.Index(models.F('station'), models.OrderBy(models.F('at'), descending=True), name='load_scan_of_station'),
        ),
        migrations.AddIndex(
            model_name='loadscan',
            index=models.Index(models.F('at'), name='load_scan_age'),
        ),
        migrations.AddIndex(
            model_name='lotevent',
            index=models.Index(models.F('lot'), models.OrderBy(models.F('at'), descending=True), models.OrderBy(models.F('id'), descending=True), name='lot_event_history'),
        ),
        migrations.AddConstraint(
            model_name='setuplist',
            constraint=models.UniqueConstraint(fields=('route', 'line', 'revision'), name='set_up_list_once_per_revision'),
        ),
        migrations.AddConstraint(
            model_name='setuplist',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('released_at', None), ('status', 'DRAFT')), models.Q(('released_at__isnull', False), ('status', 'RELEASED')), _connector='OR'), name='set_up_list_released_at_some_time'),
        ),
        migrations.AddConstraint(
            model_name='setupitem',
            constraint=models.UniqueConstraint(fields=('set_up_list', 'station', 'slot'), name='set_up_item_once_per_slot'),
        ),
        migrations.AddConstraint(
            model_name='setupitem',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'PART'), ('material__isnull', False), ('program', '')), models.Q(('kind', 'TOOL'), ('material', None), ('program', '')), models.Q(('kind', 'PROGRAM'), ('material', None), models.Q(('program', ''), _negated=True)), _connector='OR'), name='set_up_item_of_its_kind'),
        ),
        migrations.AddConstraint(
            model_name='setupitem',
            constraint=models.CheckConstraint(condition=models.Q(('quantity_per_unit__gt', 0)), name='set_up_item_quantity_positive'),
        ),
        migrations.AddIndex(
            model_name='runsetuplist',
            index=models.Index(models.F('run'), models.OrderBy(models.F('bound_at'), descending=True), models.OrderBy(models.F('id'), descending=True), name='run_set_up_list_history'),
        ),
        migrations.AddConstraint(
            model_name='slotlock',
            constraint=models.UniqueConstraint(fields=('station', 'slot'), name='slot_lock_once_per_slot'),
        ),
        migrations.RunSQL("UPDATE mes_materiallot SET is_solder_paste = true", migrations.RunSQL.noop),
        migrations.RunSQL("UPDATE mes_tool SET uses = uses_since_service", migrations.RunSQL.noop),
        TrackTable('mes_tool', ('tools', 'tool_id', 'tool_id', '', '', '', '', '{status,status_at,field_sources,version,tension_value,serviced_at,uses_since_service,uses,warned_at}', '{}')),
        TrackTable('mes_setuplist', ('setup-lists', 'id', 'revision', '', '', '', '', '{}', '{}')),
        TrackTable('mes_setupitem', ('setup-items', 'id', 'slot', 'setup-lists', 'set_up_list_id', 'mes_setuplist', 'id', '{}', '{}')),
        TrackTable('mes_setupitem_alternates', ('setup-item-alternates', 'id', 'material_id', 'setup-items', 'setupitem_id', 'mes_setupitem', 'id', '{}', '{}', 'setup-lists', 'set_up_list_id', 'mes_setuplist', 'id')),
        TrackTable('mes_setupitem_tools', ('setup-item-tools', 'id', 'tool_id', 'setup-items', 'setupitem_id', 'mes_setupitem', 'id', '{}', '{}', 'setup-lists', 'set_up_list_id', 'mes_setuplist', 'id')),
        TrackTable('mes_runsetuplist', ('run-setup-lists', 'id', 'id', 'runs', 'run_id', 'mes_run', 'run_no', '{}', '{}')),
    ]
