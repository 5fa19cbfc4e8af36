"""What is sent to nobody any more: a dead receiver must not have the outbox grow, nor delay what else happens."""

from datetime import timedelta

import structlog
from django.conf import settings
from django.utils import timezone

from mes.platform.outbox.emit import GiveUp
from mes.platform.outbox.models import MesEvent

logger = structlog.get_logger(__name__)

SPACING = timedelta(seconds=1)  # between what waits for a receiver that does not answer


def is_left_out(event: MesEvent, *, is_set_up: bool) -> bool:
    """Whether a mail or a message is not sent, because its way is not set up or it is older than what is still sent.
    That is logged; it is no failure, of which people would have to be told.

    What a person had tried again is as old as that. Raises GiveUp where its way is not set up: that person must see it.
    """
    if is_set_up and timezone.now() - (event.retried_at or event.occurred_at) <= settings.MES_NOTICE_AGE:
        return False
    reason = "it is too old" if is_set_up else "its way is not set up"
    if event.retried_at is not None and not is_set_up:
        raise GiveUp(f"It was not sent: {reason}.")
    logger.warning("a notice was not sent", event_id=event.pk, event_type=event.event_type, reason=reason)
    return True
