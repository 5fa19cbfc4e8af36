"""The one way of all inbound status: decode, claim the key, let it be applied, log it; all or nothing.

What cannot be applied is kept as FAILED and can be replayed once its cause is mended. A repeat is answered like the
first time; other content under the same id is a conflict. Two of one event at once: the second waits for the first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DataError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from integration import messages
from integration.device_data.service import Received, StationCheck, any_station
from integration.models import FailedMessage
from integration.status.bodies import SolderPasteUsageEvent, StatusEvent
from integration.status.channels import Channel
from mes import errors
from mes.platform.database.models import IdempotencyKey
from mes.platform.http import parsing
from mes.platform.http.envelope import camel_case
from mes.platform.inbound.digest import digest_of
from mes.platform.validators import validate_code, validate_moment
from mes.status_reports.history import Report

ENVELOPE = frozenset(field.name for field in msgspec.structs.fields(StatusEvent))

CLAIM = """
    INSERT INTO mes_idempotencykey (channel, key, digest, answer, created_at)
    VALUES (%s, %s, %s, '{}', %s) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class Decoded:
    """A well-formed event, with the message it came in and what it says beside the envelope."""

    event: StatusEvent
    incoming: messages.Incoming
    content: dict[str, Any]


def receive(channel: Channel, body: bytes, *, system: str, check_station: StationCheck = any_station) -> Received:
    """Apply one report as it came over the wire; keep it as FAILED when it cannot be applied, and raise why.

    Raises ParseFailed, ValidationFailed, StationNotAllowed, EventIdConflict, EventTimeInFuture, EventTooOld, and what
    the channel's subject refuses.
    """
    try:
        decoded = decode(channel, body, system=system)
    except (errors.ParseFailed, errors.ValidationFailed) as error:
        kept = messages.malformed(body, entity_type=channel.kind, system=system, channel=channel.name)
        messages.keep_failed([(kept, error)])
        raise
    check_sender(channel, decoded.event, check_station)
    try:
        received = apply(channel, decoded)
    except errors.EventIdConflict as error:
        messages.log_repeats([], [(decoded.incoming, error)])
        raise
    except errors.DomainError as error:
        messages.keep_failed([(decoded.incoming, error)])
        raise
    if received.is_duplicate:
        messages.log_repeats([(decoded.incoming, received.record_id)], [])
    return received


def replay(channel: Channel, message: FailedMessage, *, by: str, check_station: StationCheck = any_station) -> Received:
    """Apply a kept message as if it were sent now."""
    decoded = decode(channel, msgspec.json.encode(message.payload), system=message.system)
    check_sender(channel, decoded.event, check_station)
    return apply(channel, decoded, note={"replayedBy": by})


def check_sender(channel: Channel, event: StatusEvent, check_station: StationCheck) -> None:
    """Raise StationNotAllowed when the sender is limited to other stations, or the report is about no station."""
    if check_station is not any_station:
        check_station(channel.station(event))


# --- decoding ----------------------------------------------------------------------------------------------


def decode(channel: Channel, body: bytes, *, system: str) -> Decoded:
    """Decode and check one event. Raises ParseFailed, ValidationFailed."""
    payload = parsing.decode(body)
    event = parsing.decode_as(body, channel.body)
    times = _times(event)
    if problems := _find_problems(channel, event, times):
        raise errors.ValidationFailed(problems)
    # Sameness compares instants, however they are written.
    said = {**payload, **{name: at.astimezone(UTC).isoformat() for name, at in times.items()}}
    digest = digest_of(said)
    incoming = messages.Incoming(channel.kind, event.event_id, system, payload, digest, channel.name)
    fields = {camel_case(field.name) for field in msgspec.structs.fields(event) if field.name not in ENVELOPE}
    content = {name: said[name] for name in sorted(fields) if said.get(name) is not None}
    return Decoded(event, incoming, content)


def _times(event: StatusEvent) -> dict[str, datetime]:
    values = {camel_case(name): getattr(event, name) for name in event.__struct_fields__}
    return {name: value for name, value in values.items() if isinstance(value, datetime)}


