"""Files at defects, inspected items and holds."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from mes.platform.database.tracking import TrackTable


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0051_work_instructions'),
    ]

    operations = [
        migrations.CreateModel(
            name='FileAttachment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('record_type', models.CharField(max_length=20, verbose_name='record')),
                ('record_id', models.BigIntegerField(verbose_name='number of the record')),
                ('note', models.CharField(blank=True, max_length=500, verbose_name='note')),
                ('is_added_later', models.BooleanField(default=False, verbose_name='added after it was signed')),
                ('attached_by', models.CharField(max_length=160, verbose_name='attached by')),
                ('attached_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='attached')),
                ('file', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='attachments', to='mes.storedfile', verbose_name='file')),
            ],
            options={
                'verbose_name': 'attachment',
                'verbose_name_plural': 'attachments',
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(fields=('record_type', 'record_id', 'file'), name='file_attachment_once_per_record')],
            },
        ),
        TrackTable("mes_fileattachment", ("attachments", "id", "record_type", "", "", "", "", "{}", "{}")),
    ]
