"""Machine events from receipt to their end: accepted once, tried again when what they wait for came, and by the clock.

What follows a settled event is scheduled here, after its commit: events that waited for the move of a unit, or for
an event that names the units of a transaction.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, transaction
from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone
from django.utils.translation import gettext as _

from ingest import attempts, dismissing, left_out
from ingest.attempts import Answered, Overtakes
from ingest.envelope import LARGEST_BATCH, ReceivedEvent, decode
from ingest.mapping.paths import invalid
from ingest.matching import UNDER_WAY
from ingest.models import IngestEvent, IngestStatus, OpenIngestEvent, PartialIngestEvent, SettledIngestEvent
from ingest.open_events import count_up, keep_failure, keep_malformed
from ingest.transitions import INGEST_EVENT
from mes import errors
from mes.labels import Action, Entity
from mes.platform import metrics
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.envelope import is_worth_a_retry
from mes.platform.inbound import keys
from mes.platform.inbound.channels import Channel, Parse
from mes.platform.inbound.messages import KeptRefusal, Outcome, Received, key_in
from mes.platform.inbound.sender import Sender
from mes.platform.sweeps import describe_error, is_connection_lost
from mes.production.hold_models import Hold, HoldScope, HoldStatus
from mes.production.models import Run, RunStatus, Unit

logger = structlog.get_logger(__name__)
_running = threading.local()

SYSTEM = Sender("system")  # tries kept events again by itself
CATCH_UP_LIMIT = 500
MOST_FOLLOWERS = 100
RUNS_ON = (RunStatus.PREP, RunStatus.AUTHORIZED, RunStatus.IN_PROGRESS)
MOST_TRANSFERRED = 1000  # events of units that went into another run
IS_OPENED = Exists(
    SettledIngestEvent.objects.filter(
        source_system=OuterRef("source_system"), transaction_id=OuterRef("transaction_id")
    ).exclude(transaction_id="")
)


# --- receiving ---------------------------------------------------------------------------------------------


class MachineEventLog:
    """Keeps what cannot be applied as open events; a repeat leaves no trace."""

    def keep_malformed(self, malformed: Sequence[tuple[bytes, errors.DomainError]], sender: Sender) -> list[str | None]:
        """Keep bodies that are not well-formed; return the keys they carry, as far as these can be read."""
        for raw, error in malformed:
            keep_malformed(raw, error, by=sender.system)
        return [key_in(raw, "dedupeKey") for raw, _error in malformed]

    def keep_refused(self, refused: Sequence[tuple[ReceivedEvent, errors.DomainError]]) -> list[Outcome]:
        """Keep refused events; one that another call accepted meanwhile is answered as that did."""
        return [_keep(event, error) for event, error in refused]

    def keep_conflicts(self, conflicts: Sequence[tuple[ReceivedEvent, errors.KeyConflict]]) -> list[Outcome]:
        """Keep events whose keys are spent by other content; those that were decided before are duplicates."""
        return [_keep_conflict(event, conflict) for event, conflict in conflicts]

    def log_repeats(self, duplicates: Sequence[tuple[ReceivedEvent, Received]]) -> None:
        """Keep nothing."""


class MachineEventChannel(Channel[ReceivedEvent]):
    """Takes in machine events; of a batch one after the other, as each may move the unit that the next is for.

    An event that overtook another waits for it: it is taken in, and answered by that.
    """

    name = "machine-events"
    log = MachineEventLog()
    largest_batch = LARGEST_BATCH
    is_sequential = True

    @property
    def size_limit(self) -> int:
        """As much as a batch: some machines report a whole log, or pictures, at once."""
        return settings.MES_BATCH_BODY_LIMIT

    def decode(self, raw: bytes, sender: Sender, parse: Parse) -> ReceivedEvent:
        """Return the event of a body."""
        return decode(raw, parse, by=sender.system)

    def apply(self, messages: Sequence[ReceivedEvent], sender: Sender) -> list[Outcome | KeptRefusal]:
        """Apply events, let them wait, or recognise them."""
        return [_apply(event, sender) for event in messages]

    def accept_in_turn(self, messages: Sequence[ReceivedEvent], sender: Sender) -> list[Outcome]:
        """Accept events one after the other. Those that were settled before are recognised together, by one statement;
        what is settled in this call is recognised by none.
        """
        settled = _find_settled(messages)
        outcomes: list[Outcome] = []
        repeats = 0
        for event in messages:
            answer = settled.get(_identity(event)) if _may_be_sent(event, sender) else None
            if answer is not None:
                outcomes.append(attempts.repeat_of(answer))
                repeats += 1
                continue
            [outcome] = self.accept([event], sender)
            outcomes.append(outcome)
            if isinstance(outcome, Answered) and outcome.answer["status"] != IngestStatus.WAITING:
                settled[_identity(event)] = outcome.answer
        if repeats:
            metrics.count_messages(self.name, sender.system, "duplicate", repeats)
        return outcomes


CHANNEL = MachineEventChannel()
_Claimed = tuple[datetime, int]  # when an event occurred, and its id
_Identity = tuple[str, str, bytes]  # channel, key and digest


def _identity(event: ReceivedEvent) -> _Identity:
    return event.channel, event.key, event.digest


def _find_settled(events: Sequence[ReceivedEvent]) -> dict[_Identity, Mapping[str, Any]]:
    """Return how those events are answered that were applied or dismissed before; what waits may move any moment."""
    claimed = keys.find_claimed_in((event.channel, event.key) for event in events)
    found = {}
    for event in events:
        key = claimed.get((event.channel, event.key))
        if key is None or bytes(key.digest) != event.digest or not key.answer:
            continue
        if key.answer["status"] != IngestStatus.WAITING:
            found[_identity(event)] = key.answer
    return found


def _may_be_sent(event: ReceivedEvent, sender: Sender) -> bool:
    code = event.envelope.station_code
    return sender.stations is None or code is None or code in sender.stations


def _keep(event: ReceivedEvent, error: errors.DomainError) -> Outcome:
    """Keep a refused event; return how it is answered. Where its content cannot be kept, its body is, alone."""
    try:
        return attempts.reject(event, error) or error
    except errors.KeyConflict as conflict:
        return _keep_conflict(event, conflict)
    except Exception as failure:
        if is_worth_a_retry(failure):
            raise
        logger.exception("a refused machine event was kept unread", key=event.key)
        attempts.keep_unread(event, error)
        return error


def _keep_conflict(event: ReceivedEvent, conflict: errors.KeyConflict) -> Outcome:
    """Keep an event whose key is spent by other content; one that was decided before is a duplicate."""
    return attempts.keep_conflict(event, conflict) or conflict


def _apply(event: ReceivedEvent, sender: Sender) -> Outcome | KeptRefusal:
    try:
        if event.envelope.station_code is not None:
            sender.check_station(event.envelope.station_code)
        answered = _attempt_in_turn(event, sender)
    except errors.DomainError as error:
        if _may_be_of_references(error) and (passed := attempts.attempt_references(event, sender=sender)) is not None:
            _follow(event, passed)
            return passed
        forbidden = attempts.find_forbidden(event, sender)
        if forbidden is None and not isinstance(error, errors.KeyConflict) and count_up(event, error):
            return KeptRefusal(error)
        return forbidden or error
    except (DataError, IntegrityError) as error:
        return _unstorable(error)
    if isinstance(answered, errors.DomainError):
        return KeptRefusal(answered)
    _follow(event, answered)
    return answered


def _may_be_of_references(error: errors.DomainError) -> bool:
    """Whether an event was refused before it was known what it is about."""
    return isinstance(error, errors.IngestMappingMissing | errors.IngestPayloadInvalid | errors.RunNotFound)


def _unstorable(error: DatabaseError) -> errors.DomainError:
    """Return the refusal of what no check foresaw and the database cannot keep. Raises what a repeat may mend."""
    if is_worth_a_retry(error):
        raise error
    return invalid(str(error).splitlines()[0])


def _attempt_in_turn(event: ReceivedEvent, sender: Sender) -> Answered | errors.DomainError:
    """Apply an event after the earlier ones of its units that a process, before it died, left waiting though ready."""
    try:
        return attempts.attempt(event, sender=sender)
    except Overtakes as overtakes:
        for unit_id in overtakes.unit_ids:
            try_blocked(unit_id)
        return attempts.attempt(event, sender=sender, is_in_turn=True)


def _follow(event: ReceivedEvent, answered: Answered) -> None:
    """Schedule what follows an event after its commit."""
    if answered.transaction_id is not None:
        follow = partial(try_transaction, event.envelope.source_system, answered.transaction_id)
        transaction.on_commit(follow, robust=True)


# --- trying again ------------------------------------------------------------------------------------------


def replay(event_id: int, *, sender: Sender, as_new: bool = False, reason: str = "") -> Answered:
    """Try a kept event again because somebody asks for it: by the ordinary guards. It keeps who that was, and why.

    A conflict is applied `as_new` only, under a key of its own. Raises what `retry` raises, and ApplyingFailed where it
    fails in a way nobody foresaw, which is kept with an open event.
    """
    note = {"replayedBy": sender.system, "reason": reason} if reason else {"replayedBy": sender.system}
    try:
        return retry(event_id, sender=sender, as_new=as_new, note=note)
    except Exception as error:
        if isinstance(error, errors.DomainError) or is_worth_a_retry(error):
            raise
        logger.exception("replay of an ingest event failed", event_id=event_id)
        _keep_failure(event_id, error)
        raise errors.ApplyingFailed from error


def replay_kept(event_id: int, *, sender: Sender, as_new: bool = False, reason: str = "") -> None:
    """Try a kept event again as `replay` does, of many: what fails in a way nobody foresaw is kept with the event.

    Raises only what leaves no connection to keep it by.
    """
    _attempt_kept(event_id, partial(replay, event_id, sender=sender, as_new=as_new, reason=reason))


def retry(
    event_id: int, *, sender: Sender = SYSTEM, as_new: bool = False, note: dict[str, Any] | None = None
) -> Answered:
    """Try an open event again, as a replay with a `note`, or by itself because what it waited for came.

    Of an applied partial batch, the units it left out are tried. Raises IngestEventNotFound, InvalidTransition for one
    that is settled or a conflict that is not taken as new, and what still keeps it from being applied.
    StationNotAllowed changes nothing.
    """
    if sender.is_limited:
        _check_sender(event_id, sender)
    open_event = OpenIngestEvent.objects.filter(pk=event_id).first()
    if open_event is None:
        listed = get_or_raise(IngestEvent.objects, errors.IngestEventNotFound, pk=event_id)
        return attempts.attempt_rest(listed, sender=sender, note=note)
    check_as_new(open_event.status, as_new=as_new)
    event = replace(attempts.reread(open_event), is_by_itself=note is None, note=note)
    if open_event.status == IngestStatus.WAITING:
        return retry_waiting(open_event, event, sender)
    [outcome] = CHANNEL.accept([event], sender)
    if isinstance(outcome, errors.DomainError):
        raise outcome
    assert isinstance(outcome, Answered)
    if outcome.answer["status"] == IngestStatus.DISMISSED:  # meanwhile
        INGEST_EVENT.next_state(Action.REPLAY, IngestStatus.DISMISSED)
    return outcome


def check_as_new(status: str, *, as_new: bool) -> None:
    """Raise InvalidTransition for a conflict that is not taken as new, ValidationFailed for what is none."""
    if as_new and status != IngestStatus.CONFLICT:
        raise errors.ValidationFailed({"asNew": _("Only a conflict can be taken for an event of its own.")})
    if status == IngestStatus.CONFLICT and not as_new:
        raise errors.InvalidTransition(action=Action.REPLAY, entity=Entity.INGEST_EVENT, state=IngestStatus.CONFLICT)


def _check_sender(event_id: int, sender: Sender) -> None:
    """Raise StationNotAllowed for an event that is known to be another station's."""
    events = IngestEvent.objects.filter(pk=event_id).exclude(station=None)
    for code in events.values_list("station__code", flat=True):
        sender.check_station(code)


