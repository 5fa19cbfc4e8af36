"""That a machine event was refused is an event of which rules tell: once for each content and reason."""

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from ingest.models import OpenIngestEvent
from mes.errors import DomainError
from mes.plant.models import Station
from mes.platform.notifications.models import Severity
from mes.platform.notifications.rule_models import NoticeEvent
from mes.platform.notifications.services import Notice, announce_wanted, has_rule
from mes.production.models import Run


def tell(open_event: OpenIngestEvent, error: DomainError) -> None:
    """Tell of an event that is kept as refused, in the transaction that keeps it; there is a rule for it."""
    line_id = _find_line(open_event)
    source = open_event.source_system or _("an unknown source")
    values = {"type": open_event.event_type or "-", "source": source, "reason": str(error)}
    notice = Notice(
        key=f"refused-event:{open_event.pk}:{bytes(open_event.digest).hex()[:16]}:{error.code}",
        severity=Severity.WARNING,
        text=_("A machine event (%(type)s of %(source)s) was refused: %(reason)s") % values,
        address=reverse("ingest-events"),
        event=NoticeEvent.EVENT_REJECTED,
        line_id=line_id,
        facts={"eventId": str(open_event.pk), "sourceSystem": open_event.source_system, "errorCode": error.code},
        at=open_event.last_at,
    )
    announce_wanted([notice])


def tell_malformed(rows: QuerySet[OpenIngestEvent], error: DomainError) -> None:
    """Tell of a body that is not even well-formed, where there is a rule, in the transaction that keeps it."""
    open_event = rows.first() if has_rule(NoticeEvent.EVENT_REJECTED) else None
    if open_event is not None:
        tell(open_event, error)


def _find_line(open_event: OpenIngestEvent) -> int | None:
    """Return the line of the station that it names or is of, else that of its run."""
    line_id = None
    if open_event.station_id is not None:
        line_id = Station.objects.filter(pk=open_event.station_id).values_list("line_id", flat=True).first()
    if line_id is None and open_event.run_id is not None:
        return Run.objects.filter(pk=open_event.run_id).values_list("line_id", flat=True).first()
    return line_id
