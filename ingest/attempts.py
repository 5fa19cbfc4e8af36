"""Machine events: claimed by their key, applied once, kept with their reason when they cannot be.

Everything an event does commits together with its key: event, tracks, values, unit states, outbox. A refusal rolls all
of it back, key included, and is then kept as REJECTED; sent again, as it was or corrected, it is tried afresh.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DataError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from ingest import candidates, matching, unit_moves
from ingest.candidates import Candidate, Meaning, Named
from ingest.context import (
    Scene,
    claim,
    claim_and_lock,
    look,
)
from ingest.envelope import (
    EventBatch,
    Sent,
    decode,
    key_in,
)
from ingest.mapping import extract as mappings
from ingest.models import IngestStatus, OpenIngestEvent
from ingest.open_events import keep_malformed, lock_open, upsert_open
from ingest.settled_events import settle
from ingest.unit_moves import StationCheck
from mes import errors
from mes.platform.database.models import IdempotencyKey
from mes.platform.database.prepared import as_json, fetch_all
from mes.platform.http import parsing
from mes.platform.inbound.digest import digest_of
from mes.production import locking

CLAIM_TEST = """
    INSERT INTO mes_idempotencykey (channel, key, digest, answer, created_at)
    VALUES (%(channel)s, %(key)s, %(digest)s, %(answer)s::jsonb, %(now)s) ON CONFLICT DO NOTHING RETURNING 1
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an event: APPLIED, DUPLICATE or WAITING, and the answer's data."""

    status: str
    answer: dict[str, Any]


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
    results: list[tuple[str | None, Outcome | errors.DomainError]] = []
    for event in split_batch(body):
        try:
            results.append((key_in(event), receive(event, check_station=check_station)))
        except errors.DomainError as error:
            results.append((key_in(event), error))
    return results


def split_batch(body: bytes) -> list[bytes]:
    """Return the events of a batch unread. Raises what is wrong around them."""
    try:
        return parsing.split(body, EventBatch)
    except (errors.ParseFailed, errors.ValidationFailed) as error:
        keep_malformed(body, error)
        raise


def accept(sent: Sent, *, check_station: StationCheck = any_station) -> Outcome:
    """Apply a decoded event once, let it wait, recognise it as a repeat, or keep it as REJECTED and raise why."""
    if sent.envelope.station_code is not None:
        check_station(sent.envelope.station_code)
    try:
        outcome = _attempt_in_turn(sent, check_station=check_station)
    except (errors.DedupeKeyConflict, errors.StationNotAllowed):
        raise
    except errors.DomainError as error:
        return _refuse(sent, error)
    except DataError as error:  # of a kind that no check foresaw: it would be refused for ever
        return _refuse(sent, mappings.invalid(str(error).splitlines()[0]))
    if isinstance(outcome, errors.DomainError):
        raise outcome
    return outcome


def _refuse(sent: Sent, error: errors.DomainError) -> Outcome:
    """Keep a refused event and raise why; when it was accepted by another call meanwhile, answer as that did."""
    known = reject(sent, error)
    if known is None:
        raise error
    return known


def _attempt_in_turn(sent: Sent, *, check_station: StationCheck) -> Outcome | errors.DomainError:
    """Apply an event after the earlier ones of its units that a process, before it died, left waiting though ready."""
    from ingest.waiting import try_blocked  # knows this module

    try:
        return _attempt(sent, check_station=check_station)
    except Overtakes as overtakes:
        for unit_id in overtakes.unit_ids:
            try_blocked(unit_id)
        return _attempt(sent, check_station=check_station, is_in_turn=True)


