"""Refused messages that say a unit failed: the unit is held, in the transaction that keeps the refusals.

What a message says against which units, its kind reads; see `execution.failing_reports`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction

from execution import dispositions
from execution.failing_reports import FailingReport, hold_units, list_held
from execution.models import Disposition
from integration.messages import MessageLog, Refusal
from integration.models import FailedMessage
from mes import errors
from mes.platform.inbound.messages import Message, Outcome
from mes.production import locking
from mes.production.models import Unit
from mes.production.names import find_names

Refused = Sequence[tuple[Message, errors.DomainError]]
Said = Mapping[str, FailingReport]  # by serial number


@dataclass(frozen=True, slots=True)
class Holding:
    """A refusal with whom it holds, and the decisions, unsaved."""

    refusal: Refusal
    decisions: Sequence[Disposition] = ()


class HoldingLog(MessageLog, ABC):
    """Keeps what is refused. Units that it says have failed are held, and named in `details.held` of the refusal."""

    @abstractmethod
    def find_failing(self, messages: Sequence[Message]) -> Sequence[Said]:
        """Return for each message what it says against units. Malformed ones say nothing."""

    def keep_refused(self, refused: Refused) -> list[Outcome]:
        """Keep messages that could not be applied, with what they hold, in one transaction."""
        with transaction.atomic():
            holding = self.hold(refused)
            message_ids = self.keep([each.refusal for each in holding])
            save_holds([(each, message_ids.get(each.refusal.sameness)) for each in holding])
        return [each.refusal.error for each in holding]

    def hold(self, refused: Refused) -> list[Holding]:
        """Hold the units that refused messages say have failed; return the refusals, with those that are held.

        None is held twice for the very same message. In the transaction that keeps them; `save_holds` saves them.
        """
        said = list(zip(refused, self.find_failing([message for message, _error in refused]), strict=True))
        sns = {sn for _refusal, failing in said for sn in failing}
        if not sns:
            return [Holding(Refusal(message, error)) for message, error in refused]
        present = find_names(sns).present
        said = [(refusal, {present.get(sn, sn): report for sn, report in failing.items()}) for refusal, failing in said]
        sns = {sn for _refusal, failing in said for sn in failing}
        units = {unit.sn: unit for unit in locking.lock_units(Unit.objects.filter(sn__in=sns))}
        held_before = _find_held_before(refused, self.entity_type)
        holding = []
        for (message, error), failing in said:
            named = [unit for sn, unit in units.items() if sn in failing]
            before = held_before.setdefault((message.key, message.digest), set())
            decisions = hold_units(named, failing, source=message.system, code=error.code, held_before=before)
            before.update(decision.unit.pk for decision in decisions)  # a batch may say the very same twice
            if held := list_held(named, failing):
                told = error.with_details(held=held)
                holding.append(Holding(Refusal(message, told, [units[sn].pk for sn in held]), decisions))
            else:
                holding.append(Holding(Refusal(message, error), decisions))
        return holding


def save_holds(holding: Sequence[tuple[Holding, int | None]]) -> None:
    """Write holds with the id of the message that each is about; None where that was applied meanwhile."""
    decisions = []
    for each, message_id in holding:
        for decision in each.decisions:
            decision.about_message_id = message_id
            decisions.append(decision)
    dispositions.save_holds(decisions)


def _find_held_before(refused: Refused, entity_type: str) -> dict[tuple[str, bytes], set[int]]:
    """Return the units that messages have held which are kept as refused already, by key and digest."""
    keys = [message.key for message, _error in refused]
    kept = FailedMessage.objects.filter(entity_type=entity_type, dedupe_key__in=keys)
    held: dict[tuple[str, bytes], set[int]] = {}
    for key, digest, unit_ids in kept.values_list("dedupe_key", "digest", "held_unit_ids"):
        held.setdefault((key, bytes(digest)), set()).update(unit_ids)
    return held
