"""Why messages are refused: those with a reason in common, and how all of them are decided about at once."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone

from integration import dismissing, replay
from integration.models import REFUSED_STATUSES, FailedMessage, IntegrationMessage, MessageStatus
from mes.errors import StationNotAllowed
from mes.platform.bulk_actions import services as bulk
from mes.platform.bulk_actions.causes import MOST_CAUSES, Selection, is_meant
from mes.platform.bulk_actions.models import BulkAction, BulkVerb
from mes.platform.bulk_actions.services import BulkKind
from mes.platform.inbound.sender import Sender

KIND = "messages"
# What the envelopes of messages say of where they belong; text, as it was sent.
_SAID = {name: KeyTextTransform(name, "payload") for name in ("stationCode", "runNo", "stepNo")}
_OUTCOMES = {
    MessageStatus.SUCCESS: bulk.APPLIED,
    MessageStatus.REPLAYED: bulk.APPLIED,
    MessageStatus.RETRYING: bulk.WAITING,
    MessageStatus.DISMISSED: bulk.DISMISSED,
}


def select(selection: Selection) -> QuerySet[Any]:
    """Return the messages that a selection means; refused ones, unless it names a status."""
    messages: QuerySet[Any] = FailedMessage.objects.order_by().annotate(
        station_said=_SAID["stationCode"], run_said=_SAID["runNo"], step_said=_SAID["stepNo"]
    )
    exact = {
        "error_code": selection.error_code,
        "subject": selection.subject,
        "system": selection.source_system,
        "entity_type": selection.entity_type,
        "station_said": selection.station_code,
        "run_said": selection.run_no,
        "step_said": None if selection.step_no is None else str(selection.step_no or ""),
    }
    for lookup, value in exact.items():
        if value == "" and lookup.endswith("_said"):
            messages = messages.filter(**{lookup: None})
        elif value is not None:
            messages = messages.filter(**{lookup: value})
    statuses = REFUSED_STATUSES if selection.status is None else (selection.status,)
    received = Q(status__in=statuses)
    if selection.since is not None:
        received &= Q(received_at__gte=selection.since)
    if selection.until is not None:
        received &= Q(received_at__lt=selection.until)
    if selection.up_to is not None:
        received &= Q(received_at__lte=selection.up_to)
    return messages.filter(received)


def list_causes(selection: Selection) -> dict[str, Any]:
    """Return `{items, upTo}`: the causes, most frequent first, at most MOST_CAUSES. One query."""
    up_to = timezone.now()
    grouped = select(selection).values(
        "subject", "entity_type", "station_said", "run_said", "step_said", code=F("error_code"), by=F("system")
    )
    causes = grouped.annotate(
        number=Count("id"),
        failing=Count("id", filter=Q(error__details__has_key="held")),
        first_at=Min("received_at"),
        latest_at=Max("last_at"),
        example_id=Max("id"),
    ).order_by("-number", "code", "subject", "example_id")
    return {"items": [_as_item(cause) for cause in causes[:MOST_CAUSES]], "upTo": up_to}


def _as_item(cause: Mapping[str, Any]) -> dict[str, Any]:
    step_no = cause["step_said"]
    return {
        "code": cause["code"],
        "subject": cause["subject"],
        "entityType": cause["entity_type"],
        "sourceSystem": cause["by"],
        "stationCode": cause["station_said"],
        "runNo": cause["run_said"],
        "stepNo": int(step_no) if step_no is not None and step_no.isdecimal() and len(step_no) < 10 else None,
        "count": cause["number"],
        "failing": cause["failing"],
        "firstAt": cause["first_at"],
        "lastAt": cause["latest_at"],
        "exampleId": str(cause["example_id"]),
    }


# --- all at once -------------------------------------------------------------------------------------------


def decide(verb: BulkVerb, selection: Selection, *, reason: str, sender: Sender, as_new: bool = False) -> BulkAction:
    """Have the messages that a selection means tried again or dismissed, as they came, by the worker.

    Raises StationNotAllowed to a token of stations: whose a message is, only reading it tells.
    """
    if sender.is_limited:
        raise StationNotAllowed(station="–", stations=sorted(sender.stations or ()))
    ids = list(select(selection).order_by("received_at", "id").values_list("pk", flat=True)[: bulk.MOST_ITEMS])
    return bulk.start(KIND, verb, ids, reason=reason, sender=sender, selection=selection.as_json(), as_new=as_new)


def _work(message_id: int, action: BulkAction) -> None:
    """Try a message again or dismiss it, if it still is what was meant."""
    message = FailedMessage.objects.filter(pk=message_id).only("status", "error_code", "subject").first()
    if message is None or message.status not in REFUSED_STATUSES:
        return
    sender = bulk.sender_of(action)
    if action.verb == BulkVerb.REPLAY:
        as_new = action.as_new and message.status == MessageStatus.CONFLICT
        replay.replay_message(message_id=message_id, sender=sender, as_new=as_new, reason=action.reason)
    elif is_meant(action.selection, error_code=message.error_code, subject=message.subject):
        dismissing.dismiss(message_id=message_id, reason=action.reason, sender=sender)


def _outcome(message_id: int) -> str:
    """Return what has become of a message."""
    status = IntegrationMessage.objects.filter(pk=message_id).values_list("status", flat=True).first()
    return bulk.APPLIED if status is None else _OUTCOMES.get(MessageStatus(status), bulk.REFUSED)


BULK = BulkKind(KIND, work=_work, outcome=_outcome)
