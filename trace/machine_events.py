"""Machine events of a unit, open and settled, with links to the passes and values they made."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

from trace.unit_rows import EventRow, TrackRow, ValueRow

Way = tuple[str, int, datetime | None]  # how an event makes a value: on which pass, of the unit or a carrier, and when


def track_of(event: EventRow, tracks: Sequence[TrackRow]) -> TrackRow | None:
    """Return the unit's own pass that an event made or closed."""
    return next((track for track in tracks if track.pk in event.track_ids), None)


class Links:
    """Which values came with which events: on the event's pass, at its time, and in no device record.

    Each is looked up: a unit of a hundred events may have a thousand values.
    """

    def __init__(self, events: Sequence[EventRow], values: Sequence[ValueRow]) -> None:
        self._event_ids: dict[Way | None, int] = {}
        for event in reversed(events):
            self._event_ids.update(dict.fromkeys(_ways_of(event), event.id))
        self._places: dict[Way | None, list[int]] = {}
        self._values = values
        for place, value in enumerate(values):
            self._places.setdefault(_way_of(value), []).append(place)

    def event_id_of(self, value: ValueRow) -> str | None:
        """Return the id of the machine event that a value came with, the first of several."""
        event_id = self._event_ids.get(_way_of(value))
        return None if event_id is None else str(event_id)

    def value_ids_of(self, event: EventRow) -> list[str]:
        """Return the ids of the values that came with an event, in their order."""
        places = chain.from_iterable(self._places.get(way, ()) for way in set(_ways_of(event)))
        return [str(self._values[place].id) for place in sorted(places)]


def _ways_of(event: EventRow) -> Iterator[Way]:
    for track_id in event.track_ids:
        yield "unit", track_id, event.occurred_at
    if event.carrier_track_id is not None:
        yield "carrier", event.carrier_track_id, event.occurred_at


def _way_of(value: ValueRow) -> Way | None:
    if value.record_id is not None:
        return None
    if value.track_id is not None:
        return "unit", value.track_id, value.collected_at
    return None if value.carrier_track_id is None else ("carrier", value.carrier_track_id, value.collected_at)


def as_json(event: EventRow, *, tracks: Sequence[TrackRow], links: Links) -> dict[str, Any]:
    """Return an event in the words of the HTTP interface."""
    track = track_of(event, tracks)
    return {
        "id": str(event.pk),
        "dedupeKey": event.dedupe_key,
        "sourceSystem": event.source_system,
        "eventType": event.event_type,
        "status": event.status,
        "occurredAt": event.occurred_at,
        "reportedAt": event.reported_at,
        "receivedAt": event.received_at,
        "recordedBy": event.recorded_by or None,
        "stationCode": event.station.code if event.station else None,
        "stepNo": event.step_no,
        "carrierNo": event.carrier_no or None,
        "result": event.result or None,
        "testResultId": event.test_result_id or None,
        "transactionId": event.transaction_id or None,
        "trackId": str(track.pk) if track else None,
        "trackIds": [str(track_id) for track_id in event.track_ids],
        "carrierTrackId": None if event.carrier_track_id is None else str(event.carrier_track_id),
        "dataValueIds": links.value_ids_of(event),
        "skipped": event.skipped,
        "unmappedCount": event.unmapped_count,
        "error": event.error,
        "payload": event.payload,
        "normalized": event.normalized,
    }
