"""Machine events of reference units: no unit is moved by them. They are settled as passes of the reference units.

An event that is about reference units only is found before it is known which step it is for, or whether there is a run
at all: by the first mapping that finds the serial number, else by its envelope.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from ingest import keys
from ingest.candidates import Candidate, EventCandidates
from ingest.envelope import ReceivedEvent
from ingest.mapping.extract import FAIL, PASS, UnitReport
from ingest.models import IngestStatus, OpenIngestEvent, SettledIngestEvent
from ingest.open_events import attempts_before
from mes import errors
from mes.plant.models import Station
from mes.platform import request_ids
from mes.platform.inbound.sender import Sender
from mes.platform.inbound.times import check_bounds
from mes.production.identity_models import ReferenceUnit
from mes.production.reference_units import Passed, record


def list_only_references(candidates: EventCandidates, reference_sns: frozenset[str]) -> list[str]:
    """Return the reference units that an event is about; none where any mapping names something else besides."""
    named = dict.fromkeys(sn for candidate in candidates.candidates for sn in candidate.sns)
    return list(named) if named and reference_sns.issuperset(named) else []


def list_named(event: ReceivedEvent) -> list[str]:
    """Return the serial numbers that the envelope of an event names."""
    return event.envelope.sns or ([event.envelope.sn] if event.envelope.sn else [])


def settle(
    event: ReceivedEvent,
    sns: Sequence[str],
    candidates: EventCandidates | None,
    open_event: OpenIngestEvent | None,
    *,
    event_id: int,
    sender: Sender,
) -> dict[str, Any]:
    """Record the passes of an event whose key is claimed, and settle it; return its answer.

    Raises StationNotAllowed, EventTimeInFuture, EventTooOld.
    """
    candidate = _find_candidate(candidates, sns)
    station_code = event.envelope.station_code if candidate is None else candidate.station_code
    if station_code is not None:
        sender.check_station(station_code)
    at = event.occurred_at if candidate is None else candidate.reading.occurred_at_or_sent()
    check_bounds(at, now=timezone.now())
    station = Station.objects.filter(code=station_code).first() if station_code else None
    results = {} if candidate is None else read_results(candidate, sns)
    event_id = event_id if open_event is None else open_event.pk
    record_passes(sns, results, station=station, at=at, event_id=event_id, by=event.by)
    answer = {
        "eventId": str(event_id),
        "duplicate": False,
        "status": IngestStatus.APPLIED.value,
        "unitStatus": None,
        "trackIds": [],
        "referenceSns": list(sns),
    }
    _write(event, sns, results, answer, open_event, station=station, at=at, candidate=candidate)
    return answer


def record_passes(
    sns: Sequence[str],
    results: Mapping[str, str],
    *,
    station: Station | None,
    at: datetime,
    event_id: int,
    by: str,
) -> None:
    """Record that reference units passed a station."""
    units = {unit.sn: unit for unit in ReferenceUnit.objects.filter(sn__in=sns)}
    record(
        [
            Passed(units[sn], station, at, results.get(sn, ""), event_id=event_id, by=by)
            for sn in dict.fromkeys(sns)
            if sn in units
        ]
    )


def _find_candidate(candidates: EventCandidates | None, sns: Sequence[str]) -> Candidate | None:
    """Return the first mapping that finds one of these serial numbers."""
    found = candidates.candidates if candidates is not None else ()
    return next((candidate for candidate in found if not set(sns).isdisjoint(candidate.sns)), None)


def read_results(candidate: Candidate, sns: Sequence[str]) -> dict[str, str]:
    """Return PASS or FAIL of reference units by a mapping, as far as it can be read."""
    reports: Sequence[UnitReport]
    try:
        reports = candidate.reading.extract().units
    except errors.IngestPayloadInvalid:
        reports = candidate.reading.list_readable_reports()
    told = [report for report in reports if report.sn in sns and report.result in (PASS, FAIL)]
    return {str(report.sn): str(report.result) for report in told}


def _write(
    event: ReceivedEvent,
    sns: Sequence[str],
    results: Mapping[str, str],
    answer: Mapping[str, Any],
    open_event: OpenIngestEvent | None,
    *,
    station: Station | None,
    at: datetime,
    candidate: Candidate | None,
) -> None:
    """Write the settled event, with its answer beside its key."""
    now = timezone.now()
    told = set(results.values())
    is_same = open_event is not None and bytes(open_event.digest) == event.digest
    row = SettledIngestEvent(
        id=int(answer["eventId"]),
        received_at=open_event.received_at if open_event is not None and is_same else now,
        source_system=event.envelope.source_system,
        dedupe_key=event.key,
        event_type=event.envelope.event_type,
        occurred_at=at,
        reported_at=event.envelope.occurred_at,
        station=station,
        step_no=None,
        sns=list(sns),
        result=told.pop() if len(told) == 1 else "",
        transaction_id=_transaction_of(candidate),
        payload=event.body,
        status=IngestStatus.APPLIED,
        attempts=attempts_before(event, open_event),
        note=event.note or (open_event.note if open_event else None),
        last_at=now,
        recorded_by=event.by,
        request_id=open_event.request_id if open_event else request_ids.current(),
    )
    SettledIngestEvent.objects.bulk_create([row])
    keys.store_answer(event, answer, record_id=row.pk)
    if open_event is not None:
        open_event.delete()


def _transaction_of(candidate: Candidate | None) -> str:
    """Return the transaction that an event opens; one that names no unit later is of these, too."""
    if candidate is None or candidate.reading.brings_values:
        return ""
    try:
        return (candidate.reading.transaction_id or "")[:200]
    except errors.IngestPayloadInvalid:
        return ""
