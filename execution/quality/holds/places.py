"""Holds of runs, lines and stations, by the same acts as those of their own addresses."""

from collections.abc import Callable
from typing import Any

from mes import errors
from mes.labels import Action, Entity
from mes.plant.models import Line, Station
from mes.plant.reach import check_stands_on_line
from mes.platform.database.lookup import get_or_raise
from mes.platform.inbound.sender import Sender
from mes.platform.signatures.services import Signing
from mes.production import line_acts, run_acts, station_acts
from mes.production.hold_models import Hold, HoldScope, HoldSource, HoldStatus
from mes.production.models import Run


def hold(
    scope: HoldScope, code: str, *, reason: str, by: str, owner: str = "", sender: Sender | None = None
) -> tuple[Hold, bool]:
    """Hold a run, a line or a station by a person; return (hold, whether it is new). Held so already, nothing changes.

    A sender that is limited to stations may stop these, and the lines they stand on. Raises RunNotFound, LineNotFound,
    StationNotFound, InvalidTransition, StationNotAllowed, LineNotAllowed.
    """
    before = Hold.objects.order_by("-id").values_list("pk", flat=True).first() or 0
    if scope == HoldScope.RUN:
        place: Any = run_acts.hold(run_no=code, reason=reason, by=by)[0]
    elif scope == HoldScope.LINE:
        line = get_or_raise(Line.objects, errors.LineNotFound, code=code)
        if sender is not None:
            check_stands_on_line(sender, line)
        place = line_acts.hold(line_code=code, reason=reason, by=by)
    else:
        if sender is not None:
            sender.check_station(code)
        place = station_acts.stop(station_code=code, reason=reason, by=by)
    held = _holds_of(place).filter(source=HoldSource.PERSON).latest("id")  # somebody may have ended it already
    is_new = held.pk > before and held.opened_by == by
    if is_new and owner:
        held.owner = owner
        held.save(update_fields=["owner"])
    return held, is_new


def _holds_of(place: Run | Line | Station) -> Any:
    name = {Run: "run", Line: "line", Station: "station"}[type(place)]
    return Hold.objects.filter(scope=name.upper(), **{name: place})


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
