"""The events that execution writes into the outbox."""

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from execution.models import Track
from mes.platform.outbox.emit import NewEvent, short_key
from mes.platform.outbox.models import EventType
from mes.production.models import Run, Unit, UnitStatus
from mes.routing.judging import JudgedValue
from mes.routing.snapshots import StepSnapshot


def track_event(
    event_type: EventType,
    track: Track,
    *,
    unit: Unit,
    run: Run,
    step: StepSnapshot,
    is_reviewed: bool = False,
    strokes: int = 1,
) -> NewEvent:
    """Return the TRACK_IN or TRACK_OUT of a track. With `is_reviewed`, the TRACK_OUT that a review puts in place of the
    one there was, which it names. `strokes` are those of its tools: several units of one print have one together.
    """
    key = f"{event_type.value.lower().replace('_', '-')}:{track.pk}"
    return NewEvent(
        event_type=event_type,
        key=f"{key}:review" if is_reviewed else key,
        entity_type="UNIT",
        entity_id=unit.sn,
        occurred_at=track.out_at if event_type == EventType.TRACK_OUT and track.out_at else track.in_at,
        run_id=run.pk,
        payload={
            "trackId": str(track.pk),
            "sn": unit.sn,
            "runNo": run.run_no,
            "lineId": run.line_id,
            "stationId": track.station_id,
            "stepNo": track.step_no,
            "operationCode": step.operation_code,
            "operationKind": step.operation_kind,
            "attempt": track.attempt,
            "source": track.source,
            "result": track.result or None,
            **({"strokes": 0 if is_reviewed else strokes} if event_type == EventType.TRACK_OUT else {}),
            **({"supersedes": key} if is_reviewed else {}),
            **({"isFinished": True} if unit.status == UnitStatus.DONE else {}),
        },
    )


def alarm_event(
    value: JudgedValue,
    *,
    key: str,
    sn: str | None,
    run_id: int,
    track_id: int | None = None,
    carrier_track_id: int | None = None,
) -> NewEvent:
    """Return the DATA_ALARM of a value outside its alarm band. `key` names the event the value came with."""
    return NewEvent(
        event_type=EventType.DATA_ALARM,
        key=short_key(f"alarm:{key}"),
        entity_type="UNIT" if sn else "CARRIER_TRACK",
        entity_id=sn or str(carrier_track_id),
        occurred_at=value.collected_at,
        run_id=run_id,
        payload={
            "trackId": None if track_id is None else str(track_id),
            "carrierTrackId": None if carrier_track_id is None else str(carrier_track_id),
            "sn": sn,
            "specName": value.spec.name,
            "value": value.reading.value_number,
            "unit": value.spec.unit,
            "min": value.spec.alarm_min,
            "max": value.spec.alarm_max,
            "action": value.spec.alarm_action or "ALARM_ONLY",
        },
    )


def defect_event(unit_id: int, *, found: str, at: datetime) -> NewEvent:
    """Return the DEFECT_FOUND of a unit on which defects were found otherwise than by its move; `found` names by what,
    once.
    """
    return NewEvent(
        event_type=EventType.DEFECT_FOUND,
        key=f"defect-found:{found}",
        entity_type="UNIT_ID",
        entity_id=str(unit_id),
        occurred_at=at,
        payload={"unitId": str(unit_id)},
    )


def alarm_reason(names: Sequence[str]) -> str:
    """Return the reason of a hold that an alarm causes."""
    return _("Alarm: %(names)s outside the alarm band") % {"names": ", ".join(names)}


def late_failure_reason(names: Sequence[str]) -> str:
    """Return the reason of a hold by a KEY value that failed after its track had passed."""
    return _("Late data: %(names)s failed after the step was passed") % {"names": ", ".join(names)}
