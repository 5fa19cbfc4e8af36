"""What may become of a kept machine event. What the table does not name is refused.

An applied event stays so: what it left out is replayed or dismissed while it is open (`PartialIngestEvent`).
"""

from ingest.models import IngestStatus as S
from mes.labels import Action, Entity
from mes.production.transitions import StateMachine

INGEST_EVENT = StateMachine(
    Entity.INGEST_EVENT,
    S,
    {
        Action.REPLAY: {S.WAITING: S.APPLIED, S.REJECTED: S.APPLIED, S.CONFLICT: S.APPLIED},
        Action.WAIT: {S.REJECTED: S.WAITING},
        Action.DISMISS: {S.REJECTED: S.DISMISSED, S.CONFLICT: S.DISMISSED},
    },
)
