"""Why machine events are refused, or left something out: those with a reason in common, and how all of them are
decided about at once.
"""

from collections.abc import Collection
from typing import Any

from django.db.models import F, Q, QuerySet
from django.utils.dateparse import parse_datetime

from ingest import dismissing, processing
from ingest.models import DECIDED_STATUSES, IngestEvent, IngestStatus, IngestWork, PartialIngestEvent
from mes.plant.reach import narrow_to_stations
from mes.platform.bulk_actions import causes
from mes.platform.bulk_actions import services as bulk
from mes.platform.bulk_actions.causes import Selection, is_meant
from mes.platform.bulk_actions.models import BulkAction, BulkVerb
from mes.platform.bulk_actions.services import BulkKind
from mes.platform.inbound.sender import EVERYWHERE, Sender

KIND = "machine-events"
_OUTCOMES = {
    IngestStatus.WAITING: bulk.WAITING,
    IngestStatus.DISMISSED: bulk.DISMISSED,
}


def select(
    selection: Selection, sender: Sender = EVERYWHERE, *, statuses: Collection[str] = DECIDED_STATUSES
) -> QuerySet[IngestWork]:
    """Return the events that a selection means, of the stations that the sender may speak for; refused ones and those
    that left something out, unless other statuses are asked for.
    """
    return causes.select(
        narrow_to_stations(IngestWork.objects.order_by(), sender, "station"),
        selection,
        columns={
            "error_code": selection.error_code,
            "subject": selection.subject,
            "source_system": selection.source_system,
        },
        places={
            "station__code": selection.station_code,
            "run__run_no": selection.run_no,
            "step_no": selection.step_no,
        },
        statuses=statuses,
    )


def list_causes(selection: Selection, sender: Sender) -> dict[str, Any]:
    """Return `{items, upTo}`: the causes, most frequent first. One query."""
    names = {
        "sourceSystem": "source_system",
        "stationCode": "station__code",
        "runNo": "run__run_no",
        "stepNo": "step_no",
    }
    return causes.list_causes(select(selection, sender), names, failing=Q(is_failing=True))


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
