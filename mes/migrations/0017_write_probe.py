from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mes", "0016_sign_in")]

    operations = [
        migrations.CreateModel(
            name="WriteProbe",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("written_at", models.DateTimeField(verbose_name="last written")),
            ],
            options={"verbose_name": "write probe", "verbose_name_plural": "write probes"},
        ),
    ]
