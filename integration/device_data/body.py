"""The body of device data: decoded once, checked for what a decoder cannot tell."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from msgspec.structs import replace

from integration.counts import body as counts_body
from integration.counts.body import Production
from mes import errors
from mes.platform.http import parsing
from mes.platform.inbound.digest import digest_of
from mes.platform.inbound.keys import key_of_source
from mes.platform.inbound.messages import Message
from mes.platform.inbound.sources import SourceClock, clock_of
from mes.platform.validators import CODE_LENGTH, validate_code, validate_moment
from mes.routing import judging

LARGEST_BATCH = 1000

LONGEST_KEY = 200
EventId = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KEY)]
Name = Annotated[str, msgspec.Meta(max_length=500)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
StepNo = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class DeviceDataEvent(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """The body of one device data event: with `data` for a track, or with `production` of a machine for a run."""

    event_id: EventId
    event_time: Moment
    source: Literal["AUTO", "MANUAL"]
    run_no: Name | None = None
    unit_sn: Name | None = None
    station_code: Name | None = None
    step_no: StepNo | None = None
    track_id: Name | None = None
    carrier_track_id: Name | None = None
    operation_code: Name | None = None
    equipment_id: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    operator_id: Annotated[str, msgspec.Meta(max_length=150)] | None = None
    data: Annotated[list[judging.Reading], msgspec.Meta(min_length=1, max_length=judging.MOST_READINGS)] | None = None
    production: Production | None = None
    source_system: Annotated[str, msgspec.Meta(max_length=CODE_LENGTH)] | None = None
    meta: dict[str, Any] | None = None


class DeviceDataMessage(Message, frozen=True, gc=False):
    """A well-formed event, with the message it came in."""

    event: DeviceDataEvent


def decode_event(
    raw: bytes, *, system: str, parse: Callable[[bytes], Any] = parsing.decode, needs_production: bool = False
) -> DeviceDataMessage:
    """Decode and check one event. Raises ParseFailed, ValidationFailed."""
    payload = parse(raw)
    event = parsing.convert(payload, DeviceDataEvent)
    if needs_production and event.production is None:
        raise errors.ValidationFailed({"production": _("Required for production counts.")})
    check_event(event)
    _put_right(event, clock_of(event.source_system))
    key = key_of_source(event.source_system, event.event_id)
    return DeviceDataMessage(key, digest_of(payload), system, msgspec.Raw(raw), event)


def _put_right(event: DeviceDataEvent, clock: SourceClock) -> None:
    """Replace every time that the event says by the instant that it means; the payload keeps what was said."""
    if not clock.correction:
        return
    event.event_time = clock.correct(event.event_time)
    event.data = event.data and [
        reading if reading.collected_at is None else replace(reading, collected_at=clock.correct(reading.collected_at))
        for reading in event.data
    ]
    if (production := event.production) is not None:
        production.window_start = clock.correct(production.window_start)
        production.window_end = clock.correct(production.window_end)


def check_event(event: DeviceDataEvent) -> None:
    """Raise ValidationFailed for what the decoder cannot tell."""
    problems: dict[str, str] = {}
    if not event.event_id.strip() or not event.event_id.isprintable():
        problems["eventId"] = _("Must not be blank nor contain control characters.")
    problems |= _find_source_problems(event)
    if event.source == "MANUAL" and not event.operator_id:
        problems["operatorId"] = _("Required for values typed by hand (source MANUAL).")
    if message := _find_fault(event.event_time):
        problems["eventTime"] = message
    readings: Sequence[judging.Reading] = event.data or ()
    for index, reading in enumerate(readings):
        at = reading.collected_at
        if at is not None and at != event.event_time and (message := _find_fault(at)):
            problems[f"data.{index}.collectedAt"] = message
    if content_problems := _find_content_problems(event):
        problems |= content_problems
    if problems:
        raise errors.ValidationFailed(problems)
    judging.check_shape(readings)


def _find_source_problems(event: DeviceDataEvent) -> dict[str, str]:
    if event.source_system is None:
        return {}
    try:
        validate_code(event.source_system)
    except ValidationError as error:
        return {"sourceSystem": " ".join(error.messages)}
    most = LONGEST_KEY - len(key_of_source(event.source_system, ""))
    if len(event.event_id) > most:
        return {"eventId": _("With this sourceSystem it may have %(most)d characters.") % {"most": most}}
    return {}


def _find_fault(at: datetime) -> str:
    """Return what is wrong with a time, "" if nothing is."""
    try:
        validate_moment(at)
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def _find_content_problems(event: DeviceDataEvent) -> dict[str, str]:
    """Values belong to a track, counts to a machine; an event brings the one or the other."""
    if event.production is None:
        problems = _find_target_problems(event)
        return problems if event.data else {"data": _("Required, unless there is production."), **problems}
    if event.data:
        return {"production": _("Give either data or production.")}
    return dict(_find_count_problems(event, event.production))


def _find_count_problems(event: DeviceDataEvent, production: Production) -> Iterator[tuple[str, str]]:
    """Counts belong to a machine at a station; they name no unit and no track."""
    needed = {"stationCode": event.station_code}
    foreign = {"unitSn": event.unit_sn, "trackId": event.track_id, "carrierTrackId": event.carrier_track_id}
    yield from ((name, _("Required for production counts.")) for name, value in needed.items() if value is None)
    yield from ((name, _("Not with production counts.")) for name, value in foreign.items() if value is not None)
    if (name := event.equipment_id) is not None and (not name.isprintable() or name != name.strip()):
        yield "equipmentId", _("Must not contain control characters nor have blank ends.")
    yield from ((f"production.{field}", message) for field, message in counts_body.find_problems(production))


def _find_target_problems(event: DeviceDataEvent) -> dict[str, str]:
    """A track is named by its id, by its carrier's, or by unit, station and step together, of a run or of any."""
    if event.track_id is not None and event.carrier_track_id is not None:
        return {"carrierTrackId": _("Give either trackId or carrierTrackId.")}
    if event.track_id is not None or event.carrier_track_id is not None:
        return {}
    if None not in (event.unit_sn, event.station_code, event.step_no):
        return {}
    named = {
        "unitSn": event.unit_sn,
        "stationCode": event.station_code,
        "stepNo": event.step_no,
    }
    message = _("Give trackId, carrierTrackId, or all of unitSn, stationCode and stepNo.")
    return {name: message for name, value in named.items() if value is None}
