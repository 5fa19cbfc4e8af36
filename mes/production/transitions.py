"""The state machines: one table each. What a table does not name is refused."""

from collections.abc import Mapping

from mes.errors import InvalidTransition
from mes.production.models import RunStatus as R
from mes.production.models import UnitStatus as U
from mes.production.models import WorkOrderStatus as W

Table = Mapping[str, Mapping[str, str]]

WORK_ORDER: Table = {
    "release": {W.RECEIVED: W.RELEASED, W.RELEASED: W.RELEASED},
    "start": {W.RELEASED: W.IN_PROGRESS, W.IN_PROGRESS: W.IN_PROGRESS},
    "complete": {W.IN_PROGRESS: W.COMPLETED},
}
RUN: Table = {
    "authorize": {R.PREP: R.AUTHORIZED},
    "revoke": {R.AUTHORIZED: R.PREP},
    "start": {R.AUTHORIZED: R.IN_PROGRESS},
    "hold": {R.IN_PROGRESS: R.ON_HOLD},
    "close": {R.IN_PROGRESS: R.COMPLETED},
    "release": {R.ON_HOLD: R.COMPLETED},
    "close for rework": {R.ON_HOLD: R.CLOSED_REWORK},
    "scrap": {R.ON_HOLD: R.SCRAPPED},
}
_LIVE = (U.QUEUED, U.IN_STATION, U.DONE, U.OUT_FAILED)
UNIT: Table = {
    "enter": {U.QUEUED: U.IN_STATION},
    "queue": {U.IN_STATION: U.QUEUED},
    "finish": {U.IN_STATION: U.DONE},
    "fail": {U.IN_STATION: U.OUT_FAILED},
    "rework": dict.fromkeys((U.OUT_FAILED, U.DONE, U.ON_HOLD), U.QUEUED),
    "hold": dict.fromkeys(_LIVE, U.ON_HOLD),
    "release": {U.ON_HOLD: ""},  # leads where the unit was held from
    "scrap": dict.fromkeys((*_LIVE, U.ON_HOLD), U.SCRAPPED),
}


def next_state(table: Table, *, action: str, state: str, entity: str) -> str:
    """Return the state that `action` leads to; raise InvalidTransition when the table does not allow it."""
    try:
        return table[action][state]
    except KeyError:
        raise InvalidTransition(action=action, entity=entity, state=state) from None
