"""Inbound status: a report is decoded, its key claimed, and it is applied and logged in one transaction.

A repeat is answered like the first time; other content under the same id is a conflict. Two of one report at once: the
second waits for the first.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.db import DataError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from integration.messages import MessageLog
from integration.status.bodies import (
    LotReportEvent,
    MaterialUsesEvent,
    SolderPasteUsageEvent,
    StatusEvent,
    StencilStatusEvent,
)
from integration.status.kinds import StatusKind
from mes import errors
from mes.platform.http import parsing
from mes.platform.http.envelope import camel_case
from mes.platform.inbound import keys
from mes.platform.inbound.digest import digest_of
from mes.platform.inbound.messages import Message, Outcome, Received
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.inbound.sender import Sender
from mes.platform.inbound.times import check_bounds, check_not_ahead
from mes.platform.validators import validate_code, validate_moment, validate_name
from mes.status_reports.history import Report

MOST_PROBLEMS = 50  # of many uses: as many as anybody reads
ENVELOPE = frozenset(field.name for field in msgspec.structs.fields(StatusEvent))


class StatusMessage(Message, frozen=True, gc=False):
    """A well-formed event, with the message it came in and its fields beside the envelope."""

    event: StatusEvent
    content: dict[str, Any]


def check_sender(kind: StatusKind, event: StatusEvent, sender: Sender) -> None:
    """Raise StationNotAllowed when the sender is limited to other stations, or the report is about no station."""
    if sender.is_limited:
        sender.check_station(kind.station(event))


# --- decoding ----------------------------------------------------------------------------------------------


def decode(
    kind: StatusKind, raw: bytes, *, system: str, parse: Callable[[bytes], Any] = parsing.decode
) -> StatusMessage:
    """Decode and check one event. Raises ParseFailed, ValidationFailed."""
    payload = parse(raw)
    event = parsing.convert(payload, kind.body)
    times = _times(event)
    if problems := _find_problems(kind, event, times):
        raise errors.ValidationFailed(problems)
    # Sameness compares instants, however they are written.
    body = {**payload, **{name: at.astimezone(UTC).isoformat() for name, at in times.items()}}
    fields = {camel_case(field.name) for field in msgspec.structs.fields(event) if field.name not in ENVELOPE}
    content = {name: body[name] for name in sorted(fields) if body.get(name) is not None}
    return StatusMessage(event.event_id, digest_of(body), system, payload, event, content)


def _times(event: StatusEvent) -> dict[str, datetime]:
    values = {camel_case(name): getattr(event, name) for name in event.__struct_fields__}
    return {name: value for name, value in values.items() if isinstance(value, datetime)}


def _find_problems(kind: StatusKind, event: StatusEvent, times: Mapping[str, datetime]) -> dict[str, str]:
    """Return what the decoder cannot tell, by field."""
    problems: dict[str, str] = {}
    if not event.event_id.strip() or not event.event_id.isprintable():
        problems["eventId"] = _("Must not be blank nor contain control characters.")
    if event.source == "MANUAL" and not event.operator_id:
        problems["operatorId"] = _("Required for what people report (source MANUAL).")
    checks: list[tuple[str, Callable[[Any], None], Any]] = []
    checks += [(camel_case(name), validate_name, getattr(event, name)) for name in kind.codes]
    checks += [(name, validate_moment, at) for name, at in times.items()]
    for name, check, value in checks:
        try:
            check(value)
        except ValidationError as error:
            problems[name] = " ".join(error.messages)
    found = _find_usage_problems(event) or _find_stencil_problems(event) or _find_lot_problems(event)
    return problems or found or _find_use_problems(event)


def _find_stencil_problems(event: StatusEvent) -> dict[str, str]:
    if not isinstance(event, StencilStatusEvent) or any(
        said is not None for said in (event.status, event.version, event.tension_value, event.last_cleaned_at)
    ):
        return {}
    return {"status": _("Give at least one of status, version, tensionValue and lastCleanedAt.")}


def _find_usage_problems(event: StatusEvent) -> dict[str, str]:
    if not isinstance(event, SolderPasteUsageEvent):
        return {}
    if not any((event.received_at, event.thawed_at, event.issued_at, event.returned_at)):
        return {"issuedAt": _("Give at least one of receivedAt, thawedAt, issuedAt and returnedAt.")}
    if event.issued_at and event.returned_at and event.returned_at < event.issued_at:
        return {"returnedAt": _("Must not lie before issuedAt.")}
    return {}


def _find_lot_problems(event: StatusEvent) -> dict[str, str]:
    if not isinstance(event, LotReportEvent):
        return {}
    is_split = event.kind == "SPLIT"
    problems: dict[str, str] = {}
    if is_split != (event.new_lot_id is not None):
        problems["newLotId"] = _("Needed for SPLIT.") if is_split else _("Only for SPLIT.")
    needs_quantity = is_split or event.kind == "COUNTED"
    if needs_quantity != (event.quantity is not None) or (is_split and not round(Decimal(str(event.quantity or 0)), 4)):
        needed = _("Needed for SPLIT and COUNTED, above 0 for SPLIT.")
        problems["quantity"] = needed if needs_quantity else _("Only for SPLIT and COUNTED.")
    if event.temperature_c is not None and not event.kind.startswith("BAKE"):
        problems["temperatureC"] = _("Only for BAKE_START and BAKE_END.")
    return problems


# A lot may be one that there is, whatever it is called; what makes one asks for more.
_NAMES_OF_USES: Mapping[str, Callable[[str], None]] = {
    "lot_id": validate_name,
    "serial": validate_code,
    "slot": validate_code,
    "ref_des": validate_code,
}


def _find_use_problems(event: StatusEvent) -> dict[str, str]:
    """Return what is wrong with uses of materials, by place: each names one thing, a serial number its material."""
    problems: dict[str, str] = {}
    for number, use in enumerate(event.uses if isinstance(event, MaterialUsesEvent) else ()):
        place = f"uses[{number}]"
        given = [name for name in ("lot_id", "tool_id", "serial") if getattr(use, name) is not None]
        if len(given) != 1:
            problems[place] = _("Name one of lotId, toolId and serial.")
        elif use.serial is not None and use.material_code is None:
            problems[f"{place}.materialCode"] = _("Required with a serial number.")
        for name, check in _NAMES_OF_USES.items():
            try:
                check(getattr(use, name) or "x")
            except ValidationError as error:
                problems[f"{place}.{camel_case(name)}"] = " ".join(error.messages)
    return dict(list(problems.items())[:MOST_PROBLEMS])


# --- applying ----------------------------------------------------------------------------------------------


@transaction.atomic
def apply(kind: StatusKind, message: StatusMessage, log: MessageLog, *, note: dict[str, Any] | None = None) -> Outcome:
    """Apply an event once, or recognise it as a repeat or a conflict. With a `note` it replays an open message.

    Raises EventTimeInFuture, EventTooOld, and what the kind's subject refuses.
    """
    if not keys.claim(kind.name, message.key, message.digest):
        return _recognise(kind, message)
    now = timezone.now()
    _check_times(kind, message.event, now=now)
    try:
        applied = kind.apply(message.event, _report(message))
    except DataError as error:
        reason = _("The database cannot keep this: {error}").format(error=error)
        raise errors.ValidationFailed({parsing.WHOLE_BODY: reason}) from error
    answer = {
        "eventId": message.key,
        "receivedAt": now.isoformat().replace("+00:00", "Z"),
        "isDuplicate": False,
        **applied.answer,
    }
    keys.store_answer(kind.name, message.key, answer, record_id=applied.report_id)
    log.log_applied(message, record_id=applied.report_id, note=note)
    return Received({"id": str(applied.report_id), **answer}, applied.report_id, is_duplicate=False)


def _report(message: StatusMessage) -> Report:
    event = message.event
    return Report(
        event_id=event.event_id,
        event_time=event.event_time,
        source=event.source,
        operator_id=event.operator_id or "",
        content=message.content,
        meta=event.meta,
        recorded_by=message.system,
    )


def _recognise(kind: StatusKind, message: StatusMessage) -> Outcome:
    claimed = keys.find_claimed(kind.name, [message.key])[message.key]
    conflict = errors.EventIdConflict(event_id=message.key)
    return keys.recognise(claimed, message.digest, repeat=_answer_again, conflict=conflict)


def _answer_again(claimed: IdempotencyKey) -> Received:
    assert claimed.record_id is not None  # claimed with its report
    answer = {"id": str(claimed.record_id), **claimed.answer, "isDuplicate": True}
    return Received(answer, claimed.record_id, is_duplicate=True)


def _check_times(kind: StatusKind, event: StatusEvent, *, now: datetime) -> None:
    check_bounds(event.event_time, *_given(event, kind.happened), now=now)
    check_not_ahead(*_given(event, kind.past), now=now)


def _given(event: StatusEvent, names: Sequence[str]) -> list[datetime]:
    return [at for name in names if (at := getattr(event, name)) is not None]