def _find_problems(channel: Channel, event: StatusEvent, times: Mapping[str, datetime]) -> dict[str, str]:
    """Return what the decoder cannot tell, by field."""
    problems: dict[str, str] = {}
    if not event.event_id.strip() or not event.event_id.isprintable():
        problems["eventId"] = _("Must not be blank nor contain control characters.")
    if event.source == "MANUAL" and not event.operator_id:
        problems["operatorId"] = _("Required for what people report (source MANUAL).")
    checks: list[tuple[str, Callable[[Any], None], Any]] = []
    checks += [(camel_case(name), validate_code, getattr(event, name)) for name in channel.codes]
    checks += [(name, validate_moment, at) for name, at in times.items()]
    for name, check, value in checks:
        try:
            check(value)
        except ValidationError as error:
            problems[name] = " ".join(error.messages)
    return problems or _find_usage_problems(event)


def _find_usage_problems(event: StatusEvent) -> dict[str, str]:
    if not isinstance(event, SolderPasteUsageEvent):
        return {}
    if not any((event.received_at, event.thawed_at, event.issued_at, event.returned_at)):
        return {"issuedAt": _("Give at least one of receivedAt, thawedAt, issuedAt and returnedAt.")}
    if event.issued_at and event.returned_at and event.returned_at < event.issued_at:
        return {"returnedAt": _("Must not lie before issuedAt.")}
    return {}


# --- applying ----------------------------------------------------------------------------------------------


@transaction.atomic
def apply(channel: Channel, decoded: Decoded, *, note: dict[str, Any] | None = None) -> Received:
    """Apply an event once, or recognise it as a repeat. With a `note` it is the replay of an open message.

    Raises EventIdConflict, EventTimeInFuture, EventTooOld, and what the channel's subject refuses.
    """
    event, incoming = decoded.event, decoded.incoming
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [channel.name, incoming.key, incoming.digest, now])
        is_first = cursor.rowcount == 1
    if not is_first:
        return _recognise(channel, incoming)
    _check_times(channel, event, now=now)
    report = Report(
        event_id=event.event_id,
        event_time=event.event_time,
        source=event.source,
        operator_id=event.operator_id or "",
        content=decoded.content,
        meta=event.meta,
    )
    try:
        applied = channel.apply(event, report)
    except DataError as error:
        message = _("The database cannot keep this: {error}").format(error=error)
        raise errors.ValidationFailed({parsing.WHOLE_BODY: message}) from error
    answer = {
        "eventId": event.event_id,
        "receivedAt": now.isoformat().replace("+00:00", "Z"),
        "isDuplicate": False,
        **applied.answer,
    }
    key = IdempotencyKey.objects.filter(channel=channel.name, key=incoming.key)
    key.update(record_id=applied.report_id, answer=answer)
    messages.log_applied(incoming, record_id=applied.report_id, note=note)
    return Received({"id": str(applied.report_id), **answer}, applied.report_id, is_duplicate=False)


def _recognise(channel: Channel, incoming: messages.Incoming) -> Received:
    """Return the answer that the same content got before. A statement of its own: it sees who won the race."""
    key = IdempotencyKey.objects.get(channel=channel.name, key=incoming.key)
    if bytes(key.digest) != incoming.digest:
        raise errors.EventIdConflict(event_id=incoming.key)
    assert key.record_id is not None  # claimed with its report
    return Received({"id": str(key.record_id), **key.answer, "isDuplicate": True}, key.record_id, is_duplicate=True)


def _check_times(channel: Channel, event: StatusEvent, *, now: datetime) -> None:
    told = [event.event_time, *(at for name in channel.past if (at := getattr(event, name)))]
    if max(told) > now + settings.MES_CLOCK_SKEW:
        raise errors.EventTimeInFuture(at=max(told).isoformat())
    if event.event_time < now - settings.MES_KEY_LIFETIME:
        raise errors.EventTooOld(at=event.event_time.isoformat(), days=settings.MES_KEY_LIFETIME.days)
