"""Two more reasons why a pass failed whatever its result was said to be."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('execution', '0012_reported_times'),
    ]

    operations = [
        migrations.AlterField(
            model_name='track',
            name='result_override',
            field=models.CharField(blank=True, choices=[('DATA', 'A key value failed'), ('REWORK', 'Closed by rework'), ('SCRAP', 'Closed by scrapping'), ('SKIP', 'Not processed by the machine'), ('REPORT', 'Failed by a report')], max_length=6, verbose_name='override'),
        ),
    ]
