from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('execution', '0006_one_value_each'),
    ]

    operations = [
        migrations.RenameField(model_name='inspectionresult', old_name='told', new_name='field_sources'),
    ]
