"""Entries of people at stations: done once each, however often they are sent, and kept when they are refused.

A page keeps what somebody did until it is answered, and sends it again where no answer came: its `entryId` is claimed
in the transaction that moves the unit. What is done is `execution.station_work`. A refused entry that tells of a failed
board holds it, as any report does.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC
from typing import Annotated, Any

import msgspec
from django.db import DataError, transaction
from django.utils.translation import gettext as _
from msgspec.structs import replace
from rest_framework.exceptions import ValidationError

from execution import station_work
from execution.api import REQUESTS
from execution.models import TrackResult
from execution.station_work import EntryKind
from integration.models import FailedMessage
from integration.one_by_one import OneByOneChannel
from integration.refused_reports import HoldingLog, Refused, Said
from mes import errors
from mes.platform.http import parsing
from mes.platform.http.envelope import flatten
from mes.platform.http.serializers import type_problems
from mes.platform.inbound import keys
from mes.platform.inbound.channels import Parse
from mes.platform.inbound.digest import digest_of
from mes.platform.inbound.messages import Message, Outcome, Received
from mes.platform.inbound.models import IdempotencyKey
from mes.platform.inbound.sender import Sender
from mes.platform.validators import CODE_LENGTH

ENTITY_TYPE = "STATION_ENTRY"


class Envelope(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """An entry as it is kept: its key, where it was made, what it does, and what it says of that."""

    entry_id: Annotated[str, msgspec.Meta(max_length=CODE_LENGTH)]
    station_code: Annotated[str, msgspec.Meta(max_length=CODE_LENGTH)]
    kind: EntryKind
    body: dict[str, Any]
    meta: Any = None


class StationEntry(Message, frozen=True, gc=False):
    """An entry with its checked body. `fault` is why it cannot be done, whatever its unit: it names none, then `body`
    is empty; or it fails a unit, and the rest of it is not well-formed: then `body` is what could be read.
    """

    station_code: str
    kind: EntryKind
    body: dict[str, Any]
    fault: errors.DomainError | None = None


class Entered(Received, frozen=True, gc=False):
    """An entry that was done; `is_new` is whether it opened or closed a track, or found it so."""

    is_new: bool = True


class StationEntryLog(HoldingLog):
    """Keeps refused entries; a failed board that one tells of is held."""

    def find_failing(self, messages: Sequence[Message]) -> Sequence[Said]:
        """Return for each entry what it says against its unit."""
        return [_find_failing(message) for message in messages]

    def keep_refused(self, refused: Refused) -> list[Outcome]:
        """Keep entries that could not be done. One that another request did meanwhile is answered by that."""
        outcomes = super().keep_refused(refused)
        claimed = keys.find_claimed(self.channel, [message.key for message, _error in refused if message.key])
        done = {(key.key, bytes(key.digest)): key for key in claimed.values()}
        return [
            self.answer_again(done[message.key, message.digest]) if (message.key, message.digest) in done else outcome
            for (message, _error), outcome in zip(refused, outcomes, strict=True)
        ]

    def dismissed_answer(self, message: FailedMessage) -> dict[str, Any]:
        """Return what is kept beside the key of a dismissed entry: nothing came of it."""
        return {"isDismissed": True}

    def answer_again(self, key: IdempotencyKey) -> Received:
        """Return what an entry is answered that was done or dismissed before."""
        assert key.record_id is not None  # claimed with its track, or dismissed
        answer = {**key.answer, "isDuplicate": True}
        if answer.get("isDismissed"):  # whoever shows it must not take it for done
            answer["message"] = _("Somebody dismissed this entry: it is not recorded.")
        return Received(answer, key.record_id, is_duplicate=True)


def _find_failing(message: Message) -> Said:
    if not isinstance(message, StationEntry) or message.kind != EntryKind.TRACK_OUT or not message.body:
        return {}
    said = station_work.read_failing(message.body, station_code=message.station_code)
    return {} if said is None else dict([said])


class StationEntryChannel(OneByOneChannel[StationEntry]):
    """Takes in entries, each in a transaction of its own."""

    name = station_work.CHANNEL
    log = StationEntryLog(ENTITY_TYPE, station_work.CHANNEL, "entryId")

    def decode(self, raw: bytes, sender: Sender, parse: Parse) -> StationEntry:
        """Return the entry of an envelope."""
        payload = parse(raw)
        envelope = parsing.convert(payload, Envelope)
        body, fault = _check(envelope)
        # Sameness compares instants, however they are written.
        at = {"at": body["at"].astimezone(UTC).isoformat()} if body.get("at") else {}
        said = {**payload, "body": {**envelope.body, **at}}
        return StationEntry(
            envelope.entry_id,
            digest_of(said),
            sender.system,
            payload,
            envelope.station_code,
            envelope.kind,
            body,
            fault,
        )

    def station_of(self, message: StationEntry) -> str:
        """Return the station at which an entry was made."""
        return message.station_code

    def under_key(self, message: StationEntry, key: str) -> StationEntry:
        """Return an entry under another key."""
        return replace(message, key=key)

    def apply_one(self, message: StationEntry, sender: Sender, *, note: dict[str, Any] | None = None) -> Outcome:
        """Do what an entry says, or recognise it. With a `note` it replays an open message."""
        try:
            sender.check_station(message.station_code)
            received = self._apply(message, note=note)
        except errors.DomainError as refusal:
            return refusal
        if note is not None and isinstance(received, Received):
            return replace(received, answer={"id": str(received.record_id), **received.answer})
        return received

    @transaction.atomic
    def _apply(self, message: StationEntry, *, note: dict[str, Any] | None) -> Outcome:
        """Claim the key and do it in one transaction. Whoever sent it did it, also where somebody else replays it."""
        if not keys.claim(self.name, message.key, message.digest):
            return self._recognise(message)
        if message.fault is not None:
            raise message.fault
        act = station_work.ACTS[message.kind]
        try:
            done = act(message.body, station_code=message.station_code, by=message.system)
        except DataError as error:
            reason = _("The database cannot keep this: {error}").format(error=error)
            raise errors.ValidationFailed({parsing.WHOLE_BODY: reason}) from error
        keys.store_answer(self.name, message.key, done.answer, record_id=done.track_id)
        self.log.log_applied(message, record_id=done.track_id, note=note)
        answer = {**done.answer, "isDuplicate": False}
        return Entered(answer, done.track_id, is_duplicate=False, is_new=done.is_new)

    def _recognise(self, message: StationEntry) -> Outcome:
        claimed = keys.find_claimed(self.name, [message.key])[message.key]
        conflict = errors.EventIdConflict(event_id=message.key)
        return keys.recognise(claimed, message.digest, repeat=self.log.answer_again, conflict=conflict)


def _check(envelope: Envelope) -> tuple[dict[str, Any], errors.DomainError | None]:
    """Return the checked body of an entry, and why it cannot be done whatever its unit. Raises ValidationFailed."""
    checked = REQUESTS[envelope.kind](data={**envelope.body, "entryId": envelope.entry_id})
    try:
        checked.is_valid(raise_exception=True)
        station_work.readings_of(checked.validated_data)  # each has exactly one value
    except ValidationError as error:
        return _read_failing(envelope, errors.ValidationFailed(flatten(error.detail)))
    except errors.ValidationFailed as refusal:
        return _read_failing(envelope, refusal)
    except errors.SnUnreadable as fault:
        return {}, fault
    return checked.validated_data, None


def _read_failing(
    envelope: Envelope, refusal: errors.ValidationFailed
) -> tuple[dict[str, Any], errors.ValidationFailed]:
    """Return what can be read of a malformed entry that fails its unit, which is held for it, and why it is refused.

    Raises the refusal of any other.
    """
    given = {**envelope.body, "entryId": envelope.entry_id}
    if envelope.kind != EntryKind.TRACK_OUT or given.get("result") != TrackResult.FAIL:
        raise refusal
    read: dict[str, Any] = {}
    for name, field in REQUESTS[envelope.kind]().fields.items():
        if given.get(name) is not None and not type_problems(field, given[name]):
            with suppress(ValidationError, errors.DomainError):
                read[str(field.source)] = field.run_validation(given[name])
    if not read.keys() >= {"sn", "entry_id"}:
        raise refusal
    try:
        station_work.readings_of(read)
    except errors.ValidationFailed:
        del read["data"]
    return read, refusal
