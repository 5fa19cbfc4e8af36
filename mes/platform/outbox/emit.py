"""Writing events, and who handles them.

`emit` is called inside the transaction that makes a thing happen, so that the event exists exactly when the thing
does. Handlers are registered by any app in its `AppConfig.ready()`; they run later, in the worker, at least once. What
no handler wants is written as completed: most moves of units concern no rule.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from mes.platform import request_ids
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.hooks import Hook
from mes.platform.metrics import count_event
from mes.platform.outbox.models import EventStatus, EventType, MesEvent

Handler = Callable[[MesEvent], None]
FailureListener = Callable[[MesEvent, Exception], None]


@dataclass(frozen=True, eq=False)
class SetHandler:
    """A handler that takes many events of one type at once, and says which it wants at all.

    `handle` has the same effect as if it were given them one after the other. It takes the locks of all of them in
    their order (`mes.production.locking`), each once, and talks to nobody but the database. `interest` is a condition
    in SQL on the columns of an event, `e`: false where handling the event would do nothing. It is part of the statement
    that writes the event, so it sees every row that was committed before; it is short, raises nothing, and has no `%`.
    """

    handle: Callable[[Sequence[MesEvent]], None]
    interest: str = "true"

    def __call__(self, event: MesEvent) -> None:
        """Handle a single event."""
        self.handle([event])


# handler(event), by event type: called in the worker, in a transaction of the event's own together with its completion.
# Where all handlers of a type are `SetHandler`s, the transaction is that of a set of events. It may be called twice for
# one event, the second time after the first was rolled back. What no handler wants is completed without being handled.
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


LONGEST_KEY = 200


def short_key(key: str) -> str:
    """Return a key that can be kept: as it is, or, where it is too long, one that no other has."""
    if len(key) <= LONGEST_KEY:
        return key
    named = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{key[: LONGEST_KEY - len(named) - 1]}:{named}"


# Whether a handler wants the event `e`, in the text of a statement. Until `with_interest` puts its condition there,
# every event is wanted.
WANTED = "(true /* is wanted */)"

# Part of larger statements too, where what happened is written along: they are run `with_interest`, and what they
# return of it is counted (`count_at_once`). `created_at` serves as the time it is due. OFFSET keeps PostgreSQL from
# asking for each column anew.
_GIVEN = {
    "event_type": "text",
    "idempotency_key": "text",
    "entity_type": "text",
    "entity_id": "text",
    "run_id": "bigint",
    "request_id": "text",
    "payload": "jsonb",
    "occurred_at": "timestamptz",
    "created_at": "timestamptz",
    "max_attempts": "integer",
}
INSERT_EVENTS = f"""
    INSERT INTO mes_mesevent
           ({", ".join(_GIVEN)}, next_attempt_at, error, status, attempts, begun_at, completed_at, retention_until)
    SELECT {", ".join(f"e.{name}" for name in _GIVEN)}, e.created_at, '',
           CASE WHEN is_wanted THEN '{EventStatus.PENDING}' ELSE '{EventStatus.COMPLETED}' END,
           CASE WHEN is_wanted THEN 0 ELSE 1 END,
           CASE WHEN is_wanted THEN NULL ELSE e.created_at END,
           CASE WHEN is_wanted THEN NULL ELSE e.created_at END,
           CASE WHEN is_wanted THEN NULL ELSE e.retention_until END
      FROM jsonb_to_recordset(%(events)s::jsonb)
           AS e({", ".join(f"{name} {kind}" for name, kind in _GIVEN.items())}, retention_until timestamptz),
           LATERAL (SELECT {WANTED} AS is_wanted OFFSET 0) asked
    ON CONFLICT DO NOTHING RETURNING event_type, status
"""
# Of rows that `INSERT_EVENTS` returned: the types of those that were written as completed, for `count_at_once`.
COMPLETED_AT_ONCE = f"SELECT array_agg(event_type) FROM told WHERE status = '{EventStatus.COMPLETED}'"
EMIT = f"WITH told AS ({INSERT_EVENTS}) {COMPLETED_AT_ONCE}"


def with_interest(statement: str) -> str:
    """Return a statement with the condition of the registered handlers in the place of WANTED."""
    return _with_interest_of(statement, tuple((event_type, *hook) for event_type, hook in handlers.items()))


@lru_cache(maxsize=64)
def _with_interest_of(statement: str, registered: tuple[tuple[Any, ...], ...]) -> str:
    cases = [f"WHEN '{event_type}' THEN {_interest(wanting)}" for event_type, *wanting in registered]
    return statement.replace(WANTED, f"(CASE e.event_type {' '.join(cases)} END)")


def _interest(wanting: Sequence[Handler]) -> str:
    conditions = (handler.interest if isinstance(handler, SetHandler) else "true" for handler in wanting)
    return " OR ".join(f"({condition})" for condition in dict.fromkeys(conditions)) or "false"


def count_at_once(event_types: Sequence[str] | None) -> None:
    """Count events that were written as completed, when the transaction has been committed; their types, each as
    often as there are.
    """
    if event_types:
        transaction.on_commit(partial(_count, event_types), robust=True)


def _count(event_types: Sequence[str]) -> None:
    for event_type in event_types:
        count_event(event_type, "completed")


def to_rows(events: Sequence[NewEvent]) -> list[dict[str, Any]]:
    """Return events as the rows that `INSERT_EVENTS` reads; who writes them there calls `check_transaction`."""
    now, request_id = timezone.now(), request_ids.current()
    until = retention_until(now)
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
            "retention_until": until,
        }
        for event in events
    ]


def retention_until(completed_at: datetime) -> datetime | None:
    """Return how long an event is kept that was completed then; None for ever."""
    return completed_at + settings.MES_EVENT_RETENTION if settings.MES_EVENT_RETENTION else None


def check_transaction() -> None:
    """Raise TransactionManagementError outside a transaction: an event exists exactly when what it tells does."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("Events are emitted in the transaction that makes them true.")


def emit(*events: NewEvent) -> None:
    """Write events into the outbox, in the caller's transaction (there must be one)."""
    if events:
        check_transaction()
        [[event_types]] = fetch_all(with_interest(EMIT), {"events": as_json(to_rows(events))})
        count_at_once(event_types)
