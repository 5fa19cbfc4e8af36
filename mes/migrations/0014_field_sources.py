from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0013_station_data'),
    ]

    operations = [
        migrations.RenameField(model_name=name, old_name='told', new_name='field_sources')
        for name in ('equipment', 'maintenancetask', 'solderpastelot', 'stencil')
    ]
