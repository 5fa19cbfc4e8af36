"""The carrier of a BATCH event: what it carries, its pass, and the values that are the carrier's, not a unit's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from execution import carriers, moves
from execution.data import values
from execution.models import Carrier, CarrierLoad, CarrierTrack
from execution.moves import Move
from execution.outbox_events import alarm_event
from execution.unit_state import UnitState
from ingest.candidates import list_unscrapped
from ingest.envelope import ReceivedEvent
from ingest.mapping import measurements
from ingest.mapping.extract import Extracted, UnitReport
from ingest.mapping.paths import invalid
from ingest.matching import Match
from mes import errors
from mes.plant.models import Station
from mes.platform.outbox.emit import emit
from mes.production.locking import Locked
from mes.production.models import Run, Unit
from mes.routing import judging
from mes.routing.snapshots import StepSnapshot
from mes.specs.models import TriggerType


@dataclass(frozen=True, slots=True)
class LockedCarrier:
    """A locked carrier, what it carries, and what it carried when the event was received: (serial number, position)."""

    carrier: Carrier
    loads: Sequence[CarrierLoad]
    received: Sequence[tuple[str, str]]
    is_past: bool

    @classmethod
    def lock(cls, carrier_no: str, event: ReceivedEvent, locked: Locked) -> "LockedCarrier":
        """Lock a carrier, after its units. Raises Outdated when it carries one that is not locked, IngestPayloadInvalid
        for a number that no new carrier may have.
        """
        try:
            carrier = carriers.lock_carrier(carrier_no)
        except errors.ValidationFailed as error:
            raise invalid(" ".join(error.details.values())) from None
        loads = carriers.list_loads(carrier)
        locked.check(unit_ids=[load.unit_id for load in loads], run_ids=())
        if event.carried is not None:
            return cls(carrier, loads, list_unscrapped(event.carried), is_past=True)
        return cls(carrier, loads, [(load.unit.sn, load.position) for load in loads], is_past=False)

    @property
    def sns_by_position(self) -> dict[str, str]:
        """The serial numbers by position at receipt, as far as positions are known."""
        return {position: sn for sn, position in self.received if position}

    def settle_loads(self, extracted: Extracted, reports: Sequence[UnitReport], units: Mapping[str, UnitState]) -> None:
        """Have the carrier carry the units that the event lists; positions of the past say nothing of the present."""
        if not extracted.units or (self.is_past and not any(report.sn for report in extracted.units)):
            return
        positions = {load.unit_id: load.position for load in self.loads}
        placings: list[tuple[Unit, str]] = []
        for report in reports:
            unit = units[str(report.sn)].unit
            placings.append((unit, report.position or positions.get(unit.pk, "")))
        _check_positions([position for _unit, position in placings if position])
        carriers.settle_loads(self.carrier, placings, at=extracted.occurred_at)

    def record_pass(
        self, *, run: Run, step: StepSnapshot, station: Station, at: datetime, is_through: bool
    ) -> CarrierTrack:
        """Record that the carrier passed a station, or that it entered."""
        return carriers.record_pass(
            self.carrier,
            run=run,
            step_no=step.step_no,
            operation_code=step.operation_code,
            station=station,
            at=at,
            is_through=is_through,
        )


def find_missed_positions(reports: Sequence[UnitReport], sns_by_position: Mapping[str, str]) -> list[str]:
    """Return the loaded positions that a report by position passes over. Then none of its positions can be trusted: who
    counts from zero gives each board its neighbour's result.
    """
    if all(report.sn for report in reports):
        return []
    sns, positions = {report.sn for report in reports}, {report.position for report in reports}
    return [position for position, sn in sns_by_position.items() if position not in positions and sn not in sns]


def _check_positions(positions: Sequence[str]) -> None:
    """Raise IngestPayloadInvalid when two units are reported at one position."""
    repeated = sorted(position for position, count in Counter(positions).items() if count > 1)
    if repeated:
        raise invalid(_("positionPath: more than one unit at: {names}").format(names=", ".join(repeated)))


@dataclass
class BatchMeasurements:
    """Measurements of a whole batch: on the carrier's pass where a spec asks for that, else on each unit."""

    step: StepSnapshot
    at: datetime
    of_carrier: list[judging.Reading]
    of_units: list[judging.Reading]
    unmapped: list[str | None]
    misfits: list[judging.Misfit]
    judged: list[judging.JudgedValue] = field(default_factory=list)
    on_pass: values.Earlier = values.NOTHING_EARLIER

    @classmethod
    def of(cls, match: Match, extracted: Extracted) -> "BatchMeasurements":
        """Sort the measurements of the event by what their specs ask for."""
        mapped = measurements.to_readings(match.mapping, extracted.measurements, match.step, at=extracted.occurred_at)
        carrier_specs = {
            spec.name
            for spec in match.step.specs
            if spec.trigger_type == TriggerType.EACH_CARRIER and extracted.carrier_no is not None
        }
        of_carrier = [reading for reading in mapped.readings if reading.spec_name in carrier_specs]
        of_units = [reading for reading in mapped.readings if reading.spec_name not in carrier_specs]
        return cls(match.step, extracted.occurred_at, of_carrier, of_units, mapped.unmapped, mapped.misfits)

    def judge(self, carrier_track: CarrierTrack, station: Station, *, by: str, is_new: bool) -> None:
        """Judge the values of the carrier's pass; store those of a new one, read what came for an earlier one.

        One that does not fit is a misfit of each unit: those that fail go without it.
        """
        self.judged, misfits = judging.collect_fitting(self.of_carrier, self.step, source="AUTO", default_time=self.at)
        self.misfits += misfits
        if not is_new:
            self.on_pass = values.find_earlier(
                [values.Passing(None, 0, carrier_track.pk)], created_since=carrier_track.created_at
            )[0]
            return
        owner = values.Owner(
            unit_id=None,
            run_id=carrier_track.run_id,
            track_id=None,
            carrier_track_id=carrier_track.pk,
            station_id=station.pk,
            step_no=self.step.step_no,
            operation_code=self.step.operation_code,
        )
        values.store(self.judged, owner=owner, received_at=timezone.now(), source="AUTO", by=by)
        self.on_pass = values.on_carrier(self.judged)

    def raise_alarms(self, carrier_track: CarrierTrack, unit_moves: Sequence[Move], *, key: str, is_new: bool) -> None:
        """Emit the alarms of a new carrier's pass, and hold its units where one calls for it; after they moved."""
        emit(
            *(
                alarm_event(
                    value,
                    key=f"{key}:{carrier_track.pk}:{index}",
                    sn=None,
                    run_id=carrier_track.run_id,
                    carrier_track_id=carrier_track.pk,
                )
                for index, value in enumerate(self.judged)
                if value.alarmed and is_new
            )
        )
        for move in unit_moves:
            moves.hold_for(move, [value for value in self.judged if value.holds])
