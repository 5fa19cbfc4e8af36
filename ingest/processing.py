"""Trying kept events again: as a replay, or because what they waited for came."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
from django.db import DataError
from django.utils import timezone
from django.utils.translation import gettext as _

from ingest import candidates, matching, unit_moves
from ingest.attempts import (
    Outcome,
    accept,
    any_station,
    as_repeat,
    check_sender,
    claim_test,
    find_tested,
    keep_rejected,
    known,
    read_again,
    take_answer,
)
from ingest.candidates import Named
from ingest.context import look
from ingest.envelope import Sent, decode
from ingest.mapping import extract as mappings
from ingest.models import IngestEvent, IngestStatus, OpenIngestEvent, SettledIngestEvent
from ingest.open_events import as_it_was, blocked_by, lock_open
from ingest.settled_events import settle, settle_rest
from ingest.unit_moves import StationCheck
from mes import errors
from mes.labels import Action, Entity
from mes.platform.database.models import IdempotencyKey
from mes.platform.http.whole_numbers import LARGEST
from mes.production import locking


def retry(event_id: int, *, check_station: StationCheck = any_station) -> Outcome:
    """Try an open event again, as a replay, or because what it waited for came.

    Of an applied partial batch, the units it left out are tried. Raises IngestEventNotFound, InvalidTransition for one
    that is settled, and what still keeps it from being applied.
    """
    opened = OpenIngestEvent.objects.filter(pk=event_id).first() if event_id <= LARGEST else None
    if opened is None:
        settled = IngestEvent.objects.filter(pk=event_id).first() if event_id <= LARGEST else None
        if settled is None:
            raise errors.IngestEventNotFound(code=event_id)
        return _retry_rest(settled, check_station=check_station)
    sent = as_it_was(opened, decode(msgspec.json.encode(opened.payload)))
    if opened.status == IngestStatus.WAITING:
        return _retry_waiting(opened, sent, check_station=check_station)
    return accept(sent, check_station=check_station)


def _retry_waiting(opened: OpenIngestEvent, sent: Sent, *, check_station: StationCheck) -> Outcome:
    """Try a waiting event, whose key is spent: it is applied, goes on waiting, or is rejected and its key freed."""
    try:
        outcome = _attempt_waiting(opened, sent, check_station=check_station)
    except errors.DomainError as error:
        outcome = _give_up(sent, error)
    except DataError as error:
        outcome = _give_up(sent, mappings.invalid(str(error).splitlines()[0]))
    if isinstance(outcome, errors.DomainError):
        raise outcome
    return outcome


@locking.atomically
def _attempt_waiting(
    opened: OpenIngestEvent, sent: Sent, *, check_station: StationCheck
) -> Outcome | errors.DomainError:
    keys = IdempotencyKey.objects.select_for_update()
    key = keys.filter(channel=sent.channel, key=sent.envelope.dedupe_key, record_id=opened.pk)
    locked = lock_open(sent) if key.exists() else None
    if locked is None or locked.status != IngestStatus.WAITING:
        return _settled_meanwhile(sent)
    meant = candidates.read(sent)
    scene = look(sent, meant, locking.lock(meant.sns, run_no=meant.run_no))
    is_over = locked.wait_until is not None and locked.wait_until <= timezone.now()
    repeated = find_tested(sent, scene)
    if repeated is not None:
        return as_repeat(take_answer(sent, repeated, locked))
    waits = Outcome("WAITING", {"eventId": str(opened.pk), "duplicate": False, "status": "WAITING"})
    unopened = matching.find_unopened(meant, sent.said)
    if unopened is not None and not is_over:
        return waits
    if unopened is not None:
        raise _waited_for_transaction(unopened)
    choice = matching.choose(meant, scene.unit_states, scene.station_states)
    if choice.is_ahead and not is_over:
        check_sender(sent, choice.candidate, check_station=check_station)
        _wait_for(locked, choice)
        return waits
    if choice.is_ahead:
        refusal = choice.wait_expired(choice.mapping["waitSeconds"])
        keep_rejected(sent, refusal, choice=choice, meant=meant)
        return refusal
    repeated = claim_test(sent, choice)
    if repeated is not None:
        return as_repeat(take_answer(sent, repeated, locked))
    applied = unit_moves.apply(sent, choice, scene, check_station=check_station)
    return Outcome("APPLIED", settle(sent, applied, scene, locked))


@locking.atomically
def _give_up(sent: Sent, refusal: errors.DomainError) -> Outcome | errors.DomainError:
    """Keep a waiting event that is refused as REJECTED, and free its key; return how it is answered."""
    key = IdempotencyKey.objects.select_for_update().filter(channel=sent.channel, key=sent.envelope.dedupe_key)
    locked = lock_open(sent) if key.exists() else None
    if locked is None or locked.status != IngestStatus.WAITING:
        return _settled_meanwhile(sent)
    keep_rejected(sent, refusal, meant=read_again(sent))
    return refusal


def _settled_meanwhile(sent: Sent) -> Outcome | errors.DomainError:
    """Return what another call made of a waiting event; one whose key is free again was refused."""
    if IdempotencyKey.objects.filter(channel=sent.channel, key=sent.envelope.dedupe_key).exists():
        return known(sent)
    return errors.InvalidTransition(action=Action.REPLAY, entity=Entity.INGEST_EVENT, state=IngestStatus.REJECTED)


def _waited_for_transaction(unopened: Named) -> errors.IngestPayloadInvalid:
    reason = _("waited {seconds} s, and no event has named the units of transaction “{id}”")
    seconds = unopened.candidate.mapping["waitSeconds"]
    return mappings.invalid(reason.format(seconds=seconds, id=unopened.transaction_id))


def _wait_for(opened: OpenIngestEvent, choice: matching.Choice) -> None:
    """Let an event of several units wait for the one that is furthest behind now."""
    OpenIngestEvent.objects.filter(pk=opened.pk).update(**blocked_by(choice))


@locking.atomically
def _retry_rest(event: IngestEvent, *, check_station: StationCheck) -> Outcome:
    """Apply the units that an applied partial batch left out. Raises what still keeps the last of them out."""
    rows = SettledIngestEvent.objects.select_for_update(no_key=True)
    settled = rows.get(pk=event.pk, received_at=event.received_at)
    if not settled.skipped:
        raise errors.InvalidTransition(
            action=Action.REPLAY, entity=Entity.INGEST_EVENT, state=IngestStatus(settled.status)
        )
    whole = as_it_was(settled, decode(msgspec.json.encode(settled.payload)))
    rest = replace(whole, body={**whole.body, "sn": None, "sns": [one["sn"] for one in settled.skipped]})
    meant = candidates.read(rest)
    scene = look(rest, meant, locking.lock(meant.sns, run_no=meant.run_no))
    choice = matching.choose(meant, scene.unit_states, scene.station_states)
    if choice.is_ahead:
        raise choice.mismatch(choice.behind)
    if choice.step.step_no != settled.step_no:
        raise errors.StepMismatch(current=choice.step.step_no, step_no=settled.step_no, missing_steps=[])
    applied = unit_moves.apply(rest, choice, scene, check_station=check_station, rest_of=settled)
    return Outcome("APPLIED", settle_rest(whole, settled, applied))


def list_ready(unit_id: int) -> Sequence[int]:
    """Return the open events that a unit's present step lets be tried, in order of occurrence."""
    return list(
        OpenIngestEvent.objects.filter(blocked_unit_id=unit_id)
        .extra(where=["blocked_step_no = (SELECT current_step_no FROM mes_unit WHERE mes_unit.id = blocked_unit_id)"])
        .order_by("occurred_at", "id")
        .values_list("pk", flat=True)[:100]
    )
