"""Applied events: what they move, what they are and their answer beside their key, in one statement."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from django.utils import timezone

from execution import carriers, moves_sql
from ingest import keys, left_out
from ingest.context import EventContext
from ingest.envelope import ReceivedEvent
from ingest.mapping.extract import DATA, Extracted
from ingest.models import IngestEventUnit, IngestStatus, OpenIngestEvent, SettledIngestEvent
from ingest.open_events import attempts_before
from ingest.reference_passes import record_passes
from ingest.unit_moves import EventMoves
from mes.platform import request_ids
from mes.platform.database.prepared import as_json
from mes.platform.http.envelope import camel_case
from mes.platform.outbox import emit

_EVENT_TYPES = {
    "id": "bigint",
    "received_at": "timestamptz",
    "source_system": "text",
    "dedupe_key": "text",
    "event_type": "text",
    "occurred_at": "timestamptz",
    "reported_at": "timestamptz",
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
    "note": "jsonb",
    "last_at": "timestamptz",
    "request_id": "text",
    "recorded_by": "text",
}
_PARTIAL_TYPES = {
    "sns": "text[]",
    "error_code": "text",
    "error": "jsonb",
    "subject": "text",
    "is_failing": "boolean",
    "held_unit_ids": "bigint[]",
}
_PARTIAL_COLUMNS = (
    *("id", "received_at", "source_system", "dedupe_key", "occurred_at", "last_at"),
    *("run_id", "station_id", "step_no"),
)
_BEGIN = f"""
    WITH {moves_sql.CTES}, event AS MATERIALIZED (
        SELECT * FROM jsonb_to_record(%(event)s::jsonb)
            AS e({", ".join(f"{name} {kind}" for name, kind in _EVENT_TYPES.items())}, channel text, answer jsonb,
                 left_out jsonb)
    )"""
_LEAVE_OUT = f""", partial AS (
        INSERT INTO ingest_partialingestevent ({", ".join((*_PARTIAL_COLUMNS, *_PARTIAL_TYPES))})
        SELECT {", ".join(f"e.{name}" for name in _PARTIAL_COLUMNS)},
               {", ".join(f"l.{name}" for name in _PARTIAL_TYPES)}
          FROM event e CROSS JOIN LATERAL jsonb_to_record(e.left_out)
               AS l({", ".join(f"{name} {kind}" for name, kind in _PARTIAL_TYPES.items())})
    )"""
_END = f""", settled AS (
        INSERT INTO ingest_settledingestevent ({", ".join(_EVENT_TYPES)}, error_code, count)
        SELECT {", ".join(_EVENT_TYPES)}, '', 1 FROM event
    ), involved AS (
        INSERT INTO ingest_ingesteventunit (received_at, unit_id, event_id)
        SELECT e.received_at, unit_id, e.id FROM event e CROSS JOIN LATERAL unnest(e.unit_ids) AS unit_id
    ), answered AS (
        UPDATE mes_idempotencykey k SET answer = e.answer, record_id = e.id
          FROM event e WHERE k.channel = e.channel AND k.key = e.dedupe_key
    )
    {emit.COMPLETED_AT_ONCE}
