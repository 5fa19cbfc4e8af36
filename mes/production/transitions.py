"""The state machines: one each. What a machine does not name is refused."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import TextChoices

from mes.errors import InvalidTransition
from mes.labels import Action as A
from mes.labels import Entity
from mes.production.decision_models import ApprovalStatus as P
from mes.production.models import RunStatus as R
from mes.production.models import UnitStatus as U
from mes.production.models import WorkOrderStatus as W


@dataclass(frozen=True)
class StateMachine:
    """The states of a thing and where each action leads from each of them."""

    entity: Entity
    states: type[TextChoices]
    table: Mapping[A, Mapping[str, str]]

    def next_state(self, action: A, state: str) -> str:
        """Return the state that `action` leads to; raise InvalidTransition when the table does not allow it."""
        try:
            return self.table[action][state]
        except KeyError:
            raise InvalidTransition(action=action, entity=self.entity, state=self.states(state)) from None


WORK_ORDER = StateMachine(
    Entity.WORK_ORDER,
    W,
    {
        A.RELEASE: {W.RECEIVED: W.RELEASED, W.RELEASED: W.RELEASED},
        A.START: {W.RELEASED: W.IN_PROGRESS, W.IN_PROGRESS: W.IN_PROGRESS},
        A.COMPLETE: dict.fromkeys((W.RELEASED, W.IN_PROGRESS), W.COMPLETED),
        A.CANCEL: dict.fromkeys((W.RECEIVED, W.RELEASED, W.IN_PROGRESS), W.CANCELLED),
        A.REOPEN: dict.fromkeys((W.COMPLETED, W.CANCELLED), ""),  # leads where it was: `orders.reopened_status`
    },
)
_GOING = (R.PREP, R.AUTHORIZED, R.IN_PROGRESS)
_OPEN = (*_GOING, R.ON_HOLD)
RUN = StateMachine(
    Entity.RUN,
    R,
    {
        A.AUTHORIZE: {R.PREP: R.AUTHORIZED},
        A.REVOKE: {R.AUTHORIZED: R.PREP},
        A.START: {R.AUTHORIZED: R.IN_PROGRESS},
        A.HOLD: dict.fromkeys(_OPEN, R.ON_HOLD),
        A.RESUME: {R.ON_HOLD: ""},  # leads where it was held from
        A.CLOSE: dict.fromkeys(_OPEN, R.COMPLETED),
        A.CANCEL: dict.fromkeys(_OPEN, R.CANCELLED),  # closed without a track
        A.REOPEN: {R.COMPLETED: R.IN_PROGRESS, R.CANCELLED: R.PREP},
        A.RELEASE: {R.ON_HOLD: R.COMPLETED},
        A.CLOSE_FOR_REWORK: {R.ON_HOLD: R.CLOSED_REWORK},
        A.SCRAP: {R.ON_HOLD: R.SCRAPPED},
    },
)
_LIVE = (U.QUEUED, U.IN_STATION, U.DONE, U.OUT_FAILED)
UNIT = StateMachine(
    Entity.UNIT,
    U,
    {
        A.ENTER: {U.QUEUED: U.IN_STATION},
        A.QUEUE: {U.IN_STATION: U.QUEUED},
        A.FINISH: {U.IN_STATION: U.DONE},
        A.FAIL: {U.IN_STATION: U.OUT_FAILED},
        A.REWORK: dict.fromkeys((U.OUT_FAILED, U.DONE, U.ON_HOLD), U.QUEUED),
        A.HOLD: dict.fromkeys(_LIVE, U.ON_HOLD),
        A.RELEASE: {U.ON_HOLD: ""},  # leads where the unit was held from
        A.SCRAP: dict.fromkeys((*_LIVE, U.ON_HOLD), U.SCRAPPED),
        A.UNDO_SCRAP: {U.SCRAPPED: U.ON_HOLD},
        A.SKIP: {U.QUEUED: ""},  # to the next step, past the last it is done: `execution.deviations.skipping`
    },
)
APPROVAL = StateMachine(
    Entity.APPROVAL,
    P,
    {
        A.APPROVE: {P.REQUESTED: P.APPROVED},
        A.REFUSE: {P.REQUESTED: P.REFUSED},
        A.WITHDRAW: {P.REQUESTED: P.WITHDRAWN},
        A.EXPIRE: {P.REQUESTED: P.EXPIRED},
    },
)
