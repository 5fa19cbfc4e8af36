"""Working off the outbox: claim with a lease, handle sets of events, back off, give up visibly.

What is new is handled in sets, one transaction for all events of a type, where all handlers of the type take sets.
What is not goes by itself, in a transaction of its own, its attempt counted before the work: the events of a set that
failed, what failed earlier, and what a worker had claimed that died, perhaps of it. So a bad event stops no other and
costs it no attempt, and one that kills its workers is given up in the end.
"""

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from mes.platform import request_ids
from mes.platform.database.prepared import fetch_all
from mes.platform.metrics import count_event
from mes.platform.outbox.emit import (
    WANTED,
    FailureListener,
    GiveUp,
    SetHandler,
    TryAgain,
    failure_listeners,
    handlers,
    retention_until,
    with_interest,
)
from mes.platform.outbox.models import EventStatus, MesEvent
from mes.platform.outbox.time_limit import EventTooSlow, time_limit
from mes.platform.sweeps import Sweep, describe_error, storable

logger = structlog.get_logger(__name__)

BACKOFF_CAP = timedelta(hours=1)
SET_TIME_LIMIT = timedelta(seconds=10)  # a set takes milliseconds; who waits for its locks waits no longer than this

# MATERIALIZED, because a plan that evaluates the choice once for each row would claim more than the limit.
CLAIM = f"""
    WITH due AS MATERIALIZED (
        SELECT id, status FROM mes_mesevent
         WHERE status IN ('PENDING', 'PROCESSING', 'FAILED') AND next_attempt_at <= now()
         ORDER BY next_attempt_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    UPDATE mes_mesevent e
       SET status = 'PROCESSING', next_attempt_at = now() + %(lease)s, claim_token = %(token)s, begun_at = NULL
      FROM due WHERE e.id = due.id
    RETURNING e.id, e.event_type, due.status, e.attempts, {WANTED}
"""

# Of what this claim still holds; an attempt that was not counted when it was begun counts now.
COMPLETE = """
    UPDATE mes_mesevent
       SET status = 'COMPLETED', completed_at = %(now)s, retention_until = %(until)s, error = '',
           attempts = attempts + (begun_at IS NULL)::integer, begun_at = coalesce(begun_at, %(begun_at)s)
     WHERE id = ANY(%(ids)s::bigint[]) AND claim_token = %(token)s AND status = 'PROCESSING'
    RETURNING event_type
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An event that was claimed; `status` is the one it had before."""

    id: int
    event_type: str
    status: str
    attempts: int
    is_wanted: bool

    @property
    def is_new(self) -> bool:
        """Whether nothing went wrong with it yet: it failed in no attempt, and no worker died that had claimed it."""
        return self.status == EventStatus.PENDING and not self.attempts


@dataclass(frozen=True, slots=True)
class Claim:
    """What was claimed together, and until when: `ends` is a time of the monotonic clock, in seconds."""

    token: uuid.UUID
    events: Sequence[Claimed]
    ends: float


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
    batch = take(token=uuid.uuid4())
    left = {event.id: event for event in batch.events}
    for events in _sets(batch):
        if _takes_sets(events[0]) and not is_over():
            if _handle_set(batch, events):
                for event in events:
                    del left[event.id]
                continue
            # Given back now, they are new no more: each goes by itself the next time, with its attempt counted.
            left |= {event.id: replace(event, status=EventStatus.PROCESSING) for event in events}
        for event in events:
            if is_over():
                break
            with sweep.row(event.id):
                handle(event_id=event.id, token=batch.token)
            del left[event.id]
    give_back(left.values(), token=batch.token)
    return len(batch.events) - len(left)


def take(*, token: uuid.UUID, limit: int | None = None) -> Claim:
    """Claim up to `limit` due events for a lease, oldest first; others cannot take them until it ends."""
    values: dict[str, Any] = {
        "lease": settings.MES_EVENT_LEASE,
        "limit": limit or settings.MES_EVENT_BATCH,
        "token": token,
    }
    ends = time.monotonic() + settings.MES_EVENT_LEASE.total_seconds()
    with connection.cursor() as cursor:  # planned each time: what is due may be all of the table, or nearly nothing
        cursor.execute(with_interest(CLAIM), values)
        return Claim(token, [Claimed(*row) for row in sorted(cursor.fetchall())], ends)


