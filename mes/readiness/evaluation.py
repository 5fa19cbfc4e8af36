"""Making a check: every check the line enables, on the facts of this moment."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from mes.production.models import Run
from mes.production.runs import snapshot_of
from mes.readiness.models import CheckStatus, ItemStatus, ReadinessWaiver
from mes.readiness.registry import Facts, Finding, list_checks

Identity = tuple[str, str, str]


@dataclass(frozen=True)
class Judged:
    """A finding, and the waiver that covers it."""

    finding: Finding
    waiver: ReadinessWaiver | None

    @property
    def status(self) -> ItemStatus:
        """What it comes to."""
        if not self.finding.code:
            return ItemStatus.PASSED
        return ItemStatus.WAIVED if self.waiver else ItemStatus.FAILED


@dataclass(frozen=True)
class Outcome:
    """What was found about a run at one moment."""

    run: Run
    facts: Facts
    items: Sequence[Judged]

    @property
    def failed(self) -> list[Finding]:
        """What keeps the run from starting."""
        return [item.finding for item in self.items if item.status == ItemStatus.FAILED]

    @property
    def status(self) -> CheckStatus:
        """What the check comes to."""
        return CheckStatus.FAILED if self.failed else CheckStatus.PASSED


def evaluate(run: Run, *, is_gate: bool = False) -> Outcome:
    """Look at everything the run needs, now. Writes nothing.

    With `is_gate` (inside a transaction that holds the run's lock) what was read stays as it is until that ends.
    """
    facts = Facts(run=run, snapshot=snapshot_of(run), now=timezone.now(), is_gate=is_gate)
    enabled = set(run.line.readiness_checks)
    findings = [
        finding
        for check in list_checks()
        if check.is_always_on or check.item_type in enabled
        for finding in check.evaluate(facts)
    ]
    waivers: dict[Identity, ReadinessWaiver] = {
        (waiver.item_type, waiver.item_key, waiver.code): waiver for waiver in ReadinessWaiver.objects.filter(run=run)
    }
    return Outcome(run, facts, [Judged(finding, _waiver_of(finding, waivers)) for finding in findings])


def _waiver_of(finding: Finding, waivers: dict[Identity, ReadinessWaiver]) -> ReadinessWaiver | None:
    """An earlier waiver covers the same item failing for the same reason, as long as it may be waived at all."""
    if not finding.code or not finding.waivable:
        return None
    return waivers.get((finding.item_type, finding.key, finding.code))
