"""Messages that need no replay: a person says so, with a reason, and they are work to do no longer."""

from django.db import transaction

from integration import messages
from integration.models import FailedMessage, IntegrationMessage, MessageStatus
from mes import errors
from mes.labels import Action, Entity
from mes.platform.database.lookup import get_or_raise


@transaction.atomic
def dismiss(*, message_id: int, reason: str, by: str) -> IntegrationMessage:
    """Move a FAILED message to history as DISMISSED, under its id, with who decided and why. Its key stays free.

    Raises MessageNotFound, and InvalidTransition when it is not FAILED (any more).
    """
    message = FailedMessage.objects.select_for_update().filter(pk=message_id, status=MessageStatus.FAILED).first()
    if message is None:
        settled = get_or_raise(IntegrationMessage.objects, errors.MessageNotFound, pk=message_id)
        raise errors.InvalidTransition(
            action=Action.DISMISS, entity=Entity.MESSAGE, state=MessageStatus(settled.status)
        )
    note = {**(message.note or {}), "dismissedBy": by, "reason": reason}
    messages.move_to_history(message, status=MessageStatus.DISMISSED, note=note)
    return IntegrationMessage.objects.get(pk=message_id)