@locking.atomically
def _attempt(sent: Sent, *, check_station: StationCheck, is_in_turn: bool = False) -> Outcome | errors.DomainError:
    """Claim the key and apply the event in one transaction. Raises Overtakes unless it is known to be its turn.

    An event that is ahead of its unit is kept in this transaction, while the unit is locked: whoever moves the unit
    next finds it. The refusal of one that may not wait is returned, not raised, so that this commits.
    """
    meant = candidates.read(sent)
    locked = claim_and_lock(sent, meant)
    if locked is None:
        return known(sent)
    scene = look(sent, meant, locked)
    opened = lock_open(sent) if scene.is_open else None
    check_age(sent)
    repeated = find_tested(sent, scene)
    if repeated is not None:
        return as_repeat(take_answer(sent, repeated, opened))
    unopened = matching.find_unopened(meant, sent.said)
    if unopened is not None:
        check_sender(sent, unopened.candidate, check_station=check_station)
        return _keep_for_transaction(sent, unopened, meant)
    choice = matching.choose(meant, scene.unit_states, scene.station_states)
    if choice.is_ahead:
        check_sender(sent, choice.candidate, check_station=check_station)
        return _keep_ahead(sent, choice, meant)
    if not is_in_turn and (earlier := list_units_with_earlier(sent, choice, scene)):
        raise Overtakes(earlier)
    repeated = claim_test(sent, choice)
    if repeated is not None:
        return as_repeat(take_answer(sent, repeated, opened))
    applied = unit_moves.apply(sent, choice, scene, check_station=check_station)
    return Outcome("APPLIED", settle(sent, applied, scene, opened))


def list_units_with_earlier(sent: Sent, choice: matching.Choice, scene: Scene) -> list[int]:
    """Return the units that have an open event which occurred before this one and which their present step lets in."""
    if not scene.blocked:
        return []
    steps = {one.unit.pk: one.unit.current_step_no for one in choice.units}
    return sorted(
        {
            one.unit_id
            for one in scene.blocked
            if not one.is_own
            and steps.get(one.unit_id) == one.step_no
            and one.occurred_at is not None
            and one.occurred_at < sent.envelope.occurred_at
        }
    )


def known(sent: Sent) -> Outcome:
    """Return the answer this content got before. Raises DedupeKeyConflict for other content.

    Raises Outdated where the key is free again: the event that waited under it was given up at this moment.
    """
    key = IdempotencyKey.objects.filter(channel=sent.channel, key=sent.envelope.dedupe_key).first()
    if key is None:
        raise locking.Outdated
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


def check_sender(sent: Sent, candidate: Candidate, *, check_station: StationCheck) -> None:
    """Raise StationNotAllowed for an event that will be applied later without its sender, whose token may be for other
    stations than the one it reports or, where it reports none, implies.
    """
    code = mappings.find_station_code(candidate.mapping, sent.said)
    if code is None:
        code = unit_moves.find_implied_station(candidate.step, mappings.find_line_code(candidate.mapping, sent.said))
    if code is not None:
        check_station(code)


# --- test results ------------------------------------------------------------------------------------------


def _digest_of_test(sent: Sent, mapping: Mapping[str, Any]) -> bytes:
    """Return what makes two reports of a test result the same: type, units and payload."""
    sns, _carrier = mappings.find_names(mapping, sent.said)
    return digest_of({"type": sent.envelope.event_type, "sns": list(sns), "payload": sent.envelope.payload})


def find_tested(sent: Sent, scene: Scene) -> str | None:
    """Return the key of the event that reported this test result before, wherever its unit is by now.

    Raises DedupeKeyConflict when other content was reported under the same test result id.
    """
    for first in scene.tested:
        if first.dedupe_key != sent.envelope.dedupe_key:
            digests = {_digest_of_test(sent, one.mapping) for one in scene.testing.get(first.test_id, ())}
            return _same_test(sent, first.test_id, first.dedupe_key, bytes.fromhex(first.digest) in digests)
    return None


def _same_test(sent: Sent, test_id: str, dedupe_key: str, is_same: bool) -> str:
    if not is_same:
        raise errors.DedupeKeyConflict(key=test_id, source_system=sent.envelope.source_system)
    return dedupe_key


def claim_test(sent: Sent, choice: matching.Choice) -> str | None:
    """Claim the test result's own key; return the key of the event that reported the same result before."""
    if "testResultIdPath" not in choice.mapping:
        return None
    test_id, digest = mappings.find_test_result_id(choice.mapping, sent.said), _digest_of_test(sent, choice.mapping)
    answer = {"dedupeKey": sent.envelope.dedupe_key}
    given = {"channel": sent.test_channel, "key": test_id, "digest": digest, "now": timezone.now()}
    if fetch_all(CLAIM_TEST, {**given, "answer": as_json(answer)}):
        return None
    first = IdempotencyKey.objects.select_for_update().get(channel=sent.test_channel, key=test_id)
    if first.answer == answer:
        return None
    return _same_test(sent, test_id, first.answer["dedupeKey"], bytes(first.digest) == digest)


