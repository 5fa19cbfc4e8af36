"""What people say of material lots is audited."""

from django.db import migrations

from mes.platform.database.tracking import TrackTable

LEFT_OUT = (
    "{status_at,field_sources,status,blocked_from,block_reason,counted_quantity,counted_at,"
    "paste_status,thawed_at,stirred_at}"
)


class Migration(migrations.Migration):
    dependencies = [
        ("mes", "0060_loads"),
    ]

    operations = [
        TrackTable("mes_materiallot", ("material-lots", "lot_id", "lot_id", "", "", "", "", LEFT_OUT, "{}")),
    ]
