"""Applied events: what they move, what they are and their answer beside their key, in one statement."""

from typing import Any

import msgspec
from django.db import transaction
from django.utils import timezone

from execution import carriers, moves_sql
from ingest.context import Scene
from ingest.envelope import Sent
from ingest.models import IngestEventUnit, IngestStatus, OpenIngestEvent, SettledIngestEvent
from ingest.open_events import attempts_before
from ingest.unit_moves import Applied
from mes.platform.database.models import IdempotencyKey
from mes.platform.database.prepared import as_json
from mes.platform.http.envelope import camel_case

_EVENT_TYPES = {
    "id": "bigint",
    "received_at": "timestamptz",
    "source_system": "text",
    "dedupe_key": "text",
    "event_type": "text",
    "occurred_at": "timestamptz",
    "run_id": "bigint",
    "station_id": "bigint",
    "step_no": "integer",
    "carrier_no": "text",
    "sns": "text[]",
    "unit_ids": "bigint[]",
    "track_ids": "bigint[]",
    "carrier_track_id": "bigint",
    "result": "text",
    "test_result_id": "text",
    "transaction_id": "text",
    "payload": "jsonb",
    "normalized": "jsonb",
    "skipped": "jsonb",
    "unmapped_count": "integer",
    "status": "text",
    "attempts": "jsonb",
    "last_at": "timestamptz",
}
SETTLE = f"""
    WITH {moves_sql.CTES}, event AS MATERIALIZED (
        SELECT * FROM jsonb_to_record(%(event)s::jsonb)
            AS e({", ".join(f"{name} {kind}" for name, kind in _EVENT_TYPES.items())}, channel text, answer jsonb)
    ), settled AS (
        INSERT INTO ingest_settledingestevent ({", ".join(_EVENT_TYPES)}, error_code, count)
        SELECT {", ".join(_EVENT_TYPES)}, '', 1 FROM event
    ), involved AS (
        INSERT INTO ingest_ingesteventunit (received_at, unit_id, event_id)
        SELECT e.received_at, unit_id, e.id FROM event e CROSS JOIN LATERAL unnest(e.unit_ids) AS unit_id
    ), answered AS (
        UPDATE mes_idempotencykey k SET answer = e.answer, record_id = e.id
          FROM event e WHERE k.channel = e.channel AND k.key = e.dedupe_key
    )
    SELECT 1
"""


def settle(sent: Sent, applied: Applied, scene: Scene, opened: OpenIngestEvent | None) -> dict[str, Any]:
    """Write what an event moves and the event, under the id it had while it was open, and its answer beside the key."""
    now = timezone.now()
    event_id = opened.pk if opened else scene.event_id
    answer = _answer(event_id, applied)
    event = {
        "id": event_id,
        "received_at": opened.received_at if opened else now,
        "status": IngestStatus.APPLIED.value,
        "attempts": attempts_before(sent, opened),
        "last_at": now,
        "channel": sent.channel,
        "answer": answer,
        **_facts(sent, applied),
    }
    given = {"event": as_json(event)}
    moves_sql.write(applied.moves, now=now, statement=SETTLE, given=given, watched=scene.watched)
    if applied.extracted.transaction_id:
        _tell_of_transaction(sent.envelope.source_system, applied.extracted.transaction_id)
    _join_pass(applied)
    if opened:
        opened.delete()
    return answer


def _tell_of_transaction(source_system: str, transaction_id: str) -> None:
    """Have the events tried after the commit that wait for somebody to name the units of a transaction."""
    from ingest.waiting import try_transaction  # knows this module

    transaction.on_commit(lambda: try_transaction(source_system, transaction_id))


def _join_pass(applied: Applied) -> None:
    if applied.carrier_track is not None:
        carriers.join_pass(applied.carrier_track, [move.track for move in applied.moves])


def _facts(sent: Sent, applied: Applied) -> dict[str, Any]:
    extracted = applied.extracted
    results = {move.track.result for move in applied.moves if move.track.result}
    return {
        "source_system": sent.envelope.source_system,
        "dedupe_key": sent.envelope.dedupe_key,
        "event_type": sent.envelope.event_type,
        "occurred_at": extracted.occurred_at,
        "run_id": applied.run.pk,
        "station_id": applied.station.pk,
        "step_no": applied.step.step_no,
        "carrier_no": extracted.carrier_no or "",
        "sns": [move.unit.sn for move in applied.moves],
        "unit_ids": [move.unit.pk for move in applied.moves],
        "track_ids": [move.track.pk for move in applied.moves],
        "carrier_track_id": applied.carrier_track.pk if applied.carrier_track else None,
        "result": results.pop() if len(results) == 1 else "",
        "test_result_id": extracted.test_result_id or "",
        "transaction_id": extracted.transaction_id or "",
        "payload": sent.body,
        "normalized": normalized(extracted) | _as_received(applied),
        "skipped": applied.skipped,
        "unmapped_count": len(applied.unmapped),
    }


def _as_received(applied: Applied) -> dict[str, Any]:
    """Return what will be so no longer when the units left out are tried again: what their carrier carries."""
    return {"carried": applied.carried} if applied.skipped and applied.carried else {}


def normalized(extracted: Any) -> dict[str, Any]:
    """Return what a mapping extracted, as JSON."""
    return msgspec.to_builtins(
        {camel_case(name): getattr(extracted, name) for name in extracted.__dataclass_fields__}, enc_hook=str
    )


def _answer(event_id: int, applied: Applied) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "eventId": str(event_id),
        "duplicate": False,
        "status": IngestStatus.APPLIED.value,
        "unitStatus": applied.moves[0].unit.status if len(applied.moves) == 1 else None,
        "trackIds": [str(move.track.pk) for move in applied.moves],
    }
    if applied.skipped:
        answer["skipped"] = [{"sn": one["sn"], "code": one["code"]} for one in applied.skipped]
    return answer


def settle_rest(sent: Sent, settled: SettledIngestEvent, applied: Applied) -> dict[str, Any]:
    """Write what the replay of an applied event moves and add it to the event; its skipped units are those still left
    out.
    """
    now = timezone.now()
    moves_sql.write(applied.moves, now=now)
    _join_pass(applied)
    settled.sns += [move.unit.sn for move in applied.moves]
    settled.unit_ids += [move.unit.pk for move in applied.moves]
    settled.track_ids += [move.track.pk for move in applied.moves]
    settled.skipped, settled.last_at = applied.skipped, now
    fields = {name: getattr(settled, name) for name in ("sns", "unit_ids", "track_ids", "skipped", "last_at")}
    SettledIngestEvent.objects.filter(pk=settled.pk, received_at=settled.received_at).update(**fields)
    IngestEventUnit.objects.bulk_create(
        IngestEventUnit(received_at=settled.received_at, unit_id=move.unit.pk, event_id=settled.pk)
        for move in applied.moves
    )
    answer = {**_answer(settled.pk, applied), "trackIds": [str(track_id) for track_id in settled.track_ids]}
    IdempotencyKey.objects.filter(channel=sent.channel, key=sent.envelope.dedupe_key).update(answer=answer)
    return answer
