"""Writing events, and who handles them.

`emit` is called inside the transaction that makes a thing happen, so that the event exists exactly when the thing
does. Handlers are registered by any app in its `AppConfig.ready()`; they run later, in the worker, at least once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from mes.platform import request_ids
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.hooks import Hook
from mes.platform.outbox.models import EventStatus, EventType, MesEvent

Handler = Callable[[MesEvent], None]
FailureListener = Callable[[MesEvent, Exception], None]

# handler(event), by event type: called in the worker, in a transaction of the event's own together with its completion.
# It may be called twice for one event. An event without handler completes.
handlers: dict[str, Hook[Handler]] = {event_type.value: Hook() for event_type in EventType}

# listener(event, error), by event type: called in the transaction that records a failed attempt (status FAILED or
# DEAD). A handler cannot keep anything of an attempt that failed, because its transaction is rolled back.
failure_listeners: dict[str, Hook[FailureListener]] = {event_type.value: Hook() for event_type in EventType}


class TryAgain(Exception):
    """Raised by a handler that knows when trying again makes sense; the usual backoff does not apply.

    Without `counts`, nothing was tried, and the attempt is given back.
    """

    def __init__(self, reason: str, *, at: datetime, counts: bool = True) -> None:
        super().__init__(reason)
        self.at = at
        self.counts = counts


class GiveUp(Exception):
    """Raised by a handler that knows that trying again cannot help: the event is DEAD at once."""


@dataclass(frozen=True)
class NewEvent:
    """An event about to be written. `key` makes it unique: emitting it twice writes it once."""

    event_type: EventType
    key: str
    entity_type: str
    entity_id: str
    occurred_at: datetime
    run_id: int | None = None
    payload: dict[str, Any] = field(default_factory=dict)
    max_attempts: int = 10


# Part of larger statements too, where what happened is written along. `created_at` serves as the time it is due.
_GIVEN = (
    "event_type text, idempotency_key text, entity_type text, entity_id text, run_id bigint, request_id text, "
    "payload jsonb, occurred_at timestamptz, created_at timestamptz, max_attempts integer"
)
INSERT_EVENTS = f"""
    INSERT INTO mes_mesevent
           (event_type, idempotency_key, entity_type, entity_id, run_id, request_id, payload, occurred_at, created_at,
            max_attempts, next_attempt_at, status, attempts, error)
    SELECT e.*, e.created_at, '{EventStatus.PENDING}', 0, ''
      FROM jsonb_to_recordset(%(events)s::jsonb) AS e({_GIVEN})
    ON CONFLICT DO NOTHING RETURNING id
"""


def to_rows(events: Sequence[NewEvent]) -> list[dict[str, Any]]:
    """Return events as the rows that `INSERT_EVENTS` reads; who writes them there calls `check_transaction`."""
    now, request_id = timezone.now(), request_ids.current()
    return [
        {
            "event_type": event.event_type.value,
            "idempotency_key": event.key,
            "entity_type": event.entity_type,
            "entity_id": event.entity_id,
            "run_id": event.run_id,
            "request_id": request_id,
            "payload": event.payload,
            "occurred_at": event.occurred_at,
            "created_at": now,
            "max_attempts": event.max_attempts,
        }
        for event in events
    ]


def check_transaction() -> None:
    """Raise TransactionManagementError outside a transaction: an event exists exactly when what it tells does."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("Events are emitted in the transaction that makes them true.")


def emit(*events: NewEvent) -> None:
    """Write events into the outbox, in the caller's transaction (there must be one)."""
    if events:
        check_transaction()
        fetch_all(INSERT_EVENTS, {"events": as_json(to_rows(events))})
