from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("ingest", "0002_events")]

    operations = [
        migrations.AddField(
            "openingestevent",
            "wait_seconds",
            models.PositiveIntegerField(null=True, verbose_name="seconds it may wait"),
        ),
        migrations.AddField(
            "openingestevent",
            "failures",
            models.PositiveIntegerField(default=0, verbose_name="attempts that failed unexpectedly"),
        ),
        migrations.AddField(
            "openingestevent",
            "next_attempt_at",
            models.DateTimeField(null=True, verbose_name="next attempt"),
        ),
    ]
