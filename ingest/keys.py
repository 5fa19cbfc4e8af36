"""The keys of events and of test results: claimed together with what the event does, recognised when repeated."""

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from ingest.envelope import ReceivedEvent
from ingest.mapping.extract import EventReading
from mes import errors
from mes.platform.database.models import IdempotencyKey
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.inbound.digest import digest_of
from mes.production.locking import Outdated

CLAIM = """
    INSERT INTO mes_idempotencykey (channel, key, digest, answer, created_at)
    VALUES (%(channel)s, %(key)s, %(digest)s, '{}', %(now)s) ON CONFLICT DO NOTHING RETURNING 1
"""
CLAIM_TEST = """
    INSERT INTO mes_idempotencykey (channel, key, digest, answer, created_at)
    VALUES (%(channel)s, %(key)s, %(digest)s, %(answer)s::jsonb, %(now)s) ON CONFLICT DO NOTHING RETURNING 1
"""


# --- events ------------------------------------------------------------------------------------------------


def claim_parameters(event: ReceivedEvent) -> dict[str, Any]:
    """Return what `CLAIM` is given."""
    return {"channel": event.channel, "key": event.envelope.dedupe_key, "digest": event.digest, "now": timezone.now()}


def claim(event: ReceivedEvent) -> bool:
    """Claim the event's key; return whether it was free."""
    return bool(fetch_all(CLAIM, claim_parameters(event)))


def lock(event: ReceivedEvent, *, record_id: int | None = None) -> bool:
    """Lock the event's key; return whether it is spent (for that record, where one is named)."""
    keys = IdempotencyKey.objects.select_for_update().filter(channel=event.channel, key=event.envelope.dedupe_key)
    return (keys if record_id is None else keys.filter(record_id=record_id)).exists()


def is_spent(event: ReceivedEvent) -> bool:
    """Whether the event's key is spent."""
    return IdempotencyKey.objects.filter(channel=event.channel, key=event.envelope.dedupe_key).exists()


def earlier_answer(event: ReceivedEvent) -> Mapping[str, Any]:
    """Return the answer that this content got before. Raises DedupeKeyConflict for other content.

    Raises Outdated where the key is free again: the event that waited under it was given up at this moment.
    """
    key = IdempotencyKey.objects.filter(channel=event.channel, key=event.envelope.dedupe_key).first()
    if key is None:
        raise Outdated
    if bytes(key.digest) != event.digest:
        raise errors.DedupeKeyConflict(key=event.envelope.dedupe_key, source_system=event.envelope.source_system)
    return key.answer


def write_answer(event: ReceivedEvent, answer: Mapping[str, Any], **columns: Any) -> None:
    """Keep what repeats of the event are answered, and other columns of its key."""
    keys = IdempotencyKey.objects.filter(channel=event.channel, key=event.envelope.dedupe_key)
    keys.update(answer=answer, **columns)


def copy_answer(event: ReceivedEvent, dedupe_key: str) -> Mapping[str, Any]:
    """Give a repeat under another key the answer of the first event; return it."""
    first = IdempotencyKey.objects.get(channel=event.channel, key=dedupe_key)
    write_answer(event, first.answer, record_id=first.record_id)
    return first.answer


def free(event: ReceivedEvent) -> None:
    """Free the event's key: sent again, the event is tried afresh."""
    IdempotencyKey.objects.filter(channel=event.channel, key=event.envelope.dedupe_key).delete()


# --- test results ------------------------------------------------------------------------------------------


def digest_of_test(event: ReceivedEvent, reading: EventReading) -> bytes:
    """Return what makes two reports of a test result the same: type, units and payload."""
    payload = event.envelope.payload
    return digest_of({"type": event.envelope.event_type, "sns": reading.sns, "payload": payload})


def claim_test(event: ReceivedEvent, reading: EventReading) -> str | None:
    """Claim the key of the test result that an event reports, if it does; return the key of the event that reported the
    same result before. Raises DedupeKeyConflict for another result under this id.
    """
    if reading.mapping.test_result_id_path is None:
        return None
    test_result_id, digest = reading.test_result_id, digest_of_test(event, reading)
    answer = {"dedupeKey": event.envelope.dedupe_key}
    values = {"channel": event.test_channel, "key": test_result_id, "digest": digest, "now": timezone.now()}
    if fetch_all(CLAIM_TEST, {**values, "answer": as_json(answer)}):
        return None
    first = IdempotencyKey.objects.select_for_update().get(channel=event.test_channel, key=test_result_id)
    if first.answer == answer:
        return None
    check_same_test(event, test_result_id, is_same=bytes(first.digest) == digest)
    return first.answer["dedupeKey"]


def check_same_test(event: ReceivedEvent, test_result_id: str, *, is_same: bool) -> None:
    """Raise DedupeKeyConflict for other content under the id of a test result."""
    if not is_same:
        raise errors.DedupeKeyConflict(key=test_result_id, source_system=event.envelope.source_system)
