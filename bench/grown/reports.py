"""What machines and other systems reported: values, events, messages, and the keys that they spent."""

from bench.grown.filling import fill_table, in_turn
from bench.grown.size import VALUES_OF_STEP
from execution import models as execution
from ingest import models as ingest
from integration import models as integration
from mes.platform.inbound.models import IdempotencyKey
from mes.status_reports.models import StatusReport

# Values come with the machine event of an AUTO step, else with a device data record of the track.
fill_values = fill_table(
    execution.DataValue,
    "grown_done p JOIN grown_spec s USING (operation_code)",
    received_at="out_at",
    unit_id="unit_id",
    run_id="run_id",
    track_id="track_id",
    station_id="station_id",
    spec_id="spec_id",
    record_id="CASE WHEN source <> 'AUTO' THEN record_id END",
    step_no="step_no",
    operation_code="p.operation_code",
    name="name",
    item_type="'KEY'",
    value_number="100 + (n * 7 + k * 3) %% 50",
    measure="'mm'",
    lsl="80",
    usl="160",
    judge="'PASS'",
    source="'AUTO'",
    recorded_by="'token:grown'",
    collected_at="out_at",
)
fill_records = fill_table(
    integration.DeviceDataRecord,
    f"""grown_done CROSS JOIN LATERAL (
            SELECT jsonb_agg(jsonb_build_object('specName', s.name, 'collectedAt', out_at,
                                                'valueNumber', 100 + (n * 7 + s.k * 3) %% 50)) AS data
              FROM (SELECT kind || ' ' || k AS name, k FROM generate_series(1, {VALUES_OF_STEP}) AS k) AS s) AS sent
         WHERE source <> 'AUTO'""",
    id="record_id",
    received_at="out_at",
    event_id="key",
    event_time="out_at",
    source="'AUTO'",
    run_id="run_id",
    unit_id="unit_id",
    station_id="station_id",
    track_id="track_id",
    step_no="step_no",
    equipment_id="station_code",
    system="'token:grown'",
    payload="""jsonb_build_object('eventId', key, 'eventTime', out_at, 'source', 'AUTO', 'runNo', run_no, 'unitSn', sn,
                                  'stationCode', station_code, 'stepNo', step_no, 'equipmentId', station_code,
                                  'data', data)""",
    values_count=f"{VALUES_OF_STEP}",
    judge="'PASS'",
)
fill_events = fill_table(
    ingest.SettledIngestEvent,
    f"""grown_done CROSS JOIN LATERAL (
            SELECT jsonb_agg(jsonb_build_object('name', s.name, 'unit', 'mm', 'value', value)) AS sent,
                   jsonb_agg(jsonb_build_object('name', s.name, 'block', 0, 'judge', NULL, 'measure', 'mm',
                                                'value', value)) AS read
              FROM (SELECT kind || ' ' || k AS name, 100 + (n * 7 + k * 3) %% 50 AS value
                      FROM generate_series(1, {VALUES_OF_STEP}) AS k) AS s) AS values
         WHERE source = 'AUTO'""",
    id="event_id",
    received_at="out_at",
    source_system="'GROWN'",
    dedupe_key="key",
    event_type="'AUTO'",
    occurred_at="out_at",
    reported_at="out_at",
    run_id="run_id",
    station_id="station_id",
    step_no="step_no",
    sns="ARRAY[sn]",
    unit_ids="ARRAY[unit_id]",
    track_ids="ARRAY[track_id]",
    result="'PASS'",
    payload="""jsonb_build_object('dedupeKey', key, 'eventType', 'AUTO', 'occurredAt', out_at, 'sourceSystem', 'GROWN',
                 'payload', jsonb_build_object('sn', sn, 'station', station_code, 'result', 'OK', 'values', sent))""",
    normalized="""jsonb_build_object('phase', NULL, 'result', NULL, 'defects', '[]'::jsonb, 'lineCode', NULL,
                    'carrierNo', NULL, 'occurredAt', out_at, 'reportedAt', out_at, 'unreadable', '[]'::jsonb,
                    'stationCode', station_code, 'measurements', '[]'::jsonb, 'testResultId', NULL,
                    'transactionId', NULL, 'isTimeDoubtful', false, 'measuredWithoutUnit', 0, 'positionsWithoutUnit', 0,
                    'units', jsonb_build_array(jsonb_build_object('sn', sn, 'result', 'PASS', 'defects', '[]'::jsonb,
                                               'problem', NULL, 'position', NULL, 'measurements', read)))""",
    status="'APPLIED'",
    last_at="out_at",
    request_id="''",
    recorded_by="'token:grown'",
)
fill_event_units = fill_table(
    ingest.IngestEventUnit,
    "grown_done WHERE source = 'AUTO'",
    received_at="out_at",
    unit_id="unit_id",
    event_id="event_id",
)
fill_keys = fill_table(
    IdempotencyKey,
    "grown_done",
    channel="CASE WHEN source = 'AUTO' THEN 'ingest:GROWN' ELSE 'device-data' END",
    key="key",
    digest="sha256(key::bytea)",
    record_id="CASE WHEN source = 'AUTO' THEN event_id ELSE record_id END",
    answer="""CASE WHEN source = 'AUTO'
                   THEN jsonb_build_object('status', 'APPLIED', 'eventId', event_id::text, 'duplicate', false,
                                           'trackIds', jsonb_build_array(track_id::text), 'unitStatus', 'QUEUED')
                   ELSE jsonb_build_object('judge', 'PASS', 'trackId', track_id::text, 'dataValuesCreated', 5) END""",
    created_at="out_at",
)
fill_open_events = fill_table(
    ingest.OpenIngestEvent,
    "grown_done WHERE source = 'AUTO' AND step_no = 60 ORDER BY n DESC LIMIT %(refused)s",
    received_at="out_at",
    source_system="'GROWN'",
    dedupe_key="'refused-' || key",
    event_type="'AUTO'",
    occurred_at="out_at",
    reported_at="out_at",
    run_id="run_id",
    station_id="station_id",
    step_no="step_no",
    sns="ARRAY[sn]",
    unit_ids="ARRAY[unit_id]",
    payload="""jsonb_build_object('dedupeKey', 'refused-' || key, 'eventType', 'AUTO', 'occurredAt', out_at,
                 'sourceSystem', 'GROWN', 'payload', jsonb_build_object('sn', sn, 'station', station_code))""",
    status="'REJECTED'",
    error_code="'STEP_MISMATCH'",
    error="""jsonb_build_object('code', 'STEP_MISMATCH', 'message', 'The unit stands at another step.',
                                'details', jsonb_build_object('stepNo', step_no))""",
    subject="sn",
    last_at="out_at",
    digest="sha256(key::bytea)",
    request_id="''",
)