def retry_waiting(open_event: OpenIngestEvent, event: ReceivedEvent, sender: Sender) -> Answered:
    """Try a waiting event, whose key is spent: it is applied, goes on waiting, or is rejected and its key freed.

    What nobody foresaw is raised while its time lasts, as it may be mended; then it is a refusal like any other, or the
    event would never be open to a decision, and a failure that it reports would hold nobody.
    """
    try:
        answered = _attempt_waiting(open_event, event, sender)
    except Exception as error:
        if isinstance(error, errors.DomainError) or is_worth_a_retry(error) or not attempts.is_over(open_event):
            raise
        logger.exception("a machine event whose wait is over could not be applied", event_id=open_event.pk)
        answered = _give_up(event, errors.ApplyingFailed())
    if isinstance(answered, errors.DomainError):
        raise answered
    _follow(event, answered)
    return answered


def _attempt_waiting(
    open_event: OpenIngestEvent, event: ReceivedEvent, sender: Sender
) -> Answered | errors.DomainError:
    """Try a waiting event; return the refusal of one that is given up."""
    try:
        return attempts.attempt_waiting(open_event, event, sender=sender)
    except errors.StationNotAllowed:  # says nothing about the event
        raise
    except errors.DomainError as error:
        return attempts.give_up(event, error)
    except (DataError, IntegrityError) as error:
        return attempts.give_up(event, _unstorable(error))


