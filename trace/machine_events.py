"""Machine events of a unit, open and settled, with links to the passes and values they made."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Q

from execution.models import DataValue, Disposition, Track
from ingest.models import IngestBase, IngestEventUnit, OpenIngestEvent, SettledIngestEvent
from mes.production.models import Unit


def list_events(unit: Unit) -> list[IngestBase]:
    """Return the events that a unit has part in: those applied, also where they left the unit out and held it for what
    they say of it, then those that wait or were rejected. Two queries.
    """
    held = Disposition.objects.filter(unit=unit, about_event_id__isnull=False).values("about_event_id")
    applied = IngestEventUnit.objects.filter(unit_id=unit.pk).values("event_id").union(held)
    settled = SettledIngestEvent.objects.select_related("station").filter(pk__in=applied).order_by("id")
    named = Q(blocked_unit_id=unit.pk) | Q(sns__contains=[unit.sn])
    opened = OpenIngestEvent.objects.select_related("station").filter(named).order_by("id")
    return [*settled, *opened]


def track_of(event: IngestBase, tracks: Sequence[Track]) -> Track | None:
    """Return the unit's own pass that an event made or closed."""
    return next((track for track in tracks if track.pk in event.track_ids), None)


def made_by(event: IngestBase, value: DataValue) -> bool:
    """Whether a value came with an event: on its pass, at its time, and in no device record."""
    if value.record_id is not None or value.collected_at != event.occurred_at:
        return False
    if value.track_id is None:
        return value.carrier_track_id is not None and value.carrier_track_id == event.carrier_track_id
    return value.track_id in event.track_ids


def as_json(event: IngestBase, *, tracks: Sequence[Track], values: Sequence[DataValue]) -> dict[str, Any]:
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
        "dataValueIds": [str(value.pk) for value in values if made_by(event, value)],
        "skipped": event.skipped,
        "unmappedCount": event.unmapped_count,
        "error": event.error,
        "payload": event.payload,
        "normalized": event.normalized,
    }
