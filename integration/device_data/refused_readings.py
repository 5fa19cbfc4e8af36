"""What refused device data says against units: values that would fail or hold them. See `execution.failing_reports`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from execution.failing_reports import FailingReport, find_failing, judge_fitting
from execution.models import CarrierTrackUnit, Track
from integration.device_data.body import DeviceDataEvent, DeviceDataMessage
from mes.platform.http.whole_numbers import whole_number
from mes.platform.inbound.messages import Message
from mes.production import runs
from mes.production.decision_models import UnitMove
from mes.production.models import Run, Unit
from mes.production.names import find_units


@dataclass(frozen=True, slots=True)
class _Place:
    """A unit that values are of, and the step at which they were measured, in a run."""

    sn: str
    run: Run | None
    step_no: int | None


def find_failing_units(messages: Sequence[Message]) -> list[Mapping[str, FailingReport]]:
    """Return for each event what its values say against units, by serial number; one that is not well-formed says
    nothing.
    """
    readings = {id(message): message for message in messages if isinstance(message, DeviceDataMessage)}
    places = _find_places([message.event for message in readings.values()])
    failing = {
        key: _find_failing(message, at) for (key, message), at in zip(readings.items(), places, strict=True) if at
    }
    return [failing.get(id(message), {}) for message in messages]


# --- whose values they are ---------------------------------------------------------------------------------


def _find_places(events: Sequence[DeviceDataEvent]) -> list[list[_Place]]:
    """Return whose values each event brings: by track, by carrier's pass, or by serial number and step."""
    tracks = _find_tracks(whole_number(event.track_id) for event in events if event.track_id)
    passes = _find_passes(whole_number(event.carrier_track_id) for event in events if event.carrier_track_id)
    sns = [event.unit_sn for event in events if event.unit_sn]
    units = find_units(sns, Unit.objects.select_related("run__route_version"))
    earlier = _find_earlier_runs(events, units)
    places: list[list[_Place]] = []
    for event in events:
        if event.track_id:
            places.append(tracks.get(whole_number(event.track_id), []))
        elif event.carrier_track_id:
            places.append(passes.get(whole_number(event.carrier_track_id), []))
        else:
            unit = units.get(event.unit_sn or "")
            run = None if unit is None else earlier.get((unit.sn, event.run_no), unit.run)
            places.append([] if unit is None else [_Place(unit.sn, run, event.step_no)])
    return places


def _find_earlier_runs(
    events: Sequence[DeviceDataEvent], units: Mapping[str, Unit]
) -> dict[tuple[str, str | None], Run]:
    """Return the named runs that units have left, by serial number and run number; no query where none is named."""
    present = {sn: unit.run.run_no if unit.run else None for sn, unit in units.items()}
    named = {
        (event.unit_sn, event.run_no)
        for event in events
        if event.unit_sn in present and event.run_no not in (None, present[event.unit_sn])
    }
    if not named:
        return {}
    left = UnitMove.objects.filter(unit__in=[units[sn] for sn, _run_no in named if sn is not None])
    runs_left = {
        (move.unit_id, move.from_run.run_no): move.from_run for move in left.select_related("from_run__route_version")
    }
    keys = [(units[sn], run_no) for sn, run_no in named if sn is not None and run_no is not None]
    return {(unit.sn, run_no): runs_left[unit.pk, run_no] for unit, run_no in keys if (unit.pk, run_no) in runs_left}


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
