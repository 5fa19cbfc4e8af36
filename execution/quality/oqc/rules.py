"""Pure rules of outgoing inspections: their states, and the decision, which is computed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from execution.quality.oqc.models import OqcResult, OqcStatus
from mes.labels import Action, Entity
from mes.production.transitions import StateMachine

OQC = StateMachine(
    Entity.OQC,
    OqcStatus,
    {
        Action.START: {OqcStatus.CREATED: OqcStatus.INSPECTING},
        Action.RECORD_ITEMS: {OqcStatus.INSPECTING: OqcStatus.INSPECTING},
        Action.PASS: {OqcStatus.INSPECTING: OqcStatus.PASSED},
        Action.FAIL: {OqcStatus.INSPECTING: OqcStatus.FAILED},
        Action.CANCEL: dict.fromkeys((OqcStatus.CREATED, OqcStatus.INSPECTING), OqcStatus.CANCELLED),
    },
)

Results = Mapping[tuple[str, str], str]  # the latest result by (serial number, item name)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the items of a sample come to: the units with a failed one, what is missing, as (serial number, item), and
    the decision that follows; None as long as none does. The item is empty where any would do.
    """

    nonconforming: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]
    decision: OqcResult | None

    @property
    def open_items(self) -> list[str]:
        """What is missing, in words."""
        return [f"{sn}: {name}" if name else sn for sn, name in self.missing]

    @property
    def open_sns(self) -> set[str]:
        """The units of which something is missing."""
        return {sn for sn, _name in self.missing}


def judge_sample(sns: Sequence[str], names: Sequence[str], results: Results, *, ac: int, re: int) -> Judgement:
    """Judge a sample by its items: FAIL from `re` nonconforming units on; PASS with up to `ac` when each unit has every
    item that was asked for, or one where none was.
    """
    failed = {sn for (sn, _name), result in results.items() if result == OqcResult.FAIL}
    nonconforming = tuple(sn for sn in sns if sn in failed)
    missing = tuple(_find_missing(sns, names, results))
    decision = None
    if len(nonconforming) >= re:
        decision = OqcResult.FAIL
    elif not missing and len(nonconforming) <= ac:
        decision = OqcResult.PASS
    return Judgement(nonconforming, missing, decision)


def _find_missing(sns: Sequence[str], names: Sequence[str], results: Results) -> Iterable[tuple[str, str]]:
    seen = {sn for sn, _name in results}
    for sn in sns:
        if not names and sn not in seen:
            yield sn, ""
        yield from ((sn, name) for name in names if (sn, name) not in results)
