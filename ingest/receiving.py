"""Machine events: claimed by their key, applied once, kept with their reason when they cannot be.

Everything an event does commits together with its key: event, tracks, values, unit states, outbox. A refusal rolls all
of it back, key included, and is then kept as REJECTED; sent again, as it was or corrected, it is tried afresh.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.db import DataError, connection, transaction
from django.utils import timezone

from ingest import applying, choosing
from ingest import mapping as mappings
from ingest.applying import StationCheck, step_mismatch
from ingest.envelopes import BATCH_DECODER, EventBatch, Sent, decode, key_in
from ingest.keeping import keep_malformed, list_units_with_earlier, lock_open, upsert_open
from ingest.models import IngestStatus, OpenIngestEvent
from ingest.settling import settle
from mes import errors
from mes.database import sameness
from mes.database.models import IdempotencyKey
from mes.plant.models import StationType
from mes.web import parsing


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event: APPLIED, DUPLICATE or WAITING, and the answer's data."""

    status: str
    answer: dict[str, Any]


class Waits(Exception):
    def __init__(self, choice: choosing.Choice, refusal: errors.StepMismatch) -> None:
        self.choice, self.refusal = choice, refusal


class Overtakes(Exception):
    """An event whose units have earlier events that may be applied by now, but were missed when the way became free."""

    def __init__(self, unit_ids: list[int]) -> None:
        self.unit_ids = unit_ids


def any_station(code: str) -> None:
    """The station check of a sender that may report for every station."""


def receive(body: bytes, *, check_station: StationCheck = any_station) -> Outcome:
    """Apply one event as it came over the wire, or keep it and raise why it cannot be applied.

    Raises the refusals of mapping, choice and guards; DedupeKeyConflict for other content under a used key.
    """
    try:
        sent = decode(body)
    except (errors.ParseFailed, errors.ValidationFailed) as error:
        keep_malformed(body, error)
        raise
    return accept(sent, check_station=check_station)


def receive_batch(
    body: bytes, *, check_station: StationCheck = any_station
) -> list[tuple[str | None, Outcome | errors.DomainError]]:
    """Apply events in order, each by itself; return (key, outcome). Raises what is wrong with all of the body."""
    batch = split_batch(body)
    results: list[tuple[str | None, Outcome | errors.DomainError]] = []
    for raw in batch.events:
        try:
            results.append((key_in(bytes(raw)), receive(bytes(raw), check_station=check_station)))
        except errors.DomainError as error:
            results.append((key_in(bytes(raw)), error))
    return results


def split_batch(body: bytes) -> EventBatch:
    """Return the events of a batch unread, so that what is wrong within one is its own. Raises what is wrong around."""
    try:
        return BATCH_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return parsing.decode_as(body, EventBatch)  # says it as everywhere
    except (errors.ParseFailed, errors.ValidationFailed) as error:
        keep_malformed(body, error)
        raise


def accept(sent: Sent, *, check_station: StationCheck = any_station) -> Outcome:
    """Apply a decoded event once, let it wait, recognise it as a repeat, or keep it as REJECTED and raise why."""
    if sent.envelope.station_code is not None:
        check_station(sent.envelope.station_code)
    try:
        return _attempt_in_turn(sent, check_station=check_station)
    except (errors.DedupeKeyConflict, errors.StationNotAllowed):
        raise
    except errors.DomainError as error:
        return _refuse(sent, error)
    except DataError as error:  # of a kind that no check foresaw: it would be refused for ever
        return _refuse(sent, mappings.invalid(str(error).splitlines()[0]))


def _refuse(sent: Sent, error: errors.DomainError) -> Outcome:
    """Keep a refused event and raise why; when it was accepted by another call meanwhile, answer as that did."""
    known = reject(sent, error)
    if known is None:
        raise error
    return known


