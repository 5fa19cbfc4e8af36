"""That work of the outbox was given up is an event of its own, of which people are told."""

from django.urls import reverse
from django.utils.translation import gettext as _

from mes.platform.notifications.models import Severity
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import Notice, announce, announce_wanted, has_rule
from mes.platform.outbox.models import EventStatus, EventType, MesEvent

SENT = (EventType.NOTICE_MAIL, EventType.NOTICE_WEBHOOK)


def tell_dead(event: MesEvent, error: Exception) -> None:
    """Tell of an event that is given up. Of a mail or a webhook that could not be sent only in the application, or what
    tells of it might not be sent either, and so on; of what tells people itself, nothing.
    """
    if event.status != EventStatus.DEAD or event.event_type == EventType.NOTICE:
        return
    values = {"what": EventType(event.event_type).label, "entity": event.entity_id, "error": event.error[:200]}
    notice = Notice(
        key=f"dead:{event.pk}:{event.attempts}:{event.next_attempt_at.isoformat()}",
        severity=Severity.ALERT,
        text=_("Given up: %(what)s (%(entity)s): %(error)s") % values,
        address=reverse("operations"),
        event=NoticeEvent.OUTBOX_DEAD,
        facts={"eventType": event.event_type, "eventId": str(event.pk), "error": event.error},
    )
    if event.event_type not in SENT:
        announce([notice])
    elif has_rule(NoticeEvent.OUTBOX_DEAD):
        announce_wanted([notice], isInAppOnly=True)
