"""Files that people send, kept once by their content."""

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


# What is compressed already is not compressed again.
AS_IT_IS = """
    ALTER TABLE mes_storedfilepart ALTER COLUMN content SET STORAGE EXTERNAL;
    ALTER TABLE mes_storedfile ALTER COLUMN thumbnail SET STORAGE EXTERNAL;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0049_identity'),
    ]

    operations = [
        migrations.CreateModel(
            name='StoredFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sha256', models.CharField(max_length=64, validators=[django.core.validators.RegexValidator('^[0-9a-f]{64}\\Z')], verbose_name='hash of the content')),
                ('media_type', models.CharField(choices=[('application/pdf', 'PDF'), ('image/png', 'PNG'), ('image/jpeg', 'JPEG')], max_length=20, verbose_name='type')),
                ('size', models.PositiveIntegerField(verbose_name='size in bytes')),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('width', models.PositiveIntegerField(null=True, verbose_name='width in pixels')),
                ('height', models.PositiveIntegerField(null=True, verbose_name='height in pixels')),
                ('thumbnail', models.BinaryField(null=True, verbose_name='thumbnail')),
                ('uploaded_by', models.CharField(max_length=160, verbose_name='uploaded by')),
                ('uploaded_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='uploaded')),
                ('wanted_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='last wanted')),
            ],
            options={
                'verbose_name': 'file',
                'verbose_name_plural': 'files',
                'ordering': ['-id'],
                'indexes': [models.Index(models.F('wanted_at'), name='stored_file_wanted')],
                'constraints': [models.UniqueConstraint(fields=('sha256',), name='stored_file_content_once'), models.CheckConstraint(condition=models.Q(models.Q(('height', None), ('media_type', 'application/pdf'), ('width', None)), models.Q(models.Q(('media_type', 'application/pdf'), _negated=True), ('height__gt', 0), ('width__gt', 0)), _connector='OR'), name='stored_file_pictures_have_a_size')],
            },
        ),
        migrations.CreateModel(
            name='StoredFilePart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField(verbose_name='number')),
                ('content', models.BinaryField(verbose_name='content')),
                ('file', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='mes.storedfile', verbose_name='file')),
            ],
            options={
                'verbose_name': 'part of a file',
                'verbose_name_plural': 'parts of files',
                'ordering': ['file', 'number'],
                'constraints': [models.UniqueConstraint(fields=('file', 'number'), name='stored_file_part_once')],
            },
        ),
        migrations.RunSQL(AS_IT_IS, migrations.RunSQL.noop),
    ]
