"""What follows from values that fail or alarm: alarms are emitted, and units are held, under the units' locks."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from execution.data import values
from execution.dispositions import put_on_hold, save_holds
from execution.models import CarrierTrackUnit, Disposition, Track, TrackResult
from execution.outbox_events import alarm_event, alarm_reason, late_failure_reason
from integration.device_data.judging import Accepted
from integration.device_data.resolving import Target
from mes.platform.outbox.emit import NewEvent, emit
from mes.production.hold_models import HoldSource
from mes.production.locking import lock_units
from mes.production.models import Unit


class Pass(NamedTuple):
    """A track and its unit, which is locked."""

    track_id: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class LockedPasses:
    """The passes that values belong to: each unit's own by track, a carrier's by the carrier's track."""

    units: Mapping[int, Unit]
    members: Mapping[int, Sequence[tuple[int, int]]]  # by carrier track: track and unit

    def of(self, target: Target) -> list[Pass]:
        """Return the passes of a target."""
        if target.track_id is not None and target.unit_id is not None:
            return [Pass(target.track_id, self.units[target.unit_id])]
        members = self.members.get(target.carrier_track_id or 0, ())
        return [Pass(track_id, self.units[unit_id]) for track_id, unit_id in members]


def lock_passes(targets: Iterable[Target]) -> LockedPasses:
    """Lock the units of tracks and of carriers' passes, all in one order."""
    targets = list(targets)
    carrier_track_ids = {target.carrier_track_id for target in targets if target.carrier_track_id is not None}
    members: dict[int, list[tuple[int, int]]] = {}
    if carrier_track_ids:
        parts = CarrierTrackUnit.objects.filter(carrier_track_id__in=carrier_track_ids).order_by("track_id")
        for carrier_track_id, track_id, unit_id in parts.values_list("carrier_track_id", "track_id", "track__unit_id"):
            members.setdefault(carrier_track_id, []).append((track_id, unit_id))
    unit_ids = {target.unit_id for target in targets if target.unit_id is not None}
    unit_ids |= {unit_id for of_carrier in members.values() for _track_id, unit_id in of_carrier}
    units = lock_units(Unit.objects.filter(pk__in=unit_ids))
    return LockedPasses({unit.pk: unit for unit in units}, members)


def emit_alarms(written: Iterable[Accepted]) -> None:
    """Emit the DATA_ALARM of each value outside its alarm band."""
    emit(*(event for accepted in written for event in _list_alarms(accepted)))


def _list_alarms(accepted: Accepted) -> Iterator[NewEvent]:
    target = accepted.target
    key = hashlib.sha256(accepted.message.key.encode()).hexdigest()
    for index, value in enumerate(accepted.judged):
        if value.alarmed:
            yield alarm_event(
                value,
                key=f"{key}:{index}",
                sn=target.sn,
                run_id=target.run_id,
                track_id=target.track_id,
                carrier_track_id=target.carrier_track_id,
            )


def hold_units(written: Sequence[Accepted], passes: LockedPasses) -> None:
    """Hold the units of values that alarm with HOLD, and of KEY values that fail a pass already closed as PASS."""
    failed_late = _find_failed_late(written, passes)
    decisions: list[Disposition | None] = []
    for accepted in written:
        units = passes.of(accepted.target)
        if alarming := [value.spec.name for value in accepted.judged if value.holds]:
            reason = alarm_reason(alarming)
            decisions += [put_on_hold(unit, reason=reason, source=HoldSource.ALARM) for _track_id, unit in units]
        if failing := [value.spec.name for value in accepted.judged if value.is_key_failure]:
            reason = late_failure_reason(failing)
            late = [unit for track_id, unit in units if track_id in failed_late]
            decisions += [put_on_hold(unit, reason=reason, source=HoldSource.DATA) for unit in late]
    save_holds([decision for decision in decisions if decision is not None])


def _find_failed_late(written: Iterable[Accepted], passes: LockedPasses) -> set[int]:
    """Return the tracks of failing KEY values that closed as PASS, though their values, with those just written, say
    FAIL. A KEY value of a carrier's pass speaks for every unit of that pass.
    """
    failing = [accepted.target for accepted in written if any(value.is_key_failure for value in accepted.judged)]
    track_ids = {track_id for target in failing for track_id, _unit in passes.of(target)}
    if not track_ids:
        return set()
    closed = Track.objects.filter(pk__in=track_ids, out_at__isnull=False, result=TrackResult.PASS)
    return values.find_failed(closed)
