"""Working off the outbox: claim with a lease, handle each event in its own transaction, back off, give up visibly."""

import random
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from mes.platform import request_ids
from mes.platform.metrics import count_event
from mes.platform.outbox.emit import (
    FailureListener,
    GiveUp,
    TryAgain,
    failure_listeners,
    handlers,
)
from mes.platform.outbox.models import EventStatus, MesEvent
from mes.platform.outbox.time_limit import EventTooSlow, time_limit
from mes.platform.sweeps import Sweep, describe_error, storable

logger = structlog.get_logger(__name__)

BACKOFF_CAP = timedelta(hours=1)

# MATERIALIZED, because a plan that evaluates the choice once for each row would claim more than the limit.
CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT id FROM mes_mesevent
         WHERE status IN ('PENDING', 'PROCESSING', 'FAILED') AND next_attempt_at <= now()
         ORDER BY next_attempt_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    UPDATE mes_mesevent e
       SET status = 'PROCESSING', next_attempt_at = now() + %(lease)s, claim_token = %(token)s, begun_at = NULL
      FROM due WHERE e.id = due.id
    RETURNING e.id
"""


def process_due(*, budget: timedelta | None = None, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Handle due events in batches until none is due or the time is spent; return how many were handled.

    Safe to run twice and in several workers at once. What was claimed and not begun is given back. Raises
    SweepIncomplete at the end, where how an event went could not even be recorded: its lease ends by itself.
    """
    until = time.monotonic() + (settings.MES_EVENT_TIME_BUDGET if budget is None else budget).total_seconds()

    def is_over() -> bool:
        return time.monotonic() >= until or is_stopping()

    handled = 0
    with Sweep("events") as sweep:
        while not is_over():
            done = _handle_batch(sweep, is_over)
            if not done:
                break
            handled += done
    return handled


def _handle_batch(sweep: Sweep, is_over: Callable[[], bool]) -> int:
    """Claim due events and handle them until the time is over; return how many were handled."""
    token = uuid.uuid4()
    claimed = claim(token=token)
    for number, event_id in enumerate(claimed):
        if is_over():
            give_back(event_ids=claimed[number:], token=token)
            return number
        with sweep.row(event_id):
            handle(event_id=event_id, token=token)
    return len(claimed)


def claim(*, token: uuid.UUID, limit: int | None = None) -> list[int]:
    """Take up to `limit` due events for a lease, oldest first; others cannot take them until the lease ends."""
    values: dict[str, Any] = {
        "lease": settings.MES_EVENT_LEASE,
        "limit": limit or settings.MES_EVENT_BATCH,
        "token": token,
    }
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        return sorted(row[0] for row in cursor.fetchall())


def give_back(*, event_ids: Sequence[int], token: uuid.UUID) -> None:
    """Let others have what was claimed and not begun, at once instead of after the lease."""
    mine = MesEvent.objects.filter(pk__in=event_ids, claim_token=token, status=EventStatus.PROCESSING)
    mine.update(status=EventStatus.PENDING, next_attempt_at=timezone.now(), claim_token=None)


def begin(*, event_id: int, token: uuid.UUID) -> bool:
    """Count the attempt before any work, and give the event a lease of its own; False when another worker has it.

    Committed at once: an event that kills its worker is given up in the end, and its neighbours lose no attempt.
    """
    mine = MesEvent.objects.filter(pk=event_id, claim_token=token, status=EventStatus.PROCESSING)
    now = timezone.now()
    return bool(mine.update(attempts=F("attempts") + 1, begun_at=now, next_attempt_at=now + settings.MES_EVENT_LEASE))


def handle(*, event_id: int, token: uuid.UUID) -> None:
    """Run the handlers of one claimed event in a transaction of its own, and record how it went.

    Meanwhile log lines and events name the request that the event came from.
    """
    if not begin(event_id=event_id, token=token):
        return
    with request_ids.kept_apart():
        try:
            with transaction.atomic():
                _handle_claimed(event_id=event_id, token=token)
        except (Exception, EventTooSlow) as raised:
            error = raised if isinstance(raised, Exception) else TimeoutError(str(raised))
            _log(error, event_id=event_id)
            record_failure(event_id=event_id, token=token, error=error)


def _handle_claimed(*, event_id: int, token: uuid.UUID) -> None:
    event = _lock_claimed(event_id=event_id, token=token)
    if event is None:
        return
    request_ids.take(event.request_id)
    if event.attempts > event.max_attempts:
        raise RuntimeError("The workers that took this event died.")
    with time_limit(settings.MES_EVENT_TIME_LIMIT.total_seconds()):
        for handler in handlers.get(event.event_type, ()):
            handler(event)
    now = timezone.now()
    event.status = EventStatus.COMPLETED
    event.completed_at = now
    event.retention_until = now + settings.MES_EVENT_RETENTION if settings.MES_EVENT_RETENTION else None
    event.error = ""
    event.save(update_fields=["status", "completed_at", "retention_until", "error"])
    count_event(event.event_type, "completed")


def _log(error: Exception, *, event_id: int) -> None:
    """A handler that says what to do next knows why it failed; of anything else the traceback is needed."""
    if isinstance(error, TryAgain | GiveUp):
        logger.warning("event not handled", event_id=event_id, reason=str(error))
    else:
        logger.error("event failed", event_id=event_id, exc_info=error)


def _lock_claimed(*, event_id: int, token: uuid.UUID) -> MesEvent | None:
    """Lock the event, or return None when its lease ended and another worker took it."""
    mine = MesEvent.objects.filter(pk=event_id, claim_token=token, status=EventStatus.PROCESSING)
    return mine.select_for_update(no_key=True).first()


def record_failure(*, event_id: int, token: uuid.UUID, error: Exception) -> None:
    """Put a failed event back for later, or give it up when its attempts are used or its handler says so."""
    with transaction.atomic():
        event = _lock_claimed(event_id=event_id, token=token)
        if event is None:
            return
        event.error = _describe(error)
        counts = not isinstance(error, TryAgain) or error.counts
        if isinstance(error, GiveUp) or (counts and event.attempts >= event.max_attempts):
            event.status = EventStatus.DEAD
        else:
            event.status = EventStatus.FAILED
            event.attempts -= 0 if counts else 1
            event.next_attempt_at = error.at if isinstance(error, TryAgain) else _next_attempt_at(event)
        event.save(update_fields=["status", "error", "attempts", "next_attempt_at"])
        count_event(event.event_type, "dead" if event.status == EventStatus.DEAD else "failed")
        for listener in failure_listeners.get(event.event_type, ()):
            _call_listener(listener, event, error)


def _call_listener(listener: FailureListener, event: MesEvent, error: Exception) -> None:
    """Whatever goes wrong in telling of a failure, the failure itself must be recorded."""
    try:
        with transaction.atomic():
            listener(event, error)
    except Exception:
        logger.exception("failure listener failed", event_id=event.pk)


def _describe(error: Exception) -> str:
    return storable(str(error)) if isinstance(error, TryAgain | GiveUp) else describe_error(error)


def _next_attempt_at(event: MesEvent) -> datetime:
    return timezone.now() + backoff(attempts=event.attempts)


def backoff(*, attempts: int) -> timedelta:
    """Return MES_EVENT_BACKOFF · 2ⁿ after n+1 attempts, at most an hour, ±10 % so that they do not march in step."""
    # 2¹² s passes the cap; a larger exponent would overflow a timedelta.
    wait = min(settings.MES_EVENT_BACKOFF * 2 ** min(attempts - 1, 12), BACKOFF_CAP)
    return wait * random.uniform(0.9, 1.1)
