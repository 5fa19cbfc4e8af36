"""Outbound messages in the message log: one for each event, open until it is delivered or a person dismisses it."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec
from django.utils import timezone

from integration.models import Direction, FailedMessage, MessageStatus, SettledMessage
from mes.platform.outbox.emit import TryAgain
from mes.platform.outbox.models import EventStatus, MesEvent

ERP = "ERP"


def delivered(event: MesEvent, *, status: int, answer: str) -> None:
    """Log the delivery, in its transaction. A message that had been given up is REPLAYED."""
    opened = FailedMessage.objects.filter(entity_type=event.payload["type"], dedupe_key=event.idempotency_key).first()
    now = timezone.now()
    fields: dict[str, Any] = _describe(event, at=now)
    fields |= {"status": MessageStatus.SUCCESS, "note": {"httpStatus": status, "answer": answer}}
    if opened is not None:
        was_given_up = opened.status == MessageStatus.FAILED
        fields |= {
            "id": opened.pk,
            "received_at": opened.received_at,
            "status": MessageStatus.REPLAYED if was_given_up else MessageStatus.SUCCESS,
            "error_code": opened.error_code,
            "error": opened.error,
        }
        opened.delete()
    SettledMessage.objects.bulk_create([SettledMessage(**fields)])


def not_delivered(event: MesEvent, error: Exception) -> None:
    """Log a failed attempt: RETRYING while the event will be tried again, FAILED when it was given up."""
    if isinstance(error, TryAgain) and not error.counts:
        return
    answer = getattr(error, "answer", None)
    fields = _describe(event, at=timezone.now())
    fields |= {
        "status": MessageStatus.FAILED if event.status == EventStatus.DEAD else MessageStatus.RETRYING,
        "error_code": str(getattr(error, "code", type(error).__name__))[:60],
        "error": {
            "message": event.error,
            "httpStatus": answer.status if answer else None,
            "answer": answer.body if answer else None,
        },
        "digest": hashlib.sha256(msgspec.json.encode(event.payload, order="sorted")).digest(),
    }
    first_at = fields.pop("received_at")
    FailedMessage.objects.update_or_create(
        entity_type=fields.pop("entity_type"),
        dedupe_key=fields.pop("dedupe_key"),
        defaults=fields,
        create_defaults={
            **fields,
            "received_at": first_at,
            "entity_type": event.payload["type"],
            "dedupe_key": event.idempotency_key,
        },
    )


def _describe(event: MesEvent, *, at: datetime) -> dict[str, Any]:
    return {
        "received_at": at,
        "direction": Direction.OUTBOUND,
        "system": ERP,
        "entity_type": event.payload["type"],
        "business_key": event.entity_id,
        "dedupe_key": event.idempotency_key,
        "payload": event.payload,
        "count": max(event.attempts, 1),
        "last_at": at,
        "record_id": event.pk,
    }
