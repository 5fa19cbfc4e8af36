"""The rows of a unit as its trace reads them: structs with the models' names of attributes, for a tenth of their cost.

Those that come in JSON are arrays in the order of their fields; `trace.unit_reading` selects them in that order.
"""

from datetime import datetime
from typing import Any

import msgspec

from execution.models import DispositionAction, Judge, TrackResult, TrackSource
from execution.quality.models import DefectSource, DefectStatus, InspectionType, InspectionVerdict
from execution.quality.repair.models import RepairAction, RepairResult, ReworkTaskStatus
from ingest.models import IngestStatus
from mes.platform.files.queries import AttachedFile
from mes.production.decision_models import UnitMoveAct
from mes.production.hold_models import Hold, HoldSource
from mes.readiness.models import ItemStatus


def label(choices: Any, value: str) -> str:
    """Return what `get_…_display` of a model does."""
    try:
        return str(choices(value).label)
    except ValueError:
        return value


class Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A row with the id that templates call `pk`."""

    id: int

    @property
    def pk(self) -> int:
        return self.id


class Named(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A station by its code."""

    code: str


class RunNamed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A run by its number."""

    run_no: str


class CarrierNamed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A carrier by its number."""

    carrier_no: str


class TrackRow(Row, frozen=True, gc=False):
    """A pass of the unit: `execution.models.Track`."""

    run_id: int
    run: RunNamed
    step_no: int
    operation_code: str
    station: Named
    source: str
    attempt: int
    rework_no: int
    in_at: datetime
    out_at: datetime | None
    result: str
    claimed_result: str
    result_override: str
    inspection_override: bool
    operator_in: str
    operator_out: str
    in_by: str
    out_by: str
    is_trial: bool
    is_time_doubtful: bool
    reported_at: datetime | None

    def get_source_display(self) -> str:
        return label(TrackSource, self.source)

    def get_result_display(self) -> str:
        return label(TrackResult, self.result)

    def get_claimed_result_display(self) -> str:
        return label(TrackResult, self.claimed_result)


class RecordRow(Row, frozen=True, gc=False):
    """A device data record: `integration.models.DeviceDataRecord`."""

    event_id: str
    event_time: datetime
    received_at: datetime
    source: str
    station: Named | None
    step_no: int | None
    track_id: int | None
    equipment_id: str
    operator_id: str
    system: str
    values_count: int
    judge: str
    payload: Any

    @property
    def data(self) -> list[dict[str, Any]]:
        """The values as they were sent; none of an event with counts."""
        return self.payload.get("data") or []

    @property
    def meta(self) -> dict[str, Any] | None:
        """What else the device sent."""
        return self.payload.get("meta")


class AliasRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A serial number that the unit had: `mes.production.identity_models.UnitAlias`."""

    sn: str
    reason: str
    relabelled_by: str
    relabelled_at: datetime


class DispositionRow(Row, frozen=True, gc=False):
    """A decision: `execution.models.Disposition`."""

    action: str
    from_status: str
    to_status: str
    step_no: int | None
    about_step_no: int | None
    about_event_id: int | None
    about_message_id: int | None
    reason: str
    decided_by: str
    decided_at: datetime
    approved_by: str
    hold_id: int | None

    def get_action_display(self) -> str:
        return label(DispositionAction, self.action)


class HoldNamed(Row, frozen=True, gc=False):
    """A case: `mes.production.hold_models.Hold`."""

    source: str
    reason: str
    scope: str
    owner: str

    @property
    def hold_no(self) -> str:
        """Its number, as people name it."""
        return Hold.number_of(self.id)

    def get_source_display(self) -> str:
        return label(HoldSource, self.source)


class HeldRow(Row, frozen=True, gc=False):
    """What holds the unit, or did: `mes.production.hold_models.HeldUnit`."""

    hold: HoldNamed
    held_at: datetime
    held_by: str
    ended_at: datetime | None
    ended_by: str
    end: str
    end_reason: str


class DeviationRow(Row, frozen=True, gc=False):
    """What the unit may have done otherwise than its route says: `execution.deviations.models.Deviation`."""

    type: str
    status: str
    step_no: int
    operation_code: str
    station_codes: list[str]
    expires_at: datetime
    reason: str
    requested_by: str
    approved_by: str
    approved_at: datetime
    ended_by: str
    ended_at: datetime | None
    end_reason: str


class MoveRow(Row, frozen=True, gc=False):
    """The unit left a run: `mes.production.decision_models.UnitMove`."""

    act: str
    from_run: RunNamed
    to_run: RunNamed | None
    status: str
    step_no: int | None
    counted_as: str
    reason: str
    moved_by: str
    moved_at: datetime

    def get_act_display(self) -> str:
        return label(UnitMoveAct, self.act)

    @property
    def decided_at(self) -> datetime:
        """When, as decisions name it, among which it is shown."""
        return self.moved_at


class EventRow(Row, frozen=True, gc=False):
    """A machine event, open or settled: `ingest.models.IngestBase`."""

    dedupe_key: str
    source_system: str
    event_type: str
    status: str
    occurred_at: datetime | None
    reported_at: datetime | None
    received_at: datetime
    recorded_by: str
    station: Named | None
    step_no: int | None
    carrier_no: str
    result: str
    test_result_id: str
    transaction_id: str
    track_ids: list[int]
    carrier_track_id: int | None
    skipped: Any
    unmapped_count: int
    error: Any
    payload: Any
    normalized: Any
    count: int

    def get_status_display(self) -> str:
        return label(IngestStatus, self.status)


class LoadRow(Row, frozen=True, gc=False):
    """The unit on a carrier: `execution.models.CarrierLoad`."""

    carrier: CarrierNamed
    position: str
    loaded_at: datetime
    unloaded_at: datetime | None


class CarrierTrackRow(Row, frozen=True, gc=False):
    """A pass of a carrier: `execution.models.CarrierTrack`."""

    carrier: CarrierNamed
    run: RunNamed
    step_no: int
    operation_code: str
    station: Named | None
    in_at: datetime
    out_at: datetime | None


class CarrierPassRow(Row, frozen=True, gc=False):
    """The unit's part in a carrier's pass: `execution.models.CarrierTrackUnit`."""

    track_id: int
    carrier_track: CarrierTrackRow

    @property
    def carrier_track_id(self) -> int:
        return self.carrier_track.id


class RuleNamed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A time rule by its name."""

    name: str


