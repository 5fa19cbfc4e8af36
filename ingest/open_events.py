"""Open events: what waits or was rejected, kept with its reason and with what was sent before under its key."""

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import F
from django.utils import timezone

from execution.tracking import get_station
from ingest import matching
from ingest.candidates import Meaning
from ingest.envelope import Envelope, Sent
from ingest.models import IngestBase, IngestStatus, OpenIngestEvent
from mes import errors
from mes.platform.http.envelope import refusal_as_json
from mes.platform.validators import validate_code

KEPT_RAW_BYTES = 64 * 1024


KEPT_ATTEMPTS = 20


def lock_open(sent: Sent) -> OpenIngestEvent | None:
    rows = OpenIngestEvent.objects.select_for_update(no_key=True)
    return rows.filter(source_system=sent.envelope.source_system, dedupe_key=sent.envelope.dedupe_key).first()


def upsert_open(
    sent: Sent,
    *,
    status: IngestStatus,
    error: errors.DomainError,
    wait_until: datetime | None = None,
    choice: matching.Choice | None = None,
    meant: Meaning | None = None,
    transaction_id: str | None = None,
) -> OpenIngestEvent:
    """Write the open event of a key; what was sent before under this key stays among its attempts.

    With a `choice`, the event is blocked until the move that lets it be applied; with a `transaction_id`, until another
    event names the units of that transaction. `meant` is what it may mean, as far as that could be read.
    """
    now = timezone.now()
    envelope = sent.envelope
    given: dict[str, Any] = {
        "event_type": envelope.event_type,
        "occurred_at": envelope.occurred_at,
        "sns": _sns_of(envelope, choice, meant),
        "unit_ids": [one.unit.pk for one in choice.units] if choice else [],
        "run_id": choice.run.pk if choice else None,
        "step_no": choice.step.step_no if choice else None,
        "transaction_id": transaction_id or "",
        "payload": sent.body,
        "normalized": _as_received(choice, meant),
        "digest": sent.digest,
        "status": status,
        "wait_until": wait_until,
        "error_code": error.code,
        "error": refusal_as_json(error),
        **blocked_by(choice),
        "last_at": now,
    }
    if envelope.station_code:
        try:
            given["station_id"] = get_station(envelope.station_code).pk
        except errors.StationNotFound:
            given["station_id"] = None
    OpenIngestEvent.objects.bulk_create(
        [
            OpenIngestEvent(
                received_at=now, source_system=envelope.source_system, dedupe_key=envelope.dedupe_key, count=0, **given
            )
        ],
        ignore_conflicts=True,
    )
    opened = OpenIngestEvent.objects.select_for_update(no_key=True).get(
        source_system=envelope.source_system, dedupe_key=envelope.dedupe_key
    )
    if opened.count and bytes(opened.digest) != sent.digest:
        given["attempts"] = with_earlier(opened)
    OpenIngestEvent.objects.filter(pk=opened.pk).update(**given, count=F("count") + 1)
    opened.refresh_from_db()
    return opened


def _sns_of(envelope: Envelope, choice: matching.Choice | None, meant: Meaning | None) -> list[str]:
    """Return the units that an event is kept for: those that are meant, else those that anything of it names."""
    if choice is not None and choice.units:
        return [one.unit.sn for one in choice.units]
    named = envelope.sns or ([envelope.sn] if envelope.sn else [])
    found = next((one.sns for one in meant.named if one.sns), ()) if meant is not None and not named else ()
    return [*named, *filter(_may_be_code, dict.fromkeys(found))]


def _may_be_code(text: str) -> bool:
    try:
        validate_code(text)
    except ValidationError:
        return False
    return True


def _as_received(choice: matching.Choice | None, meant: Meaning | None) -> dict[str, Any] | None:
    """Return what will be so no longer when the event is tried again: what its carrier carries."""
    carried = meant.carried_by(choice.candidate) if choice is not None and meant is not None else ()
    return {"carried": [list(one) for one in carried]} if carried else None


def as_it_was(kept: IngestBase, sent: Sent) -> Sent:
    """Return a kept event with what its carrier carried when it was received."""
    carried = (kept.normalized or {}).get("carried")
    return sent if carried is None else replace(sent, carried=tuple((sn, position) for sn, position in carried))


def blocked_by(choice: matching.Choice | None) -> dict[str, Any]:
    """Return the move that an event is blocked for: that of the unit furthest behind, to the step that is meant."""
    if choice is None or not choice.units:
        return {"blocked_unit_id": None, "blocked_step_no": None}
    return {"blocked_unit_id": choice.behind.unit.pk, "blocked_step_no": choice.step.step_no}


def attempts_before(sent: Sent, opened: OpenIngestEvent | None) -> list[dict[str, Any]]:
    """Return what else was sent under the key of an event that can be applied now."""
    if opened is None:
        return []
    return opened.attempts if bytes(opened.digest) == sent.digest else with_earlier(opened)


def with_earlier(opened: OpenIngestEvent) -> list[dict[str, Any]]:
    """Return the earlier attempts of a key and the present one, which is about to be replaced."""
    earlier = {"payload": opened.payload, "error": opened.error, "at": opened.last_at.isoformat()}
    return [*opened.attempts, earlier][-KEPT_ATTEMPTS:]


def keep_malformed(body: bytes, error: errors.DomainError) -> None:
    """Keep what is not even well-formed, under a key made of its content; the same counts up."""
    digest = hashlib.sha256(body).digest()
    now = timezone.now()
    payload = {"raw": body[:KEPT_RAW_BYTES].decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")}
    key = f"malformed:{digest.hex()}"
    row = OpenIngestEvent(
        received_at=now,
        source_system="",
        dedupe_key=key,
        payload=payload,
        digest=digest,
        status=IngestStatus.REJECTED,
        error_code=error.code,
        error=refusal_as_json(error),
        count=0,
    )
    OpenIngestEvent.objects.bulk_create([row], ignore_conflicts=True)
    OpenIngestEvent.objects.filter(source_system="", dedupe_key=key).update(count=F("count") + 1, last_at=now)
