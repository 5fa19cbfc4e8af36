"""Having messages tried again before their time, or after they were given up."""

from django.utils import timezone

from mes import errors
from mes.platform.outbox import dead_letters
from mes.platform.outbox.models import EventStatus, EventType, MesEvent


def retry(*, event_id: int, by: str) -> MesEvent:
    """Have a message tried again at once: a DEAD one with all its attempts before it, one that waits before its time.

    Raises EventNotFound, and InvalidTransition when it is delivered or in work.
    """
    messages = MesEvent.objects.filter(event_type=EventType.OUTBOUND_FEEDBACK)
    if not messages.filter(pk=event_id).exists():
        raise errors.EventNotFound(code=event_id)
    waiting = messages.filter(pk=event_id, status=EventStatus.FAILED)
    if waiting.update(next_attempt_at=timezone.now()):
        return messages.get(pk=event_id)
    return dead_letters.retry(event_id=event_id, by=by)
