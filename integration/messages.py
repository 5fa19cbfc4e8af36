"""The message log: what was sent, what became of it. Open work (FAILED) lies apart from history."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone
from psycopg.types.json import Jsonb

from integration.models import Direction, FailedMessage, MessageStatus, SettledMessage
from mes.errors import DomainError
from mes.platform.http import parsing
from mes.platform.http.envelope import refusal_as_json

DEVICE_DATA = "DEVICE_DATA"
DEVICE_DATA_CHANNEL = "device-data"  # of the key table
KEPT_RAW_BYTES = 64 * 1024


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A message as it came: who sent what under which key. The payload is decoded, or JSON word for word (Raw)."""

    entity_type: str
    key: str
    system: str
    payload: Any
    digest: bytes
    channel: str = DEVICE_DATA_CHANNEL

    def decoded(self) -> Any:
        """Return the payload decoded."""
        return parsing.decode(bytes(self.payload)) if isinstance(self.payload, msgspec.Raw) else self.payload


def log_repeats(duplicates: Sequence[tuple[Incoming, int]], conflicts: Sequence[tuple[Incoming, DomainError]]) -> None:
    """Log messages whose key was used: (message, record of the first) with the same content, (message, error) with
    other. A duplicate keeps no payload: its first message has it.
    """
    now = timezone.now()
    rows = [
        _settled(incoming, MessageStatus.DUPLICATE, at=now, record_id=record_id) for incoming, record_id in duplicates
    ]
    rows += [
        _settled(
            incoming,
            MessageStatus.CONFLICT,
            at=now,
            payload=incoming.decoded(),
            error_code=error.code,
            error=refusal_as_json(error),
        )
        for incoming, error in conflicts
    ]
    if rows:
        SettledMessage.objects.bulk_create(rows)


def _settled(incoming: Incoming, status: MessageStatus, *, at: datetime, **fields: Any) -> SettledMessage:
    return SettledMessage(
        received_at=at,
        direction=Direction.INBOUND,
        system=incoming.system,
        entity_type=incoming.entity_type,
        business_key=incoming.key,
        dedupe_key=incoming.key,
        status=status,
        last_at=at,
        **fields,
    )


# Sent twice at once, the first may fail and the second be applied before the first is kept: then it is not kept.
KEEP = """
    INSERT INTO integration_failedmessage
           (received_at, direction, system, entity_type, business_key, dedupe_key, status, payload, error_code, error,
            count, last_at, digest)
    SELECT %(at)s, 'INBOUND', %(system)s, %(entity_type)s, %(key)s, %(key)s, 'FAILED', %(payload)s, %(code)s,
           %(error)s, 1, %(at)s, %(digest)s
     WHERE NOT EXISTS (SELECT FROM mes_idempotencykey k
                        WHERE k.channel = %(channel)s AND k.key = %(key)s AND k.digest = %(digest)s)
    ON CONFLICT (entity_type, dedupe_key, digest, error_code) DO UPDATE
       SET count = integration_failedmessage.count + 1, last_at = EXCLUDED.last_at, error = EXCLUDED.error
"""


def keep_failed(failed: Sequence[tuple[Incoming, DomainError]]) -> None:
    """Keep messages that could not be applied, so that they can be replayed. The same failure counts up.

    They are written in one order, or batches that share failures would deadlock.
    """
    if not failed:
        return
    now = timezone.now()
    ordered = sorted(failed, key=lambda one: (one[0].key, one[0].digest, one[1].code))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(KEEP, [_kept(incoming, error, now) for incoming, error in ordered])


def _kept(incoming: Incoming, error: DomainError, at: datetime) -> dict[str, Any]:
    return {
        "at": at,
        "system": incoming.system,
        "entity_type": incoming.entity_type,
        "key": incoming.key,
        "payload": Jsonb(incoming.decoded()),
        "code": error.code,
        "error": Jsonb(refusal_as_json(error)),
        "digest": incoming.digest,
        "channel": incoming.channel,
    }


# Messages of the key that failed before are settled under their own ids.
SETTLE_REOPENED = """
    WITH reopened AS (
        DELETE FROM integration_failedmessage WHERE entity_type = %(entity_type)s AND dedupe_key = %(key)s RETURNING *
    )
    INSERT INTO integration_settledmessage
           (id, received_at, direction, system, entity_type, business_key, dedupe_key, status, payload, error_code,
            error, count, last_at, record_id, note)
    SELECT id, received_at, direction, system, entity_type, business_key, dedupe_key, 'REPLAYED', payload, error_code,
           error, count, %(at)s, %(record_id)s, %(note)s
      FROM reopened
"""


def log_applied(incoming: Incoming, *, record_id: int, note: dict[str, Any] | None = None) -> None:
    """Log a message that was applied, in its transaction. With a `note` it is the replay of an open message, which
    gets no second one.
    """
    at = timezone.now()
    if note is None:
        applied = _settled(incoming, MessageStatus.SUCCESS, at=at, record_id=record_id, payload=incoming.decoded())
        SettledMessage.objects.bulk_create([applied])
    with connection.cursor() as cursor:
        values: dict[str, Any] = {
            "entity_type": incoming.entity_type,
            "key": incoming.key,
            "at": at,
            "record_id": record_id,
            "note": None if note is None else Jsonb(note),
        }
        cursor.execute(SETTLE_REOPENED, values)


def malformed(body: bytes, *, entity_type: str, system: str, channel: str = DEVICE_DATA_CHANNEL) -> Incoming:
    """Return a message that is not even well-formed, as far as it can be kept."""
    try:
        payload = parsing.decode(body)
    except DomainError:
        payload = None
    if payload is None or len(body) > KEPT_RAW_BYTES:
        payload = {"raw": body[:KEPT_RAW_BYTES].decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")}
    key = payload.get("eventId") if isinstance(payload, dict) else None
    key = key[:200] if isinstance(key, str) and key.isprintable() else ""
    return Incoming(entity_type, key, system, payload, hashlib.sha256(body).digest(), channel)


def note_failed_replay(message: FailedMessage, error: DomainError) -> None:
    """Note on an open message that replaying it failed, and why."""
    same = FailedMessage.objects.filter(pk=message.pk)
    noted = {"count": F("count") + 1, "last_at": timezone.now(), "error": refusal_as_json(error)}
    try:
        with transaction.atomic():
            same.update(**noted, error_code=error.code)
    except IntegrityError:  # the same content failed with this code before, and is open under another id
        same.update(**noted)


@transaction.atomic
def settle(message: FailedMessage, *, record_id: int, by: str) -> bool:
    """Move an open message, whose content turned out to be applied already, to history under its id.

    Returns whether it still was open.
    """
    deleted, _rows = FailedMessage.objects.filter(pk=message.pk).delete()
    if not deleted:
        return False  # whoever applied it settled it
    given = {field.attname: getattr(message, field.attname) for field in SettledMessage._meta.concrete_fields}
    given |= {
        "status": MessageStatus.REPLAYED,
        "record_id": record_id,
        "last_at": timezone.now(),
        "note": {"replayedBy": by},
    }
    SettledMessage.objects.bulk_create([SettledMessage(**given)])
    return True
