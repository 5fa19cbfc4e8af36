"""Device data: values for tracks that exist. It writes values; it never creates or moves a track.

The way of an event: decode → resolve the track (one query) → judge by the frozen specs → one statement that claims the
key and writes record, values and message. Only when a value may change the unit's verdict or raises an alarm is a
transaction opened and the unit locked first.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg.types.json import Jsonb

from execution import collecting, values
from execution.happenings import alarm_event, alarm_reason, late_failure_reason
from execution.holding import hold
from execution.models import CarrierTrackUnit, Track, TrackResult
from integration import keys, messages
from integration.models import MessageStatus
from integration.resolving import Target, find_target
from mes import errors
from mes.database.models import IdempotencyKey
from mes.events.outbox import emit
from mes.production.models import Unit
from mes.routing import snapshots
from mes.web import parsing
from mes.web.validators import FIRST_YEAR, LAST_YEAR

KEPT_RAW_BYTES = 64 * 1024

EventId = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
StepNo = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
StationCheck = Callable[[str], None]


class DeviceDataEvent(msgspec.Struct, rename="camel", kw_only=True):
    """The body of one device data event."""

    event_id: EventId
    event_time: Moment
    source: Literal["AUTO", "MANUAL"]
    run_no: str | None = None
    unit_sn: str | None = None
    station_code: str | None = None
    step_no: StepNo | None = None
    track_id: str | None = None
    carrier_track_id: str | None = None
    operation_code: str | None = None
    equipment_id: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    operator_id: Annotated[str, msgspec.Meta(max_length=150)] | None = None
    data: Annotated[list[collecting.Reading], msgspec.Meta(min_length=1)]
    meta: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """The answer to an accepted event. `answer` is the body's `data`; a repeat gets it again as a duplicate."""

    answer: dict[str, Any]
    is_duplicate: bool


# --- receiving ---------------------------------------------------------------------------------------------


def receive(body: bytes, *, system: str, check_station: StationCheck = lambda code: None) -> Received:
    """Apply one event as it came over the wire; keep it as FAILED when it cannot be applied, and raise why.

    `check_station` refuses stations the sender is not meant for. Raises the codes of the contract's device data
    section; a repeat of the same content is answered like the first time.
    """
    try:
        raw = parsing.decode(body)
        event = parsing.decode_as(body, DeviceDataEvent)
        check_event(event)
    except (errors.ParseFailed, errors.ValidationFailed) as error:
        messages.keep_failed(_malformed(body, system=system), error)
        raise
    incoming = messages.Incoming(messages.DEVICE_DATA, event.event_id, system, raw, keys.digest_of(raw))
    return accept(event, incoming, check_station=check_station)


def accept(
    event: DeviceDataEvent, incoming: messages.Incoming, *, check_station: StationCheck = lambda code: None
) -> Received:
    """Apply a decoded event, or keep it as FAILED (or CONFLICT) and raise why."""
    if event.station_code is not None:
        check_station(event.station_code)
    try:
        received = apply(event, incoming, check_station=check_station)
    except errors.EventIdConflict as error:
        messages.log_conflict(incoming, error, at=timezone.now())
        raise
    except errors.DomainError as error:
        messages.keep_failed(incoming, error)
        raise
    if received.is_duplicate:
        messages.log(incoming, MessageStatus.DUPLICATE, at=timezone.now(), record_id=int(received.answer["id"]))
    return received


def apply(
    event: DeviceDataEvent,
    incoming: messages.Incoming,
    *,
    check_station: StationCheck = lambda code: None,
    note: dict[str, Any] | None = None,
) -> Received:
    """Apply an event once, or recognise it as a repeat. With a `note` it is the replay of an open message."""
    try:
        target = find_target(event)
        check_station(target.station_code)
        judged = _judge(event, target)
    except errors.DomainError:
        # What was applied before stays a repeat, though a spec or a clock may have changed since.
        known = _find_known(incoming)
        if known is None:
            raise
        return known
    answer = _write(event, incoming, target, judged, note=note)
    if answer is not None:
        return Received(answer, is_duplicate=False)
    known = _find_known(incoming)
    assert known is not None  # the claim found the key, and keys are not deleted within 400 days
    return known


def check_event(event: DeviceDataEvent) -> None:
    """Raise ValidationFailed for what the decoder cannot tell."""
    problems: dict[str, str] = {}
    if not event.event_id.strip() or not event.event_id.isprintable():
        problems["eventId"] = _("Must not be blank nor contain control characters.")
    if event.source == "MANUAL" and not event.operator_id:
        problems["operatorId"] = _("Required for values typed by hand (source MANUAL).")
    times = {"eventTime": event.event_time}
    times |= {f"data.{index}.collectedAt": at for index, item in enumerate(event.data) if (at := item.collected_at)}
    for path, at in times.items():
        if at.tzinfo is None:
            problems[path] = _("Give the time with its offset from UTC.")
        elif not FIRST_YEAR <= at.year <= LAST_YEAR:
            problems[path] = _("Must lie between the years 1900 and 2200.")
    problems |= _find_target_problems(event)
    if problems:
        raise errors.ValidationFailed(problems)
    collecting.check_shape(event.data)


