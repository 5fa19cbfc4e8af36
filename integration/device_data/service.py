"""Device data: values for tracks that exist, or counts of a machine. It never creates or moves a track.

The way of an event, alone or in a batch: decode → resolve the track (one query for all) → judge by the frozen specs →
one statement that claims the keys and writes records, values and messages. Only when a value may change a unit's
verdict or raises an alarm is a transaction opened and the units locked first; for counts one is opened too. A single
event is a batch of one.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from msgspec.structs import replace

from execution.data import judging, values
from execution.dispositions import hold
from execution.models import CarrierTrackUnit, Track, TrackResult
from execution.outbox_events import alarm_event, alarm_reason, late_failure_reason
from integration import messages
from integration.counts import body as counts_body
from integration.counts import service as counts_service
from integration.device_data.body import (
    Decoded,
    DeviceDataBatch,
    DeviceDataEvent,
    decode_event,
)
from integration.device_data.resolving import Target, find_targets
from integration.device_data.writing import (
    Accepted,
    Received,
    answer_again,
    write,
)
from mes import errors
from mes.platform.database.models import IdempotencyKey
from mes.platform.http import parsing
from mes.platform.outbox.emit import NewEvent, emit
from mes.production.models import Unit
from mes.routing import snapshots

StationCheck = Callable[[str], None]
Note = dict[str, Any]
Outcome = Received | errors.DomainError


def any_station(code: str) -> None:
    """The station check of a sender that may report for every station."""


# --- receiving ---------------------------------------------------------------------------------------------


def receive(body: bytes, *, system: str, check_station: StationCheck = any_station) -> Received:
    """Apply one event as it came over the wire; keep it as FAILED when it cannot be applied, and raise why.

    `check_station` raises StationNotAllowed for stations the sender is not meant for. A repeat of the same content is
    answered like the first time; other content under the same id raises EventIdConflict.
    """
    [(_event_id, outcome)] = receive_all([body], system=system, check_station=check_station)
    if isinstance(outcome, errors.DomainError):
        raise outcome
    return outcome


def receive_batch(
    body: bytes, *, system: str, check_station: StationCheck = any_station
) -> list[tuple[str | None, Outcome]]:
    """Apply a batch, each event by itself; return (event id, outcome) in order. Raises what is wrong around them."""
    try:
        events = parsing.split(body, DeviceDataBatch)
    except (errors.ParseFailed, errors.ValidationFailed) as error:
        messages.keep_failed([(messages.malformed(body, entity_type=messages.DEVICE_DATA, system=system), error)])
        raise
    return receive_all(events, system=system, check_station=check_station, decode=parsing.decoder_of_parts(body))


def receive_all(
    bodies: Sequence[bytes],
    *,
    system: str,
    check_station: StationCheck,
    decode: Callable[[bytes], Any] = parsing.decode,
) -> list[tuple[str | None, Outcome]]:
    """Decode, apply, and keep what could not be applied; return (event id, outcome) for each body in order. The id is
    None where none can be read.
    """
    decoded: list[Decoded | None] = []
    failed: list[tuple[messages.Incoming, errors.DomainError]] = []
    for body in bodies:
        try:
            decoded.append(decode_event(body, system=system, decode=decode))
        except (errors.ParseFailed, errors.ValidationFailed) as error:
            failed.append((messages.malformed(body, entity_type=messages.DEVICE_DATA, system=system), error))
            decoded.append(None)
    sound = [one for one in decoded if one is not None]
    applied = apply_all(sound, check_station=check_station)
    _log([(one.incoming, outcome) for one, outcome in zip(sound, applied, strict=True)], failed)
    settled, malformed = iter(applied), iter(failed)
    results: list[tuple[str | None, Outcome]] = []
    for one in decoded:
        if one is None:
            incoming, fault = next(malformed)
            results.append((incoming.key or None, fault))
        else:
            results.append((one.event.event_id, next(settled)))
    return results


def _log(
    outcomes: Sequence[tuple[messages.Incoming, Outcome]],
    malformed: Sequence[tuple[messages.Incoming, errors.DomainError]],
) -> None:
    """Log what the writing statement did not: duplicates, conflicts, and what failed."""
    duplicates, conflicts, failed = [], [], list(malformed)
    for incoming, outcome in outcomes:
        if isinstance(outcome, errors.EventIdConflict):
            conflicts.append((incoming, outcome))
        elif isinstance(outcome, errors.StationNotAllowed):
            continue  # not this sender's business, so not kept either
        elif isinstance(outcome, errors.DomainError):
            failed.append((incoming, outcome))
        elif outcome.is_duplicate:
            duplicates.append((incoming, outcome.record_id))
    messages.log_repeats(duplicates, conflicts)
    messages.keep_failed(failed)


# --- applying ----------------------------------------------------------------------------------------------


class _Times:
    """When events may have happened, seen from a moment."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.latest = now + settings.MES_CLOCK_SKEW
        self.earliest = now - settings.MES_KEY_LIFETIME

    def check(self, event: DeviceDataEvent) -> None:
        """Raise EventTimeInFuture, EventTooOld."""
        latest = event.event_time
        for reading in event.data or ():
            if reading.collected_at is not None and reading.collected_at > latest:
                latest = reading.collected_at
        if latest > self.latest:
            raise errors.EventTimeInFuture(at=latest.isoformat())
        if event.event_time < self.earliest:
            raise errors.EventTooOld(at=event.event_time.isoformat(), days=settings.MES_KEY_LIFETIME.days)
        if event.production is not None:
            counts_body.check_times(event.production, now=self.now)


