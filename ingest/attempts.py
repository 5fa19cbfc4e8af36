"""One attempt at a machine event, in one transaction: it is applied, goes on waiting, is recognised or is refused.

Everything an event does commits together with its key: event, tracks, values, unit states, outbox. A refusal rolls all
of it back, key included; `reject` and `give_up` then keep it. What follows a settled event is not known here: see
`processing`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from execution.models import Disposition, DispositionAction
from ingest import keys, left_out, matching, reference_passes, refused_reports, unit_moves
from ingest.candidates import (
    Candidate,
    EventCandidates,
    find_candidates,
    find_candidates_of_own_routes,
    find_candidates_whatever_runs,
)
from ingest.context import EventContext, claim_and_lock, find_repeated_test, load_context, lock
from ingest.envelope import ReceivedEvent, decode
from ingest.mapping.paths import invalid
from ingest.matching import Match
from ingest.models import IngestBase, IngestEvent, IngestStatus, OpenIngestEvent
from ingest.open_events import NOBODY, Against, keep_waiting, lock_open, upsert_open, with_carried_at_receipt
from ingest.reference_passes import list_named
from ingest.settled_events import settle, settle_rest
from mes import errors
from mes.labels import Action, Entity
from mes.platform.database.prepared import fetch_all
from mes.platform.inbound.messages import Received
from mes.platform.inbound.sender import Sender
from mes.platform.inbound.times import check_bounds
from mes.production import locking
from mes.production.identity_models import ReferenceUnit
from mes.production.names import find_names

NEXT_ID = "SELECT nextval('ingest_settledingestevent_id_seq')"


class Answered(Received, frozen=True, gc=False):
    """An event that was applied, waits, or was recognised as a repeat of one of these.

    `transaction_id` is the transaction whose units it names or waits for.
    """

    transaction_id: str | None = None

    @property
    def status(self) -> str:
        """APPLIED, DUPLICATE or WAITING."""
        return "DUPLICATE" if self.is_duplicate else self.answer["status"]


def _answered(answer: dict[str, Any], transaction_id: str | None = None) -> Answered:
    return Answered(answer, int(answer["eventId"]), is_duplicate=False, transaction_id=transaction_id)


class Overtakes(Exception):
    """An event whose units have earlier events that may be applied by now, but were missed when that became so."""

    def __init__(self, unit_ids: list[int]) -> None:
        self.unit_ids = unit_ids


def repeat_of(answer: Mapping[str, Any]) -> Answered:
    """Return how a repeat of what was answered so is answered."""
    return Answered({**answer, "duplicate": True}, int(answer["eventId"]), is_duplicate=True)


def reread(kept: IngestBase) -> ReceivedEvent:
    """Return a kept event as it was received. Raises ParseFailed, ValidationFailed for one that was malformed."""
    decoded = decode(msgspec.json.encode(kept.payload), by=kept.recorded_by, received_at=kept.received_at)
    event = with_carried_at_receipt(kept, decoded)
    return event if kept.dedupe_key == event.key else event.as_new()


# --- a fresh event -----------------------------------------------------------------------------------------


@locking.atomically
def attempt(event: ReceivedEvent, *, sender: Sender, is_in_turn: bool = False) -> Answered | errors.DomainError:
    """Claim the key and apply the event in one transaction. Raises Overtakes unless it is known to be its turn.

    An event that is ahead of its unit is kept in this transaction, while the unit is locked: whoever moves the unit
    next finds it. The refusal of one that may not wait is returned, not raised, so that this commits.
    """
    candidates = find_candidates(event)
    locked = claim_and_lock(event, candidates)
    if locked is None:
        return repeat_of(keys.earlier_answer(event))
    context = load_context(event, candidates, locked)
    first_key = find_repeated_test(event, context)
    if first_key is not None:
        return _answer_like(first_key, event, _lock_kept(event, context))
    if reference_sns := reference_passes.list_only_references(candidates, context.reference_sns):
        return _pass_references(event, reference_sns, candidates, context, sender=sender)
    unopened = matching.find_unopened_transaction(candidates)
    if unopened is not None:
        check_time(unopened)
        check_sender(unopened, sender=sender)
        return _keep_for_transaction(event, unopened, candidates)
    match = matching.find_match(candidates, context.unit_states, context.station_states)
    check_time(match.candidate)
    if match.is_ahead:
        check_sender(match.candidate, sender=sender)
        return _keep_ahead(event, match, candidates, context)
    if not is_in_turn and (unit_ids := _list_units_with_earlier(event, match, context)):
        raise Overtakes(unit_ids)
    return _apply(event, match, context, sender=sender)


def _pass_references(
    event: ReceivedEvent,
    sns: Sequence[str],
    candidates: EventCandidates,
    context: EventContext,
    *,
    sender: Sender,
    waiting: OpenIngestEvent | None = None,
) -> Answered:
    """Settle an event that is about reference units only."""
    reading = next(candidate.reading for candidate in candidates.candidates if candidate.sns)
    open_event = waiting or _lock_kept(event, context)
    try:
        first_key = keys.claim_test(event, reading)
    except errors.IngestPayloadInvalid:  # it has no id that could be read, and nothing is lost by that
        first_key = None
    if first_key is not None:
        return _answer_like(first_key, event, open_event)
    answer = reference_passes.settle(event, sns, candidates, open_event, event_id=context.event_id, sender=sender)
    return _answered(answer)


@locking.atomically
def attempt_references(event: ReceivedEvent, *, sender: Sender) -> Answered | None:
    """Settle an event that no step reads, where it is about reference units only: by whatever mapping finds them, of
    runs that ended and of routes without any, else by its envelope. None where it is about anything else.
    """
    if not ReferenceUnit.objects.exists():
        return None
    candidates = find_candidates_whatever_runs(event)
    named = [*dict.fromkeys(sn for each in candidates.candidates for sn in each.sns)] or list_named(event)
    if not named or not find_names(named).references.issuperset(named):
        return None
    if not keys.claim(event):
        return repeat_of(keys.earlier_answer(event))
    event_id = fetch_all(NEXT_ID, {})[0][0]
    open_event = lock_open(event)
    return _answered(reference_passes.settle(event, named, candidates, open_event, event_id=event_id, sender=sender))


def _lock_kept(event: ReceivedEvent, context: EventContext) -> OpenIngestEvent | None:
    """Lock the event that is kept open under the key of this one; None where there is none."""
    return lock_open(event) if context.is_open else None


def _apply(
    event: ReceivedEvent,
    match: Match,
    context: EventContext,
    *,
    sender: Sender,
    waiting: OpenIngestEvent | None = None,
) -> Answered:
    """Apply an event whose units are at its step, unless the test result it reports was reported before."""
    too_late = find_too_late(match) if event.is_by_itself else {}
    first_key = keys.claim_test(event, match.candidate.reading)
    if first_key is not None:
        return _answer_like(first_key, event, waiting or _lock_kept(event, context))
    event_moves = unit_moves.decide_moves(event, match, context, sender=sender, too_late=too_late)
    open_event = waiting or _lock_kept(event, context)
    event_id = open_event.pk if open_event is not None else context.event_id
    decisions, held_unit_ids = refused_reports.hold_left_out(event, event_moves, event_id=event_id)
    answer = settle(event, event_moves, context, open_event, held_unit_ids=held_unit_ids)
    refused_reports.save(decisions, event_id=event_id)
    return _answered(answer, event_moves.extracted.transaction_id)


def _answer_like(first_key: str, event: ReceivedEvent, open_event: OpenIngestEvent | None) -> Answered:
    """Answer a repeat under another key like the first; nothing is left to be done for it."""
    answer = keys.copy_answer(event, first_key)
    if open_event is not None:
        open_event.delete()
    return repeat_of(answer)


def _list_units_with_earlier(event: ReceivedEvent, match: Match, context: EventContext) -> list[int]:
    """Return the units that have an open event which occurred before this one and which their present step lets in."""
    if not context.blocked_events:
        return []
    step_nos = {state.unit.pk: state.unit.current_step_no or 0 for state in match.units}
    return sorted(
        {
            blocked.unit_id
            for blocked in context.blocked_events
            if not blocked.is_own
            and blocked.step_no <= step_nos.get(blocked.unit_id, -1) <= blocked.last_step_no
            and blocked.occurred_at is not None
            and blocked.occurred_at < event.occurred_at
        }
    )


def check_time(candidate: Candidate) -> None:
    """Raise EventTimeInFuture, EventTooOld for an event by the time that its mapping reads."""
    check_bounds(candidate.reading.occurred_at_or_sent(), now=timezone.now())


def find_too_late(match: Match) -> dict[int, errors.DomainError]:
    """Return why an event that nobody asked for is not applied any more to units that are at its step, by their ids: a
    rework or scrap was decided since it occurred (StepMismatch; a scrap may be undone by now), or they moved on since
    (EventTimeOutOfOrder).

    Of a partial event the others go on.
    """
    at = match.candidate.reading.occurred_at_or_sent()
    step_no = match.step.step_no
    units = [state for state in match.units if match.is_at_step(state)]
    decisions = (DispositionAction.REWORK, DispositionAction.SCRAP)
    decided = Disposition.objects.filter(action__in=decisions, decided_at__gt=at)
    reworked = set(decided.filter(unit__in=[state.unit.pk for state in units]).values_list("unit_id", flat=True))
    too_late: dict[int, errors.DomainError] = {}
    for state in units:
        later = matching.find_later_move(match, state, at, tolerance=settings.MES_RETRY_TOLERANCE)
        if state.unit.pk in reworked:
            too_late[state.unit.pk] = errors.StepMismatch(current=step_no, step_no=step_no, missing_steps=[])
        elif later is not None:
            too_late[state.unit.pk] = errors.EventTimeOutOfOrder(at=at.isoformat(), previous=later.isoformat())
    return too_late


def check_sender(candidate: Candidate, *, sender: Sender) -> None:
    """Raise StationNotAllowed for an event that will be applied later without its sender, whose token may be for other
    stations than the one it reports or, where it reports none, implies.
    """
    if candidate.station_code is not None:
        sender.check_station(candidate.station_code)


# --- keeping what cannot be applied ------------------------------------------------------------------------


def _keep_ahead(
    event: ReceivedEvent, match: Match, candidates: EventCandidates, context: EventContext
) -> Answered | errors.DomainError:
    """Keep an event that overtook its predecessor, in the transaction that claimed its key and holds its units.

    Where its mapping lets it wait, its key is spent meanwhile, so that a repeat is a duplicate; else it is refused. One
    that belongs to an earlier pass of its units can never come right.
    """
    if matching.is_stale(match):
        current = match.hindmost.unit.current_step_no or 0
        raise errors.StepMismatch(current=current, step_no=match.step.step_no, missing_steps=[])
    refusal = match.ahead_error
    seconds = match.mapping.wait_seconds
    if event.is_new:  # a conflict is applied or it stays one
        raise refusal
    if event.is_by_itself and context.is_open and match.candidate.reading.brings_values:
        keys.free(event)  # it stays as it is, found by whoever moves the unit: no pass of it came yet
        return refusal
    if seconds <= 0 and context.has_held:  # it is kept, and found by whoever moves the unit
        raise refusal
    if seconds <= 0:
        keep_rejected(event, refusal, match=match, candidates=candidates)
        return refusal
    return _keep_waiting(event, seconds, error=refusal, match=match, candidates=candidates)


def _keep_for_transaction(event: ReceivedEvent, unopened: Candidate, candidates: EventCandidates) -> Answered:
    """Keep an event that overtook the one that names the units of its transaction."""
    if event.is_new:
        raise _unopened_error(unopened)
    transaction_id = str(unopened.units.transaction_id)
    seconds, error = unopened.mapping.wait_seconds, _unopened_error(unopened)
    return _keep_waiting(event, seconds, error=error, candidates=candidates, transaction_id=transaction_id)


def _unopened_error(unopened: Candidate) -> errors.IngestPayloadInvalid:
    reason = _("no event has named the units of transaction “{id}”")
    return invalid(reason.format(id=unopened.units.transaction_id))


def _keep_waiting(
    event: ReceivedEvent,
    seconds: int,
    *,
    error: errors.DomainError,
    candidates: EventCandidates,
    match: Match | None = None,
    transaction_id: str | None = None,
) -> Answered:
    open_event = upsert_open(
        event,
        status=IngestStatus.WAITING,
        error=error,
        wait_seconds=seconds,
        match=match,
        candidates=candidates,
        transaction_id=transaction_id,
    )
    answered = _waiting(open_event, transaction_id)
    keys.store_answer(event, answered.answer, record_id=open_event.pk)
    return answered


def _waiting(open_event: OpenIngestEvent, transaction_id: str | None = None) -> Answered:
    answer = {"eventId": str(open_event.pk), "duplicate": False, "status": IngestStatus.WAITING.value}
    return _answered(answer, transaction_id)


@locking.atomically
def reject(event: ReceivedEvent, error: errors.DomainError) -> Answered | None:
    """Keep a refused event with its reason, after what it did is rolled back.

    The key is held for it, so that an event that another call accepts meanwhile is not kept as refused: returns that.
    Raises DedupeKeyConflict where that had other content.
    """
    if not keys.claim(event):
        return repeat_of(keys.earlier_answer(event))
    candidates = _find_readable_candidates(event)
    keep_rejected(event, error, match=_find_match_for_order(event, error, candidates), candidates=candidates)
    return None


def keep_conflict(event: ReceivedEvent, error: errors.DomainError) -> Answered | None:
    """Keep an event whose key is spent by other content, under a key of its own: the same again counts up.

    Returns how it is answered where that key is spent, too: somebody took it for a new event, or dismissed it.
    """
    return reject(event.as_new(), error)


@locking.atomically
def keep_unread(event: ReceivedEvent, error: errors.DomainError) -> None:
    """Keep a refused event that could not be kept by what it says: its body and its reason alone."""
    if keys.claim(event):
        keep_rejected(event, error)


def find_forbidden(event: ReceivedEvent, sender: Sender) -> errors.StationNotAllowed | None:
    """Return the refusal of an event of a station that its sender may not speak for: it is not kept and holds nobody.

    Asked for events that were refused before they came to their station.
    """
    candidates = _find_readable_candidates(event) if sender.is_limited else None
    codes = [] if candidates is None else candidates.station_codes
    if not codes or any(code in (sender.stations or ()) for code in codes):
        return None
    return errors.StationNotAllowed(station=codes[0], stations=sorted(sender.stations or ()))


def _find_readable_candidates(event: ReceivedEvent) -> EventCandidates | None:
    """Return the candidates of a refused event, where it has any: where none names a unit, of the units' own routes."""
    try:
        candidates = find_candidates(event)
    except errors.DomainError:
        return find_candidates_of_own_routes(event)
    if any(candidate.sns for candidate in candidates.candidates):
        return candidates
    return find_candidates_of_own_routes(event) or candidates


