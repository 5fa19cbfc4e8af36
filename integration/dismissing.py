"""Messages that need no replay: a person says so, with a reason, and they are work to do no longer."""

from django.db import transaction
from django.utils import timezone

from integration.models import FailedMessage, IntegrationMessage, MessageStatus, SettledMessage
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
    values = {field.attname: getattr(message, field.attname) for field in SettledMessage._meta.concrete_fields}
    note = {**(message.note or {}), "dismissedBy": by, "reason": reason}
    values |= {"status": MessageStatus.DISMISSED, "last_at": timezone.now(), "note": note}
    message.delete()
    SettledMessage.objects.bulk_create([SettledMessage(**values)])
    return IntegrationMessage.objects.get(pk=message_id)
