"""Hours between two services of a tool are at most 100000: what was more meant never, and led out of the calendar."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0069_checks'),
    ]

    operations = [
        migrations.AlterField(
            model_name='tool',
            name='max_hours_since_service',
            field=models.PositiveIntegerField(blank=True, help_text='After them it must be cleaned or serviced again.', null=True, validators=[django.core.validators.MaxValueValidator(100000)], verbose_name='most hours since cleaning'),
        ),
        migrations.RunSQL(
            "UPDATE mes_tool SET max_hours_since_service = 100000 WHERE max_hours_since_service > 100000",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name='tool',
            constraint=models.CheckConstraint(condition=models.Q(('max_hours_since_service', None), ('max_hours_since_service__lte', 100000), _connector='OR'), name='tool_hours_since_service_bounded'),
        ),
    ]
