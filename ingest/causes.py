"""Why machine events are refused, or left something out: those with a reason in common, and how all of them are
decided about at once.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from ingest import dismissing, processing
from ingest.models import DECIDED_STATUSES, IngestEvent, IngestStatus, IngestWork, PartialIngestEvent
from mes.plant.reach import narrow_to_stations
from mes.platform.bulk_actions import services as bulk
from mes.platform.bulk_actions.causes import MOST_CAUSES, Selection, is_meant
from mes.platform.bulk_actions.models import BulkAction, BulkVerb
from mes.platform.bulk_actions.services import BulkKind
from mes.platform.inbound.sender import Sender

KIND = "machine-events"
_OUTCOMES = {
    IngestStatus.WAITING: bulk.WAITING,
    IngestStatus.DISMISSED: bulk.DISMISSED,
}


def select(selection: Selection, sender: Sender) -> QuerySet[IngestWork]:
    """Return the events that a selection means, of the stations that the sender may speak for; refused ones and those
    that left something out, unless it names a status.
    """
    events = narrow_to_stations(IngestWork.objects.order_by(), sender, "station__code")
    exact = {
        "error_code": selection.error_code,
        "subject": selection.subject,
        "source_system": selection.source_system,
        "station__code": selection.station_code,
        "run__run_no": selection.run_no,
        "step_no": selection.step_no,
    }
    nothing = {"station__code": "station", "run__run_no": "run", "step_no": "step_no"}
    for lookup, value in exact.items():
        if value in ("", 0) and lookup in nothing:
            events = events.filter(**{nothing[lookup]: None})
        elif value is not None:
            events = events.filter(**{lookup: value})
    statuses = DECIDED_STATUSES if selection.status is None else (selection.status,)
    received = Q(status__in=statuses)
    if selection.since is not None:
        received &= Q(received_at__gte=selection.since)
    if selection.until is not None:
        received &= Q(received_at__lt=selection.until)
    if selection.up_to is not None:
        received &= Q(received_at__lte=selection.up_to)
    return events.filter(received)


def list_causes(selection: Selection, sender: Sender) -> dict[str, Any]:
    """Return `{items, upTo}`: the causes, most frequent first, at most MOST_CAUSES. One query."""
    up_to = timezone.now()
    grouped = select(selection, sender).values(
        "subject",
        "source_system",
        "step_no",
        code=F("error_code"),
        station_code=F("station__code"),
        run_no=F("run__run_no"),
    )
    causes = grouped.annotate(
        number=Count("id"),
        failing=Count("id", filter=Q(is_failing=True)),
        first_at=Min("received_at"),
        latest_at=Max("last_at"),
        example_id=Max("id"),
    ).order_by("-number", "code", "subject", "example_id")
    return {"items": [_as_item(cause) for cause in causes[:MOST_CAUSES]], "upTo": up_to}


def _as_item(cause: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "code": cause["code"],
        "subject": cause["subject"],
        "sourceSystem": cause["source_system"],
        "stationCode": cause["station_code"],
        "runNo": cause["run_no"],
        "stepNo": cause["step_no"],
        "count": cause["number"],
        "failing": cause["failing"],
        "firstAt": cause["first_at"],
        "lastAt": cause["latest_at"],
        "exampleId": str(cause["example_id"]),
    }


# --- all at once -------------------------------------------------------------------------------------------


def decide(verb: BulkVerb, selection: Selection, *, reason: str, sender: Sender, as_new: bool = False) -> BulkAction:
    """Have the events that a selection means tried again or dismissed, in order of occurrence, by the worker."""
    events = select(selection, sender).order_by(F("occurred_at").asc(nulls_first=True), "id")
    ids = list(events.values_list("pk", flat=True)[: bulk.MOST_ITEMS])
    return bulk.start(KIND, verb, ids, reason=reason, sender=sender, selection=selection.as_json(), as_new=as_new)


def _work(event_id: int, action: BulkAction) -> None:
    """Try an event again or dismiss it, if it still is what was meant: its key may have brought other content since."""
    up_to = parse_datetime(action.selection.get("up_to", ""))
    meant = Q(pk=event_id) if up_to is None else Q(pk=event_id, received_at__lte=up_to)
    work = IngestWork.objects.filter(meant).only("status", "error_code", "subject").first()
    if work is None or work.status not in DECIDED_STATUSES:
        return
    sender = bulk.sender_of(action)
    if action.verb == BulkVerb.REPLAY:
        as_new = action.as_new and work.status == IngestStatus.CONFLICT
        processing.replay_kept(event_id, sender=sender, as_new=as_new, reason=action.reason)
    elif is_meant(action.selection, error_code=work.error_code, subject=work.subject):
        dismissing.dismiss(event_id, reason=action.reason, sender=sender, up_to=up_to)


def _outcome(event_id: int) -> str:
    """Return what has become of an event. One that is gone reported a test result that another had reported; one that
    left something out still is not done with.
    """
    row = IngestEvent.objects.filter(pk=event_id).values_list("status", "note").first()
    if row is None:
        return bulk.APPLIED
    status, note = row
    if status != IngestStatus.APPLIED:
        return _OUTCOMES.get(IngestStatus(status), bulk.REFUSED)
    if PartialIngestEvent.objects.filter(pk=event_id).exists():
        return bulk.REFUSED
    return bulk.DISMISSED if note and "dismissedBy" in note else bulk.APPLIED


BULK = BulkKind(KIND, work=_work, outcome=_outcome)