def _find_match_for_order(
    event: ReceivedEvent, error: errors.DomainError, candidates: EventCandidates | None
) -> Match | None:
    """Return the step that an event is for that was refused for its order, with the units that were left to it."""
    if candidates is None or not (isinstance(error, errors.StepMismatch) and error.details.get("missing_steps")):
        return None
    try:
        context = load_context(event, candidates, None)
        return matching.find_match(candidates, context.unit_states, context.station_states)
    except (errors.DomainError, locking.Outdated):
        return None


def keep_rejected(
    event: ReceivedEvent,
    error: errors.DomainError,
    *,
    match: Match | None = None,
    candidates: EventCandidates | None = None,
) -> None:
    """Keep a refused event whose key is held, and free it. With a `match`, it is tried when what it lacks came.

    A unit of which it says that it failed is held. One that came under a spent key stays a conflict.
    """
    nothing: tuple[list[Disposition], Against] = ([], NOBODY)
    decisions, against = nothing if candidates is None else refused_reports.hold_failing(event, error, candidates)
    status = IngestStatus.CONFLICT if event.is_new else IngestStatus.REJECTED
    open_event = upsert_open(event, status=status, error=error, match=match, candidates=candidates, against=against)
    refused_reports.save(decisions, event_id=open_event.pk)
    keys.free(event)