def apply_all(
    decoded: Sequence[Decoded], *, check_station: StationCheck = any_station, note: Note | None = None
) -> list[Outcome]:
    """Apply events once, or recognise them as repeats; return the outcomes in order.

    Repeats within the batch wait for a later round, in which they meet the key of the first, or, when that was
    refused, are tried afresh. With a `note` the one event is the replay of an open message.
    """
    outcomes: list[Outcome | None] = [None] * len(decoded)
    waiting = list(range(len(decoded)))
    while waiting:
        firsts: dict[str, int] = {}
        for index in waiting:
            firsts.setdefault(decoded[index].event.event_id, index)
        chosen = list(firsts.values())
        results = _apply_round([decoded[index] for index in chosen], check_station=check_station, note=note)
        for index, outcome in zip(chosen, results, strict=True):
            outcomes[index] = outcome
        waiting = [index for index in waiting if outcomes[index] is None]
    return outcomes  # type: ignore[return-value]


def _apply_round(decoded: Sequence[Decoded], *, check_station: StationCheck, note: Note | None) -> list[Outcome]:
    """Apply events with different ids."""
    times = _Times(timezone.now())
    results = [
        _accept(one, target, times, check_station=check_station, note=note)
        for one, target in zip(decoded, _find_all([one.event for one in decoded]), strict=True)
    ]
    answers, refused = _write([result for result in results if isinstance(result, Accepted)])
    open_keys = [one.incoming for one in decoded if one.event.event_id not in answers]
    # What was applied before stays a repeat, though a spec or a clock may have changed since.
    known = _find_known(open_keys)
    outcomes: list[Outcome] = []
    for one, result in zip(decoded, results, strict=True):
        key = one.event.event_id
        if key in answers:
            outcomes.append(answers[key])
        elif isinstance(result, errors.StationNotAllowed):
            outcomes.append(result)
        elif key in known:
            outcomes.append(known[key])
        else:
            outcomes.append(result if isinstance(result, errors.DomainError) else refused[key])
    return outcomes


def _find_all(events: Sequence[DeviceDataEvent]) -> Sequence[Target | errors.DomainError]:
    """Return what each event belongs to, or why to nothing: a track for values, a machine for counts."""
    counts = [event for event in events if event.production is not None]
    if not counts:
        return find_targets(events)
    of_values = iter(find_targets([event for event in events if event.production is None]))
    of_counts = iter(counts_service.find_count_targets(counts))
    return [next(of_values if event.production is None else of_counts) for event in events]


def _accept(
    one: Decoded,
    target: Target | errors.DomainError,
    times: "_Times",
    *,
    check_station: StationCheck,
    note: Note | None,
) -> Accepted | errors.DomainError:
    """Judge the values of an event, or return why it cannot be applied."""
    try:
        if one.event.station_code is not None:
            check_station(one.event.station_code)
        if isinstance(target, errors.DomainError):
            return target
        check_station(target.station_code)
        return Accepted(one.event, one.incoming, target, _judge(one.event, target, times), note)
    except errors.DomainError as error:
        return error


def _judge(event: DeviceDataEvent, target: Target, times: _Times) -> list[judging.JudgedValue]:
    times.check(event)
    if event.data is None:
        return []
    snapshot = snapshots.load(version_id=target.version_id, digest=target.version_digest)
    step = snapshot.step(target.step_no)
    assert step is not None  # a track is made for a step of its run's frozen route
    return judging.collect(event.data, step, source=event.source, default_time=event.event_time)


def _find_known(incoming: Sequence[messages.Incoming]) -> dict[str, Outcome]:
    """Return the answers that these contents got before, and a conflict where the key has other content.

    A second statement, not the claim's own: at READ COMMITTED it sees the winner of a race, the claim does not.
    """
    if not incoming:
        return {}
    digests = {one.key: one.digest for one in incoming}
    known: dict[str, Outcome] = {}
    for key in IdempotencyKey.objects.filter(channel=messages.DEVICE_DATA_CHANNEL, key__in=digests):
        if bytes(key.digest) == digests[key.key]:
            known[key.key] = answer_again(key)
        else:
            known[key.key] = errors.EventIdConflict(event_id=key.key)
    return known


