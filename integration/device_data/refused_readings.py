"""What refused device data says against units: values that would fail or hold them. See `execution.failing_reports`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from execution import dispositions
from execution.failing_reports import FailingReport, find_failing, hold_units, judge_fitting, list_held
from execution.models import CarrierTrackUnit, Track
from integration.device_data.body import DeviceDataEvent, DeviceDataMessage
from integration.models import FailedMessage
from mes import errors
from mes.platform.http.whole_numbers import whole_number
from mes.platform.inbound.messages import Message
from mes.production import locking, runs
from mes.production.models import Run, Unit

Refused = Sequence[tuple[Message, errors.DomainError]]


@dataclass(frozen=True, slots=True)
class _Place:
    """A unit that values are of, and the step at which they were measured, in a run."""

    sn: str
    run: Run | None
    step_no: int | None


def hold_failing(refused: Refused, *, entity_type: str) -> Refused:
    """Hold the units of which refused events have failing values; return the refusals, which name them in
    `details.held`.

    In the transaction that keeps the refusals. An event that is kept already has held its units before.
    """
    read = [(message, error) for message, error in refused if isinstance(message, DeviceDataMessage)]
    fresh = _leave_out_kept([item for item in read if item[0].event.data], entity_type)
    places = _find_places([message.event for message, _error in fresh])
    said = [(message, error, _find_failing(message, places[message.event.event_id])) for message, error in fresh]
    sns = {sn for _message, _error, failing in said for sn in failing}
    if not sns:
        return refused
    units = locking.lock_units(Unit.objects.filter(sn__in=sns))
    decisions, answers = [], {}
    for message, error, failing in said:
        decisions += hold_units(units, failing, source=message.system, code=error.code)
        if held := list_held(units, failing):
            answers[id(message)] = error.with_details(held=held)
    dispositions.save_holds(decisions)
    return [(message, answers.get(id(message), error)) for message, error in refused]


def _leave_out_kept(
    refused: list[tuple[DeviceDataMessage, errors.DomainError]], entity_type: str
) -> list[tuple[DeviceDataMessage, errors.DomainError]]:
    """Leave out events that are kept as refused already, with the same content."""
    keys = [message.key for message, _error in refused]
    kept = FailedMessage.objects.filter(entity_type=entity_type, dedupe_key__in=keys) if keys else ()
    known = {(message.dedupe_key, bytes(message.digest)) for message in kept}
    return [(message, error) for message, error in refused if (message.key, message.digest) not in known]


# --- whose values they are ---------------------------------------------------------------------------------


def _find_places(events: Sequence[DeviceDataEvent]) -> Mapping[str, list[_Place]]:
    """Return whose values each event brings, by its id: by track, by carrier's pass, or by serial number and step."""
    tracks = _find_tracks(whole_number(event.track_id) for event in events if event.track_id)
    passes = _find_passes(whole_number(event.carrier_track_id) for event in events if event.carrier_track_id)
    sns = [event.unit_sn for event in events if event.unit_sn]
    rows = Unit.objects.filter(sn__in=sns).select_related("run__route_version") if sns else ()
    units = {unit.sn: unit for unit in rows}
    places: dict[str, list[_Place]] = {}
    for event in events:
        found = places.setdefault(event.event_id, [])
        if event.track_id:
            found += tracks.get(whole_number(event.track_id), [])
        elif event.carrier_track_id:
            found += passes.get(whole_number(event.carrier_track_id), [])
        elif (unit := units.get(event.unit_sn or "")) is not None:
            found.append(_Place(unit.sn, unit.run, event.step_no))
    return places


def _find_tracks(ids: Iterable[int | None]) -> dict[int | None, list[_Place]]:
    wanted = {number for number in ids if number is not None}
    rows = Track.objects.filter(pk__in=wanted).select_related("unit", "run__route_version") if wanted else ()
    return {track.pk: [_Place(track.unit.sn, track.run, track.step_no)] for track in rows}


def _find_passes(ids: Iterable[int | None]) -> dict[int | None, list[_Place]]:
    wanted = {number for number in ids if number is not None}
    rows = CarrierTrackUnit.objects.filter(carrier_track__in=wanted) if wanted else CarrierTrackUnit.objects.none()
    places: dict[int | None, list[_Place]] = {}
    for row in rows.select_related("track__unit", "track__run__route_version"):
        place = _Place(row.track.unit.sn, row.track.run, row.track.step_no)
        places.setdefault(row.carrier_track_id, []).append(place)
    return places


# --- what they say -----------------------------------------------------------------------------------------


def _find_failing(message: DeviceDataMessage, places: Sequence[_Place]) -> dict[str, FailingReport]:
    """Return what an event says against units, by serial number."""
    return {place.sn: report for place in places if (report := _read(message, place)) is not None}


def _read(message: DeviceDataMessage, place: _Place) -> FailingReport | None:
    """Return what an event says against a unit, by the limits frozen in its run; values that do not fit say nothing."""
    step = runs.snapshot_of(place.run).step(place.step_no) if place.run is not None else None
    if step is None:
        return None
    event = message.event
    judged = judge_fitting(event.data or (), step, source=event.source, default_time=event.event_time)
    return find_failing(step.step_no, None, judged)
