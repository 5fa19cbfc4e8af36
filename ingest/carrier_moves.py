"""The carrier of a BATCH event: what it carries, its pass, and the values that are the carrier's, not a unit's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext as _

from execution import carriers, moves
from execution.data import judging, values
from execution.models import Carrier, CarrierLoad, CarrierTrack
from execution.outbox_events import alarm_event
from execution.unit_state import UnitState
from ingest.envelope import Sent
from ingest.mapping import extract as mappings
from ingest.mapping import measurements
from ingest.mapping.extract import Extracted, UnitReport
from ingest.matching import Choice
from ingest.models import SettledIngestEvent
from mes.plant.models import Station
from mes.platform.outbox.emit import emit
from mes.production.locking import Locked
from mes.routing.snapshots import StepSnapshot
from mes.specs.models import TriggerType

if TYPE_CHECKING:
    from ingest.unit_moves import Applied


@dataclass(frozen=True, slots=True)
class Carried:
    """A locked carrier, what it carries, and what it carried when the event was received: (serial number, position)."""

    carrier: Carrier
    loads: Sequence[CarrierLoad]
    received: Sequence[tuple[str, str]]
    is_past: bool

    @classmethod
    def on(cls, carrier_no: str, sent: Sent, locked: Locked) -> "Carried":
        """Lock a carrier, after its units. Raises Outdated when it carries one that is not locked."""
        carrier = carriers.lock_carrier(carrier_no)
        loads = carriers.list_loads(carrier)
        locked.check(unit_ids=[load.unit_id for load in loads], run_ids=())
        if sent.carried is not None:
            return cls(carrier, loads, sent.carried, is_past=True)
        return cls(carrier, loads, [(load.unit.sn, load.position) for load in loads], is_past=False)

    @property
    def by_position(self) -> dict[str, str]:
        """The serial numbers by position at receipt, as far as positions are known."""
        return {position: sn for sn, position in self.received if position}

    def find_or_record_pass(
        self,
        done: "Applied",
        reports: Sequence[UnitReport],
        units: Mapping[str, UnitState],
        rest_of: SettledIngestEvent | None,
    ) -> CarrierTrack:
        """Return the pass that an event recorded when it was applied first, else record one.

        Units that the event lists are what the carrier carries; positions of the past say nothing of the present.
        """
        if rest_of is not None and rest_of.carrier_track_id is not None:
            return CarrierTrack.objects.get(pk=rest_of.carrier_track_id)
        extracted = done.extracted
        if extracted.units and (not self.is_past or any(unit.sn for unit in extracted.units)):
            positions = {load.unit_id: load.position for load in self.loads}
            there = [(units[str(report.sn)].unit, report.position) for report in reports]
            seen = [(unit, position or positions.get(unit.pk, "")) for unit, position in there]
            _check_positions([position for _unit, position in seen if position])
            carriers.settle_loads(self.carrier, seen, at=extracted.occurred_at)
        return carriers.record_pass(
            self.carrier,
            run=done.run,
            step_no=done.step.step_no,
            operation_code=done.step.operation_code,
            station=done.station,
            at=extracted.occurred_at,
        )


def _check_positions(positions: Sequence[str]) -> None:
    """Raise IngestPayloadInvalid when two units are said to be at one position."""
    repeated = sorted(position for position, count in Counter(positions).items() if count > 1)
    if repeated:
        raise mappings.invalid(_("positionPath: more than one unit at: {names}").format(names=", ".join(repeated)))


@dataclass
class Shared:
    """Measurements of a whole batch: on the carrier's pass where a spec asks for that, else on each unit."""

    step: StepSnapshot
    at: datetime
    of_carrier: list[judging.Reading]
    of_units: list[judging.Reading]
    unmapped: list[str]
    judged: list[judging.JudgedValue] = field(default_factory=list)
    on_pass: values.Earlier = values.NOTHING_EARLIER

    @classmethod
    def of(cls, choice: Choice, extracted: Extracted) -> "Shared":
        """Sort the measurements of the event by what their specs ask for."""
        mapped = measurements.to_readings(choice.mapping, extracted.measurements, choice.step, at=extracted.occurred_at)
        carried = {
            spec.name
            for spec in choice.step.specs
            if spec.trigger_type == TriggerType.EACH_CARRIER and extracted.carrier_no is not None
        }
        of_carrier = [reading for reading in mapped.readings if reading.spec_name in carried]
        of_units = [reading for reading in mapped.readings if reading.spec_name not in carried]
        return cls(choice.step, extracted.occurred_at, of_carrier, of_units, mapped.unmapped)

    def judge(self, carrier_track: CarrierTrack, station: Station, *, is_new: bool) -> None:
        """Judge the values of the carrier's pass; store those of a new one, read what came for an earlier one."""
        self.judged = judging.collect(self.of_carrier, self.step, source="AUTO", default_time=self.at)
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
        values.store(self.judged, owner=owner, received_at=timezone.now(), source="AUTO")
        self.on_pass = values.on_carrier(self.judged)

    def tell(self, done: "Applied", *, is_new: bool) -> None:
        """Write the alarms of a new carrier's pass, and hold its units where one calls for it; after they moved."""
        if done.carrier_track is None:
            return
        emit(
            *(
                alarm_event(
                    value,
                    key=f"carrier:{done.carrier_track.pk}:{index}",
                    sn=None,
                    run_id=done.run.pk,
                    carrier_track_id=done.carrier_track.pk,
                )
                for index, value in enumerate(self.judged)
                if value.alarmed and is_new
            )
        )
        for move in done.moves:
            moves.hold_for(move, [value for value in self.judged if value.holds])
