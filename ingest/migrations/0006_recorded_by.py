"""Machine events keep who was signed in when they were received."""

from importlib import import_module

from django.db import migrations, models

before = import_module("ingest.migrations.0005_request_ids")
AFTER = before.VIEW.format(columns=f"{before.COLUMNS}, request_id, recorded_by")


def recorded_by() -> models.CharField:
    return models.CharField(blank=True, db_default="", default="", max_length=200, verbose_name="recorded by")


class Migration(migrations.Migration):
    dependencies = [("ingest", "0005_request_ids")]

    operations = [
        migrations.RunSQL(before.DROP, before.AFTER),
        migrations.AddField(model_name="openingestevent", name="recorded_by", field=recorded_by()),
        migrations.AddField(model_name="settledingestevent", name="recorded_by", field=recorded_by()),
        migrations.RunSQL(AFTER, before.DROP),
    ]
