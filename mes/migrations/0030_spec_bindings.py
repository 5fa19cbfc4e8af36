"""Which versions bind a spec: an index of the ids in their documents."""

import django.contrib.postgres.indexes
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0029_step_numbers'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='routeversion',
            index=django.contrib.postgres.indexes.GinIndex(models.Func(models.F('snapshot'), models.Value('$.steps[*].dataSpecs[*].id'), function='jsonb_path_query_array', output_field=models.JSONField()), name='route_version_by_spec'),
        ),
    ]
