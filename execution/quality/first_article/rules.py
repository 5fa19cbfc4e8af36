"""Pure rules of first article inspections."""

from collections.abc import Iterable, Mapping, Sequence

from execution.quality.first_article.models import FaiResult, FaiStatus
from mes.labels import Action, Entity
from mes.production.transitions import StateMachine
from mes.routing.snapshots import FaiItem

FAI = StateMachine(
    Entity.FIRST_ARTICLE,
    FaiStatus,
    {
        Action.START: {FaiStatus.CREATED: FaiStatus.INSPECTING},
        Action.RECORD_ITEMS: {FaiStatus.INSPECTING: FaiStatus.INSPECTING},
        Action.PASS: {FaiStatus.INSPECTING: FaiStatus.PASSED},
        Action.FAIL: {FaiStatus.INSPECTING: FaiStatus.FAILED},
        Action.CANCEL: dict.fromkeys((FaiStatus.CREATED, FaiStatus.INSPECTING), FaiStatus.CANCELLED),
        Action.SIGN: {FaiStatus.PASSED: FaiStatus.PASSED},
    },
)


def find_open_items(
    template: Sequence[FaiItem], results: Mapping[tuple[str, str], str], *, sns: Iterable[str], sample_qty: int
) -> list[str]:
    """Return, in words, what keeps a first article from passing; empty when nothing does.

    `results` has the latest result by (serial number, item name), `sns` the sample units in order. With a template, as
    many units as asked for must have passed every item of it; in any case no item may have failed.
    """
    open_items = [f"{sn}: {name}" for (sn, name), result in results.items() if result == FaiResult.FAIL]
    if not template:
        return open_items
    units = list(dict.fromkeys([*sns, *(sn for sn, _name in results)]))
    open_items += [f"{sn}: {item.name}" for sn in units for item in template if (sn, item.name) not in results]
    lacking = sample_qty - len(units)
    return open_items + ([f"{lacking} × ?"] if lacking > 0 else [])
