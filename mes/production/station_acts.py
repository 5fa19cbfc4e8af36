"""What people, and rules, decide about a station: whether it is stopped."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from mes import errors
from mes.labels import Action, Entity, State
from mes.plant.models import Station
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.platform.signatures import services as signatures
from mes.platform.signatures.hooks import SignedRecord
from mes.platform.signatures.services import Signing
from mes.production import decisions, holds, locking, steering_notices, stops
from mes.production.decision_models import Decision
from mes.production.hold_models import HoldRule, HoldSource

RECORD_TYPE = "STATION_RELEASE"


def lock(station_code: str) -> Station:
    """Return a station with its line, locked (inside a transaction). Raises StationNotFound."""
    stations = Station.objects.select_related("line").select_for_update(no_key=True, of=("self",))
    return get_or_raise(stations, errors.StationNotFound, code=station_code)


@locking.atomically
def stop(
    *, station_code: str, reason: str, by: str, source: HoldSource = HoldSource.PERSON, rule: HoldRule | None = None
) -> Station:
    """Stop a station: once this is answered, nothing enters it (`stops`). Units in it leave it.

    Stopped again by the same source, it stays as it is. The followers of its line are told. `rule` is the one by which
    the system stops it. Raises StationNotFound.
    """
    give_reason(reason)
    station = lock(station_code)
    opened, is_new = holds.open_hold(station=station, source=source, reason=reason, by=by, rule=rule)
    if is_new:
        decisions.record(station, Action.HOLD, by=by, reason=reason)
        steering_notices.tell_station_stopped(station, opened)
    stops.wait_for_entries(station)
    return station


@locking.atomically
def go_on(
    *,
    station_code: str,
    reason: str = "",
    by: str,
    source: HoldSource = HoldSource.PERSON,
    signing: Signing | None = None,
) -> Station:
    """End what one source stops of a station, signed where somebody signs. It goes on once nothing else stops it; what
    machines reported meanwhile is tried again after that.

    Raises StationNotFound, InvalidTransition.
    """
    give_reason(reason)
    station = lock(station_code)
    ended = next((hold for hold in holds.list_open(station=station) if hold.source == source), None)
    if ended is None:
        raise errors.InvalidTransition(action=Action.RESUME, entity=Entity.STATION, state=State.RUNNING)
    holds.end_hold(station=station, source=source, by=by, reason=reason)
    decision = decisions.record(station, Action.RESUME, by=by, reason=reason, changes={"hold": [ended.hold_no, None]})
    signatures.record(signing, record_type=RECORD_TYPE, record_id=decision.pk, document=_describe(decision))
    return station


# --- what is signed of it ----------------------------------------------------------------------------------


def _describe(decision: Decision) -> dict[str, Any]:
    """Return a station's release as it is signed."""
    assert decision.station is not None  # it is about one
    return {
        "stationCode": decision.station.code,
        "holdNo": decision.changes["hold"][0],
        "reason": decision.reason,
        "decidedBy": decision.decided_by,
        "decidedAt": decision.decided_at,
    }


def _find(record_id: str) -> Decision | None:
    if not record_id.isdigit():
        return None
    found = Decision.objects.select_related("station__line").filter(station__isnull=False, act=Action.RESUME)
    return found.filter(pk=record_id).first()


def _read(record_id: str) -> dict[str, Any] | None:
    decision = _find(record_id)
    return None if decision is None else _describe(decision)


def _page(record_id: str) -> str:
    decision = _find(record_id)
    line = None if decision is None or decision.station is None else decision.station.line
    return "" if line is None else reverse("line", args=[line.code])


SIGNED = SignedRecord(RECORD_TYPE, _("Release of a station"), _read, _page)
