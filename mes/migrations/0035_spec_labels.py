"""Limits are called as people call them; BOM items belong to their material, also in the audit."""

from django.db import migrations, models

from mes.platform.database.tracking import RetrackTable

BEFORE = ("bom-items", "id", "id", "", "", "", "", "{}", "{}")
AFTER = ("bom-items", "id", "id", "materials", "parent_id", "mes_material", "code", "{}", "{}")


class Migration(migrations.Migration):
    dependencies = [("mes", "0034_rule_dry_runs")]

    operations = [
        migrations.AlterField(
            model_name="datacollectionspec",
            name="lsl",
            field=models.FloatField(blank=True, null=True, verbose_name="lower limit"),
        ),
        migrations.AlterField(
            model_name="datacollectionspec",
            name="usl",
            field=models.FloatField(blank=True, null=True, verbose_name="upper limit"),
        ),
        RetrackTable("mes_bomitem", BEFORE, AFTER),
    ]
