"""Why messages are refused: those with a reason in common, and how all of them are decided about at once."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTextTransform

from integration import dismissing, replay
from integration.messages import DEVICE_DATA
from integration.models import REFUSED_STATUSES, FailedMessage, IntegrationMessage, MessageStatus
from mes.errors import StationNotAllowed
from mes.platform.bulk_actions import causes
from mes.platform.bulk_actions import services as bulk
from mes.platform.bulk_actions.causes import Selection, is_meant
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
    return causes.select(
        messages,
        selection,
        columns={
            "error_code": selection.error_code,
            "subject": selection.subject,
            "system": selection.source_system,
            "entity_type": selection.entity_type,
        },
        places={
            "station_said": selection.station_code,
            "run_said": selection.run_no,
            "step_said": str(selection.step_no) if selection.step_no else selection.step_no,
        },
        statuses=REFUSED_STATUSES,
    )


def list_causes(selection: Selection) -> dict[str, Any]:
    """Return `{items, upTo}`: the causes, most frequent first. One query."""
    names = {
        "entityType": "entity_type",
        "sourceSystem": "system",
        "stationCode": "station_said",
        "runNo": "run_said",
        "stepNo": "step_said",
    }
    listed = causes.list_causes(select(selection), names, failing=Q(error__details__has_key="held"))
    items = [{**item, "stepNo": _as_step_no(item["stepNo"])} for item in listed["items"]]
    return {**listed, "items": items}


def _as_step_no(said: str | None) -> int | None:
    return int(said) if said is not None and said.isdecimal() and len(said) < 10 else None


# --- all at once -------------------------------------------------------------------------------------------


def decide(
    verb: BulkVerb,
    selection: Selection,
    *,
    reason: str,
    sender: Sender,
    as_new: bool = False,
    spec_names: Mapping[str, str] | None = None,
) -> BulkAction:
    """Have the messages that a selection means tried again or dismissed, as they came, by the worker.

    `spec_names` maps names of specs as they were sent to those that were meant; each message keeps both. Raises
    StationNotAllowed to a token of stations: whose a message is, only reading it tells.
    """
    if sender.is_limited:
        raise StationNotAllowed(station="–", stations=sorted(sender.stations or ()))
    ids = list(select(selection).order_by("received_at", "id").values_list("pk", flat=True)[: bulk.MOST_ITEMS])
    return bulk.start(
        KIND,
        verb,
        ids,
        reason=reason,
        sender=sender,
        selection=selection.as_json(),
        as_new=as_new,
        spec_names=spec_names,
    )


def _work(message_id: int, action: BulkAction) -> None:
    """Try a message again or dismiss it, if it still is what was meant."""
    message = FailedMessage.objects.filter(pk=message_id).only("status", "error_code", "subject", "entity_type").first()
    if message is None or message.status not in REFUSED_STATUSES:
        return
    sender = bulk.sender_of(action)
    if action.verb == BulkVerb.REPLAY:
        as_new = action.as_new and message.status == MessageStatus.CONFLICT
        spec_names = action.spec_names if message.entity_type == DEVICE_DATA else None
        replay.replay_message(
            message_id=message_id, sender=sender, spec_names=spec_names, as_new=as_new, reason=action.reason
        )
    elif is_meant(action.selection, error_code=message.error_code, subject=message.subject):
        dismissing.dismiss(message_id=message_id, reason=action.reason, sender=sender)


def _outcome(message_id: int) -> str:
    """Return what has become of a message."""
    status = IntegrationMessage.objects.filter(pk=message_id).values_list("status", flat=True).first()
    return bulk.APPLIED if status is None else _OUTCOMES.get(MessageStatus(status), bulk.REFUSED)


BULK = BulkKind(KIND, work=_work, outcome=_outcome)