# --- writing and its consequences --------------------------------------------------------------------------

Answers = dict[str, Received]


def _write(accepted: Sequence[Accepted]) -> tuple[Answers, dict[str, errors.DomainError]]:
    """Write all at once, or each by itself when the database cannot keep one of them; return answers and refusals.

    By itself its payload is written anew: word for word, a number may be too small for the database, though a double
    that nobody reads is kept as 0.
    """
    if not accepted:
        return {}, {}
    try:
        return _write_together(accepted), {}
    except (DataError, IntegrityError):
        answers: Answers = {}
        refused: dict[str, errors.DomainError] = {}
        for one in accepted:
            try:
                answers |= _write_together(
                    [replace(one, incoming=replace(one.incoming, payload=one.incoming.decoded()))]
                )
            except (DataError, IntegrityError) as error:
                refused[one.event.event_id] = _unstorable(error)
        return answers, refused


def _unstorable(error: DatabaseError) -> errors.ValidationFailed:
    return errors.ValidationFailed({"body": _("The database cannot keep this: {error}").format(error=error)})


def _write_together(accepted: Sequence[Accepted]) -> Answers:
    now = timezone.now()
    locking = [one for one in accepted if one.needs_lock]
    counted = [one for one in accepted if one.event.production is not None]
    if not locking and not counted:
        return write(accepted, at=now)
    with transaction.atomic():
        units = _lock_units([one.target for one in locking])
        answers = write(accepted, at=now)
        written = [one for one in locking if one.event.event_id in answers]
        emit(*(event for one in written for event in _alarms(one)))
        for one in written:
            _hold_where_called_for(one, _units_of(one.target, units))
        counts_service.keep(counted, answers, at=now)
        return answers


def _lock_units(targets: Sequence[Target]) -> dict[tuple[str, int | None], list[Unit]]:
    """Lock the units of tracks and of carriers' passes, all in one order; return them by what they passed with."""
    unit_ids = {target.unit_id for target in targets if target.unit_id is not None}
    passes = {target.carrier_track_id for target in targets if target.carrier_track_id is not None}
    passed = CarrierTrackUnit.objects.filter(carrier_track_id__in=passes) if passes else CarrierTrackUnit.objects.none()
    members = list(passed.values_list("carrier_track_id", "track__unit_id"))
    wanted = unit_ids | {unit_id for _pass, unit_id in members}
    locked = {
        unit.pk: unit for unit in Unit.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    }
    units: dict[tuple[str, int | None], list[Unit]] = {("unit", pk): [unit] for pk, unit in locked.items()}
    for carrier_track_id, unit_id in members:
        units.setdefault(("carrier", carrier_track_id), []).append(locked[unit_id])
    return units


def _units_of(target: Target, units: dict[tuple[str, int | None], list[Unit]]) -> list[Unit]:
    key = ("unit", target.unit_id) if target.unit_id is not None else ("carrier", target.carrier_track_id)
    return units.get(key, [])


def _alarms(one: Accepted) -> Iterator[NewEvent]:
    key = hashlib.sha256(one.event.event_id.encode()).hexdigest()
    for index, value in enumerate(one.judged):
        if value.alarmed:
            yield alarm_event(
                value,
                key=f"{key}:{index}",
                sn=one.target.sn,
                run_id=one.target.run_id,
                track_id=one.target.track_id,
                carrier_track_id=one.target.carrier_track_id,
            )


def _hold_where_called_for(one: Accepted, units: Sequence[Unit]) -> None:
    """Hold the units of a value that alarms with HOLD, or of a KEY value that fails a pass already closed as PASS."""
    holding = [value.spec.name for value in one.judged if value.holds]
    for unit in units if holding else ():
        hold(unit, reason=alarm_reason(holding))
    late = [value.spec.name for value in one.judged if value.is_key_failure]
    failed = _list_units_failed_late(one.target) if late else set()
    for unit in units:
        if unit.pk in failed:
            hold(unit, reason=late_failure_reason(late))


def _list_units_failed_late(target: Target) -> set[int]:
    """Return the units whose track closed as PASS, though its values, with those just written, say FAIL.

    Read under the units' locks. A KEY value of a carrier's pass speaks for every unit of that pass.
    """
    passed = Track.objects.filter(out_at__isnull=False, result=TrackResult.PASS)
    if target.track_id is not None:
        passed = passed.filter(pk=target.track_id)
    else:
        passed = passed.filter(carrier_pass__carrier_track=target.carrier_track_id)
    units = {track.pk: track.unit_id for track in passed}
    return {units[track_id] for track_id in values.find_failed(passed)}