def _attempt_in_turn(sent: Sent, *, check_station: StationCheck) -> Outcome:
    """Apply an event after the earlier ones of its units that a process, before it died, left waiting though ready."""
    from ingest.waiting import try_blocked  # knows this module

    try:
        return _attempt(sent, check_station=check_station)
    except Overtakes as overtakes:
        for unit_id in overtakes.unit_ids:
            try_blocked(unit_id)
        return _attempt(sent, check_station=check_station, is_in_turn=True)


def _attempt(sent: Sent, *, check_station: StationCheck, is_in_turn: bool = False) -> Outcome:
    """Claim the key and apply the event in one transaction. Raises Overtakes unless it is known to be its turn."""
    try:
        with transaction.atomic():
            if not _claim(sent):
                return known(sent)
            opened = lock_open(sent)
            check_age(sent)
            repeated = find_tested(sent)
            if repeated is not None:
                return as_repeat(take_answer(sent, repeated, opened))
            choice = choose(sent, check_station=check_station)
            if not is_in_turn and (earlier := list_units_with_earlier(sent, [unit.pk for unit in choice.units])):
                raise Overtakes(earlier)
            repeated = claim_test(sent, choice)
            if repeated is not None:
                return as_repeat(take_answer(sent, repeated, opened))
            applied = applying.apply(sent.said, choice, check_station=check_station)
            answer = settle(sent, applied, opened)
            return Outcome("APPLIED", answer)
    except Waits as wait:
        return _wait(sent, wait)


def _claim(sent: Sent) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mes_idempotencykey (channel, key, digest, answer, created_at) "
            "VALUES (%s, %s, %s, '{}', %s) ON CONFLICT DO NOTHING RETURNING 1",
            [sent.channel, sent.envelope.dedupe_key, sent.digest, timezone.now()],
        )
        return cursor.fetchone() is not None


def known(sent: Sent) -> Outcome:
    """Return the answer this content got before. Raises DedupeKeyConflict for other content."""
    key = IdempotencyKey.objects.get(channel=sent.channel, key=sent.envelope.dedupe_key)
    if bytes(key.digest) != sent.digest:
        raise errors.DedupeKeyConflict(key=sent.envelope.dedupe_key, source_system=sent.envelope.source_system)
    return as_repeat(key.answer)


def as_repeat(answer: Mapping[str, Any]) -> Outcome:
    return Outcome("DUPLICATE", {**answer, "duplicate": True})


def check_age(sent: Sent) -> None:
    """Raise EventTooOld for an event whose key may have been forgotten."""
    at = sent.envelope.occurred_at
    if at < timezone.now() - settings.MES_KEY_LIFETIME:
        raise errors.EventTooOld(at=at.isoformat(), days=settings.MES_KEY_LIFETIME.days)


def choose(sent: Sent, *, check_station: StationCheck) -> choosing.Choice:
    """Choose the step; an event that is ahead of its unit waits where the mapping says so."""
    said = sent.said
    choice = choosing.choose(said)
    if not choice.is_ahead:
        return choice
    station_code = mappings.find_station_code(choice.candidate.mapping, said)
    if station_code is not None:  # it will be applied later without its sender, whose token may be for other stations
        check_station(station_code)
    if choosing.is_stale(choice, said):
        current = min(unit.current_step_no or 0 for unit in choice.units)
        raise errors.StepMismatch(current=current, step_no=choice.step.step_no, missing_steps=[])
    behind = min(choice.units, key=lambda unit: unit.current_step_no or 0)
    refusal = step_mismatch(behind, choice)
    if choice.candidate.mapping.get("waitSeconds", 0) > 0:
        raise Waits(choice, refusal)
    raise refusal


def _digest_of_test(sent: Sent, sns: Sequence[str]) -> bytes:
    """Return what makes two reports of a test result the same: type, units and payload."""
    return sameness.digest_of({"type": sent.envelope.event_type, "sns": list(sns), "payload": sent.envelope.payload})


