"""Examples of mappings. What belongs to a part of something (an example to a config of a route) is of its history."""

import django.db.models.deletion
from django.db import migrations, models

from mes.platform.database.tracking import TrackTable

# With what is above its root told, a row whose root belongs to something has that as its root.
_CLIMB = """
    IF TG_NARGS > 9 THEN
        EXECUTE format('SELECT %I::text FROM %I WHERE id = $1', TG_ARGV[10], TG_ARGV[5]) INTO above
          USING (COALESCE(became, was)->>TG_ARGV[4])::bigint;
        IF above IS NOT NULL THEN
            PERFORM mes_audit_entry(
                TG_OP, was || jsonb_build_object(TG_ARGV[10], above), became || jsonb_build_object(TG_ARGV[10], above),
                TG_ARGV[0], TG_ARGV[1], TG_ARGV[2], TG_ARGV[9], TG_ARGV[10], TG_ARGV[11], TG_ARGV[12],
                TG_ARGV[7]::text[] || TG_ARGV[10]::text, TG_ARGV[8]::text[]);
            RETURN NULL;
        END IF;
    END IF;
"""
_FUNCTION = """
CREATE OR REPLACE FUNCTION mes_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was jsonb;
    became jsonb;
    above text;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD IS NOT DISTINCT FROM NEW THEN
        RETURN NULL;
    END IF;
    was := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    became := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    {climb}
    PERFORM mes_audit_entry(
        TG_OP, was, became, TG_ARGV[0], TG_ARGV[1], TG_ARGV[2], TG_ARGV[3], TG_ARGV[4], TG_ARGV[5], TG_ARGV[6],
        TG_ARGV[7]::text[], TG_ARGV[8]::text[]);
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('mes', '0032_saved_views'),
    ]

    operations = [
        migrations.CreateModel(
            name='MappingExample',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('event', models.JSONField(verbose_name='event')),
                ('expected', models.JSONField(verbose_name='expected')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated')),
                ('config', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='examples', to='mes.routeexecutionconfig', verbose_name='execution config')),
            ],
            options={
                'verbose_name': 'mapping example',
                'verbose_name_plural': 'mapping examples',
                'ordering': ['config', 'name'],
                'constraints': [models.UniqueConstraint(fields=('config', 'name'), name='mapping_example_name_once')],
            },
        ),
        migrations.RunSQL(_FUNCTION.format(climb=_CLIMB), _FUNCTION.format(climb="")),
        TrackTable(
            "mes_mappingexample",
            (
                "mapping-examples", "id", "name", "execution-configs", "config_id", "mes_routeexecutionconfig", "id",
                "{updated_at}", "{}", "routes", "routing_id", "mes_routing", "code",
            ),
        ),
    ]