def _give_up(event: ReceivedEvent, refusal: errors.DomainError) -> Answered | errors.DomainError:
    """Give up a waiting event. Where what it says cannot be read either, it is kept by its body alone."""
    try:
        return attempts.give_up(event, refusal)
    except Exception as error:
        if is_worth_a_retry(error):
            raise
        logger.exception("a waiting machine event was given up unread", key=event.key)
        return attempts.give_up(event, refusal, is_readable=False)


# --- what follows ------------------------------------------------------------------------------------------


def try_blocked(unit_id: int) -> None:
    """Try the events that a unit's move may have unblocked, each in its own transaction, in order of occurrence.

    An event that is applied moves the unit on, which may unblock the next: that is done here in turn, not in depth.
    """
    pending: list[int] | None = getattr(_running, "pending", None)
    if pending is not None:
        pending.append(unit_id)
        return
    _running.pending = [unit_id]
    try:
        while _running.pending:
            for event_id in list_ready(_running.pending.pop(0)):
                _try(event_id)
    finally:
        _running.pending = None


def try_all_blocked(unit_ids: Sequence[int]) -> None:
    """Try the events that several units' moves may have unblocked; one query tells for which there are any."""
    waiting = OpenIngestEvent.objects.filter(blocked_unit_id=OuterRef("pk"))
    blocked = Unit.objects.filter(Exists(waiting), pk__in=unit_ids).order_by("pk")
    for unit_id in blocked.values_list("pk", flat=True):
        try_blocked(unit_id)


