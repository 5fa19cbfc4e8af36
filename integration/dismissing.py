"""Messages that need no replay: a person says so, with a reason, and they are work to do no longer."""

import msgspec
from django.db import transaction
from django.db.models import QuerySet

from integration import messages
from integration.channels import DEVICE_DATA, ONE_BY_ONE
from integration.message_stations import check_sender
from integration.models import REFUSED_STATUSES, Direction, FailedMessage, IntegrationMessage, MessageStatus
from integration.transitions import MESSAGE
from mes import errors
from mes.labels import Action
from mes.platform.database.lookup import get_or_raise
from mes.platform.http import parsing
from mes.platform.inbound import keys
from mes.platform.inbound.sender import Sender


@transaction.atomic
def dismiss(*, message_id: int, reason: str, sender: Sender) -> IntegrationMessage:
    """Move a refused message to history as DISMISSED, under its id, with who decided and why. Its key is spent: the
    same again is a duplicate.

    It may have been refused for several reasons, and is kept once for each: all of these go. Key before message, as
    applying locks them. Raises MessageNotFound, InvalidTransition when it is not refused (any more), and
    StationNotAllowed.
    """
    found = FailedMessage.objects.filter(pk=message_id, status__in=REFUSED_STATUSES).first()
    rows = {}
    if found is not None:
        check_sender(found, sender)
        rows = {row.pk: row for row in _lock_same(found, is_well_formed=_spend_key(found))}
    if message_id not in rows:
        settled = get_or_raise(IntegrationMessage.objects, errors.MessageNotFound, pk=message_id)
        raise errors.InvalidTransition(
            action=Action.DISMISS, entity=MESSAGE.entity, state=MessageStatus(settled.status)
        )
    for message in rows.values():
        note = {**(message.note or {}), "dismissedBy": sender.system, "reason": reason}
        messages.move_to_history(message, status=MessageStatus.DISMISSED, note=note)
    return IntegrationMessage.objects.get(pk=message_id)


def _spend_key(message: FailedMessage) -> bool:
    """Claim the key of a well-formed message for its content, unless other content has it already; return whether it is
    well-formed.
    """
    if message.direction == Direction.OUTBOUND:
        return False
    channel = DEVICE_DATA if message.entity_type == messages.DEVICE_DATA else ONE_BY_ONE[message.entity_type]
    try:
        channel.decode(msgspec.json.encode(message.payload), Sender(message.system), parsing.decode)
    except errors.DomainError:
        return False  # what is malformed spends nothing: corrected, it is another message
    answer = channel.log.dismissed_answer(message)
    digest = bytes(message.digest)
    if keys.claim(channel.log.channel, message.dedupe_key, digest, answer=answer):
        keys.spend(channel.log.channel, message.dedupe_key, digest, answer, record_id=message.pk)
    return True


def _lock_same(message: FailedMessage, *, is_well_formed: bool) -> QuerySet[FailedMessage]:
    """Lock a message that still is refused, in all rows that keep it, one for each reason, as `lock_open` does; of what
    spends no key, that row alone.
    """
    rows = FailedMessage.objects.select_for_update().filter(status__in=REFUSED_STATUSES)
    if not is_well_formed:
        return rows.filter(pk=message.pk)
    same = rows.filter(entity_type=message.entity_type, dedupe_key=message.dedupe_key, digest=message.digest)
    return same.order_by("dedupe_key", "digest", "error_code")
