"""Refused messages that say a unit failed: the unit is held, in the transaction that keeps the refusals.

What a message says against which units, its kind reads; see `execution.failing_reports`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from django.db import transaction

from execution import dispositions
from execution.failing_reports import FailingReport, hold_units, list_held
from integration import messages
from integration.messages import MessageLog
from integration.models import FailedMessage
from mes import errors
from mes.platform.inbound.messages import Message, Outcome
from mes.production import locking
from mes.production.models import Unit

M = TypeVar("M", bound=Message)
Refused = Sequence[tuple[Message, errors.DomainError]]
Said = Mapping[str, FailingReport]  # by serial number


class HoldingLog(MessageLog):
    """Keeps what is refused. Units that it says have failed are held, and named in `details.held` of the refusal."""

    def find_failing(self, messages: Sequence[Message]) -> Sequence[Said]:
        """Return for each message what it says against units. Malformed ones say nothing."""
        raise NotImplementedError

    def keep_refused(self, refused: Refused) -> list[Outcome]:
        """Keep messages that could not be applied, with what they hold, in one transaction."""
        with transaction.atomic():
            return super().keep_refused(hold_refused(refused, self.entity_type, self.find_failing))


def hold_refused(refused: Refused, entity_type: str, find: Callable[[Sequence[Message]], Sequence[Said]]) -> Refused:
    """Hold the units that refused messages say have failed; return the refusals, with those that are held.

    None is held twice for the very same message. In the transaction that keeps them.
    """
    said = list(zip(refused, find([message for message, _error in refused]), strict=True))
    sns = {sn for _refusal, failing in said for sn in failing}
    if not sns:
        return refused
    units = locking.lock_units(Unit.objects.filter(sn__in=sns))
    held_before = _find_held_before(refused, entity_type)
    decisions, answers = [], {}
    for (message, error), failing in said:
        before = held_before.get((message.key, message.digest), frozenset())
        decisions += hold_units(
            units,
            failing,
            source=message.system,
            code=error.code,
            held_before=[unit.pk for unit in units if unit.sn in before],
        )
        if held := list_held(units, failing):
            answers[id(message)] = error.with_details(held=held)
    dispositions.save_holds(decisions)
    return [(message, answers.get(id(message), error)) for message, error in refused]


def _find_held_before(refused: Refused, entity_type: str) -> dict[tuple[str, bytes], frozenset[str]]:
    """Return the serial numbers that messages have held which are kept as refused already, by key and digest."""
    keys = [message.key for message, _error in refused]
    kept = FailedMessage.objects.filter(entity_type=entity_type, dedupe_key__in=keys)
    held: dict[tuple[str, bytes], frozenset[str]] = {}
    for message in kept.only("dedupe_key", "digest", "error"):
        content = (message.dedupe_key, bytes(message.digest))
        held[content] = held.get(content, frozenset()) | set(messages.list_held(message))
    return held
