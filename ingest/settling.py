"""Applied events: written with what they did, and their answer beside their key."""

from typing import Any

import msgspec
from django.db import connection
from django.utils import timezone

from ingest.applying import Applied
from ingest.envelopes import Sent
from ingest.keeping import attempts_before
from ingest.models import IngestEventUnit, IngestStatus, OpenIngestEvent, SettledIngestEvent
from mes.database.models import IdempotencyKey
from mes.web.envelope import camel_case


def settle(sent: Sent, applied: Applied, opened: OpenIngestEvent | None) -> dict[str, Any]:
    """Write the applied event, under the id it had while it was open, and its answer beside the key."""
    now = timezone.now()
    event_id = opened.pk if opened else _next_id()
    received_at = opened.received_at if opened else now
    SettledIngestEvent.objects.bulk_create(
        [
            SettledIngestEvent(
                id=event_id,
                received_at=received_at,
                status=IngestStatus.APPLIED,
                attempts=attempts_before(sent, opened),
                last_at=now,
                **_facts(sent, applied),
            )
        ]
    )
    IngestEventUnit.objects.bulk_create(
        IngestEventUnit(received_at=received_at, unit_id=unit.pk, event_id=event_id) for unit in applied.units
    )
    if opened:
        opened.delete()
    answer = _answer(event_id, applied)
    IdempotencyKey.objects.filter(channel=sent.channel, key=sent.envelope.dedupe_key).update(
        answer=answer, record_id=event_id
    )
    return answer


def _next_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('ingest_settledingestevent_id_seq')")
        return cursor.fetchone()[0]


def _facts(sent: Sent, applied: Applied) -> dict[str, Any]:
    extracted = applied.extracted
    results = {track.result for track in applied.tracks if track.result}
    return {
        "source_system": sent.envelope.source_system,
        "dedupe_key": sent.envelope.dedupe_key,
        "event_type": sent.envelope.event_type,
        "occurred_at": extracted.occurred_at,
        "run_id": applied.run.pk,
        "station_id": applied.station.pk,
        "step_no": applied.step.step_no,
        "carrier_no": extracted.carrier_no or "",
        "sns": [unit.sn for unit in applied.units],
        "unit_ids": [unit.pk for unit in applied.units],
        "track_ids": [track.pk for track in applied.tracks],
        "carrier_track_id": applied.carrier_track.pk if applied.carrier_track else None,
        "result": results.pop() if len(results) == 1 else "",
        "test_result_id": extracted.test_result_id or "",
        "transaction_id": extracted.transaction_id or "",
        "payload": sent.body,
        "normalized": normalized(extracted),
        "skipped": applied.skipped,
        "unmapped_count": len(applied.unmapped),
    }


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
        "unitStatus": applied.units[0].status if len(applied.units) == 1 else None,
        "trackIds": [str(track.pk) for track in applied.tracks],
    }
    if applied.skipped:
        answer["skipped"] = [{"sn": one["sn"], "code": one["code"]} for one in applied.skipped]
    return answer


def settle_rest(sent: Sent, settled: SettledIngestEvent, applied: Applied) -> dict[str, Any]:
    """Add to an applied event what its replay moved; its skipped units are those still left out."""
    settled.sns += [unit.sn for unit in applied.units]
    settled.unit_ids += [unit.pk for unit in applied.units]
    settled.track_ids += [track.pk for track in applied.tracks]
    settled.skipped, settled.last_at = applied.skipped, timezone.now()
    fields = {name: getattr(settled, name) for name in ("sns", "unit_ids", "track_ids", "skipped", "last_at")}
    SettledIngestEvent.objects.filter(pk=settled.pk, received_at=settled.received_at).update(**fields)
    IngestEventUnit.objects.bulk_create(
        IngestEventUnit(received_at=settled.received_at, unit_id=unit.pk, event_id=settled.pk) for unit in applied.units
    )
    answer = {**_answer(settled.pk, applied), "trackIds": [str(track_id) for track_id in settled.track_ids]}
    IdempotencyKey.objects.filter(channel=sent.channel, key=sent.envelope.dedupe_key).update(answer=answer)
    return answer
