"""What the notifications register at the start: who works off what is told, and what runs by the clock."""

from mes.platform.notifications import mail, outbox_notices, telling, webhooks
from mes.platform.outbox import schedules
from mes.platform.outbox.emit import failure_listeners, handlers
from mes.platform.outbox.models import EventType


def register() -> None:
    """Register all of it."""
    handlers[EventType.NOTICE].register(telling.HANDLER)
    handlers[EventType.NOTICE_MAIL].register(mail.deliver)
    handlers[EventType.NOTICE_WEBHOOK].register(webhooks.deliver)
    failure_listeners[EventType.NOTICE_MAIL].register(mail.note_failure)
    failure_listeners[EventType.NOTICE_WEBHOOK].register(webhooks.note_failure)
    for listeners in failure_listeners.values():
        listeners.register(outbox_notices.tell_dead)
    schedules.tasks.register(telling.TASK)
