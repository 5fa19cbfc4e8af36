"""Writing accepted device data: one statement, however many events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from execution import collecting, values
from integration import messages
from integration.device_events import DeviceDataEvent
from integration.resolving import Target
from mes.database.prepared import fetch_all


class Accepted(msgspec.Struct, frozen=True):
    """An event that passed every rule. With a `note` it is the replay of an open message."""

    event: DeviceDataEvent
    incoming: messages.Incoming
    target: Target
    judged: Sequence[collecting.JudgedValue]
    note: dict[str, Any] | None = None

    @property
    def needs_lock(self) -> bool:
        """Whether a value may change the unit's verdict or raises an alarm."""
        return any(value.alarmed or value.is_key_failure for value in self.judged)


# What differs between the events of a batch; when they came is said once.
GIVEN_TYPES = {
    "key": "text",
    "digest": "text",
    "event_time": "timestamptz",
    "equipment_id": "text",
    "system": "text",
    "payload": "jsonb",
    "answer": "jsonb",
    "note": "jsonb",
    **{name: kind for name, kind in values.OWNER_TYPES.items() if name != "received_at"},
}

# Claims the keys and, only where that succeeded, writes record, values and message. Keys go in one order, or batches
# that share some would deadlock. Messages of a key that failed before are settled under their own id; an open replay
# is such a message and gets no second one.
WRITE = f"""
    WITH given AS MATERIALIZED (
        SELECT %(at)s::timestamptz AS received_at, g.*
          FROM jsonb_to_recordset(%(events)s::jsonb)
            AS g({", ".join(f"{name} {kind}" for name, kind in GIVEN_TYPES.items())})
    ), claimed AS (
        INSERT INTO mes_idempotencykey (channel, key, digest, record_id, answer, created_at)
        SELECT '{messages.DEVICE_DATA_CHANNEL}', key, decode(digest, 'hex'),
               nextval('integration_devicedatarecord_id_seq'),
               answer, received_at
          FROM (SELECT * FROM given ORDER BY key) AS sorted
        ON CONFLICT DO NOTHING RETURNING key, record_id
    ), owners AS MATERIALIZED (
        SELECT c.record_id, g.* FROM claimed c JOIN given g USING (key)
    ), record AS (
        INSERT INTO integration_devicedatarecord
               (id, received_at, event_id, event_time, source, run_id, unit_id, station_id, track_id,
                carrier_track_id, step_no, equipment_id, operator_id, data, meta, values_count, judge)
        SELECT record_id, received_at, key, event_time, source, run_id, unit_id, station_id, track_id,
               carrier_track_id, step_no, equipment_id, operator,
               coalesce(nullif(payload->'data', 'null'), jsonb_build_object('production', payload->'production')),
               nullif(payload->'meta', 'null'),
               jsonb_array_length(rows), coalesce(answer->>'judge', '')
          FROM owners
    ), stored AS ({values.INSERT_ROWS}
    ), reopened AS (
        DELETE FROM integration_failedmessage f USING owners o
         WHERE f.entity_type = '{messages.DEVICE_DATA}' AND f.dedupe_key = o.key
        RETURNING f.*, o.record_id AS applied_as, o.received_at AS applied_at, o.note AS applied_note
    ), logged AS (
        INSERT INTO integration_settledmessage
               (id, received_at, direction, system, entity_type, business_key, dedupe_key, status, payload,
                error_code, error, count, last_at, record_id, note)
        SELECT nextval('integration_settledmessage_id_seq'), received_at, 'INBOUND', system,
               '{messages.DEVICE_DATA}', key, key, 'SUCCESS', payload, '', NULL::jsonb, 1, received_at, record_id,
               NULL::jsonb
          FROM owners WHERE note IS NULL
        UNION ALL
        SELECT id, received_at, direction, system, entity_type, business_key, dedupe_key, 'REPLAYED', payload,
               error_code, error, count, applied_at, applied_as, applied_note
          FROM reopened
    )
    SELECT key, record_id FROM claimed
"""


def write(accepted: Sequence[Accepted], *, at: datetime) -> dict[str, dict[str, Any]]:
    """Write events with different keys once; return the answers by key of those whose key was free."""
    received_at = at.isoformat().replace("+00:00", "Z")
    answers = {one.event.event_id: answer_of(one, received_at=received_at) for one in accepted}
    rows = [_row(one, answer) for one, answer in zip(accepted, answers.values(), strict=True)]
    claimed = fetch_all(WRITE, {"events": msgspec.json.encode(rows).decode(), "at": at})
    return {key: {"id": str(record_id), **answers[key]} for key, record_id in claimed}


def _row(one: Accepted, answer: dict[str, Any]) -> dict[str, Any]:
    event, incoming = one.event, one.incoming
    row = {
        **values.owned(one.judged, owner=one.target.owner, source=event.source, operator=event.operator_id or ""),
        "key": event.event_id,
        "digest": incoming.digest.hex(),
        "event_time": event.event_time,
        "equipment_id": event.equipment_id or "",
        "system": incoming.system,
        "payload": incoming.payload,
        "answer": answer,
    }
    if one.note is not None:
        row["note"] = one.note
    return row


def answer_of(one: Accepted, *, received_at: str) -> dict[str, Any]:
    """Return the answer to an event, without the id that its record will have."""
    target = one.target
    return {
        "eventId": one.event.event_id,
        "trackId": None if target.track_id is None else str(target.track_id),
        "carrierTrackId": None if target.carrier_track_id is None else str(target.carrier_track_id),
        "dataValuesCreated": len(one.judged),
        "receivedAt": received_at,
        "isDuplicate": False,
        "judge": collecting.event_judge(one.judged),
        "alarms": [
            {
                "specName": value.spec.name,
                "value": value.reading.value_number,
                "min": value.spec.alarm_min,
                "max": value.spec.alarm_max,
                "action": value.spec.alarm_action or "ALARM_ONLY",
            }
            for value in one.judged
            if value.alarmed
        ],
    }
