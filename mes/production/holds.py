"""What holds runs, lines and stations: opened and ended here only, one open for each of them and source.

Whoever opens or ends one holds the row of what it holds exclusively. That of a run keeps entries of units out, which
hold it shared; of lines and stations see `stops`.
"""

from functools import partial

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from mes.plant.models import Line, Station
from mes.platform.signatures.services import Signing
from mes.production import hold_decisions, hold_notices, hooks
from mes.production.hold_models import HeldUnitEnd, Hold, HoldRule, HoldScope, HoldSource, HoldStatus
from mes.production.models import Run

Held = Run | Line | Station


def open_hold(
    *,
    run: Run | None = None,
    line: Line | None = None,
    station: Station | None = None,
    source: HoldSource,
    reason: str,
    by: str,
    rule: HoldRule | None = None,
    owner: str = "",
) -> tuple[Hold, bool]:
    """Hold a locked run, line or station; return (hold, whether it is new). One that is open of this source stays as it
    is. `rule` is the one by which the system opens it, `owner` who sees to it.
    """
    held = _one_of(run, line, station)
    place = _place_of(held)
    known = _open_ones(held).filter(source=source).first()
    if known is None:
        opened = Hold.objects.create(**place, source=source, reason=reason, opened_by=by, rule=rule, owner=owner)
        hold_notices.tell_place(opened)
        return opened, True
    for name, value in place.items():
        setattr(known, name, value)  # as it is locked
    return known, False


def end_hold(
    *,
    run: Run | None = None,
    line: Line | None = None,
    station: Station | None = None,
    source: HoldSource | None = None,
    by: str,
    reason: str = "",
    signing: Signing | None = None,
) -> list[Hold]:
    """End what holds a locked run, line or station by this source, or by any; return the holds that are still open.

    Each end is a decision, signed by whoever signs.
    """
    held = _one_of(run, line, station)
    ended = _open_ones(held)
    if source is not None:
        ended = ended.filter(source=source)
    ending = list(ended.order_by("id"))
    if ending:
        ended.update(status=HoldStatus.RELEASED, ended_by=by, ended_at=timezone.now(), end_reason=reason)
    for each in ending:
        hold_decisions.record(each, end=HeldUnitEnd.RELEASED, reason=reason, by=by, signing=signing)
    still_open = list(_open_ones(held).order_by("id"))
    if ending and not still_open:
        _announce_going_on(held)
    return still_open


def _announce_going_on(held: Held) -> None:
    """Call the listeners of going on once the present transaction is committed."""
    if isinstance(held, Run):
        listeners = [partial(listener, held.run_no) for listener in hooks.run_went_on]
    else:
        hook = hooks.line_went_on if isinstance(held, Line) else hooks.station_went_on
        listeners = [partial(listener, held.code) for listener in hook]
    for listener in listeners:
        transaction.on_commit(listener, robust=True)


def note_oqc(run: Run, *, is_open: bool) -> None:
    """Note on a locked run whether its outgoing inspection is under way: from then on it stands still, until the commit
    of its end. What machines reported meanwhile is tried again after that.
    """
    if run.is_in_oqc == is_open:
        return
    run.is_in_oqc = is_open
    run.save(update_fields=["is_in_oqc"])
    if not is_open:
        _announce_going_on(run)


def list_open(*, run: Run | None = None, line: Line | None = None, station: Station | None = None) -> list[Hold]:
    """Return what holds a run, a line or a station, the oldest first."""
    return list(_open_ones(_one_of(run, line, station)).order_by("id"))


def _one_of(*named: Held | None) -> Held:
    given = [each for each in named if each is not None]
    if len(given) != 1:
        raise ValueError("A hold is of a run, of a line or of a station.")
    return given[0]


def _place_of(held: Held) -> dict[str, object]:
    """Return the columns that say what is held."""
    if isinstance(held, Run):
        return {"scope": HoldScope.RUN, "run": held}
    if isinstance(held, Line):
        return {"scope": HoldScope.LINE, "line": held}
    return {"scope": HoldScope.STATION, "station": held}


def _open_ones(held: Held) -> QuerySet[Hold]:
    return Hold.objects.filter(status=HoldStatus.OPEN, **_place_of(held))
