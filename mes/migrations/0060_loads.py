"""Which mark ended a load; indexes for what was in a slot at a time."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0059_released_set_up_lists'),
    ]

    operations = [
        migrations.AddField(
            model_name='load',
            name='closed_by',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='mes.loadmark', verbose_name='ended by'),
        ),
        migrations.AddIndex(
            model_name='load',
            index=models.Index(models.F('station'), models.F('ended_at'), condition=models.Q(('ended_at__isnull', False), ('station__isnull', False)), name='load_ended_at_station'),
        ),
        migrations.AddIndex(
            model_name='load',
            index=models.Index(models.F('line'), models.F('ended_at'), condition=models.Q(('ended_at__isnull', False), ('line__isnull', False)), name='load_ended_on_line'),
        ),
        migrations.AddIndex(
            model_name='loadscan',
            index=models.Index(models.F('load'), condition=models.Q(('load__isnull', False)), name='load_scan_of_load'),
        ),
    ]