def give_back(events: Iterable[Claimed], *, token: uuid.UUID) -> None:
    """Let others have what was claimed and not begun, at once instead of after the lease, as it was before."""
    by_status: dict[str, list[int]] = {}
    for event in events:
        by_status.setdefault(event.status, []).append(event.id)
    for status, event_ids in by_status.items():
        _claimed(event_ids, token).update(status=status, next_attempt_at=timezone.now(), claim_token=None)


# --- in sets -------------------------------------------------------------------------------------------------


def _sets(batch: Claim) -> list[list[Claimed]]:
    """Return the events by what is handled together, in the order of the first of each: what nobody wants, what is new,
    by type, and each of the others by itself.
    """
    by_kind: dict[object, list[Claimed]] = {}
    for event in batch.events:
        kind = event.id if not _takes_sets(event) else event.event_type if event.is_wanted else ""
        by_kind.setdefault(kind, []).append(event)
    return list(by_kind.values())


def _takes_sets(event: Claimed) -> bool:
    """Whether an event may be handled with others."""
    if not event.is_wanted:
        return True
    return event.is_new and all(isinstance(handler, SetHandler) for handler in handlers[event.event_type])


def _handle_set(batch: Claim, events: Sequence[Claimed]) -> bool:
    """Handle events in one transaction; return whether that went well. Nothing is left of it otherwise.

    It ends before the lease does; others leave its events alone while it lasts, for their rows are locked. No attempt
    is counted before: of a worker that dies here, the claim tells.
    """
    longest = min(SET_TIME_LIMIT, settings.MES_EVENT_TIME_LIMIT)
    seconds = min(longest.total_seconds(), batch.ends - time.monotonic())
    if seconds <= 0:
        return False
    event_ids = sorted(event.id for event in events)
    with request_ids.kept_apart():
        try:
            with transaction.atomic(), time_limit(seconds):
                begun_at = timezone.now()
                if events[0].is_wanted:
                    _call_handlers(events[0].event_type, event_ids, batch.token)
                completed = _complete(event_ids, batch.token, begun_at=begun_at)
        except (Exception, EventTooSlow) as error:
            logger.warning("a set of events failed, each is handled by itself", events=len(events), exc_info=error)
            return False
    for event_type, number in Counter(completed).items():
        count_event(event_type, "completed", number)
    return True


def _call_handlers(event_type: str, event_ids: Sequence[int], token: uuid.UUID) -> None:
    """Lock the events of a set, as far as this claim still holds them, and have them handled."""
    events = list(_claimed(event_ids, token).select_for_update(no_key=True).order_by("pk"))
    if len({event.request_id for event in events}) == 1:
        request_ids.take(events[0].request_id)
    for handler in handlers[event_type] if events else ():
        assert isinstance(handler, SetHandler)
        handler.handle(events)


def _claimed(event_ids: Sequence[int], token: uuid.UUID) -> QuerySet[MesEvent]:
    """Return the events that this claim still holds: others take them when its lease has ended."""
    return MesEvent.objects.filter(pk__in=event_ids, claim_token=token, status=EventStatus.PROCESSING)


def _complete(event_ids: Sequence[int], token: uuid.UUID, *, begun_at: datetime) -> list[str]:
    """Complete the events that this claim still holds; return their types."""
    now = timezone.now()
    values = {"now": now, "until": retention_until(now), "begun_at": begun_at, "ids": list(event_ids), "token": token}
    return [event_type for (event_type,) in fetch_all(COMPLETE, values)]


# --- one by one ----------------------------------------------------------------------------------------------


def begin(*, event_id: int, token: uuid.UUID) -> bool:
    """Count the attempt before any work, and give the event a lease of its own; False when another worker has it.

    Committed at once: an event that kills its worker is given up in the end, and its neighbours lose no attempt.
    """
    mine, now = _claimed([event_id], token), timezone.now()
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
    _complete([event_id], token, begun_at=timezone.now())
    count_event(event.event_type, "completed")


def _log(error: Exception, *, event_id: int) -> None:
    """A handler that says what to do next knows why it failed; of anything else the traceback is needed."""
    if isinstance(error, TryAgain | GiveUp):
        logger.warning("event not handled", event_id=event_id, reason=str(error))
    else:
        logger.error("event failed", event_id=event_id, exc_info=error)


def _lock_claimed(*, event_id: int, token: uuid.UUID) -> MesEvent | None:
    """Lock the event, or return None when its lease ended and another worker took it."""
    return _claimed([event_id], token).select_for_update(no_key=True).first()


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
