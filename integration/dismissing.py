"""Messages that need no replay: a person says so, with a reason, or decided about the units that they held, and they
are work to do no longer. Nobody is released by it.
"""

from collections.abc import Sequence

import msgspec
from django.db import transaction
from django.db.models import QuerySet

from execution import decided_reports
from execution.models import Disposition
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
from mes.platform.sweeps import Sweep


@transaction.atomic
def dismiss(*, message_id: int, reason: str, sender: Sender) -> IntegrationMessage:
    """Move a refused message to history as DISMISSED, under its id, with who decided and why. Its key is spent: the
    same again is a duplicate.

    It may have been refused for several reasons, and is kept once for each: all of these go. Key before message, as
    applying locks them. Raises MessageNotFound, InvalidTransition when it is not refused (any more), and
    StationNotAllowed.
    """
    found = _find_refused(message_id)
    rows = {}
    if found is not None:
        check_sender(found, sender)
        rows = {row.pk: row for row in _claim(found)}
    if message_id not in rows:
        settled = get_or_raise(IntegrationMessage.objects, errors.MessageNotFound, pk=message_id)
        raise errors.InvalidTransition(
            action=Action.DISMISS, entity=MESSAGE.entity, state=MessageStatus(settled.status)
        )
    for message in rows.values():
        note = {**(message.note or {}), "dismissedBy": sender.system, "reason": reason}
        messages.move_to_history(message, status=MessageStatus.DISMISSED, note=note)
    return IntegrationMessage.objects.get(pk=message_id)


def _find_refused(message_id: int) -> FailedMessage | None:
    return FailedMessage.objects.filter(pk=message_id, status__in=REFUSED_STATUSES).first()


def _claim(found: FailedMessage) -> QuerySet[FailedMessage]:
    """Spend the key of a refused message, then lock the rows that keep it, those that are refused still."""
    return _lock_same(found, is_well_formed=_spend_key(found))


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


# --- units that somebody decided about ---------------------------------------------------------------------


def dismiss_decided(unit_ids: Sequence[int]) -> None:
    """Dismiss the messages that held units which somebody released, reworked or scrapped. Called after that commit."""
    holding = FailedMessage.objects.filter(held_unit_ids__overlap=unit_ids, status__in=REFUSED_STATUSES)
    for message_id in holding.order_by("id").values_list("pk", flat=True):
        _dismiss_decided(message_id)


def dismiss_missed() -> int:
    """Dismiss what a process left that died between a decision and the dismissal; return how many.

    Raises SweepIncomplete at the end when one failed.
    """
    refused = FailedMessage.objects.filter(status__in=REFUSED_STATUSES)
    with Sweep("decided messages") as sweep:
        return decided_reports.settle_missed(sweep, refused, _dismiss_decided)


@transaction.atomic
def _dismiss_decided(message_id: int) -> bool:
    """Dismiss a message if every unit that is held for it was decided about since; return whether it is."""
    found = _find_refused(message_id)
    rows = list(_claim(found)) if found is not None else []
    decision = _find_decision(rows)
    if decision is None:
        transaction.set_rollback(True)  # the key stays free
        return False
    for row in rows:
        note = {**(row.note or {}), **decided_reports.note_of(decision)}
        messages.move_to_history(row, status=MessageStatus.DISMISSED, note=note)
    return True


def _find_decision(rows: Sequence[FailedMessage]) -> Disposition | None:
    """Return the last decision about the units held for a message, in any of its rows; None where one of them is not
    decided about since.
    """
    about = {"about_message_id": [row.pk for row in rows]}
    decisions = [
        decided_reports.find_decision(row.held_unit_ids, since=row.received_at, about=about)
        for row in rows
        if row.held_unit_ids
    ]
    found = [decision for decision in decisions if decision is not None]
    if not found or len(found) < len(decisions):
        return None
    return max(found, key=lambda decision: decision.pk)