"""
SETTLE, SETTLE_PARTLY = _BEGIN + _END, _BEGIN + _LEAVE_OUT + _END


def settle(
    event: ReceivedEvent,
    event_moves: EventMoves,
    context: EventContext,
    open_event: OpenIngestEvent | None,
    *,
    held_unit_ids: Sequence[int] = (),
) -> dict[str, Any]:
    """Write what an event moves and the event, under the id it had while it was open, and its answer beside the key.

    What it left out is open work, with the units that are held for it. Returns the answer.
    """
    now = timezone.now()
    event_id = open_event.pk if open_event else context.event_id
    answer = _answer(event_id, event_moves)
    row = {
        "id": event_id,
        "received_at": open_event.received_at if open_event and bytes(open_event.digest) == event.digest else now,
        "status": IngestStatus.APPLIED.value,
        "attempts": attempts_before(event, open_event),
        "note": event.note or (open_event.note if open_event else None),
        "last_at": now,
        "request_id": open_event.request_id if open_event else request_ids.current(),
        "recorded_by": event.by,
        "channel": event.channel,
        "answer": answer,
        **_columns(event, event_moves),
    }
    row["left_out"] = left_out.summarize(event_moves.skipped, held_unit_ids)
    statement, parameters = SETTLE if row["left_out"] is None else SETTLE_PARTLY, {"event": as_json(row)}
    _name_event(event_moves, event_id)
    moves_sql.write(
        event_moves.moves, now=now, statement=statement, parameters=parameters, watched=context.watched_unit_ids
    )
    _join_pass(event_moves)
    if event_moves.references:
        record_passes(
            list(event_moves.references),
            event_moves.references,
            station=event_moves.station,
            at=event_moves.extracted.occurred_at,
            event_id=event_id,
            by=event.by,
        )
    if open_event:
        open_event.delete()
    return answer


def _name_event(event_moves: EventMoves, event_id: int) -> None:
    """Name the event in the decisions that are about what it reports."""
    for decision in (it for move in event_moves.moves for it in move.dispositions if it.about_step_no is not None):
        decision.about_event_id = event_id


def _join_pass(event_moves: EventMoves) -> None:
    """Join the units' passes to the carrier's, but for those that entered in it."""
    if event_moves.carrier_track is not None and event_moves.extracted.phase != DATA:
        new = [move.track for move in event_moves.moves if move.is_entry or move.state.carrier_track_id is None]
        carriers.join_pass(event_moves.carrier_track, new)


def _columns(event: ReceivedEvent, event_moves: EventMoves) -> dict[str, Any]:
    extracted = event_moves.extracted
    moves = () if extracted.phase == DATA else event_moves.moves
    results = {move.track.result for move in moves if move.track.result}
    return {
        "source_system": event.envelope.source_system,
        "dedupe_key": event.key,
        "event_type": event.envelope.event_type,
        "occurred_at": extracted.occurred_at,
        "reported_at": extracted.reported_at,
        "run_id": event_moves.run.pk,
        "station_id": event_moves.station.pk,
        "step_no": event_moves.step.step_no,
        "carrier_no": extracted.carrier_no or "",
        "sns": [move.unit.sn for move in event_moves.moves],
        "unit_ids": [move.unit.pk for move in event_moves.moves],
        "track_ids": [move.track.pk for move in event_moves.moves],
        "carrier_track_id": event_moves.carrier_track.pk if event_moves.carrier_track else None,
        "result": results.pop() if len(results) == 1 else "",
        "test_result_id": extracted.test_result_id or "",
        # A report of values may be of some units only: it is not what others that name none refer to.
        "transaction_id": "" if extracted.phase == DATA else extracted.transaction_id or "",
        "payload": event.body,
        "normalized": normalized(extracted) | _carried_at_receipt(event_moves) | _problems(event_moves),
        "skipped": event_moves.skipped,
        "unmapped_count": len(event_moves.unmapped),
    }


def _carried_at_receipt(event_moves: EventMoves) -> dict[str, Any]:
    """Return what the carrier carried, where units were left out: it may carry others when they are tried again."""
    return {"carried": event_moves.carried} if event_moves.skipped and event_moves.carried else {}


def _problems(event_moves: EventMoves) -> dict[str, Any]:
    """Return what is wrong with the values that failing reports were taken without."""
    return {"problems": event_moves.problems} if event_moves.misfits else {}


def normalized(extracted: Extracted) -> dict[str, Any]:
    """Return what a mapping extracted, as JSON."""
    return msgspec.to_builtins(
        {camel_case(name): getattr(extracted, name) for name in extracted.__dataclass_fields__}, enc_hook=str
    )


def _answer(event_id: int, event_moves: EventMoves) -> dict[str, Any]:
    moves = event_moves.moves
    answer: dict[str, Any] = {
        "eventId": str(event_id),
        "duplicate": False,
        "status": IngestStatus.APPLIED.value,
        "unitStatus": moves[0].unit.status if len(moves) == 1 else None,
        "trackIds": [str(move.track.pk) for move in moves],
    }
    if event_moves.left_out:
        answer["leftOut"] = event_moves.left_out
    if event_moves.skipped:
        told = ("sn", "item", "code", "failing", "held")
        answer["skipped"] = [{name: item[name] for name in told if name in item} for item in event_moves.skipped]
    if event_moves.misfits:
        answer["problems"] = event_moves.problems
    return answer


def settle_rest(
    event: ReceivedEvent,
    settled_event: SettledIngestEvent,
    event_moves: EventMoves,
    note: Mapping[str, Any] | None,
    *,
    tried: Collection[str],
) -> dict[str, Any]:
    """Write what the replay of an applied event moves and add it to the event; its skipped units are those still left
    out, those that were decided about, and those that were not `tried`. Returns the answer.
    """
    now = timezone.now()
    _name_event(event_moves, settled_event.pk)
    moves_sql.write(event_moves.moves, now=now)
    _join_pass(event_moves)
    settled_event.sns += [move.unit.sn for move in event_moves.moves]
    settled_event.unit_ids += [move.unit.pk for move in event_moves.moves]
    settled_event.track_ids += [move.track.pk for move in event_moves.moves]
    kept = [item for item in settled_event.skipped if "decision" in item or item.get("sn", "") not in {*tried, ""}]
    settled_event.skipped, settled_event.last_at = [*kept, *event_moves.skipped], now
    settled_event.note = {**(settled_event.note or {}), **(note or {})} or None
    # What is measured of a unit that is left out counts as kept with the event alone, until it is taken.
    still_unmapped = settled_event.unmapped_count - event_moves.measured + len(event_moves.unmapped)
    settled_event.unmapped_count = max(still_unmapped, 0)
    names = ("sns", "unit_ids", "track_ids", "skipped", "note", "last_at", "unmapped_count")
    fields = {name: getattr(settled_event, name) for name in names}
    SettledIngestEvent.objects.filter(pk=settled_event.pk, received_at=settled_event.received_at).update(**fields)
    IngestEventUnit.objects.bulk_create(
        IngestEventUnit(received_at=settled_event.received_at, unit_id=move.unit.pk, event_id=settled_event.pk)
        for move in event_moves.moves
    )
    track_ids = [str(track_id) for track_id in settled_event.track_ids]
    answer = {**_answer(settled_event.pk, event_moves), "trackIds": track_ids}
    keys.store_answer(event, answer, record_id=settled_event.pk)
    return answer