def _find_target_problems(event: DeviceDataEvent) -> dict[str, str]:
    """A track is named by its id, by its carrier's, or by run, unit, station and step together."""
    if event.track_id is not None and event.carrier_track_id is not None:
        return {"carrierTrackId": _("Give either trackId or carrierTrackId.")}
    if event.track_id is not None or event.carrier_track_id is not None:
        return {}
    named = {
        "runNo": event.run_no,
        "unitSn": event.unit_sn,
        "stationCode": event.station_code,
        "stepNo": event.step_no,
    }
    message = _("Give trackId, carrierTrackId, or all of runNo, unitSn, stationCode and stepNo.")
    return {name: message for name, value in named.items() if value is None}


def _malformed(body: bytes, *, system: str) -> messages.Incoming:
    """Return a message that is not even well-formed, as far as it can be kept."""
    try:
        payload = parsing.decode(body)
    except errors.DomainError:
        payload = {"raw": body[:KEPT_RAW_BYTES].decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")}
    key = payload.get("eventId") if isinstance(payload, dict) else None
    key = key[:200] if isinstance(key, str) and key.isprintable() else ""
    return messages.Incoming(messages.DEVICE_DATA, key, system, payload, hashlib.sha256(body).digest())


# --- judging -----------------------------------------------------------------------------------------------


def _judge(event: DeviceDataEvent, target: Target) -> list[collecting.JudgedValue]:
    _check_times(event, now=timezone.now())
    snapshot = snapshots.load(version_id=target.version_id, digest=target.version_digest)
    step = snapshot.step(target.step_no)
    assert step is not None  # a track is made for a step of its run's frozen route
    return collecting.collect(event.data, step, source=event.source, default_time=event.event_time)


def _check_times(event: DeviceDataEvent, *, now: datetime) -> None:
    latest = max([event.event_time, *(item.collected_at for item in event.data if item.collected_at)])
    if latest > now + settings.MES_CLOCK_SKEW:
        raise errors.EventTimeInFuture(at=latest.isoformat())
    if event.event_time < now - settings.MES_KEY_LIFETIME:
        raise errors.EventTooOld(at=event.event_time.isoformat(), days=settings.MES_KEY_LIFETIME.days)


# --- writing -----------------------------------------------------------------------------------------------

# One statement: claims the key and, only if that succeeded, writes record, values and message. Messages of this key
# that failed before are settled under their own id. An open replay is such a message and gets no second one.
WRITE = f"""
    WITH o AS (
        INSERT INTO mes_idempotencykey (channel, key, digest, record_id, answer, created_at)
        VALUES ('{keys.DEVICE_DATA}', %(key)s, %(digest)s, nextval('integration_devicedatarecord_id_seq'),
                %(answer)s, %(received_at)s)
        ON CONFLICT DO NOTHING RETURNING record_id
    ), record AS (
        INSERT INTO integration_devicedatarecord
               (id, received_at, event_id, event_time, source, run_id, unit_id, station_id, track_id,
                carrier_track_id, step_no, equipment_id, operator_id, data, meta, values_count, judge)
        SELECT o.record_id, %(received_at)s, %(key)s, %(event_time)s, %(source)s, %(run_id)s, %(unit_id)s,
               %(station_id)s, %(track_id)s, %(carrier_track_id)s, %(step_no)s, %(equipment_id)s, %(operator)s,
               %(data)s, %(meta)s, %(values_count)s, %(judge)s
          FROM o
    ), stored AS ({values.INSERT_ROWS}
    ), reopened AS (
        DELETE FROM integration_failedmessage f USING o
         WHERE f.entity_type = '{messages.DEVICE_DATA}' AND f.dedupe_key = %(key)s
        RETURNING f.*
    ), logged AS (
        INSERT INTO integration_settledmessage
               (id, received_at, direction, system, entity_type, business_key, dedupe_key, status, payload,
                error_code, error, count, last_at, record_id, note)
        SELECT nextval('integration_settledmessage_id_seq'), %(received_at)s, 'INBOUND', %(system)s,
               '{messages.DEVICE_DATA}', %(key)s, %(key)s, 'SUCCESS', %(payload)s::jsonb, '', NULL::jsonb, 1,
               %(received_at)s::timestamptz, o.record_id, NULL::jsonb
          FROM o WHERE %(note)s::jsonb IS NULL
        UNION ALL
        SELECT r.id, r.received_at, r.direction, r.system, r.entity_type, r.business_key, r.dedupe_key, 'REPLAYED',
               r.payload, r.error_code, r.error, r.count, %(received_at)s, o.record_id, %(note)s::jsonb
          FROM reopened r CROSS JOIN o
    )
    SELECT record_id FROM o
"""


def _write(
    event: DeviceDataEvent,
    incoming: messages.Incoming,
    target: Target,
    judged: Sequence[collecting.JudgedValue],
    *,
    note: dict[str, Any] | None,
) -> dict[str, Any] | None:
    """Write everything once; return the answer, or None when the key is taken."""
    now = timezone.now()
    answer = _answer(event, target, judged, received_at=now)
    given = _parameters(event, incoming, target, judged, answer=answer, note=note, received_at=now)
    if not any(value.alarmed or value.is_key_failure for value in judged):
        return _insert(given, answer)
    with transaction.atomic():
        units = _lock_units(target)
        written = _insert(given, answer)
        if written is not None:
            _tell(event, target, judged, units)
        return written


def _insert(given: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any] | None:
    with connection.cursor() as cursor:
        cursor.execute(WRITE, given)
        row = cursor.fetchone()
    return None if row is None else {"id": str(row[0]), **answer}


def _parameters(
    event: DeviceDataEvent,
    incoming: messages.Incoming,
    target: Target,
    judged: Sequence[collecting.JudgedValue],
    *,
    answer: dict[str, Any],
    note: dict[str, Any] | None,
    received_at: datetime,
) -> dict[str, Any]:
    return {
        **values.parameters(
            judged,
            owner=target.owner,
            received_at=received_at,
            source=event.source,
            operator=event.operator_id or "",
        ),
        "key": event.event_id,
        "digest": incoming.digest,
        "answer": Jsonb(answer),
        "event_time": event.event_time,
        "equipment_id": event.equipment_id or "",
        "data": Jsonb(incoming.payload["data"]),
        "meta": Jsonb(event.meta),
        "values_count": len(judged),
        "judge": answer["judge"] or "",
        "system": incoming.system,
        "payload": Jsonb(incoming.payload),
        "note": None if note is None else Jsonb(note),
    }


def _answer(
    event: DeviceDataEvent, target: Target, judged: Sequence[collecting.JudgedValue], *, received_at: datetime
) -> dict[str, Any]:
    return {
        "eventId": event.event_id,
        "trackId": None if target.track_id is None else str(target.track_id),
        "carrierTrackId": None if target.carrier_track_id is None else str(target.carrier_track_id),
        "dataValuesCreated": len(judged),
        "receivedAt": received_at.isoformat().replace("+00:00", "Z"),
        "isDuplicate": False,
        "judge": collecting.event_judge(judged),
        "alarms": [
            {
                "specName": value.spec.name,
                "value": value.reading.value_number,
                "min": value.spec.alarm_min,
                "max": value.spec.alarm_max,
                "action": value.spec.alarm_action or "ALARM_ONLY",
            }
            for value in judged
            if value.alarmed
        ],
    }


def _find_known(incoming: messages.Incoming) -> Received | None:
    """Return the answer that this content got before. Raises EventIdConflict when the key has other content.

    A second statement, not the claim's own: at READ COMMITTED it sees the winner of a race, the claim does not.
    """
    key = IdempotencyKey.objects.filter(channel=keys.DEVICE_DATA, key=incoming.key).first()
    if key is None:
        return None
    if bytes(key.digest) != incoming.digest:
        raise errors.EventIdConflict(event_id=incoming.key)
    return Received({"id": str(key.record_id), **key.answer, "isDuplicate": True}, is_duplicate=True)


# --- consequences ------------------------------------------------------------------------------------------


def _lock_units(target: Target) -> list[Unit]:
    """Lock the unit, or every unit of the carrier's pass in one order."""
    if target.unit_id is not None:
        ids = [target.unit_id]
    else:
        passed = CarrierTrackUnit.objects.filter(carrier_track_id=target.carrier_track_id)
        ids = list(passed.values_list("track__unit_id", flat=True))
    return list(Unit.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))


def _tell(
    event: DeviceDataEvent, target: Target, judged: Sequence[collecting.JudgedValue], units: Sequence[Unit]
) -> None:
    """Write the alarms into the outbox and hold the units that a value calls for."""
    emit(
        *(
            alarm_event(
                value,
                key=f"{hashlib.sha256(event.event_id.encode()).hexdigest()}:{index}",
                sn=target.sn,
                run_id=target.run_id,
                track_id=target.track_id,
                carrier_track_id=target.carrier_track_id,
            )
            for index, value in enumerate(judged)
            if value.alarmed
        )
    )
    holding = [value.spec.name for value in judged if value.holds]
    for unit in units if holding else ():
        hold(unit, reason=alarm_reason(holding))
    late = [value.spec.name for value in judged if value.is_key_failure]
    if late and target.track_id is not None and _passed_but_failed(target.track_id):
        for unit in units:
            hold(unit, reason=late_failure_reason(late))


def _passed_but_failed(track_id: int) -> bool:
    """Whether a track closed as PASS whose values, with those just written, say FAIL. Read under the unit's lock."""
    closed = Track.objects.filter(pk=track_id, out_at__isnull=False, result=TrackResult.PASS).exists()
    return closed and values.is_failed_by_data(track_id=track_id)
