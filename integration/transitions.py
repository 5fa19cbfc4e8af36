"""What may become of a kept message. What the table does not name is refused."""

from integration.models import MessageStatus as S
from mes.labels import Action, Entity
from mes.production.transitions import StateMachine

MESSAGE = StateMachine(
    Entity.MESSAGE,
    S,
    {
        Action.REPLAY: {S.FAILED: S.REPLAYED, S.CONFLICT: S.REPLAYED},
        Action.DISMISS: {S.FAILED: S.DISMISSED, S.CONFLICT: S.DISMISSED},
    },
)
