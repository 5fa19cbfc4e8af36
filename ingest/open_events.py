"""Open events: what waits or was rejected, kept with its reason and with what was sent before under its key."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from ingest import refusal_notices
from ingest.candidates import EventCandidates
from ingest.envelope import ReceivedEvent, channel_of
from ingest.matching import Match
from ingest.models import REFUSED_STATUSES, IngestBase, IngestStatus, OpenIngestEvent
from ingest.places import Place, find_place
from mes import errors
from mes.platform import request_ids
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.http.envelope import refusal_as_json
from mes.platform.inbound import keys
from mes.platform.inbound.messages import raw_payload
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import rule_exists

KEPT_ATTEMPTS = 20
MALFORMED_CHANNEL = channel_of("")  # of the key table: what is malformed names no source system
FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)


def lock_open(event: ReceivedEvent) -> OpenIngestEvent | None:
    """Return the open event of a key, locked."""
    rows = OpenIngestEvent.objects.select_for_update(no_key=True)
    return rows.filter(source_system=event.envelope.source_system, dedupe_key=event.envelope.dedupe_key).first()


@dataclass(frozen=True, slots=True)
class Against:
    """What a refused event says against its units: whether one failed, and the ids of those held for it."""

    is_failing: bool = False
    held_unit_ids: Sequence[int] = ()


NOBODY = Against()


def upsert_open(
    event: ReceivedEvent,
    *,
    status: IngestStatus,
    error: errors.DomainError,
    wait_seconds: int | None = None,
    match: Match | None = None,
    candidates: EventCandidates | None = None,
    transaction_id: str | None = None,
    against: Against = NOBODY,
) -> OpenIngestEvent:
    """Write the open event of a key; what was sent before under this key stays among its attempts. It is received when
    its present content is: whoever decided about what came before has not seen that.

    With a `match`, the event is blocked until the move that lets it be applied, but for a conflict, which is never
    tried by itself; with a `transaction_id`, until another
    event names the units of that transaction. `candidates` are those of the event, as far as it could be read.
    """
    now = timezone.now()
    columns = {
        **_columns_of_event(event),
        **_columns_of_place(find_place(event, candidates, match)),
        **blocking_move(None if status == IngestStatus.CONFLICT else match),
        "normalized": _carried_at_receipt(match),
        "is_failing": against.is_failing,
        "held_unit_ids": list(against.held_unit_ids),
        "subject": error.subject,
        "transaction_id": transaction_id or "",
        "status": status,
        "wait_seconds": wait_seconds,
        "wait_until": None if wait_seconds is None else now + timedelta(seconds=wait_seconds),
        "failures": 0,
        "next_attempt_at": None,
        "error_code": error.code,
        "error": refusal_as_json(error),
        "last_at": now,
    }
    key = {"source_system": event.envelope.source_system, "dedupe_key": event.envelope.dedupe_key}
    row = OpenIngestEvent(received_at=now, count=0, **key, **columns)
    OpenIngestEvent.objects.bulk_create([row], ignore_conflicts=True)
    locked = OpenIngestEvent.objects.select_for_update(no_key=True)
    open_event = locked.annotate(is_told=rule_exists(NoticeEvent.EVENT_REJECTED)).get(**key)
    is_told = open_event.is_told and status in REFUSED_STATUSES
    if open_event.count and bytes(open_event.digest) != event.digest:
        columns["attempts"] = _attempts_with_present(open_event)
        columns["received_at"] = now
    elif open_event.count:  # what it holds was decided perhaps, and it is not dismissed yet
        columns["held_unit_ids"] = sorted({*open_event.held_unit_ids, *against.held_unit_ids})
    OpenIngestEvent.objects.filter(pk=open_event.pk).update(**columns, count=F("count") + 1)
    open_event.refresh_from_db()
    if is_told:
        refusal_notices.tell(open_event, error)
    return open_event


_COUNT_UP = """
    UPDATE ingest_openingestevent
       SET count = count + 1, last_at = %(at)s::timestamptz, request_id = %(request_id)s::text,
           error = jsonb_set(%(error)s::jsonb, '{details,held}', error #> '{details,held}')
     WHERE source_system = %(source_system)s::text AND dedupe_key = %(key)s::text AND digest = %(digest)s::bytea
       AND status = 'REJECTED' AND error_code = %(code)s::text AND error #> '{details,held}' IS NOT NULL
       AND cardinality(held_unit_ids) > 0 AND held_unit_ids @> unit_ids
    RETURNING (error #> '{details,held}')::text
"""


def count_up(event: ReceivedEvent, error: errors.DomainError) -> bool:
    """Count up an event that is refused again as it was before and has held all its units then: nothing else follows
    from it. Returns whether it is such a one, and names those units in `details.held` of its refusal.

    One statement, after what the attempt did is rolled back. What somebody or the clock has tried is kept anew.
    """
    if event.is_by_itself or event.is_new or event.note is not None:
        return False
    rows = fetch_all(
        _COUNT_UP,
        {
            "source_system": event.envelope.source_system,
            "key": event.key,
            "digest": event.digest,
            "code": error.code,
            "error": as_json(refusal_as_json(error)),
            "at": timezone.now(),
            "request_id": request_ids.current(),
        },
    )
    if rows:
        error.details["held"] = msgspec.json.decode(rows[0][0])
    return bool(rows)


def keep_waiting(open_event: OpenIngestEvent, error: errors.DomainError, *, match: Match | None) -> None:
    """Let a locked event go on waiting: for the unit that is hindmost now, or for its transaction without a `match`."""
    OpenIngestEvent.objects.filter(pk=open_event.pk).update(
        **blocking_move(match),
        error_code=error.code,
        error=refusal_as_json(error),
        failures=0,
        next_attempt_at=timezone.now(),
    )


@transaction.atomic
def keep_failure(event_id: int, problem: str) -> None:
    """Keep with an open event that an attempt at it failed unexpectedly, so that people see it.

    From the second failure on, the clock leaves the event alone for longer and longer, but no longer than it may wait.
    `problem` is the error as text.
    """
    open_event = OpenIngestEvent.objects.select_for_update(no_key=True).filter(pk=event_id).first()
    if open_event is None:
        return
    failures = open_event.failures + 1
    error = errors.IngestAttemptFailed(problem=problem, failures=failures)
    now = timezone.now()
    next_attempt_at = now + delay_after(failures)
    if open_event.wait_until is not None and open_event.wait_until > now:
        next_attempt_at = min(next_attempt_at, open_event.wait_until)
    OpenIngestEvent.objects.filter(pk=event_id).update(
        error_code=error.code,
        error=refusal_as_json(error),
        failures=failures,
        next_attempt_at=next_attempt_at,
    )


def delay_after(failures: int) -> timedelta:
    """Return how long the clock leaves an event alone after so many failures in a row: not at all after the first."""
    doublings = min(failures - 2, 20)
    return timedelta(0) if failures < 2 else min(FIRST_DELAY * 2**doublings, LONGEST_DELAY)


def _columns_of_event(event: ReceivedEvent) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "event_type": event.envelope.event_type,
        "occurred_at": event.occurred_at,
        "reported_at": event.envelope.occurred_at,
        "payload": event.body,
        "digest": event.digest,
        "recorded_by": event.by,
        "request_id": request_ids.current(),
    }
    if event.note is not None:
        columns["note"] = event.note
    return columns


def _columns_of_place(place: Place) -> dict[str, Any]:
    return {
        "run_id": place.run_id,
        "station_id": place.station_id,
        "step_no": place.step_no,
        "sns": list(place.sns),
        "unit_ids": list(place.unit_ids),
    }


def _carried_at_receipt(match: Match | None) -> dict[str, Any] | None:
    """Return what the carrier of an event carries: it may carry others when the event is tried again."""
    carried = match.candidate.units.carried if match is not None else ()
    return {"carried": [list(load) for load in carried]} if carried else None


def with_carried_at_receipt(kept: IngestBase, event: ReceivedEvent) -> ReceivedEvent:
    """Return a kept event with what its carrier carried when it was received."""
    carried = (kept.normalized or {}).get("carried")
    return event if carried is None else replace(event, carried=tuple((sn, position) for sn, position in carried))


def blocking_move(match: Match | None) -> dict[str, Any]:
    """Return the columns of the move that an event waits for: that of its hindmost unit, to its step, or to the first
    of the optional ones before it.
    """
    if match is None or not match.units:
        return {"blocked_unit_id": None, "blocked_step_no": None}
    first_step_no = match.candidate.step.snapshot.earliest_before(match.step.step_no)
    return {"blocked_unit_id": match.hindmost.unit.pk, "blocked_step_no": first_step_no}


def attempts_before(event: ReceivedEvent, open_event: OpenIngestEvent | None) -> list[dict[str, Any]]:
    """Return what else was sent under the key of an event that can be applied now."""
    if open_event is None:
        return []
    return open_event.attempts if bytes(open_event.digest) == event.digest else _attempts_with_present(open_event)


def _attempts_with_present(open_event: OpenIngestEvent) -> list[dict[str, Any]]:
    """Return the earlier attempts of a key and the present one, which is about to be replaced."""
    present = {"payload": open_event.payload, "error": open_event.error, "at": open_event.last_at.isoformat()}
    return [*open_event.attempts, present][-KEPT_ATTEMPTS:]


def keep_malformed(body: bytes, error: errors.DomainError, *, by: str) -> None:
    """Keep what is not even well-formed, under a key made of its content; the same counts up, until it is dismissed."""
    digest = hashlib.sha256(body).digest()
    now = timezone.now()
    key = f"malformed:{digest.hex()}"
    if keys.find_claimed(MALFORMED_CHANNEL, [key]):
        return
    row = OpenIngestEvent(
        received_at=now,
        source_system="",
        dedupe_key=key,
        payload=raw_payload(body),
        digest=digest,
        status=IngestStatus.REJECTED,
        error_code=error.code,
        error=refusal_as_json(error),
        recorded_by=by,
        subject=error.subject,
        count=0,
    )
    with transaction.atomic():  # what is kept is told of, whatever happens between
        OpenIngestEvent.objects.bulk_create([row], ignore_conflicts=True)
        known = OpenIngestEvent.objects.filter(source_system="", dedupe_key=key)
        known.update(count=F("count") + 1, last_at=now)
        refusal_notices.tell_malformed(known, error)