def find_tested(sent: Sent) -> IdempotencyKey | None:
    """Return the test result that an event repeats under another key, wherever its unit is by now.

    Raises DedupeKeyConflict when other content was reported under the same test result id.
    """
    if sent.envelope.event_type != StationType.TEST:
        return None
    said = sent.said
    for candidate in choosing.find_candidates(said):
        try:
            sns, _carrier = mappings.find_names(candidate.mapping, said)
            test_id = mappings.find_test_result_id(candidate.mapping, said)
        except errors.IngestPayloadInvalid:
            continue
        first = IdempotencyKey.objects.filter(channel=f"{sent.channel}:test", key=test_id).first()
        if first is not None and first.answer["dedupeKey"] != sent.envelope.dedupe_key:
            return _same_test(sent, first, _digest_of_test(sent, sns))
    return None


def _same_test(sent: Sent, first: IdempotencyKey, digest: bytes) -> IdempotencyKey:
    if bytes(first.digest) != digest:
        raise errors.DedupeKeyConflict(key=first.key, source_system=sent.envelope.source_system)
    return first


def claim_test(sent: Sent, choice: choosing.Choice) -> IdempotencyKey | None:
    """Claim the test result's own key; return the first claim when the same result was reported under another key."""
    if "testResultIdPath" not in choice.candidate.mapping:
        return None
    said = sent.said
    sns, _carrier = mappings.find_names(choice.candidate.mapping, said)
    channel, digest = f"{sent.channel}:test", _digest_of_test(sent, sns)
    key = mappings.find_test_result_id(choice.candidate.mapping, said)
    row = IdempotencyKey(channel=channel, key=key, digest=digest, answer={"dedupeKey": sent.envelope.dedupe_key})
    IdempotencyKey.objects.bulk_create([row], ignore_conflicts=True)
    first = IdempotencyKey.objects.select_for_update().get(channel=channel, key=key)
    return None if first.answer["dedupeKey"] == sent.envelope.dedupe_key else _same_test(sent, first, digest)


def take_answer(sent: Sent, first: IdempotencyKey, opened: OpenIngestEvent | None) -> dict[str, Any]:
    """Give a repeat under another key the answer of the first; nothing is left to be done for it."""
    original = IdempotencyKey.objects.get(channel=sent.channel, key=first.answer["dedupeKey"])
    IdempotencyKey.objects.filter(channel=sent.channel, key=sent.envelope.dedupe_key).update(
        answer=original.answer, record_id=original.record_id
    )
    if opened is not None:
        opened.delete()
    return original.answer


def _wait(sent: Sent, wait: Waits) -> Outcome:
    """Keep an event that overtook its predecessor; its key is spent meanwhile, so that a repeat is a duplicate."""
    seconds = wait.choice.candidate.mapping["waitSeconds"]
    with transaction.atomic():
        if not _claim(sent):
            return known(sent)
        now = timezone.now()
        opened = upsert_open(
            sent,
            status=IngestStatus.WAITING,
            wait_until=now + timedelta(seconds=seconds),
            error=wait.refusal,
            choice=wait.choice,
        )
        answer = {"eventId": str(opened.pk), "duplicate": False, "status": IngestStatus.WAITING.value}
        IdempotencyKey.objects.filter(channel=sent.channel, key=sent.envelope.dedupe_key).update(
            answer=answer, record_id=opened.pk
        )
        return Outcome("WAITING", answer)


def reject(sent: Sent, error: errors.DomainError) -> Outcome | None:
    """Keep a refused event with its reason. One refused for its order is tried again when what is missing came.

    The key is held for it, so that an event that another call accepts meanwhile is not kept as refused: returns that.
    """
    is_early = isinstance(error, errors.StepMismatch) and bool(error.details.get("missing_steps"))
    choice = _find_choice(sent) if is_early else None
    with transaction.atomic():
        if not _claim(sent):
            return known(sent)
        upsert_open(
            sent,
            status=IngestStatus.REJECTED,
            wait_until=None,
            error=error,
            choice=choice,
        )
        IdempotencyKey.objects.filter(channel=sent.channel, key=sent.envelope.dedupe_key).delete()
    return None


def _find_choice(sent: Sent) -> choosing.Choice | None:
    try:
        return choosing.choose(sent.said)
    except errors.DomainError:
        return None
