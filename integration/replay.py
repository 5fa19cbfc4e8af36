"""Replaying messages that could not be applied, once their cause is mended."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from django.db import transaction
from django.utils.translation import gettext as _
from msgspec.structs import replace

from integration import messages
from integration.channels import DEVICE_DATA, ONE_BY_ONE
from integration.device_data import service as device_data
from integration.device_data.body import DeviceDataMessage, decode_event
from integration.message_stations import check_sender
from integration.models import REFUSED_STATUSES, Direction, FailedMessage, IntegrationMessage, MessageStatus
from integration.outbound.retry import retry
from integration.refused_reports import HoldingLog, save_holds
from mes import errors
from mes.labels import Action, Entity
from mes.platform.database.lookup import get_or_raise
from mes.platform.http import parsing
from mes.platform.inbound.digest import digest_of
from mes.platform.inbound.messages import Message, Outcome, Received
from mes.platform.inbound.sender import Sender


def replay_message(
    *,
    message_id: int,
    sender: Sender,
    spec_names: Mapping[str, str] | None = None,
    as_new: bool = False,
    reason: str = "",
) -> Received:
    """Apply an open message as if it were sent now; its status becomes REPLAYED, and it keeps its payload.

    A CONFLICT is applied `as_new` only, under a key of its own.

    `sender` is who has it replayed. `spec_names` (device data only) maps spec names as they were sent to those that
    were meant; the message keeps both. The key keeps the digest of what was sent: sent again, it is a duplicate. An
    outbound message is delivered by the worker, and is REPLAYED once it is.

    Raises MessageNotFound, InvalidTransition when the message is not refused, and whatever still keeps it from being
    applied, in which case it stays open.
    """
    message = _find(message_id)
    check_sender(message, sender)
    _check_as_new(message, as_new=as_new)
    if message.direction == Direction.OUTBOUND:
        event = retry(event_id=message.record_id or 0, by=sender.system)
        return Received({"id": str(event.pk), "isDuplicate": False}, event.pk, is_duplicate=False)
    if spec_names and message.entity_type != messages.DEVICE_DATA:
        raise errors.ValidationFailed({"specNames": _("Only device data names specs.")})
    try:
        return _apply(message, dict(spec_names or {}), sender, {"replayedBy": sender.system, "reason": reason})
    except errors.StationNotAllowed:
        raise
    except errors.DomainError as refusal:
        _keep_refusal(message, dict(spec_names or {}), refusal)
        raise


@transaction.atomic
def _keep_refusal(message: FailedMessage, spec_names: dict[str, str], refusal: errors.DomainError) -> None:
    """Note why a message is refused again. It may say that a unit failed which nobody knew when it came first: that is
    held, and named in `details.held`.
    """
    held_unit_ids: Sequence[int] = ()
    log = DEVICE_DATA.log if message.entity_type == messages.DEVICE_DATA else ONE_BY_ONE[message.entity_type].log
    if isinstance(log, HoldingLog):
        try:
            read = _read(message, spec_names)
        except errors.DomainError:  # malformed: of that nothing is read
            pass
        else:
            [holding] = log.hold([(read, refusal)])
            save_holds([(holding, message.pk)])
            refusal.details = holding.refusal.error.details
            held_unit_ids = holding.refusal.held_unit_ids
    messages.note_failed_replay(message, refusal, held_unit_ids=held_unit_ids)


def _find(message_id: int) -> FailedMessage:
    """Return the open message. It is not locked: the key decides who applies it, here or by sending it again."""
    message = FailedMessage.objects.filter(pk=message_id, status__in=REFUSED_STATUSES).first()
    if message is not None:
        return message
    settled = get_or_raise(IntegrationMessage.objects, errors.MessageNotFound, pk=message_id)
    raise errors.InvalidTransition(action=Action.REPLAY, entity=Entity.MESSAGE, state=MessageStatus(settled.status))


def _check_as_new(message: FailedMessage, *, as_new: bool) -> None:
    if as_new and message.status != MessageStatus.CONFLICT:
        raise errors.ValidationFailed({"asNew": _("Only a conflict can be taken for a message of its own.")})
    if message.status == MessageStatus.CONFLICT and not as_new:
        raise errors.InvalidTransition(action=Action.REPLAY, entity=Entity.MESSAGE, state=MessageStatus.CONFLICT)


def _apply(message: FailedMessage, spec_names: dict[str, str], sender: Sender, said: dict[str, str]) -> Received:
    note = {name: text for name, text in said.items() if text}
    if message.entity_type == messages.DEVICE_DATA:
        outcome = _apply_device_data(message, spec_names, sender, {"specNames": spec_names, **note})
    else:
        outcome = _apply_alone(message, sender, note)
    if isinstance(outcome, errors.DomainError):
        raise outcome
    if outcome.is_duplicate and not messages.settle(message, record_id=outcome.record_id, by=sender.system):
        raise errors.InvalidTransition(action=Action.REPLAY, entity=Entity.MESSAGE, state=MessageStatus.REPLAYED)
    return outcome


def _apply_alone(message: FailedMessage, sender: Sender, note: dict[str, Any]) -> Outcome:
    return ONE_BY_ONE[message.entity_type].apply_one(_read_alone(message), sender, note=note)


def _apply_device_data(
    message: FailedMessage, spec_names: dict[str, str], sender: Sender, note: dict[str, Any]
) -> Outcome:
    [outcome] = device_data.apply_all([_read_device_data(message, spec_names)], sender, note=note)
    return outcome


def _read(message: FailedMessage, spec_names: dict[str, str]) -> Message:
    """Return an open message as it is applied: under its key, with the spec names that were meant."""
    if message.entity_type == messages.DEVICE_DATA:
        return _read_device_data(message, spec_names)
    return _read_alone(message)


def _read_alone(message: FailedMessage) -> Message:
    channel = ONE_BY_ONE[message.entity_type]
    decoded = channel.decode(msgspec.json.encode(message.payload), Sender(message.system), parsing.decode)
    return channel.under_key(decoded, message.dedupe_key) if message.status == MessageStatus.CONFLICT else decoded


def _read_device_data(message: FailedMessage, spec_names: dict[str, str]) -> DeviceDataMessage:
    corrected = decode_event(msgspec.json.encode(correct(message.payload, spec_names)), system=message.system)
    digest = digest_of(message.payload or {})
    key = message.dedupe_key if message.status == MessageStatus.CONFLICT else corrected.key
    return replace(corrected, key=key, payload=message.payload, digest=digest)


def correct(payload: Any, spec_names: Mapping[str, str]) -> Any:
    """Return the payload with the spec names that were meant."""
    if not spec_names or not isinstance(payload, dict):
        return payload
    corrected = copy.deepcopy(payload)
    items = corrected.get("data")
    for item in items if isinstance(items, list) else ():
        name = item.get("specName") if isinstance(item, dict) else None
        if isinstance(name, str) and name in spec_names:
            item["specName"] = spec_names[name]
    return corrected