# --- an event that waits -----------------------------------------------------------------------------------


@locking.atomically
def attempt_waiting(waiting: OpenIngestEvent, event: ReceivedEvent, *, sender: Sender) -> Answered | errors.DomainError:
    """Apply a waiting event, whose key is spent, or let it go on waiting.

    One whose time is over is kept as REJECTED, and its refusal returned, not raised, so that this commits.
    """
    open_event = _lock_waiting(event, record_id=waiting.pk)
    if open_event is None:
        return _settled_meanwhile(event)
    candidates = find_candidates(event)
    context = load_context(event, candidates, lock(candidates))
    is_time_over = is_over(open_event)
    first_key = find_repeated_test(event, context)
    if first_key is not None:
        return _answer_like(first_key, event, open_event)
    if reference_sns := reference_passes.list_only_references(candidates, context.reference_sns):
        return _pass_references(event, reference_sns, candidates, context, sender=sender, waiting=open_event)
    unopened = matching.find_unopened_transaction(candidates)
    if unopened is not None and is_time_over:
        raise _transaction_expired(unopened, open_event)
    if unopened is not None:
        keep_waiting(open_event, _unopened_error(unopened), match=None)
        return _waiting(open_event)
    match = matching.find_match(candidates, context.unit_states, context.station_states)
    if match.is_ahead and not is_time_over:
        check_sender(match.candidate, sender=sender)
        keep_waiting(open_event, match.ahead_error, match=match)
        return _waiting(open_event)
    if match.is_ahead and not match.others_may_go:
        refusal = match.wait_expired(open_event.wait_seconds or 0)
        keep_rejected(event, refusal, match=match, candidates=candidates)
        return refusal
    return _apply(event, match, context, sender=sender, waiting=open_event)