# AOI reports: a status message, its report and the result of the track; one unit in twenty has a defect.
_inspected = "grown_done WHERE step_no = 50"
fill_inspections = in_turn(
    fill_table(
        execution.InspectionResult,
        _inspected,
        track_id="track_id",
        inspection_type="'AOI'",
        result="'PASS'",
        source="'AUTO'",
        status_at="out_at",
        field_sources="jsonb_build_object('result', jsonb_build_array(out_at, 'aoi-' || n))",
    ),
    fill_table(
        StatusReport,
        _inspected,
        kind="'INSPECTION_RESULT'",
        subject="sn",
        event_id="'aoi-' || n",
        event_time="out_at",
        received_at="out_at",
        source="'AUTO'",
        recorded_by="'token:grown'",
        content="jsonb_build_object('unitSn', sn, 'inspectionType', 'AOI', 'result', 'PASS')",
    ),
    fill_table(
        integration.SettledMessage,
        _inspected,
        received_at="out_at",
        direction="'INBOUND'",
        system="'token:grown'",
        entity_type="'INSPECTION_RESULT'",
        business_key="'aoi-' || n",
        dedupe_key="'aoi-' || n",
        status="CASE WHEN n %% 50 = 0 THEN 'DUPLICATE' ELSE 'SUCCESS' END",
        payload="jsonb_build_object('eventId', 'aoi-' || n, 'unitSn', sn, 'inspectionType', 'AOI', 'result', 'PASS')",
        last_at="out_at",
        request_id="''",
    ),
    fill_table(
        execution.Defect,
        f"{_inspected} AND n %% 20 = 0",
        unit_id="unit_id",
        run_id="run_id",
        track_id="track_id",
        step_no="step_no",
        code="'BRIDGE'",
        location="'U' || n %% 90",
        status="CASE WHEN n %% 200 = 0 THEN 'OPEN' ELSE 'WITHDRAWN' END",
        found_at="out_at",
        created_at="out_at",
    ),
)
fill_refused_messages = fill_table(
    integration.FailedMessage,
    f"{_inspected} ORDER BY n DESC LIMIT %(refused)s",
    received_at="out_at",
    direction="'INBOUND'",
    system="'token:grown'",
    entity_type="'DEVICE_DATA'",
    business_key="'refused-' || key",
    dedupe_key="'refused-' || key",
    status="'FAILED'",
    payload="jsonb_build_object('eventId', 'refused-' || key, 'unitSn', sn, 'stepNo', step_no)",
    error_code="'SPEC_NOT_FOUND'",
    error="jsonb_build_object('code', 'SPEC_NOT_FOUND', 'message', 'There is no such spec.', 'details', '{}'::jsonb)",
    last_at="out_at",
    digest="sha256(key::bytea)",
    request_id="''",
)
