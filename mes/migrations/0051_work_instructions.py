"""What steps are worked by, and the files that versions show."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0050_files'),
    ]

    operations = [
        migrations.AddField(
            model_name='routeexecutionconfig',
            name='work_instructions',
            field=models.JSONField(blank=True, help_text='A list such as [{"title": "How to solder", "url": "https://…"}, {"title": "Plan", "fileId": "7"}]. Empty: what a wider scope says. []: none.', null=True, verbose_name='work instructions'),
        ),
        migrations.CreateModel(
            name='RouteVersionFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('file', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='route_versions', to='mes.storedfile', verbose_name='file')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='files', to='mes.routeversion', verbose_name='version')),
            ],
            options={
                'verbose_name': 'file of a route version',
                'verbose_name_plural': 'files of route versions',
                'constraints': [models.UniqueConstraint(fields=('version', 'file'), name='route_version_file_once')],
            },
        ),
    ]
