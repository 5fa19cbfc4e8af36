"""Holds of runs, lines and stations, by the same acts as those of their own addresses."""

from collections.abc import Callable
from typing import Any

from mes import errors
from mes.labels import Action, Entity
from mes.plant.models import Line
from mes.plant.reach import check_stands_on_line
from mes.platform.database.lookup import get_or_raise
from mes.platform.inbound.sender import Sender
from mes.platform.signatures.services import Signing
from mes.production import line_acts, run_acts, station_acts
from mes.production.hold_models import Hold, HoldScope, HoldSource, HoldStatus


def hold(
    scope: HoldScope, code: str, *, reason: str, by: str, owner: str = "", sender: Sender | None = None
) -> tuple[Hold, bool]:
    """Hold a run, a line or a station by a person; return (hold, whether it is new). Held so already, nothing changes.

    A sender that is limited to stations may stop these, and the lines they stand on. Raises RunNotFound, LineNotFound,
    StationNotFound, InvalidTransition, StationNotAllowed, LineNotAllowed.
    """
    if scope == HoldScope.RUN:
        return run_acts.hold(run_no=code, reason=reason, by=by, owner=owner)
    if scope == HoldScope.LINE:
        line = get_or_raise(Line.objects, errors.LineNotFound, code=code)
        if sender is not None:
            check_stands_on_line(sender, line)
        return line_acts.hold(line_code=code, reason=reason, by=by, owner=owner)
    if sender is not None:
        sender.check_station(code)
    return station_acts.stop(station_code=code, reason=reason, by=by, owner=owner)


def release(held: Hold, *, reason: str, by: str, signing: Signing | None = None) -> Hold:
    """End a hold of a run, a line or a station.

    Raises InvalidTransition for one that has ended, and for what outgoing inspection holds of a run: material review
    decides about that.
    """
    if held.status != HoldStatus.OPEN or held.source == HoldSource.OQC:
        raise errors.InvalidTransition(action=Action.RELEASE, entity=Entity.HOLD, state=HoldStatus(held.status))
    given: dict[str, Any] = {"reason": reason, "by": by, "source": HoldSource(held.source), "signing": signing}
    if held.run is not None:
        _act: Callable[..., Any] = run_acts.resume
        given["run_no"] = held.run.run_no
    elif held.line is not None:
        _act, given["line_code"] = line_acts.resume, held.line.code
    else:
        assert held.station is not None
        _act, given["station_code"] = station_acts.go_on, held.station.code
    _act(**given)
    held.refresh_from_db()
    return held
