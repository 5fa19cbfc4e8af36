"""Stencils become tools, and containers of solder paste material lots: their rows, ids and what refers to them stay."""

from django.db import migrations

from mes.platform.database.tracking import TrackTable

TRACKED = (
    "stencils", "stencil_id", "stencil_id", "", "", "", "",
    "{status,status_at,field_sources,version,tension_value,last_cleaned_at,usage_count}", "{}",
)  # fmt: skip

RENAME_SOURCE = """
    UPDATE {table} SET field_sources = (field_sources - '{old}') || jsonb_build_object('{new}', field_sources -> '{old}')
     WHERE field_sources ? '{old}'
"""


def rename_source(table: str, old: str, new: str) -> migrations.RunSQL:
    """Of which report a field came goes with the field."""
    return migrations.RunSQL(
        RENAME_SOURCE.format(table=table, old=old, new=new), RENAME_SOURCE.format(table=table, old=new, new=old)
    )


class Migration(migrations.Migration):
    dependencies = [
        ("mes", "0056_retried_events"),
    ]

    operations = [
        migrations.RunSQL(
            "DROP TRIGGER audit ON mes_stencil",
            "CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON mes_stencil "
            "FOR EACH ROW EXECUTE FUNCTION mes_audit(" + ", ".join(f"'{each}'" for each in TRACKED) + ")",
        ),
        migrations.RenameModel("Stencil", "Tool"),
        migrations.RenameField("Tool", "stencil_id", "tool_id"),
        migrations.RenameField("Tool", "last_cleaned_at", "serviced_at"),
        migrations.RenameField("Tool", "usage_count", "uses_since_service"),
        migrations.RenameField("Tool", "max_hours_since_cleaning", "max_hours_since_service"),
        rename_source("mes_tool", "last_cleaned_at", "serviced_at"),
        migrations.RenameModel("SolderPasteLot", "MaterialLot"),
        migrations.RenameField("MaterialLot", "status", "paste_status"),
        rename_source("mes_materiallot", "status", "paste_status"),
    ]
