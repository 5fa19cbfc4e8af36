"""Whether events can be applied: of a station the sender speaks for, in time, and their values fit the frozen specs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.utils import timezone

from integration.counts import body as counts_body
from integration.device_data.body import DeviceDataEvent, DeviceDataMessage
from integration.device_data.resolving import ReferenceTarget, Target, find_targets
from mes import errors
from mes.platform.inbound.sender import Sender
from mes.platform.inbound.times import check_bounds
from mes.routing import judging, snapshots
from mes.specs.models import DataCollectionSpec

Note = dict[str, Any]


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """An event that passed every rule. With a `note` it is the replay of an open message. `misfits` are the values that
    a failing one is taken without.
    """

    message: DeviceDataMessage
    target: Target
    judged: Sequence[judging.JudgedValue]
    misfits: Sequence[judging.Misfit] = ()
    note: Note | None = None

    @property
    def needs_lock(self) -> bool:
        """Whether a value may change the unit's verdict or raises an alarm."""
        return any(value.alarmed or value.is_key_failure for value in self.judged)


Verdict = Accepted | errors.DomainError


def judge_all(messages: Sequence[DeviceDataMessage], sender: Sender, *, note: Note | None = None) -> list[Verdict]:
    """Return for each event that it can be applied, with its values judged, or why it cannot."""
    rules = _Rules(timezone.now(), sender)
    targets = find_targets([message.event for message in messages])
    return [rules.judge(message, target, note) for message, target in zip(messages, targets, strict=True)]


class _Rules:
    """The rules for events that come together: seen from one moment, of one sender, live specs read once."""

    def __init__(self, now: datetime, sender: Sender) -> None:
        self.now = now
        self.sender = sender
        self.live_specs: dict[str, list[DataCollectionSpec]] = {}

    def judge(self, message: DeviceDataMessage, target: Target | errors.DomainError, note: Note | None) -> Verdict:
        """Judge the values of an event, or return why it cannot be applied."""
        event = message.event
        try:
            if event.station_code is not None:
                self.sender.check_station(event.station_code)
            if isinstance(target, errors.DomainError):
                return target
            self.sender.check_station(target.station_code)
            self.check_times(event)
            judged, misfits = self.judge_values(event, target)
            return Accepted(message, target, judged, misfits, note)
        except errors.DomainError as error:
            return error

    def check_times(self, event: DeviceDataEvent) -> None:
        """Raise EventTimeInFuture, EventTooOld."""
        collected = [reading.collected_at for reading in event.data or () if reading.collected_at is not None]
        check_bounds(event.event_time, *collected, now=self.now)
        if event.production is not None:
            counts_body.check_times(event.production, now=self.now)

    def judge_values(
        self, event: DeviceDataEvent, target: Target
    ) -> tuple[list[judging.JudgedValue], list[judging.Misfit]]:
        """Judge by the specs of the frozen step; raises as `mes.routing.judging.collect` does, but where a value
        fails or holds the unit: then those that do not fit are left out.
        """
        if event.data is None or isinstance(target, ReferenceTarget):
            return [], []
        snapshot = snapshots.load(version_id=target.version_id, digest=target.version_digest)
        step = snapshot.step_of_track(target.step_no)
        source, at = event.source, event.event_time
        try:
            return judging.collect(event.data, step, source=source, default_time=at, lookup=self.find_live_specs), []
        except errors.DomainError:
            judged, misfits = judging.collect_fitting(
                event.data, step, source=source, default_time=at, lookup=self.find_live_specs
            )
            if any(value.is_failing for value in judged):
                return judged, misfits
            raise

    def find_live_specs(self, operation_code: str, readings: Sequence[judging.Reading]) -> list[DataCollectionSpec]:
        """Return the active specs of an operation; read once for all events."""
        known = self.live_specs.get(operation_code)
        if known is None:
            known = self.live_specs[operation_code] = judging.find_live_specs(operation_code, readings)
        return known
