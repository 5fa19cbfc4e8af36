"""What people, and rules, decide about a station: whether it is stopped."""

from mes import errors
from mes.labels import Action, Entity, State
from mes.plant.models import Station
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.platform.signatures.services import Signing
from mes.production import decisions, holds, locking, steering_notices, stops
from mes.production.hold_models import Hold, HoldRule, HoldSource


def lock(station_code: str) -> Station:
    """Return a station with its line, locked (inside a transaction). Raises StationNotFound."""
    stations = Station.objects.select_related("line").select_for_update(no_key=True, of=("self",))
    return get_or_raise(stations, errors.StationNotFound, code=station_code)


@locking.atomically
def stop(
    *,
    station_code: str,
    reason: str,
    by: str,
    source: HoldSource = HoldSource.PERSON,
    rule: HoldRule | None = None,
    owner: str = "",
) -> tuple[Hold, bool]:
    """Stop a station: once this is answered, nothing enters it (`stops`). Units in it leave it. Return (hold, whether
    it is new).

    Stopped again by the same source, it stays as it is. The followers of its line are told. `rule` is the one by which
    the system stops it. Raises StationNotFound.
    """
    give_reason(reason)
    station = lock(station_code)
    opened, is_new = holds.open_hold(station=station, source=source, reason=reason, by=by, rule=rule, owner=owner)
    if is_new:
        decisions.record(station, Action.HOLD, by=by, reason=reason)
        steering_notices.tell_station_stopped(station, opened)
    stops.wait_for_entries(station)
    return opened, is_new


@locking.atomically
def go_on(
    *,
    station_code: str,
    reason: str = "",
    by: str,
    source: HoldSource = HoldSource.PERSON,
    signing: Signing | None = None,
) -> Station:
    """End what one source stops of a station. It goes on once nothing else stops it; what machines reported meanwhile
    is tried again after that.

    Raises StationNotFound, InvalidTransition.
    """
    give_reason(reason)
    station = lock(station_code)
    if not any(hold.source == source for hold in holds.list_open(station=station)):
        raise errors.InvalidTransition(action=Action.RESUME, entity=Entity.STATION, state=State.RUNNING)
    holds.end_hold(station=station, source=source, by=by, reason=reason, signing=signing)
    decisions.record(station, Action.RESUME, by=by, reason=reason)
    return station
