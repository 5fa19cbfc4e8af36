"""Machine events from receipt to their end: accepted once, tried again when what they wait for came, and by the clock.

What follows a settled event is scheduled here, after its commit: events that waited for the move of a unit, or for
an event that names the units of a transaction.
"""

import threading
from collections.abc import Sequence
from functools import partial

import structlog
from django.db import DatabaseError, DataError, transaction
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.utils import timezone

from ingest import attempts
from ingest.attempts import Outcome, Overtakes
from ingest.envelope import EventBatch, ReceivedEvent, StationCheck, any_station, decode, key_in
from ingest.mapping.paths import invalid
from ingest.models import IngestEvent, IngestStatus, OpenIngestEvent, SettledIngestEvent
from ingest.open_events import keep_failure, keep_malformed
from mes import errors
from mes.platform.database.lookup import get_or_raise
from mes.platform.http import parsing
from mes.platform.sweeps import describe_error, is_connection_lost
from mes.production.models import Unit

logger = structlog.get_logger(__name__)
_running = threading.local()

CATCH_UP_LIMIT = 500
MOST_FOLLOWERS = 100
STEP_NO_OF_UNIT = Subquery(Unit.objects.filter(pk=OuterRef("blocked_unit_id")).values("current_step_no")[:1])
IS_OPENED = Exists(
    SettledIngestEvent.objects.filter(
        source_system=OuterRef("source_system"), transaction_id=OuterRef("transaction_id")
    ).exclude(transaction_id="")
)


# --- receiving ---------------------------------------------------------------------------------------------


def receive(body: bytes, *, check_station: StationCheck = any_station) -> Outcome:
    """Apply one event as it came over the wire, or keep it and raise why it cannot be applied.

    Raises the refusals of mapping, matching and guards; DedupeKeyConflict for other content under a used key.
    """
    try:
        event = decode(body)
    except (errors.ParseFailed, errors.ValidationFailed) as error:
        keep_malformed(body, error)
        raise
    return accept(event, check_station=check_station)


def receive_batch(
    body: bytes, *, check_station: StationCheck = any_station
) -> list[tuple[str | None, Outcome | errors.DomainError]]:
    """Apply events in order, each by itself; return (key, outcome). Raises what is wrong with all of the body."""
    results: list[tuple[str | None, Outcome | errors.DomainError]] = []
    for event in split_batch(body):
        try:
            results.append((key_in(event), receive(event, check_station=check_station)))
        except errors.DomainError as error:
            results.append((key_in(event), error))
    return results


def split_batch(body: bytes) -> list[bytes]:
    """Return the events of a batch unread. Raises what is wrong around them."""
    try:
        return parsing.split(body, EventBatch)
    except (errors.ParseFailed, errors.ValidationFailed) as error:
        keep_malformed(body, error)
        raise


def accept(event: ReceivedEvent, *, check_station: StationCheck = any_station) -> Outcome:
    """Apply a decoded event once, let it wait, recognise it as a repeat, or keep it as REJECTED and raise why."""
    if event.envelope.station_code is not None:
        check_station(event.envelope.station_code)
    try:
        outcome = _attempt_in_turn(event, check_station=check_station)
    except (errors.DedupeKeyConflict, errors.StationNotAllowed):
        raise
    except errors.DomainError as error:
        return _reject(event, error)
    except DataError as error:  # of a kind that no check foresaw: it would be refused for ever
        return _reject(event, invalid(str(error).splitlines()[0]))
    return _concluded(event, outcome)


def _attempt_in_turn(event: ReceivedEvent, *, check_station: StationCheck) -> Outcome | errors.DomainError:
    """Apply an event after the earlier ones of its units that a process, before it died, left waiting though ready."""
    try:
        return attempts.attempt(event, check_station=check_station)
    except Overtakes as overtakes:
        for unit_id in overtakes.unit_ids:
            try_blocked(unit_id)
        return attempts.attempt(event, check_station=check_station, is_in_turn=True)


def _reject(event: ReceivedEvent, error: errors.DomainError) -> Outcome:
    """Keep a refused event and raise why; when it was accepted by another call meanwhile, answer as that did."""
    outcome = attempts.reject(event, error)
    if outcome is None:
        raise error
    return outcome


def _concluded(event: ReceivedEvent, outcome: Outcome | errors.DomainError) -> Outcome:
    """Schedule what follows an outcome, and return it; raise a refusal that was kept."""
    if isinstance(outcome, errors.DomainError):
        raise outcome
    if outcome.transaction_id is not None:
        follow = partial(try_transaction, event.envelope.source_system, outcome.transaction_id)
        transaction.on_commit(follow, robust=True)
    return outcome


# --- trying again ------------------------------------------------------------------------------------------


