"""Device data: values for tracks that exist, or counts of a machine. It never creates or moves a track.

Events are applied together: their targets are resolved (one query for all), their values judged by the frozen specs,
and one statement claims the keys and writes records, values and messages. Only when a value may change a unit's verdict
or raises an alarm is a transaction opened and the units locked first; for counts one is opened too. A single event is a
batch of one.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import DatabaseError, DataError, IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from msgspec.structs import replace

from integration.device_data.body import DeviceDataMessage
from integration.device_data.consequences import emit_alarms, hold_units, lock_passes
from integration.device_data.judging import Accepted, Note, Verdict, judge_all
from integration.device_data.resolving import CountTarget
from integration.device_data.writing import answer_again, write
from integration.messages import DEVICE_DATA_CHANNEL
from mes import errors
from mes.platform.http.parsing import WHOLE_BODY
from mes.platform.inbound import keys
from mes.platform.inbound.messages import Outcome, Received
from mes.platform.inbound.sender import Sender
from mes.production_counts.hours import record
from mes.production_counts.reports import Machine, NewReport

Answers = dict[str, Received]  # by key
Refusals = dict[str, errors.DomainError]
Content = tuple[str, bytes]  # key and digest


def apply_all(messages: Sequence[DeviceDataMessage], sender: Sender, *, note: Note | None = None) -> list[Outcome]:
    """Apply events once, or recognise them as repeats; return the outcomes in order.

    Of events that share an id, the first that can be applied is: those before it are refused, those after it find its
    key claimed. With a `note` the one event is the replay of an open message.
    """
    verdicts = judge_all(messages, sender, note=note)
    applied, unstorable = _write_in_turns(verdicts)
    if len(applied) == len(messages):
        return [applied[index] for index in range(len(messages))]
    applied_at = {messages[index].key: index for index in applied}
    # What was applied before stays a repeat, though a spec or a clock may have changed since.
    rest = {message.key for index, message in enumerate(messages) if index not in applied}
    claimed = keys.find_claimed(DEVICE_DATA_CHANNEL, rest)
    outcomes: list[Outcome] = []
    for index, (message, verdict) in enumerate(zip(messages, verdicts, strict=True)):
        if index in applied:
            outcomes.append(applied[index])
        elif isinstance(verdict, errors.StationNotAllowed):
            outcomes.append(verdict)
        elif message.key in claimed and index > applied_at.get(message.key, -1):
            conflict = errors.EventIdConflict(event_id=keys.sent_key(message.key))
            outcomes.append(
                keys.recognise(claimed[message.key], message.digest, repeat=answer_again, conflict=conflict)
            )
        else:
            outcomes.append(unstorable[_content(verdict)] if isinstance(verdict, Accepted) else verdict)
    return outcomes


def _content(accepted: Accepted) -> Content:
    return accepted.message.key, accepted.message.digest


# --- writing ------------------------------------------------------------------------------------------------


def _write_in_turns(verdicts: Sequence[Verdict]) -> tuple[dict[int, Received], dict[Content, errors.DomainError]]:
    """Write what can be applied, of each id the first; return the answers by place, and what the database cannot keep.

    Where it cannot keep the first content of an id, the next one has its turn.
    """
    waiting: dict[str, list[tuple[int, Accepted]]] = {}
    for index, verdict in enumerate(verdicts):
        if isinstance(verdict, Accepted):
            waiting.setdefault(verdict.message.key, []).append((index, verdict))
    applied: dict[int, Received] = {}
    unstorable: dict[Content, errors.DomainError] = {}
    while waiting:
        firsts = {key: events[0] for key, events in waiting.items()}
        answers, refused = _write([accepted for _index, accepted in firsts.values()])
        applied |= {firsts[key][0]: answer for key, answer in answers.items()}
        unstorable |= {_content(firsts[key][1]): error for key, error in refused.items()}
        others = {key: [event for event in waiting[key] if _content(event[1]) not in unstorable] for key in refused}
        waiting = {key: events for key, events in others.items() if events}
    return applied, unstorable


def _write(accepted: Sequence[Accepted]) -> tuple[Answers, Refusals]:
    """Write events with different keys, all at once; return answers, and refusals of what the database cannot keep.

    What it does not keep at first is written with its payloads encoded anew: word for word, a number may be too small
    for the database, though a double that nobody reads is kept as 0.
    """
    try:
        return _write_together(accepted), {}
    except (DataError, IntegrityError):
        return _write_apart(
            [replace(event, message=replace(event.message, payload=event.message.decoded())) for event in accepted]
        )


def _write_apart(accepted: Sequence[Accepted]) -> tuple[Answers, Refusals]:
    """Write events in halves, until what the database cannot keep is alone: a few statements for each such event."""
    try:
        return _write_together(accepted), {}
    except (DataError, IntegrityError) as error:
        if len(accepted) == 1:
            return {}, {accepted[0].message.key: _unstorable(error)}
    middle = len(accepted) // 2
    answers, refused = _write_apart(accepted[:middle])
    more_answers, more_refused = _write_apart(accepted[middle:])
    return answers | more_answers, refused | more_refused


def _unstorable(error: DatabaseError) -> errors.ValidationFailed:
    return errors.ValidationFailed({WHOLE_BODY: _("The database cannot keep this: {error}").format(error=error)})


def _write_together(accepted: Sequence[Accepted]) -> Answers:
    """Write events and what follows from them in one transaction; return the answers of those whose key was free."""
    now = timezone.now()
    locking = [event for event in accepted if event.needs_lock]
    counting = [event for event in accepted if isinstance(event.target, CountTarget)]
    if not locking and not counting:
        return write(accepted, at=now)
    with transaction.atomic():
        passes = lock_passes(event.target for event in locking)
        answers = write(accepted, at=now)
        written = [event for event in locking if event.message.key in answers]
        emit_alarms(written)
        hold_units(written, passes)
        _record_counts([event for event in counting if event.message.key in answers], answers, at=now)
        return answers


def _record_counts(counting: Sequence[Accepted], answers: Answers, *, at: datetime) -> None:
    """Record the counts of events that were written, in the same transaction."""
    if counting:
        record([_new_report(event, answers[event.message.key].record_id, at) for event in counting])


def _new_report(accepted: Accepted, record_id: int, at: datetime) -> NewReport:
    target, event = accepted.target, accepted.message.event
    production = event.production
    assert isinstance(target, CountTarget) and target.station_id is not None and production is not None
    machine = Machine(
        run_id=target.run_id,
        station_id=target.station_id,
        step_no=target.step_no,
        equipment_id=event.equipment_id or "",
        line_id=target.line_id,
        operation_code=target.operation_code,
    )
    return NewReport(
        id=record_id,
        received_at=at,
        machine=machine,
        window_start=production.window_start,
        window_end=production.window_end,
        is_cumulative=production.mode == "CUMULATIVE",
        counts=production.counts,
        moduli=production.counter_moduli,
    )
