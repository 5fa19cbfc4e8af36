"""The key table: a message's key is claimed once, in the transaction that applies the message.

Whoever finds the key claimed compares digests: the same content is a repeat, which gets the stored answer; other
content is a conflict. Of several at once, one claims the key; the others wait for its transaction to end.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.utils import timezone

from mes.errors import KeyConflict
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.inbound.messages import Outcome, Received
from mes.platform.inbound.models import IdempotencyKey


def claim_statement(rows: str, *, returning: str = "1") -> str:
    """Return the statement that claims keys; it returns a row for each key that was free.

    `rows` gives channel, key, digest, record id, answer and time: a SELECT that sorts by key, or statements that claim
    some of the same keys would deadlock, or the VALUES of one.
    """
    return f"""
        INSERT INTO mes_idempotencykey (channel, key, digest, record_id, answer, created_at)
        {rows} ON CONFLICT DO NOTHING RETURNING {returning}
    """


CLAIM = claim_statement("VALUES (%(channel)s, %(key)s, %(digest)s, NULL, %(answer)s::jsonb, %(claimed_at)s)")


def claim(channel: str, key: str, digest: bytes) -> bool:
    """Claim a key in the caller's transaction; return whether it was free."""
    return bool(fetch_all(CLAIM, claim_parameters(channel, key, digest)))


def claim_parameters(channel: str, key: str, digest: bytes, *, answer: Any = None) -> dict[str, Any]:
    """Return the parameters of CLAIM, for statements that claim and do more."""
    return {
        "channel": channel,
        "key": key,
        "digest": digest,
        "answer": as_json({} if answer is None else answer),
        "claimed_at": timezone.now(),
    }


def store_answer(channel: str, key: str, answer: Any, *, record_id: int) -> None:
    """Store the answer that repeats of a claimed key get, and the row that was made."""
    IdempotencyKey.objects.filter(channel=channel, key=key).update(answer=answer, record_id=record_id)


def find_claimed(channel: str, keys: Iterable[str]) -> dict[str, IdempotencyKey]:
    """Return which of these keys are claimed, by key.

    A statement of its own after the claim: at READ COMMITTED it sees who won the race, the claim does not.
    """
    return {claimed.key: claimed for claimed in IdempotencyKey.objects.filter(channel=channel, key__in=keys)}


def recognise(
    claimed: IdempotencyKey, digest: bytes, *, repeat: Callable[[IdempotencyKey], Received], conflict: KeyConflict
) -> Outcome:
    """Return what a message under a claimed key gets: the answer of the first time, or the conflict."""
    return repeat(claimed) if bytes(claimed.digest) == digest else conflict
