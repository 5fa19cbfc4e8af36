"""Defect codes have a version by which processes remember them, and a new installation has some to begin with; one that
has codes gets those that it lacks. Defects know how often their unit had been reworked, and what machines reported.
"""

import csv
import uuid
from pathlib import Path

from django.db import migrations, models

from mes.platform.database.tracking import SYSTEM, RetrackTable

PRESETS = Path(__file__).resolve().parents[1] / "quality" / "defect_codes" / "presets.csv"

VERSIONED = """
    INSERT INTO execution_defectcatalogue (version) VALUES (gen_random_uuid());
    CREATE FUNCTION execution_new_defect_codes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE execution_defectcatalogue SET version = gen_random_uuid();
        RETURN NULL;
    END $$;
    CREATE TRIGGER version AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON execution_defectcode
        FOR EACH STATEMENT EXECUTE FUNCTION execution_new_defect_codes();
    CREATE TRIGGER version AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON execution_defectalias
        FOR EACH STATEMENT EXECUTE FUNCTION execution_new_defect_codes();
"""
UNVERSIONED = """
    DROP TRIGGER version ON execution_defectcode;
    DROP TRIGGER version ON execution_defectalias;
    DROP FUNCTION execution_new_defect_codes();
"""
# Of what was reported before, the code is what a machine said.
SAID = """
    UPDATE execution_defect d
       SET rework_no = t.rework_no, station_id = t.station_id,
           source = CASE WHEN d.inspection_id IS NOT NULL THEN 'INSPECTION'
                         WHEN t.source = 'MANUAL' THEN 'TRACK_OUT' ELSE 'MACHINE' END,
           reported_code = CASE WHEN d.code = 'UNSPECIFIED' OR t.source = 'MANUAL' AND d.inspection_id IS NULL
                                THEN '' ELSE d.code END,
           location = upper(d.location)
      FROM execution_track t WHERE t.id = d.track_id
"""


def add_presets(apps, schema_editor):
    code_model = apps.get_model("execution", "DefectCode")
    with schema_editor.connection.cursor() as cursor, PRESETS.open(encoding="utf-8", newline="") as file:
        cursor.execute("SELECT set_config('linekeeper.audit', %s, true)", [SYSTEM])
        rows = [code_model(**row) for row in csv.DictReader(file)]
        code_model.objects.using(schema_editor.connection.alias).bulk_create(rows, ignore_conflicts=True)
        cursor.execute("SELECT set_config('linekeeper.audit', '', true)")


class Migration(migrations.Migration):
    dependencies = [("execution", "0023_first_article_signatures"), ("mes", "0045_quality_loop")]

    operations = [
        migrations.CreateModel(
            name="DefectCatalogue",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.UUIDField(default=uuid.uuid4, verbose_name="version")),
            ],
            options={
                "verbose_name": "state of the defect codes",
                "verbose_name_plural": "states of the defect codes",
            },
        ),
        migrations.AddField(
            model_name="defect",
            name="rework_no",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="How often the unit had been reworked when it was found.",
                verbose_name="times reworked",
            ),
        ),
        migrations.AddField(
            model_name="defectalias",
            name="relabels_until",
            field=models.DateTimeField(editable=False, null=True, verbose_name="relabels until"),
        ),
        RetrackTable(
            "execution_defectalias",
            ("defect-aliases", "id", "reported", "", "", "", "", "{}", "{}"),
            ("defect-aliases", "id", "reported", "", "", "", "", "{relabels_until}", "{}"),
        ),
        migrations.RunSQL(SAID, migrations.RunSQL.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="defect",
            index=models.Index(
                models.F("reported_code"),
                condition=models.Q(("reported_code", ""), _negated=True),
                name="defect_by_reported_code",
            ),
        ),
        migrations.RunSQL(VERSIONED, UNVERSIONED),
        migrations.RunPython(add_presets, migrations.RunPython.noop),
    ]
