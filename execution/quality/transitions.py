"""What may become of a defect and of a task of the bench. What the tables do not name is refused."""

from execution.quality.models import DefectStatus as D
from execution.quality.repair.models import ReworkTaskStatus as T
from mes.labels import Action, Entity
from mes.production.transitions import StateMachine

# Sent back or held, a defect stays open: it is settled at the bench, by a pass, or by whoever decides again.
DEFECT = StateMachine(
    Entity.DEFECT,
    D,
    {
        Action.REWORK: {D.OPEN: D.OPEN},
        Action.HOLD: {D.OPEN: D.OPEN},
        Action.RECORD_REPAIR: {D.OPEN: D.OPEN},
        Action.SCRAP: {D.OPEN: D.SCRAPPED},
        Action.FALSE_CALL: {D.OPEN: D.FALSE_CALL},
        Action.RELEASE: {D.OPEN: D.ACCEPTED},
    },
)
REWORK_TASK = StateMachine(
    Entity.REWORK_TASK,
    T,
    {
        Action.RECORD_REPAIR: {T.OPEN: T.OPEN},
        Action.COMPLETE: {T.OPEN: T.DONE},
        Action.CANCEL: {T.OPEN: T.CANCELLED},
    },
)