def take_answer(sent: Sent, dedupe_key: str, opened: OpenIngestEvent | None) -> dict[str, Any]:
    """Give a repeat under another key the answer of the first; nothing is left to be done for it."""
    original = IdempotencyKey.objects.get(channel=sent.channel, key=dedupe_key)
    IdempotencyKey.objects.filter(channel=sent.channel, key=sent.envelope.dedupe_key).update(
        answer=original.answer, record_id=original.record_id
    )
    if opened is not None:
        opened.delete()
    return original.answer


# --- keeping -----------------------------------------------------------------------------------------------


def _keep_ahead(sent: Sent, choice: matching.Choice, meant: Meaning) -> Outcome | errors.DomainError:
    """Keep an event that overtook its predecessor, in the transaction that claimed its key and holds its units.

    Where its mapping lets it wait, its key is spent meanwhile, so that a repeat is a duplicate; else it is refused. One
    that belongs to an earlier pass of its units can never come right.
    """
    if matching.is_stale(choice, sent.said):
        current = choice.behind.unit.current_step_no or 0
        raise errors.StepMismatch(current=current, step_no=choice.step.step_no, missing_steps=[])
    refusal = choice.mismatch(choice.behind)
    seconds = choice.mapping.get("waitSeconds", 0)
    if seconds <= 0:
        keep_rejected(sent, refusal, choice=choice, meant=meant)
        return refusal
    return _keep_waiting(sent, seconds, error=refusal, choice=choice, meant=meant)


def _keep_for_transaction(sent: Sent, unopened: Named, meant: Meaning) -> Outcome:
    """Keep an event that overtook the one that names the units of its transaction."""
    from ingest.waiting import try_transaction  # knows this module

    transaction_id, system = str(unopened.transaction_id), sent.envelope.source_system
    refusal = mappings.invalid(_("no event has named the units of transaction “{id}”").format(id=transaction_id))
    seconds = unopened.candidate.mapping["waitSeconds"]
    outcome = _keep_waiting(sent, seconds, error=refusal, meant=meant, transaction_id=transaction_id)
    transaction.on_commit(lambda: try_transaction(system, transaction_id))  # it may have begun at this very moment
    return outcome


def _keep_waiting(sent: Sent, seconds: int, **known_of_it: Any) -> Outcome:
    wait_until = timezone.now() + timedelta(seconds=seconds)
    opened = upsert_open(sent, status=IngestStatus.WAITING, wait_until=wait_until, **known_of_it)
    answer = {"eventId": str(opened.pk), "duplicate": False, "status": IngestStatus.WAITING.value}
    IdempotencyKey.objects.filter(channel=sent.channel, key=sent.envelope.dedupe_key).update(
        answer=answer, record_id=opened.pk
    )
    return Outcome("WAITING", answer)


@locking.atomically
def reject(sent: Sent, error: errors.DomainError) -> Outcome | None:
    """Keep a refused event with its reason, after what it did is rolled back.

    The key is held for it, so that an event that another call accepts meanwhile is not kept as refused: returns that.
    """
    if not claim(sent):
        return known(sent)
    meant = read_again(sent)
    keep_rejected(sent, error, choice=_find_choice(sent, error, meant), meant=meant)
    return None


def read_again(sent: Sent) -> Meaning | None:
    """Return what a refused event may mean, as far as it can be read."""
    try:
        return candidates.read(sent)
    except errors.DomainError:
        return None


def _find_choice(sent: Sent, error: errors.DomainError, meant: Meaning | None) -> matching.Choice | None:
    """Return what an event means that was refused for its order, as far as the units that were left to it."""
    if meant is None or not (isinstance(error, errors.StepMismatch) and error.details.get("missing_steps")):
        return None
    try:
        scene = look(sent, meant, None)
        return matching.choose(meant, scene.unit_states, scene.station_states)
    except (errors.DomainError, locking.Outdated):
        return None


def keep_rejected(
    sent: Sent, error: errors.DomainError, *, choice: matching.Choice | None = None, meant: Meaning | None = None
) -> None:
    """Keep a refused event whose key is held, and free it. With a `choice`, it is tried when what it lacks came."""
    upsert_open(sent, status=IngestStatus.REJECTED, error=error, choice=choice, meant=meant)
    IdempotencyKey.objects.filter(channel=sent.channel, key=sent.envelope.dedupe_key).delete()