def try_in_new_run(unit_ids: Sequence[int]) -> None:
    """Try the events that wait for units which went into another run: its route may read them otherwise, or not at all.

    So are those that were refused and that a move of theirs would unblock, or because they name that very run. What is
    applied moves units on, as ever.
    """
    names_one = Q(unit_ids__overlap=list(unit_ids))
    found = OpenIngestEvent.objects.filter(
        Q(names_one, status=IngestStatus.WAITING)
        | Q(blocked_unit_id__in=unit_ids, status=IngestStatus.REJECTED)
        | Q(names_one, status=IngestStatus.REJECTED, error_code=errors.UnitRunMismatch.code)
    ).order_by("occurred_at", "id")
    for event_id in found.values_list("pk", flat=True)[:MOST_TRANSFERRED]:
        _try(event_id)


def list_ready(unit_id: int) -> Sequence[int]:
    """Return the open events that a unit's present state lets be tried, in order of occurrence."""
    ready = OpenIngestEvent.objects.filter(_is_ready(), blocked_unit_id=unit_id)
    return list(ready.order_by("occurred_at", "id").values_list("pk", flat=True)[:MOST_FOLLOWERS])


def _is_ready() -> Q:
    """Return the condition of open events whose hindmost unit is at their step; or that it delays no more, as it is not
    under way, and they are for others besides.
    """
    unit = Unit.objects.filter(pk=OuterRef("blocked_unit_id"))
    last_step_no = Greatest(OuterRef("blocked_step_no"), OuterRef("step_no"))
    at_step = Exists(unit.filter(current_step_no__range=(OuterRef("blocked_step_no"), last_step_no)))
    is_stuck = Exists(unit.exclude(status__in=UNDER_WAY))
    return Q(at_step) | Q(is_stuck, status=IngestStatus.WAITING, unit_ids__len__gt=1)


