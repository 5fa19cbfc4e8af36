"""Reading the event of an example by a step: what it says, whatever units, stations and clocks there are. Pure.

The same functions as for a real event do the reading. What depends on the plant or on the time is not asked: whether
units and stations exist, whether a time is in the future, whether values that are required came before.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.utils.translation import gettext as _

from ingest import envelope
from ingest.mapping import measurements
from ingest.mapping.extract import EventReading, Extracted, UnitReport
from ingest.mapping.measurements import Measurement
from ingest.mapping.paths import EventDocument, invalid
from mes import errors
from mes.platform.inbound.sources import SourceClock
from mes.routing import judging
from mes.routing.hooks import Reading
from mes.routing.mapping_problems import find_mapping_problems
from mes.routing.snapshots import StepSnapshot
from mes.routing.step_mapping import StepMapping

# No clock may decide. A time without an offset can be read, whatever zone its source turns out to be in.
_CLOCK = SourceClock(ZoneInfo("UTC"))
_RECEIVED_AT = datetime(2000, 1, 1, tzinfo=UTC)
_MOST_KNOWN = 2000
_known: dict[bytes, Reading] = {}  # by digest: they are asked for whenever a route is compared with its latest version


def read_example(step: StepSnapshot, event: Any) -> Reading:
    """Return what a step makes of an event; nothing but the two decides."""
    key = _digest_of(step, event)
    reading = _known.get(key)
    if reading is None:
        reading = _read(step, event)
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = reading
    return reading


def _digest_of(step: StepSnapshot, event: Any) -> bytes:
    """Return the digest of all that decides. Objects are encoded as they are ordered: at worst it is read twice."""
    decides = [step.station_type, step.specs, step.ingest_mapping, event]
    return hashlib.sha256(msgspec.json.encode(decides)).digest()


def _read(step: StepSnapshot, event: Any) -> Reading:
    try:
        return Reading(_outcome_of(step, event))
    except errors.ValidationFailed as refusal:
        return Reading({"code": refusal.code}, "; ".join(f"{at}: {text}" for at, text in refusal.details.items()))
    except errors.DomainError as refusal:
        return Reading({"code": refusal.code}, str(refusal))


def _outcome_of(step: StepSnapshot, event: Any) -> dict[str, Any]:
    envelope.check(event)
    kind = event["eventType"]
    if step.ingest_mapping is None or kind != step.station_type:
        raise errors.IngestMappingMissing(event_type=kind)
    if find_mapping_problems(step.ingest_mapping, station_type=step.station_type):
        return {"code": "INGEST_MAPPING_INVALID"}
    fields = {key: value for key, value in event.items() if value is not None}
    document = EventDocument(fields, received_at=_RECEIVED_AT, clock=_CLOCK)
    readings = (EventReading(document, mapping) for mapping in step.mappings)
    reading = next((reading for reading in readings if reading.holds_when), None)
    if reading is None:
        raise errors.IngestMappingReadsNothing(event_type=kind)
    extracted = reading.extract()
    _check_who(extracted)
    return {
        "phase": extracted.phase,
        "result": extracted.result,
        "stationCode": extracted.station_code,
        "carrierNo": extracted.carrier_no,
        "units": [_unit(step, reading.mapping, unit) for unit in extracted.units],
        "values": _values(step, reading.mapping, extracted.measurements),
    }


def _check_who(extracted: Extracted) -> None:
    if not (extracted.units or extracted.carrier_no or extracted.transaction_id):
        raise invalid(_("the event names no unit"))
    sns = extracted.sns
    if len(set(sns)) < len(sns):
        repeated = sorted({sn for sn in sns if sns.count(sn) > 1}) if len(sns) <= envelope.LARGEST_BATCH else []
        raise invalid(_("named more than once: {sns}").format(sns=", ".join(repeated)))


def _unit(step: StepSnapshot, mapping: StepMapping, report: UnitReport) -> dict[str, Any]:
    unit = {
        "sn": report.sn,
        "position": report.position,
        "result": report.result,
        "values": _values(step, mapping, report.measurements),
    }
    # It is refused only where there is a unit at the position.
    return unit if report.problem is None else {**unit, "code": errors.IngestPayloadInvalid.code}


def _values(step: StepSnapshot, mapping: StepMapping, measured: Sequence[Measurement]) -> dict[str, Any]:
    """Return the values by the names of their specs, as they would be stored; of a spec with several, the list."""
    mapped = measurements.to_readings(mapping, tuple(measured), step, at=_RECEIVED_AT)
    if mapped.misfits:
        raise mapped.misfits[0].error
    judging.check_shape(mapped.readings)
    judged = judging.collect(mapped.readings, step, source="AUTO", default_time=_RECEIVED_AT, lookup=_find_no_specs)
    found: dict[str, list[Any]] = {}
    for value in judged:
        stored = getattr(value.reading, judging.VALUE_FIELDS[value.spec.data_type])
        found.setdefault(value.spec.name, []).append(stored)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _find_no_specs(operation_code: str, readings: Sequence[judging.Reading]) -> list[Any]:
    """What a frozen step binds is all that counts: readings that name nothing of it are left out before."""
    return []