def retry(event_id: int, *, check_station: StationCheck = any_station) -> Outcome:
    """Try an open event again, as a replay, or because what it waited for came.

    Of an applied partial batch, the units it left out are tried. Raises IngestEventNotFound, InvalidTransition for one
    that is settled, and what still keeps it from being applied.
    """
    open_event = OpenIngestEvent.objects.filter(pk=event_id).first()
    if open_event is None:
        listed = get_or_raise(IngestEvent.objects, errors.IngestEventNotFound, pk=event_id)
        return attempts.attempt_rest(listed, check_station=check_station)
    event = attempts.reread(open_event)
    if open_event.status == IngestStatus.WAITING:
        return retry_waiting(open_event, event, check_station=check_station)
    return accept(event, check_station=check_station)


def retry_waiting(open_event: OpenIngestEvent, event: ReceivedEvent, *, check_station: StationCheck) -> Outcome:
    """Try a waiting event, whose key is spent: it is applied, goes on waiting, or is rejected and its key freed."""
    try:
        outcome = attempts.attempt_waiting(open_event, event, check_station=check_station)
    except errors.DomainError as error:
        outcome = attempts.give_up(event, error)
    except DataError as error:
        outcome = attempts.give_up(event, invalid(str(error).splitlines()[0]))
    return _concluded(event, outcome)


# --- what follows ------------------------------------------------------------------------------------------


def try_blocked(unit_id: int) -> None:
    """Try the events that a unit's move may have unblocked, each in its own transaction, in order of occurrence.

    An event that is applied moves the unit on, which may unblock the next: that is done here in turn, not in depth.
    """
    pending: list[int] | None = getattr(_running, "pending", None)
    if pending is not None:
        pending.append(unit_id)
        return
    _running.pending = [unit_id]
    try:
        while _running.pending:
            for event_id in list_ready(_running.pending.pop(0)):
                _try(event_id)
    finally:
        _running.pending = None


def list_ready(unit_id: int) -> Sequence[int]:
    """Return the open events that a unit's present step lets be tried, in order of occurrence."""
    blocked = OpenIngestEvent.objects.filter(blocked_unit_id=unit_id)
    ready = blocked.alias(step_no_of_unit=STEP_NO_OF_UNIT).filter(blocked_step_no=F("step_no_of_unit"))
    return list(ready.order_by("occurred_at", "id").values_list("pk", flat=True)[:MOST_FOLLOWERS])


def try_transaction(source_system: str, transaction_id: str) -> None:
    """Try the events that wait for an event that names the units of a transaction."""
    waiting = OpenIngestEvent.objects.filter(
        status=IngestStatus.WAITING, source_system=source_system, transaction_id=transaction_id
    )
    opened = waiting.filter(IS_OPENED).order_by("occurred_at", "id")
    for event_id in opened.values_list("pk", flat=True)[:MOST_FOLLOWERS]:
        _try(event_id)


def _try(event_id: int) -> None:
    """Try an open event. Whatever goes wrong with it is kept with it, and the others go on.

    Raises only what leaves no connection to keep it by: then no other event would fare better.
    """
    try:
        retry(event_id)
    except errors.DomainError as error:  # kept with the event
        logger.info("ingest event still refused", event_id=event_id, code=error.code)
    except Exception as error:
        if is_connection_lost(error):
            raise
        logger.exception("ingest event not tried", event_id=event_id)
        _keep_failure(event_id, error)


def _keep_failure(event_id: int, error: Exception) -> None:
    """Keep a failure with its event. Where that fails too (another attempt holds the event), the log alone has it."""
    try:
        keep_failure(event_id, describe_error(error))
    except DatabaseError as further:
        if is_connection_lost(further):
            raise
        logger.exception("failure of an ingest event not kept", event_id=event_id)


# --- by the clock ------------------------------------------------------------------------------------------


def catch_up() -> int:
    """Try what was missed (a process died after its commit) and expire what waited long enough; return how many."""
    event_ids = _claim_due()
    for event_id in event_ids:
        _try(event_id)
    return len(event_ids)


@transaction.atomic
def _claim_due() -> list[int]:
    """Return the open events that are due, in order of occurrence.

    Of more than can be tried at once, those come first that no sweep has tried, then those that were tried longest ago.
    That is noted before they are tried, so that even one that kills the process gives way to the others.
    """
    now = timezone.now()
    due = OpenIngestEvent.objects.alias(step_no_of_unit=STEP_NO_OF_UNIT).filter(
        Q(next_attempt_at=None) | Q(next_attempt_at__lte=now),
        Q(blocked_step_no=F("step_no_of_unit"))
        | Q(status=IngestStatus.WAITING, wait_until__lte=now)
        | ~Q(transaction_id="") & Q(IS_OPENED, status=IngestStatus.WAITING),
    )
    rows = due.select_for_update(no_key=True, skip_locked=True, of=("self",))
    claimed = rows.order_by(F("next_attempt_at").asc(nulls_first=True), "occurred_at", "id")[:CATCH_UP_LIMIT]
    rows_in_order = sorted(claimed.values_list("occurred_at", "pk"), key=lambda row: (row[0] or now, row[1]))
    event_ids = [event_id for _occurred_at, event_id in rows_in_order]
    OpenIngestEvent.objects.filter(pk__in=event_ids).update(next_attempt_at=now)
    return event_ids
