"""The message log: what was sent, what became of it. Open work (FAILED) lies apart from history."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection
from django.db.models import F
from django.utils import timezone
from psycopg.types.json import Jsonb

from integration.models import Direction, FailedMessage, MessageStatus, SettledMessage
from mes.errors import DomainError
from mes.web.envelope import camel_case

DEVICE_DATA = "DEVICE_DATA"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came: who sent what under which key."""

    entity_type: str
    key: str
    system: str
    payload: Any
    digest: bytes


def log(incoming: Incoming, status: MessageStatus, *, at: datetime, record_id: int | None = None) -> None:
    """Write a settled message. A duplicate keeps no payload: its first message has it."""
    SettledMessage.objects.create(
        received_at=at,
        direction=Direction.INBOUND,
        system=incoming.system,
        entity_type=incoming.entity_type,
        business_key=incoming.key,
        dedupe_key=incoming.key,
        status=status,
        payload=None if status == MessageStatus.DUPLICATE else incoming.payload,
        last_at=at,
        record_id=record_id,
    )


def log_conflict(incoming: Incoming, error: DomainError, *, at: datetime) -> None:
    """Keep a message whose key was used with other content."""
    SettledMessage.objects.create(
        received_at=at,
        direction=Direction.INBOUND,
        system=incoming.system,
        entity_type=incoming.entity_type,
        business_key=incoming.key,
        dedupe_key=incoming.key,
        status=MessageStatus.CONFLICT,
        payload=incoming.payload,
        error_code=error.code,
        error=as_json(error),
        last_at=at,
    )


KEEP = """
    INSERT INTO integration_failedmessage
           (received_at, direction, system, entity_type, business_key, dedupe_key, status, payload, error_code, error,
            count, last_at, digest)
    VALUES (%(at)s, 'INBOUND', %(system)s, %(entity_type)s, %(key)s, %(key)s, 'FAILED', %(payload)s, %(code)s,
            %(error)s, 1, %(at)s, %(digest)s)
    ON CONFLICT (entity_type, dedupe_key, digest, error_code) DO UPDATE
       SET count = integration_failedmessage.count + 1, last_at = EXCLUDED.last_at, error = EXCLUDED.error
"""


def keep_failed(incoming: Incoming, error: DomainError) -> None:
    """Keep a message that could not be applied, so that it can be replayed. The same failure counts up."""
    with connection.cursor() as cursor:
        given: dict[str, Any] = {
            "at": timezone.now(),
            "system": incoming.system,
            "entity_type": incoming.entity_type,
            "key": incoming.key,
            "payload": Jsonb(incoming.payload),
            "code": error.code,
            "error": Jsonb(as_json(error)),
            "digest": incoming.digest,
        }
        cursor.execute(KEEP, given)


def note_failed_replay(message: FailedMessage, error: DomainError) -> None:
    """Note on an open message that replaying it failed, and why."""
    FailedMessage.objects.filter(pk=message.pk).update(
        count=F("count") + 1, last_at=timezone.now(), error=as_json(error)
    )


def as_json(error: DomainError) -> dict[str, Any]:
    """Return an error in the shape of the HTTP interface."""
    details = {camel_case(name): value for name, value in error.details.items()}
    return {"code": error.code, "message": str(error), "details": msgspec.to_builtins(details, enc_hook=str)}


def settle(message: FailedMessage, *, record_id: int, by: str) -> None:
    """Move an open message, whose content turned out to be applied already, to history under its id."""
    fields = [field.attname for field in SettledMessage._meta.concrete_fields]
    given = {name: getattr(message, name) for name in fields}
    given |= {
        "status": MessageStatus.REPLAYED,
        "record_id": record_id,
        "last_at": timezone.now(),
        "note": {"replayedBy": by},
    }
    SettledMessage.objects.bulk_create([SettledMessage(**given)])
    message.delete()
