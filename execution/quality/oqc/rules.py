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
    """What the items of a sample come to: the units with a failed one, the items that are missing, and the decision
    that follows; None as long as none does.
    """

    nonconforming: tuple[str, ...]
    open_items: tuple[str, ...]
    decision: OqcResult | None


def judge_sample(sns: Sequence[str], names: Sequence[str], results: Results, *, ac: int, re: int) -> Judgement:
    """Judge a sample by its items: FAIL from `re` nonconforming units on; PASS with up to `ac` when each unit has every
    item that was asked for, or one where none was.
    """
    failed = {sn for (sn, _name), result in results.items() if result == OqcResult.FAIL}
    nonconforming = tuple(sn for sn in sns if sn in failed)
    open_items = tuple(_find_open(sns, names, results))
    decision = None
    if len(nonconforming) >= re:
        decision = OqcResult.FAIL
    elif not open_items and len(nonconforming) <= ac:
        decision = OqcResult.PASS
    return Judgement(nonconforming, open_items, decision)


def _find_open(sns: Sequence[str], names: Sequence[str], results: Results) -> Iterable[str]:
    seen = {sn for sn, _name in results}
    for sn in sns:
        if not names and sn not in seen:
            yield sn
        yield from (f"{sn}: {name}" for name in names if (sn, name) not in results)
