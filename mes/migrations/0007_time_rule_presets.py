"""The rules that most plants need, active from the start. Engineers change them as they like."""

from typing import Any

from django.db import migrations

PRESETS = (
    {
        "code": "SOLDER_PASTE_24H",
        "name": "Use solder paste within 24 hours",
        "duration_minutes": 24 * 60,
        "warning_minutes": 120,
        "start_event": "SOLDER_PASTE_USAGE_CREATE",
        "end_event": "SOLDER_PASTE_USAGE_UNBIND",
    },
    {
        "code": "WASH_4H",
        "name": "Wash within 4 hours after soldering",
        "duration_minutes": 4 * 60,
        "warning_minutes": 30,
        "start_event": "TRACK_OUT",
        "start_condition": {"operationKind": ["REFLOW", "AOI"], "result": ["PASS"]},
        "end_event": "TRACK_IN",
        "end_condition": {"operationKind": ["WASH"]},
        "route_operation_kinds": ["WASH"],
    },
)


def make_presets(apps: Any, schema_editor: Any) -> None:
    """Make the presets that are not there."""
    definitions = apps.get_model("mes", "TimeRuleDefinition").objects.using(schema_editor.connection.alias)
    for preset in PRESETS:
        if not definitions.filter(code=preset["code"]).exists():
            definitions.create(scope="GLOBAL", notified_roles=["SUPERVISOR", "QUALITY"], **preset)


class Migration(migrations.Migration):
    dependencies = [("mes", "0006_time_rules")]

    operations = [migrations.RunPython(make_presets, migrations.RunPython.noop)]
