"""A record of device data keeps the payload and is the message of what was applied: a reading is written once.

Records share the ids of messages. Those from before keep the messages that they have.
"""

from django.db import migrations, models

COLUMNS = """id, received_at, direction, system, entity_type, business_key, dedupe_key, status, payload, error_code,
    error, count, last_at, record_id, note"""


class Migration(migrations.Migration):
    dependencies = [("integration", "0004_outbound_messages")]

    operations = [
        migrations.AddField(
            model_name="devicedatarecord",
            name="system",
            field=models.CharField(blank=True, default="", max_length=200, verbose_name="system"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="devicedatarecord",
            name="payload",
            field=models.JSONField(default=dict, verbose_name="payload"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="devicedatarecord",
            name="is_message",
            field=models.BooleanField(default=False, verbose_name="is its message"),
        ),
        migrations.AlterField(
            model_name="devicedatarecord",
            name="is_message",
            field=models.BooleanField(default=True, verbose_name="is its message"),
        ),
        migrations.RunSQL(
            """
            UPDATE integration_devicedatarecord
               SET payload = CASE jsonb_typeof(data) WHEN 'array' THEN jsonb_build_object('data', data) ELSE data END
                             || CASE WHEN meta IS NULL THEN '{}' ELSE jsonb_build_object('meta', meta) END;
            """
        ),
        migrations.RemoveField(model_name="devicedatarecord", name="data"),
        migrations.RemoveField(model_name="devicedatarecord", name="meta"),
        migrations.RunSQL(
            f"""
            SELECT setval(
                'integration_settledmessage_id_seq',
                greatest(nextval('integration_settledmessage_id_seq'), nextval('integration_devicedatarecord_id_seq'))
            );
            ALTER TABLE integration_devicedatarecord
                ALTER COLUMN id SET DEFAULT nextval('integration_settledmessage_id_seq');
            DROP SEQUENCE integration_devicedatarecord_id_seq;
            DROP VIEW integration_message;
            CREATE VIEW integration_message AS
                SELECT {COLUMNS}, true AS is_message FROM integration_failedmessage
                UNION ALL
                SELECT {COLUMNS}, true FROM integration_settledmessage
                UNION ALL
                SELECT id, received_at, 'INBOUND'::varchar(8), system, 'DEVICE_DATA'::varchar(40), event_id, event_id,
                       'SUCCESS'::varchar(9), payload, ''::varchar(60), NULL::jsonb, 1, received_at, id, NULL::jsonb,
                       is_message
                  FROM integration_devicedatarecord;
            """
        ),
    ]
