"""What holds runs and lines: opened and ended here only, one open for each of them and source.

Whoever opens or ends one holds the row of its run or line exclusively: entries of units hold it shared, so that none
is under way once a hold is answered.
"""

from functools import partial

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from mes.plant.models import Line
from mes.production import hooks
from mes.production.hold_models import Hold, HoldScope, HoldSource, HoldStatus
from mes.production.models import Run


def open_hold(
    *, run: Run | None = None, line: Line | None = None, source: HoldSource, reason: str, by: str
) -> tuple[Hold, bool]:
    """Hold a locked run or line; return (hold, whether it is new). One that is open of this source stays as it is."""
    known = _open_ones(run, line).filter(source=source).first()
    if known is not None:
        return known, False
    scope = HoldScope.LINE if run is None else HoldScope.RUN
    return Hold.objects.create(scope=scope, run=run, line=line, source=source, reason=reason, opened_by=by), True


def end_hold(
    *, run: Run | None = None, line: Line | None = None, source: HoldSource | None = None, by: str, reason: str = ""
) -> list[Hold]:
    """End what holds a locked run or line by this source, or by any; return the holds that are still open."""
    ended = _open_ones(run, line)
    if source is not None:
        ended = ended.filter(source=source)
    is_ended = ended.update(status=HoldStatus.RELEASED, ended_by=by, ended_at=timezone.now(), end_reason=reason)
    still_open = list(_open_ones(run, line).order_by("id"))
    if is_ended and not still_open:
        _announce_going_on(run, line)
    return still_open


def _announce_going_on(run: Run | None, line: Line | None) -> None:
    """Call the listeners of going on once the present transaction is committed."""
    if run is not None:
        listeners = [partial(listener, run.run_no) for listener in hooks.run_went_on]
    else:
        listeners = [] if line is None else [partial(listener, line.code) for listener in hooks.line_went_on]
    for listener in listeners:
        transaction.on_commit(listener, robust=True)


def list_open(*, run: Run | None = None, line: Line | None = None) -> list[Hold]:
    """Return what holds a run or a line, the oldest first."""
    return list(_open_ones(run, line).order_by("id"))


def _open_ones(run: Run | None, line: Line | None) -> QuerySet[Hold]:
    if (run is None) == (line is None):
        raise ValueError("A hold is of a run or of a line.")
    place = {"scope": HoldScope.LINE, "line": line} if run is None else {"scope": HoldScope.RUN, "run": run}
    return Hold.objects.filter(status=HoldStatus.OPEN, **place)