def try_run(run_no: str) -> None:
    """Try what was refused because its run was on hold or in its outgoing inspection, in order of occurrence."""
    codes = (errors.RunOnHold.code, errors.RunInOqc.code)
    refused = OpenIngestEvent.objects.filter(_goes_on(), error_code__in=codes, subject=run_no)
    _try_in_order(_claim(refused), _claim_rests(_list_rests_going_on().filter(run__run_no=run_no)))


def try_line(line_code: str) -> None:
    """Try what was refused because a line was stopped, in order of occurrence."""
    refused = OpenIngestEvent.objects.filter(_goes_on(), error_code=errors.LineOnHold.code, subject=line_code)
    of_line = Q(run__line__code=line_code) | Q(station__line__code=line_code)
    _try_in_order(_claim(refused), _claim_rests(_list_rests_going_on().filter(of_line)))


def try_station(station_code: str) -> None:
    """Try what was refused because a station was stopped, in order of occurrence."""
    refused = OpenIngestEvent.objects.filter(_goes_on(), error_code=errors.StationStopped.code, subject=station_code)
    _try_in_order(_claim(refused), _claim_rests(_list_rests_going_on().filter(station__code=station_code)))


def _try_in_order(claimed: Sequence[_Claimed], rests: Sequence[_Claimed]) -> None:
    """Try open events, and the units that applied ones left out. Each is noted as tried before it is."""
    attempts_at = [(*one, _try) for one in claimed] + [(*one, _try_rest) for one in rests]
    for _occurred_at, event_id, attempt in sorted(attempts_at, key=lambda one: one[:2]):
        attempt(event_id)


def _goes_on() -> Q:
    """Return the condition of refused events whose run, line or station was held, or inspected, and goes on since."""
    runs = Run.objects.filter(run_no=OuterRef("subject"))
    stopped = Hold.objects.filter(status=HoldStatus.OPEN)
    stopped_lines = stopped.filter(scope=HoldScope.LINE, line__code=OuterRef("subject"))
    stopped_stations = stopped.filter(scope=HoldScope.STATION, station__code=OuterRef("subject"))
    return Q(status=IngestStatus.REJECTED) & (
        Q(Exists(runs.filter(status__in=RUNS_ON)), error_code=errors.RunOnHold.code)
        | Q(Exists(runs.filter(is_in_oqc=False)), error_code=errors.RunInOqc.code)
        | Q(~Exists(stopped_lines), error_code=errors.LineOnHold.code)
        | Q(~Exists(stopped_stations), error_code=errors.StationStopped.code)
    )


def _list_rests_going_on() -> QuerySet[PartialIngestEvent]:
    """Return the applied events that left units out because of a hold, where what was held goes on since."""
    event = SettledIngestEvent.objects.filter(pk=OuterRef("pk"), received_at=OuterRef("received_at"))
    by_run, by_oqc, by_line, by_station = (
        Exists(event.filter(_left_out_for(code)))
        for code in (errors.RunOnHold, errors.RunInOqc, errors.LineOnHold, errors.StationStopped)
    )
    stopped = Hold.objects.filter(status=HoldStatus.OPEN)
    lines, stations = stopped.filter(scope=HoldScope.LINE), stopped.filter(scope=HoldScope.STATION)
    of_run, of_station = (lines.filter(line=OuterRef(f"{of}__line")) for of in ("run", "station"))
    return PartialIngestEvent.objects.filter(
        Q(by_run, run__status__in=RUNS_ON)
        | Q(by_oqc, run__is_in_oqc=False)
        | Q(~Exists(of_run), ~Exists(of_station), by_line)
        | Q(~Exists(stations.filter(station=OuterRef("station"))), by_station)
    )


def _left_out_for(error: type[errors.DomainError]) -> Func:
    """Return the condition of applied events with an item that was left out for a reason and that nobody decided."""
    path = f'$[*] ? (@.code == "{error.code}" && exists(@.sn) && !exists(@.decision))'
    template = f"jsonb_path_exists(%(expressions)s, '{path}')"
    return Func(F("skipped"), template=template, output_field=BooleanField())


