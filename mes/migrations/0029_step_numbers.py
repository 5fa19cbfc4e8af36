"""Numbers of steps are compared at the end of a statement: two steps may exchange theirs in one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mes", "0028_audit")]

    operations = [
        migrations.RemoveConstraint(model_name="routingstep", name="routing_step_no_once"),
        migrations.AddConstraint(
            model_name="routingstep",
            constraint=models.UniqueConstraint(
                fields=["routing", "step_no"], name="routing_step_no_once", deferrable=models.Deferrable.IMMEDIATE
            ),
        ),
    ]