def is_over(waiting: OpenIngestEvent) -> bool:
    """Whether an event has waited as long as it may."""
    return waiting.wait_until is not None and waiting.wait_until <= timezone.now()


@locking.atomically
def give_up(
    event: ReceivedEvent, refusal: errors.DomainError, *, is_readable: bool = True
) -> Answered | errors.DomainError:
    """Keep a waiting event that is refused as REJECTED, and free its key; return how it is answered.

    Where it is not `is_readable`, by its body and its reason alone.
    """
    if _lock_waiting(event) is None:
        return _settled_meanwhile(event)
    keep_rejected(event, refusal, candidates=_find_readable_candidates(event) if is_readable else None)
    return refusal


def _lock_waiting(event: ReceivedEvent, *, record_id: int | None = None) -> OpenIngestEvent | None:
    """Lock the key of a waiting event, then the event; return it, None where it waits no longer."""
    open_event = lock_open(event) if keys.lock(event, record_id=record_id) else None
    return open_event if open_event is not None and open_event.status == IngestStatus.WAITING else None


def _settled_meanwhile(event: ReceivedEvent) -> Answered | errors.DomainError:
    """Return what another call made of a waiting event; one whose key is free again was refused."""
    if keys.is_spent(event):
        return repeat_of(keys.earlier_answer(event))
    return _not_replayable(IngestStatus.REJECTED)


