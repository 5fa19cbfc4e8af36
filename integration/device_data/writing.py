"""Writing accepted device data: one statement, however many events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from execution.data import values
from integration.device_data.judging import Accepted
from integration.messages import DEVICE_DATA, DEVICE_DATA_CHANNEL, lock_open
from mes.platform.database.prepared import as_json, columns_of, fetch_all
from mes.platform.inbound.keys import claim_statement, sent_key
from mes.platform.inbound.messages import Received
from mes.platform.inbound.models import IdempotencyKey
from mes.routing import judging

# What differs between the events of a batch, in the order of `_Row`; when they came is given once.
GIVEN_TYPES = {
    "key": "text",
    "digest": "text",
    "event_time": "timestamptz",
    "equipment_id": "text",
    "system": "text",
    "payload": "jsonb",
    "answer": "jsonb",
    "note": "jsonb",
    **{name: kind for name, kind in values.OWNER_TYPES.items() if name not in ("received_at", "recorded_by")},
}

CLAIM = claim_statement(
    f"""SELECT '{DEVICE_DATA_CHANNEL}', key, decode(digest, 'hex'), nextval('integration_settledmessage_id_seq'),
               answer, received_at
          FROM (SELECT key, digest, answer, received_at FROM given ORDER BY key) AS sorted""",
    returning="key, record_id",
)
# Claims the keys and, only where that succeeded, writes record and values. The record is the message as well. Messages
# of a key that failed before are settled under their own id; an open replay is such a message, and its record is none.
WRITE = f"""
    WITH given AS MATERIALIZED (
        SELECT %(at)s::timestamptz AS received_at, {columns_of("event", GIVEN_TYPES)}
          FROM jsonb_array_elements(%(events)s::jsonb) AS given(event)
    ), claimed AS ({CLAIM}
    ), owners AS MATERIALIZED (
        SELECT c.record_id, g.*, g.system AS recorded_by FROM claimed c JOIN given g USING (key)
    ), record AS (
        INSERT INTO integration_devicedatarecord
               (id, received_at, event_id, event_time, source, run_id, unit_id, station_id, track_id,
                carrier_track_id, step_no, equipment_id, operator_id, system, payload, is_message, values_count, judge)
        SELECT record_id, received_at, split_part(key, E'\\x1f', -1), event_time, source, run_id, unit_id, station_id,
               track_id, carrier_track_id, step_no, equipment_id, operator, system, payload, note IS NULL,
               jsonb_array_length(rows), coalesce(answer->>'judge', '')
          FROM owners
    ), stored AS ({values.INSERT_ROWS}
    ), reopened AS (
        DELETE FROM integration_failedmessage f USING owners o
         WHERE f.dedupe_key = o.key AND f.id = ANY(ARRAY({lock_open(f"'{DEVICE_DATA}'", "SELECT key FROM owners")}))
        RETURNING f.*, o.record_id AS applied_as, o.received_at AS applied_at, o.note AS applied_note
    ), settled AS (
        INSERT INTO integration_settledmessage
               (id, received_at, direction, system, entity_type, business_key, dedupe_key, status, payload,
                error_code, error, count, last_at, record_id, note, request_id)
        SELECT id, received_at, direction, system, entity_type, business_key, dedupe_key, 'REPLAYED', payload,
               error_code, error, count, applied_at, applied_as, applied_note, request_id
          FROM reopened
    )
    SELECT key, record_id FROM claimed
"""


class Answer(msgspec.Struct, rename="camel", gc=False):
    """The answer to an applied event. `status` is set in answers to batches only, `problems` where values were left
    out.
    """

    status: str | msgspec.UnsetType
    id: str
    event_id: str
    track_id: str | None
    carrier_track_id: str | None
    data_values_created: int
    received_at: datetime
    is_duplicate: bool
    judge: str | None
    alarms: list[dict[str, Any]]
    problems: list[str] | msgspec.UnsetType = msgspec.UNSET


class _Kept(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """What an answer holds beside the columns of its key; kept for repeats."""

    data_values_created: int
    track_id: str | None = None
    carrier_track_id: str | None = None
    judge: str | None = None
    alarms: list[dict[str, Any]] = []
    problems: list[str] = []

    def received(self, *, event_id: str, record_id: int, at: datetime, is_duplicate: bool = False) -> Received:
        """Return what the sender is answered."""
        answer = Answer(
            msgspec.UNSET,
            str(record_id),
            event_id,
            self.track_id,
            self.carrier_track_id,
            self.data_values_created,
            at,
            is_duplicate,
            self.judge,
            self.alarms,
            self.problems or msgspec.UNSET,
        )
        return Received(answer, record_id, is_duplicate)


class _Row(msgspec.Struct, array_like=True, gc=False):
    """What `WRITE` is given of an event: an array in the order of GIVEN_TYPES, made by place as `values.Row` is."""

    key: str
    digest: str
    event_time: datetime
    equipment_id: str
    system: str
    payload: Any
    answer: _Kept
    note: dict[str, Any] | None
    source: str
    operator: str
    unit_id: int | None
    run_id: int | None
    track_id: int | None
    carrier_track_id: int | None
    station_id: int | None
    step_no: int | None
    operation_code: str
    rows: Sequence[values.Row]


def write(accepted: Sequence[Accepted], *, at: datetime) -> dict[str, Received]:
    """Write events with different keys once; return the answers by key of those whose key was free."""
    rows = {event.message.key: _row(event) for event in accepted}
    claimed = fetch_all(WRITE, {"events": as_json(list(rows.values())), "at": at})
    return {
        key: rows[key].answer.received(event_id=sent_key(key), record_id=record_id, at=at) for key, record_id in claimed
    }


def answer_again(key: IdempotencyKey) -> Received:
    """Return what the sender of an event that was applied before is answered."""
    kept = msgspec.convert(key.answer, _Kept)
    assert key.record_id is not None  # claimed with its record
    return kept.received(event_id=sent_key(key.key), record_id=key.record_id, at=key.created_at, is_duplicate=True)


def _row(accepted: Accepted) -> _Row:
    message, target = accepted.message, accepted.target
    event = message.event
    return _Row(
        message.key,
        message.digest.hex(),
        event.event_time,
        event.equipment_id or "",
        message.system,
        message.payload,
        _kept(accepted),
        accepted.note,
        event.source,
        event.operator_id or "",
        target.unit_id,
        target.run_id or None,
        target.track_id,
        target.carrier_track_id,
        target.station_id,
        target.step_no,
        target.operation_code,
        values.to_rows(accepted.judged),
    )


def _kept(accepted: Accepted) -> _Kept:
    target, judged = accepted.target, accepted.judged
    return _Kept(
        len(judged),
        None if target.track_id is None else str(target.track_id),
        None if target.carrier_track_id is None else str(target.carrier_track_id),
        judging.event_judge(judged),
        [
            {
                "specName": value.spec.name,
                "value": value.reading.value_number,
                "min": value.spec.alarm_min,
                "max": value.spec.alarm_max,
                "action": value.spec.alarm_action or "ALARM_ONLY",
            }
            for value in judged
            if value.alarmed
        ],
        [misfit.problem for misfit in accepted.misfits],
    )
