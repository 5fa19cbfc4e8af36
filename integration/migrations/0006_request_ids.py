"""Messages keep the id of the request that brought them; applied device data does not."""

from django.db import migrations, models
from django.db.models import F, Q

import mes.platform.request_ids

COLUMNS = """id, received_at, direction, system, entity_type, business_key, dedupe_key, status, payload, error_code,
    error, count, last_at, record_id, note"""
REQUEST_ID = models.CharField(
    blank=True, db_default="", default=mes.platform.request_ids.current, max_length=64, verbose_name="request"
)


OF_RECORDS = """id, received_at, 'INBOUND'::varchar(8), system, 'DEVICE_DATA'::varchar(40), event_id, event_id,
    'SUCCESS'::varchar(9), payload, ''::varchar(60), NULL::jsonb, 1, received_at, id, NULL::jsonb"""
VIEW = """
    CREATE VIEW integration_message AS
        SELECT {columns}, true AS is_message FROM integration_failedmessage
        UNION ALL
        SELECT {columns}, true FROM integration_settledmessage
        UNION ALL
        SELECT {of_records}, is_message FROM integration_devicedatarecord
"""
BEFORE = VIEW.format(columns=COLUMNS, of_records=OF_RECORDS)
AFTER = VIEW.format(columns=f"{COLUMNS}, request_id", of_records=f"{OF_RECORDS}, ''::varchar(64)")
DROP = "DROP VIEW integration_message"


class Migration(migrations.Migration):
    dependencies = [("integration", "0005_records_are_messages")]

    operations = [
        migrations.RunSQL(DROP, BEFORE),
        migrations.AddField(model_name="failedmessage", name="request_id", field=REQUEST_ID),
        migrations.AddField(model_name="settledmessage", name="request_id", field=REQUEST_ID),
        migrations.AddIndex(
            model_name="settledmessage",
            index=models.Index(F("request_id"), condition=Q(request_id__gt=""), name="settled_message_by_request"),
        ),
        migrations.RunSQL(AFTER, DROP),
    ]