def _not_replayable(status: IngestStatus) -> errors.InvalidTransition:
    return errors.InvalidTransition(action=Action.REPLAY, entity=Entity.INGEST_EVENT, state=status)


def _transaction_expired(unopened: Candidate, open_event: OpenIngestEvent) -> errors.IngestPayloadInvalid:
    reason = _("waited {seconds} s, and no event has named the units of transaction “{id}”")
    return invalid(reason.format(seconds=open_event.wait_seconds or 0, id=unopened.units.transaction_id))


# --- the rest of a partial batch ---------------------------------------------------------------------------


def attempt_rest(listed: IngestEvent, *, sender: Sender, note: Mapping[str, Any] | None = None) -> Answered:
    """Apply the units that an applied partial batch left out and nobody decided about since. Raises InvalidTransition
    where there are none, and what still keeps the last of them out.
    """
    return _attempt_rest(listed, sender, note, present_sns={})


def attempt_held_rest(event_id: int, *, sender: Sender) -> None:
    """Apply, by itself, the units that an applied partial batch left out because of a hold, which went on. Those that
    are refused still are left out for why they are now.
    """
    listed = IngestEvent.objects.filter(pk=event_id).first()
    sns = [] if listed is None else [item["sn"] for item in left_out.list_held(listed.skipped)]
    if listed is None or not sns:
        return
    try:
        _attempt_rest(listed, sender, None, present_sns={}, held_sns=sns)
    except errors.DomainError:
        for sn in sns:  # each for its own reason
            try:
                _attempt_rest(listed, sender, None, present_sns={}, held_sns=[sn])
            except errors.DomainError as error:
                left_out.refuse_held(event_id, error, sns=[sn])


