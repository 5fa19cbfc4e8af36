"""Replaying messages that could not be applied, once their cause is mended."""

import copy
from collections.abc import Mapping
from typing import Any

import msgspec
from django.utils.translation import gettext as _
from msgspec.structs import replace

from integration import messages
from integration.device_data import service as device_data
from integration.device_data.body import decode_event
from integration.device_data.writing import Received
from integration.models import Direction, FailedMessage, IntegrationMessage, MessageStatus
from integration.outbound.retry import retry
from integration.status import channels
from integration.status import service as status
from mes import errors
from mes.labels import Action, Entity
from mes.platform.inbound.digest import digest_of


def replay_message(
    *,
    message_id: int,
    spec_names: Mapping[str, str] | None = None,
    by: str = "",
    check_station: device_data.StationCheck = device_data.any_station,
) -> Received:
    """Apply an open message as if it were sent now; its status becomes REPLAYED, and it keeps its payload.

    `spec_names` (device data only) maps spec names as they were sent to those that were meant; the message keeps both.
    The key keeps the digest of what was sent: sent again, it is a duplicate. An outbound message is delivered by the
    worker, and is REPLAYED once it is. Raises MessageNotFound,
    InvalidTransition when the message is not FAILED, and whatever still keeps it from being applied, in which case it
    stays open.
    """
    message = _find(message_id)
    if message.direction == Direction.OUTBOUND:
        event = retry(event_id=message.record_id or 0, by=by)
        return Received({"id": str(event.pk), "isDuplicate": False}, event.pk, is_duplicate=False)
    if spec_names and message.entity_type != messages.DEVICE_DATA:
        raise errors.ValidationFailed({"specNames": _("Only device data names specs.")})
    try:
        return _apply(message, dict(spec_names or {}), by=by, check_station=check_station)
    except errors.StationNotAllowed:
        raise
    except errors.DomainError as refusal:
        messages.note_failed_replay(message, refusal)
        raise


def _find(message_id: int) -> FailedMessage:
    """Return the open message. It is not locked: the key decides who applies it, here or by sending it again."""
    message = FailedMessage.objects.filter(pk=message_id, status=MessageStatus.FAILED).first()
    if message is not None:
        return message
    settled = IntegrationMessage.objects.filter(pk=message_id).first()
    if settled is None:
        raise errors.MessageNotFound(code=message_id)
    raise errors.InvalidTransition(action=Action.REPLAY, entity=Entity.MESSAGE, state=MessageStatus(settled.status))


def _apply(
    message: FailedMessage, spec_names: dict[str, str], *, by: str, check_station: device_data.StationCheck
) -> Received:
    channel = channels.BY_KIND.get(message.entity_type)
    if channel is not None:
        received = status.replay(channel, message, by=by, check_station=check_station)
    else:
        received = _apply_device_data(message, spec_names, by=by, check_station=check_station)
    if received.is_duplicate and not messages.settle(message, record_id=received.record_id, by=by):
        raise errors.InvalidTransition(action=Action.REPLAY, entity=Entity.MESSAGE, state=MessageStatus.REPLAYED)
    return received


def _apply_device_data(
    message: FailedMessage, spec_names: dict[str, str], *, by: str, check_station: device_data.StationCheck
) -> Received:
    body = msgspec.json.encode(corrected(message.payload, spec_names))
    meant = decode_event(body, system=message.system)
    sent = replace(meant.incoming, payload=message.payload, digest=digest_of(message.payload or {}))
    note = {"specNames": spec_names, "replayedBy": by}
    [outcome] = device_data.apply_all([replace(meant, incoming=sent)], check_station=check_station, note=note)
    if isinstance(outcome, errors.DomainError):
        raise outcome
    return outcome


def corrected(payload: Any, spec_names: Mapping[str, str]) -> Any:
    """Return the payload with the spec names that were meant."""
    if not spec_names or not isinstance(payload, dict):
        return payload
    meant = copy.deepcopy(payload)
    items = meant.get("data")
    for item in items if isinstance(items, list) else ():
        sent = item.get("specName") if isinstance(item, dict) else None
        if isinstance(sent, str) and sent in spec_names:
            item["specName"] = spec_names[sent]
    return meant
