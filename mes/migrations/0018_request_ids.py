from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    dependencies = [("mes", "0017_write_probe")]

    operations = [
        migrations.AddField(
            model_name="mesevent",
            name="request_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=64, verbose_name="request"),
        ),
        migrations.AddIndex(
            model_name="mesevent",
            index=models.Index(F("request_id"), condition=~Q(request_id=""), name="event_by_request"),
        ),
    ]
