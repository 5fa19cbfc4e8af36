"""Messages that need no replay: a person says so, with a reason, and they are work to do no longer."""

from django.db import transaction

from integration import messages
from integration.message_stations import check_sender
from integration.models import FailedMessage, IntegrationMessage, MessageStatus
from mes import errors
from mes.labels import Action, Entity
from mes.platform.database.lookup import get_or_raise
from mes.platform.inbound.sender import Sender


@transaction.atomic
def dismiss(*, message_id: int, reason: str, sender: Sender) -> IntegrationMessage:
    """Move a FAILED message to history as DISMISSED, under its id, with who decided and why. Its key stays free.

    Raises MessageNotFound, InvalidTransition when it is not FAILED (any more), and StationNotAllowed.
    """
    message = FailedMessage.objects.select_for_update().filter(pk=message_id, status=MessageStatus.FAILED).first()
    if message is None:
        settled = get_or_raise(IntegrationMessage.objects, errors.MessageNotFound, pk=message_id)
        raise errors.InvalidTransition(
            action=Action.DISMISS, entity=Entity.MESSAGE, state=MessageStatus(settled.status)
        )
    check_sender(message, sender)
    note = {**(message.note or {}), "dismissedBy": sender.system, "reason": reason}
    messages.move_to_history(message, status=MessageStatus.DISMISSED, note=note)
    return IntegrationMessage.objects.get(pk=message_id)
