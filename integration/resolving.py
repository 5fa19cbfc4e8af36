"""Which track a device means."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connection

from execution.values import Owner
from mes import errors
from mes.plant.models import Station
from mes.production.models import Run, Unit

if TYPE_CHECKING:
    from integration.device_data import DeviceDataEvent

LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Target:
    """A track, or a carrier's, with what is needed to judge its values and to store them."""

    track_id: int | None
    carrier_track_id: int | None
    unit_id: int | None
    run_id: int
    station_id: int | None
    step_no: int
    operation_code: str
    sn: str | None
    run_no: str
    station_code: str
    version_id: int
    version_digest: str

    @property
    def owner(self) -> Owner:
        """What the values belong to."""
        return Owner(
            unit_id=self.unit_id,
            run_id=self.run_id,
            track_id=self.track_id,
            carrier_track_id=self.carrier_track_id,
            station_id=self.station_id,
            step_no=self.step_no,
            operation_code=self.operation_code,
        )


# One query for the hot path. A track keeps the run it was made in, so the unit's present run plays no part.
FIND = """
    SELECT t.id, NULL::bigint, t.unit_id, t.run_id, t.station_id, t.step_no, t.operation_code, u.sn, r.run_no, s.code,
           r.route_version_id, v.digest
      FROM execution_track t
      JOIN mes_unit u ON u.id = t.unit_id
      JOIN mes_run r ON r.id = t.run_id
      JOIN mes_station s ON s.id = t.station_id
      JOIN mes_routeversion v ON v.id = r.route_version_id
"""
BY_ID = FIND + " WHERE t.id = %(track_id)s"
BY_NAMES = (
    FIND
    + """
     WHERE u.sn = %(sn)s AND r.run_no = %(run_no)s AND s.code = %(station)s AND t.step_no = %(step_no)s
     ORDER BY t.id DESC LIMIT 1
"""
)
BY_CARRIER = """
    SELECT NULL::bigint, t.id, NULL::bigint, t.run_id, t.station_id, t.step_no, t.operation_code, NULL, r.run_no,
           coalesce(s.code, ''), r.route_version_id, v.digest
      FROM execution_carriertrack t
      JOIN mes_run r ON r.id = t.run_id
      LEFT JOIN mes_station s ON s.id = t.station_id
      JOIN mes_routeversion v ON v.id = r.route_version_id
     WHERE t.id = %(track_id)s
"""


def find_target(event: "DeviceDataEvent") -> Target:
    """Return the track an event belongs to: by id, by the carrier's id, or the latest of run, unit, station and step.

    Raises TrackNotFound, CarrierTrackNotFound, RunNotFound, UnitNotFound, StationNotFound, UnitRunMismatch.
    """
    if event.carrier_track_id is not None:
        target = _query(BY_CARRIER, {"track_id": _as_id(event.carrier_track_id)})
        if target is None:
            raise errors.CarrierTrackNotFound(code=event.carrier_track_id)
    elif event.track_id is not None:
        target = _query(BY_ID, {"track_id": _as_id(event.track_id)})
        if target is None:
            raise errors.TrackNotFound(track_id=event.track_id)
    else:
        names = {"sn": event.unit_sn, "run_no": event.run_no, "station": event.station_code, "step_no": event.step_no}
        target = _query(BY_NAMES, names)
        if target is None:
            raise _why_not(event)
    _check_agrees(event, target)
    return target


def _query(sql: str, given: dict[str, Any]) -> Target | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        row = cursor.fetchone()
    return None if row is None else Target(*row)


def _as_id(text: str) -> int:
    """Return an opaque id as the row's number; what is no number is no row's."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    return number if number <= LARGEST_ID else 0


def _check_agrees(event: "DeviceDataEvent", target: Target) -> None:
    """Raise UnitRunMismatch when the event names another run or unit than its track's."""
    if event.run_no not in (None, target.run_no) or (target.sn and event.unit_sn not in (None, target.sn)):
        raise errors.UnitRunMismatch(sn=event.unit_sn or target.sn, run=event.run_no or target.run_no)
    if event.station_code not in (None, target.station_code) or event.step_no not in (None, target.step_no):
        raise errors.TrackNotFound(track_id=event.track_id)


def _why_not(event: "DeviceDataEvent") -> errors.DomainError:
    """Return the refusal for a track that is not there."""
    run = Run.objects.filter(run_no=event.run_no).first()
    if run is None:
        return errors.RunNotFound(code=event.run_no)
    unit = Unit.objects.filter(sn=event.unit_sn).first()
    if unit is None:
        return errors.UnitNotFound(code=event.unit_sn)
    if not Station.objects.filter(code=event.station_code).exists():
        return errors.StationNotFound(code=event.station_code)
    if unit.run_id != run.pk:
        return errors.UnitRunMismatch(sn=unit.sn, run=run.run_no)
    return errors.TrackNotFound(sn=unit.sn, run_no=run.run_no, station_code=event.station_code, step_no=event.step_no)