def try_transaction(source_system: str, transaction_id: str) -> None:
    """Try the events that wait for an event that names the units of a transaction."""
    waiting = OpenIngestEvent.objects.filter(
        status=IngestStatus.WAITING, source_system=source_system, transaction_id=transaction_id
    )
    opened = waiting.filter(IS_OPENED).order_by("occurred_at", "id")
    for event_id in opened.values_list("pk", flat=True)[:MOST_FOLLOWERS]:
        _try(event_id)


def _try(event_id: int) -> None:
    """Try an open event. Whatever goes wrong with it is kept with it, and the others go on.

    Raises only what leaves no connection to keep it by: then no other event would fare better.
    """
    _attempt_kept(event_id, partial(retry, event_id))


def _try_rest(event_id: int) -> None:
    """Try the units that an applied event left out because of a hold. What nobody foresaw is kept as why they are."""
    try:
        attempts.attempt_held_rest(event_id, sender=SYSTEM)
    except Exception as error:
        if is_connection_lost(error):
            raise
        logger.exception("what an applied ingest event left out was not tried", event_id=event_id)
        left_out.refuse_held(event_id, errors.ApplyingFailed())


def _attempt_kept(event_id: int, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except errors.DomainError as error:  # kept with the event
        logger.info("ingest event still refused", event_id=event_id, code=error.code)
    except Exception as error:
        if is_connection_lost(error):
            raise
        logger.exception("ingest event not tried", event_id=event_id)
        _keep_failure(event_id, error)


def _keep_failure(event_id: int, error: Exception) -> None:
    """Keep a failure with its event. Where that fails too (another attempt holds the event), the log alone has it."""
    try:
        keep_failure(event_id, describe_error(error))
    except DatabaseError as further:
        if is_connection_lost(further):
            raise
        logger.exception("failure of an ingest event not kept", event_id=event_id)


# --- by the clock ------------------------------------------------------------------------------------------


def catch_up() -> int:
    """Try what was missed (a process died after its commit), expire what waited long enough, and dismiss what was
    decided about; return how many.
    """
    claimed, rests = _claim_due(), _claim_rests(_list_rests_going_on())
    _try_in_order(claimed, rests)
    return len(claimed) + len(rests) + dismissing.dismiss_missed()


def _claim_due() -> list[_Claimed]:
    """Return the open events that are due."""
    now = timezone.now()
    due = OpenIngestEvent.objects.filter(
        Q(next_attempt_at=None) | Q(next_attempt_at__lte=now),
        _is_ready()
        | _goes_on()
        | Q(status=IngestStatus.WAITING, wait_until__lte=now)
        | ~Q(transaction_id="") & Q(IS_OPENED, status=IngestStatus.WAITING),
    )
    return _claim(due)


@transaction.atomic
def _claim(due: QuerySet[OpenIngestEvent]) -> list[_Claimed]:
    """Return events that are due, with when they occurred.

    Of more than can be tried at once, those come first that no sweep has tried, then those that were tried longest ago.
    That is noted before they are tried, so that even one that kills the process gives way to the others.
    """
    now = timezone.now()
    rows = due.select_for_update(no_key=True, skip_locked=True, of=("self",))
    claimed = rows.order_by(F("next_attempt_at").asc(nulls_first=True), "occurred_at", "id")[:CATCH_UP_LIMIT]
    found = [(occurred_at or now, event_id) for occurred_at, event_id in claimed.values_list("occurred_at", "pk")]
    OpenIngestEvent.objects.filter(pk__in=[event_id for _at, event_id in found]).update(next_attempt_at=now)
    return found


@transaction.atomic
def _claim_rests(due: QuerySet[PartialIngestEvent]) -> list[_Claimed]:
    """Return applied events that left units out, as `_claim` does."""
    now = timezone.now()
    claimed = due.select_for_update(no_key=True, skip_locked=True, of=("self",)).order_by("last_at", "id")
    rows = claimed.values_list("occurred_at", "pk")[:CATCH_UP_LIMIT]
    found = [(occurred_at or now, event_id) for occurred_at, event_id in rows]
    PartialIngestEvent.objects.filter(pk__in=[event_id for _at, event_id in found]).update(last_at=now)
    return found