class ClockRow(Row, frozen=True, gc=False):
    """A clock of the unit: `mes.time_rules.models.TimeRuleInstance`."""

    definition_code: str
    definition: RuleNamed
    run: RunNamed | None
    status: str
    started_at: datetime
    warning_at: datetime | None
    earliest_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None
    ending: str
    decided_at: datetime | None
    decided_by: str
    decision_reason: str


class InspectedTrack(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The pass that was inspected."""

    step_no: int
    station: Named


class InspectionRow(Row, frozen=True, gc=False):
    """What an inspection said: `execution.quality.models.InspectionResult`."""

    track_id: int
    track: InspectedTrack
    inspection_type: str
    result: str
    status_at: datetime
    source: str
    operator_id: str
    recorded_by: str
    defects: Any

    def get_inspection_type_display(self) -> str:
        return label(InspectionType, self.inspection_type)

    def get_result_display(self) -> str:
        return label(InspectionVerdict, self.result)


class FoundBy(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The inspection that found a defect, by its kind."""

    inspection_type: str


class DefectRow(Row, frozen=True, gc=False):
    """A defect: `execution.quality.models.Defect`."""

    track_id: int | None
    inspection_id: int | None
    inspection: FoundBy | None
    run: RunNamed
    station: Named | None
    step_no: int
    code: str
    reported_code: str
    source_system: str
    location: str
    quantity: int
    remark: str
    source: str
    status: str
    found_by: str
    found_at: datetime
    settled_by: str
    settled_at: datetime | None
    settled_reason: str
    category: str | None
    files: list[AttachedFile]

    def get_source_display(self) -> str:
        return label(DefectSource, self.source)

    def get_status_display(self) -> str:
        return label(DefectStatus, self.status)


class RepairRow(Row, frozen=True, gc=False):
    """What was done about a defect: `execution.quality.repair.models.RepairRecord`."""

    defect_id: int
    code: str
    location: str
    action: str
    result: str
    replaced: list[dict[str, Any]]
    remark: str
    recorded_by: str
    recorded_at: datetime

    def get_action_display(self) -> str:
        return label(RepairAction, self.action)

    def get_result_display(self) -> str:
        return label(RepairResult, self.result)


class TaskRow(Row, frozen=True, gc=False):
    """A stay at the bench, or one to come: `execution.quality.repair.models.ReworkTask`, with its records."""

    to_step_no: int
    status: str
    reason: str
    created_by: str
    created_at: datetime
    ended_by: str
    ended_at: datetime | None
    end_reason: str
    defect_ids: list[int]
    records: list[RepairRow]

    def get_status_display(self) -> str:
        return label(ReworkTaskStatus, self.status)


class WaiverRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Who answers for a failure: `mes.readiness.models.ReadinessWaiver`."""

    reason: str
    waived_by: str
    waived_at: datetime


class ItemRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One thing that was looked at before the run: `mes.readiness.models.ReadinessItem`."""

    item_type: str
    item_key: str
    status: str
    code: str
    reason: str
    evidence: Any
    waiver: WaiverRow | None

    def get_status_display(self) -> str:
        return label(ItemStatus, self.status)


class CheckRow(Row, frozen=True, gc=False):
    """What the run was authorized by: `mes.readiness.models.ReadinessCheck`, with its items."""

    kind: str
    status: str
    is_authorization: bool
    checked_at: datetime
    checked_by: str
    items: list[ItemRow]


class ValueRow(msgspec.Struct, frozen=True, gc=False):
    """A collected value: `execution.models.DataValue`. It comes as a row, in the order of these fields."""

    id: int
    track_id: int | None
    carrier_track_id: int | None
    record_id: int | None
    step_no: int | None
    operation_code: str
    name: str
    item_type: str
    value_number: float | None
    value_text: str | None
    value_boolean: bool | None
    value_json: Any
    measure: str
    lsl: float | None
    usl: float | None
    target: float | None
    alarm_min: float | None
    alarm_max: float | None
    judge: str
    reported_judge: str
    alarmed: bool
    source: str
    operator: str
    recorded_by: str
    collected_at: datetime

    @property
    def pk(self) -> int:
        return self.id

    def get_judge_display(self) -> str:
        return label(Judge, self.judge)
