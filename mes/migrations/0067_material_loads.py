"""Machines report what their slots hold."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0066_lot_reports'),
    ]

    operations = [
        migrations.AlterField(
            model_name='statusreport',
            name='kind',
            field=models.CharField(choices=[('STENCIL_STATUS', 'Stencil status'), ('SOLDER_PASTE_STATUS', 'Solder paste status'), ('SOLDER_PASTE_USAGE', 'Solder paste usage'), ('EQUIPMENT_STATUS', 'Equipment status'), ('MAINTENANCE_TASK', 'Maintenance task'), ('INSPECTION_RESULT', 'Inspection result'), ('STATION_DATA', 'Values of a station'), ('LOT_EVENT', 'Event of a material lot'), ('MATERIAL_LOADS', 'What slots hold')], max_length=20, verbose_name='kind'),
        ),
    ]
