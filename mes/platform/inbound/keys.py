"""The key table: a message's key is claimed once, in the transaction that applies the message.

Whoever finds the key claimed compares digests: the same content is a repeat, which gets the stored answer; other
content is a conflict. Of several at once, one claims the key; the others wait for its transaction to end.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.utils import timezone

from mes.errors import KeyConflict
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.inbound.models import IdempotencyKey

T = TypeVar("T")


def claim_statement(rows: str, *, returning: str = "1") -> str:
    """Return the statement that claims keys; it returns a row for each key that was free.

    `rows` gives channel, key, digest, record id, answer and time: a SELECT that sorts by key, or statements that claim
    some of the same keys would deadlock, or the VALUES of one.
    """
    return f"""
        INSERT INTO mes_idempotencykey (channel, key, digest, record_id, answer, created_at)
        {rows} ON CONFLICT DO NOTHING RETURNING {returning}
    """


NO_ANSWER: dict[str, Any] = {}  # yet: it is stored when the message is applied
CLAIM = claim_statement("VALUES (%(channel)s, %(key)s, %(digest)s, NULL, %(answer)s::jsonb, %(claimed_at)s)")


def claim(channel: str, key: str, digest: bytes, *, answer: Any = NO_ANSWER) -> bool:
    """Claim a key in the caller's transaction; return whether it was free."""
    return bool(fetch_all(CLAIM, claim_parameters(channel, key, digest, answer=answer)))


_OF_SOURCE = "\x1f"  # stands in no code and in no key that is sent


def key_of_source(source_system: str | None, key: str) -> str:
    """Return the key that a message is known by, where each source system has keys of its own."""
    return key if source_system is None else f"{source_system}{_OF_SOURCE}{key}"


def sent_key(key: str) -> str:
    """Return the key that was sent, without the source system whose own it is."""
    return key.rpartition(_OF_SOURCE)[2]


def own_key(key: str, digest: bytes) -> str:
    """Return the key of its own that other content gets which came under a spent key: one for each content."""
    return f"{key[:160]}~{digest.hex()[:32]}"


def claim_parameters(channel: str, key: str, digest: bytes, *, answer: Any = NO_ANSWER) -> dict[str, Any]:
    """Return the parameters of CLAIM, for statements that claim and do more."""
    answer = as_json(answer)
    return {"channel": channel, "key": key, "digest": digest, "answer": answer, "claimed_at": timezone.now()}


def store_answer(channel: str, key: str, answer: Any, *, record_id: int) -> None:
    """Store the answer that repeats of a claimed key get, and the row that was made."""
    IdempotencyKey.objects.filter(channel=channel, key=key).update(answer=answer, record_id=record_id)


def spend(channel: str, key: str, digest: bytes, answer: Any, *, record_id: int) -> None:
    """Give a claimed key to this content, with the answer that its repeats get."""
    claimed = IdempotencyKey.objects.filter(channel=channel, key=key)
    claimed.update(digest=digest, answer=answer, record_id=record_id)


def find_claimed(channel: str, keys: Iterable[str]) -> dict[str, IdempotencyKey]:
    """Return which of these keys are claimed, by key.

    A statement of its own after the claim: at READ COMMITTED it sees who won the race, the claim does not.
    """
    return {claimed.key: claimed for claimed in IdempotencyKey.objects.filter(channel=channel, key__in=keys)}


def find_claimed_in(keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], IdempotencyKey]:
    """Return which of these keys are claimed, given and named by channel and key. One statement."""
    wanted = set(keys)
    rows = IdempotencyKey.objects.filter(channel__in={channel for channel, _key in wanted})
    found = rows.filter(key__in={key for _channel, key in wanted})
    return {(row.channel, row.key): row for row in found if (row.channel, row.key) in wanted}


def lock_claimed(channel: str, key: str) -> IdempotencyKey | None:
    """Lock a claimed key and return it, None for one that is free (inside a transaction)."""
    return IdempotencyKey.objects.select_for_update().filter(channel=channel, key=key).first()


def free(channel: str, key: str) -> None:
    """Free a key: its message, sent again, is tried afresh."""
    IdempotencyKey.objects.filter(channel=channel, key=key).delete()


def recognise(
    claimed: IdempotencyKey, digest: bytes, *, repeat: Callable[[IdempotencyKey], T], conflict: KeyConflict
) -> T | KeyConflict:
    """Return what a message under a claimed key gets: the same content what `repeat` makes of the key, other content
    the conflict.
    """
    return repeat(claimed) if bytes(claimed.digest) == digest else conflict
