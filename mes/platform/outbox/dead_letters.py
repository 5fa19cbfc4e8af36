"""Events that were given up: people look at them and have them tried again."""

from typing import Any

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from mes import errors
from mes.labels import Action, Entity
from mes.platform.database.lookup import get_or_raise
from mes.platform.outbox.models import EventStatus, MesEvent

logger = structlog.get_logger(__name__)


def retry(*, event_id: int, by: str) -> MesEvent:
    """Have a DEAD event tried again at once, with all its attempts before it.

    Raises EventNotFound, and InvalidTransition when it is not DEAD (any more).
    """
    revived = _revive(MesEvent.objects.filter(pk=event_id), by=by)
    event = get_or_raise(MesEvent.objects, errors.EventNotFound, pk=event_id)
    if not revived:
        raise errors.InvalidTransition(action=Action.RETRY, entity=Entity.EVENT, state=EventStatus(event.status))
    return event


def retry_all(*, event_type: str, by: str) -> int:
    """Have every DEAD event of a type tried again; return how many."""
    return _revive(MesEvent.objects.filter(event_type=event_type), by=by)


def _revive(events: QuerySet[MesEvent], *, by: str) -> int:
    """Two at once revive each event once: the second finds it no longer DEAD."""
    now = timezone.now()
    again: dict[str, Any] = {"attempts": 0, "claim_token": None, "begun_at": None}
    with transaction.atomic():
        dead = events.filter(status=EventStatus.DEAD).select_for_update(no_key=True).order_by("pk")
        ids = list(dead.values_list("pk", flat=True))
        revived = MesEvent.objects.filter(pk__in=ids).update(
            status=EventStatus.PENDING, next_attempt_at=now, retried_at=now, **again
        )
    if revived:
        logger.info("dead events retried", count=revived, by=by)
    return revived