@locking.atomically
def _attempt_rest(
    listed: IngestEvent,
    sender: Sender,
    note: Mapping[str, Any] | None,
    present_sns: dict[str, str],
    held_sns: Sequence[str] | None = None,
) -> Answered:
    """Attempt it, by the present serial numbers that are known of its units; those that turn up are kept for the next
    time. With `held_sns`, which nobody asked for, only of these units, as far as a hold kept them out.
    """
    locked = left_out.lock(listed.pk)
    if locked is None:
        raise _not_replayable(IngestStatus(listed.status))
    partial, settled_event = locked
    event = reread(settled_event)
    event.call_by(present_sns)
    items = left_out.list_open(settled_event.skipped)
    if held_sns is not None:
        items = [item for item in left_out.list_held(items) if item["sn"] in held_sns]
    if not items:
        raise _not_replayable(IngestStatus(listed.status))
    sns = [item["sn"] for item in items if "sn" in item]
    if not sns:
        raise errors.SnUnreadable(sn="", items=[item["item"] for item in items])
    rest = replace(event, body={**event.body, "sn": None, "sns": sns})
    candidates = find_candidates(rest)
    try:
        context = load_context(rest, candidates, lock(candidates))
    except locking.Outdated:
        present_sns.update(rest.present_sns)
        raise
    match = matching.find_match(candidates, context.unit_states, context.station_states)
    if match.is_ahead:
        raise match.ahead_error
    if match.step.step_no != settled_event.step_no:
        raise errors.StepMismatch(current=match.step.step_no, step_no=settled_event.step_no, missing_steps=[])
    too_late = {} if held_sns is None else find_too_late(match)
    event_moves = unit_moves.decide_moves(rest, match, context, sender=sender, rest_of=settled_event, too_late=too_late)
    decisions, held_unit_ids = refused_reports.hold_left_out(event, event_moves, event_id=settled_event.pk)
    answer = settle_rest(event, settled_event, event_moves, note, tried=sns)
    moved = {move.unit.pk for move in event_moves.moves}
    before = () if held_sns is None else (unit_id for unit_id in partial.held_unit_ids if unit_id not in moved)
    left_out.rewrite(partial, settled_event, sorted({*before, *held_unit_ids}))
    refused_reports.save(decisions, event_id=settled_event.pk)
    return _answered(answer)
