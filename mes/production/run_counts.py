"""What was counted of a run changes after its end: told to whoever passed the counts on, by an event of the outbox.

Whether the run has ended is not asked here. A run may end at this very moment in another transaction, which has
counted already and is not to be seen yet: who handles the event locks the run first, and so comes after both.
"""

from collections.abc import Iterable
from uuid import uuid4

from django.utils import timezone

from mes.platform.outbox.emit import NewEvent, emit
from mes.platform.outbox.models import EventType
from mes.production.models import Run, UnitStatus

FINISHED = (UnitStatus.DONE, UnitStatus.SCRAPPED)


def counts_changed(run_ids: Iterable[int | None], *, reason: str, by: str) -> None:
    """Emit RUN_COUNTS_CHANGED of runs, in the transaction that changes them; two statements for any number.

    To be called for what may change a run after its end: a unit that was done or scrapped there changes, or leaves the
    run; the run is reopened, or ends again. `None` among the runs is passed over: such a unit counts in none.
    """
    ids = sorted({run_id for run_id in run_ids if run_id is not None})
    if not ids:
        return
    now = timezone.now()
    run_nos = dict(Run.objects.filter(pk__in=ids).values_list("pk", "run_no"))
    emit(
        *(
            NewEvent(
                event_type=EventType.RUN_COUNTS_CHANGED,
                key=f"{EventType.RUN_COUNTS_CHANGED}:{uuid4()}",
                entity_type="RUN",
                entity_id=run_nos[run_id],
                occurred_at=now,
                run_id=run_id,
                payload={"reason": reason, "by": by},
            )
            for run_id in ids
        )
    )
