"""The keys of events and of test results: claimed together with what the event does, recognised when repeated."""

from collections.abc import Mapping
from typing import Any

from ingest.envelope import ReceivedEvent
from ingest.mapping.extract import EventReading
from mes import errors
from mes.platform.inbound import keys
from mes.platform.inbound.digest import digest_of
from mes.platform.inbound.models import IdempotencyKey
from mes.production.locking import Outdated

# --- events ------------------------------------------------------------------------------------------------


def claim_parameters(event: ReceivedEvent) -> dict[str, Any]:
    """Return the parameters of the statement that claims an event's key."""
    return keys.claim_parameters(event.channel, event.key, event.digest)


def claim(event: ReceivedEvent) -> bool:
    """Claim the event's key; return whether it was free."""
    return keys.claim(event.channel, event.key, event.digest)


def lock(event: ReceivedEvent, *, record_id: int | None = None) -> bool:
    """Lock the event's key; return whether it is spent (for that record, where one is named)."""
    claimed = keys.lock_claimed(event.channel, event.key)
    return claimed is not None and record_id in (None, claimed.record_id)


def is_spent(event: ReceivedEvent) -> bool:
    """Whether the event's key is spent."""
    return bool(keys.find_claimed(event.channel, [event.key]))


def earlier_answer(event: ReceivedEvent) -> Mapping[str, Any]:
    """Return the answer that this content got before. Raises DedupeKeyConflict for other content.

    Raises Outdated where the key is free again: the event that waited under it was given up at this moment.
    """
    claimed = keys.find_claimed(event.channel, [event.key]).get(event.key)
    if claimed is None:
        raise Outdated
    conflict = errors.DedupeKeyConflict(key=event.key, source_system=event.envelope.source_system)
    answer = keys.recognise(claimed, event.digest, repeat=_stored_answer, conflict=conflict)
    if isinstance(answer, errors.KeyConflict):
        raise answer
    return answer


def _stored_answer(claimed: IdempotencyKey) -> Mapping[str, Any]:
    return claimed.answer


def store_answer(event: ReceivedEvent, answer: Mapping[str, Any], *, record_id: int) -> None:
    """Store what repeats of the event are answered, and the row of the event."""
    keys.store_answer(event.channel, event.key, answer, record_id=record_id)


def copy_answer(event: ReceivedEvent, dedupe_key: str) -> Mapping[str, Any]:
    """Give a repeat under another key the answer of the first event; return it."""
    first = keys.find_claimed(event.channel, [dedupe_key])[dedupe_key]
    assert first.record_id is not None  # answered with its event
    store_answer(event, first.answer, record_id=first.record_id)
    return first.answer


def free(event: ReceivedEvent) -> None:
    """Free the event's key: sent again, the event is tried afresh."""
    keys.free(event.channel, event.key)


# --- test results ------------------------------------------------------------------------------------------


def digest_of_test(event: ReceivedEvent, reading: EventReading) -> bytes:
    """Return what makes two reports of a test result the same: type, units and payload, as they were said."""
    payload = event.envelope.payload
    return digest_of({"type": event.envelope.event_type, "sns": reading.said_sns, "payload": payload})


def key_of_test(event: ReceivedEvent, reading: EventReading) -> str:
    """Return the key of the test result that an event reports: its id; of an event taken as new, one of its own.

    Raises IngestPayloadInvalid.
    """
    if not event.is_new:
        return reading.test_result_id
    return keys.own_key(reading.test_result_id, digest_of_test(event, reading))


def claim_test(event: ReceivedEvent, reading: EventReading) -> str | None:
    """Claim the key of the test result that an event reports, if it does; return the key of the event that reported the
    same result before. Raises DedupeKeyConflict for another result under this id.
    """
    if reading.mapping.test_result_id_path is None:
        return None
    test_result_id, digest = key_of_test(event, reading), digest_of_test(event, reading)
    answer = {"dedupeKey": event.key}
    if keys.claim(event.test_channel, test_result_id, digest, answer=answer):
        return None
    first = keys.lock_claimed(event.test_channel, test_result_id)
    assert first is not None  # the key of a test result is never freed
    if first.answer == answer:
        return None
    check_same_test(event, test_result_id, is_same=bytes(first.digest) == digest)
    return first.answer["dedupeKey"]


def check_same_test(event: ReceivedEvent, test_result_id: str, *, is_same: bool) -> None:
    """Raise DedupeKeyConflict for other content under the id of a test result."""
    if not is_same:
        raise errors.DedupeKeyConflict(key=test_result_id, source_system=event.envelope.source_system)
