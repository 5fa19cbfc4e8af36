"""Events that overtook each other: tried after the commit of the move that lets them, and by a task that catches up."""

import threading

import structlog
from django.db import DatabaseError
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.utils import timezone

from ingest import processing
from ingest.models import IngestStatus, OpenIngestEvent, SettledIngestEvent
from mes import errors
from mes.production.models import Unit

logger = structlog.get_logger(__name__)
_running = threading.local()

CATCH_UP_LIMIT = 500
IS_OPENED = Exists(
    SettledIngestEvent.objects.filter(
        source_system=OuterRef("source_system"), transaction_id=OuterRef("transaction_id")
    ).exclude(transaction_id="")
)


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
            for event_id in processing.list_ready(_running.pending.pop(0)):
                _try(event_id)
    finally:
        _running.pending = None


def try_transaction(source_system: str, transaction_id: str) -> None:
    """Try the events that wait for somebody to name the units of a transaction."""
    waiting = OpenIngestEvent.objects.filter(
        status=IngestStatus.WAITING, source_system=source_system, transaction_id=transaction_id
    )
    for event_id in waiting.filter(IS_OPENED).order_by("occurred_at", "id").values_list("pk", flat=True)[:100]:
        _try(event_id)


def _try(event_id: int) -> None:
    try:
        processing.retry(event_id)
    except errors.DomainError as error:  # kept with the event
        logger.info("ingest event still refused", event_id=event_id, code=error.code)
    except DatabaseError:  # the others go on; the task that catches up tries this one again
        logger.exception("ingest event not tried", event_id=event_id)


def catch_up() -> int:
    """Try what was missed (a process died after its commit) and expire what waited long enough; return how many."""
    step = Subquery(Unit.objects.filter(pk=OuterRef("blocked_unit_id")).values("current_step_no")[:1])
    due = OpenIngestEvent.objects.annotate(unit_step=step).filter(
        Q(unit_step=F("blocked_step_no"))
        | Q(status=IngestStatus.WAITING, wait_until__lte=timezone.now())
        | ~Q(transaction_id="") & Q(IS_OPENED, status=IngestStatus.WAITING)
    )
    ids = list(due.order_by("occurred_at", "id").values_list("pk", flat=True)[:CATCH_UP_LIMIT])
    for event_id in ids:
        _try(event_id)
    return len(ids)
