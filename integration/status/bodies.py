"""The bodies of inbound status: what each carries beside the envelope that all share."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
EventId = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
ShortText = Annotated[str, msgspec.Meta(max_length=100)]
LongText = Annotated[str, msgspec.Meta(max_length=500)]
StepNo = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class StatusEvent(msgspec.Struct, rename="camel", kw_only=True):
    """The envelope."""

    event_id: EventId
    event_time: Moment
    source: Literal["AUTO", "MANUAL"]
    operator_id: Annotated[str, msgspec.Meta(max_length=150)] | None = None
    meta: dict[str, Any] | None = None


class StencilStatusEvent(StatusEvent, kw_only=True):
    """The state of a stencil; tension in N/cm. A machine that cleans it knows no status: it may say that alone."""

    stencil_id: Code
    status: Literal["READY", "NOT_READY", "MAINTENANCE"] | None = None
    version: ShortText | None = None
    tension_value: Annotated[float, msgspec.Meta(ge=0)] | None = None
    last_cleaned_at: Moment | None = None


class SolderPasteStatusEvent(StatusEvent, kw_only=True):
    """The state of a solder paste lot."""

    lot_id: Code
    status: Literal["COMPLIANT", "NON_COMPLIANT", "EXPIRED"]
    expires_at: Moment | None = None
    thawed_at: Moment | None = None
    stirred_at: Moment | None = None


class SolderPasteUsageEvent(StatusEvent, kw_only=True):
    """What happened to a lot: at least one of the times. A usage is named by lot and issue."""

    lot_id: Code
    line_code: ShortText | None = None
    run_no: ShortText | None = None
    received_at: Moment | None = None
    thawed_at: Moment | None = None
    issued_at: Moment | None = None
    returned_at: Moment | None = None


class LotReportEvent(StatusEvent, kw_only=True):
    """What happened to a material lot at `eventTime`. `quantity` is what was counted, or what went into `newLotId`."""

    lot_id: Code
    kind: Literal[
        "OPENED",
        "DRY_IN",
        "DRY_OUT",
        "SEALED",
        "BAKE_START",
        "BAKE_END",
        "COUNTED",
        "USED_UP",
        "SPLIT",
    ]
    quantity: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    temperature_c: Annotated[float, msgspec.Meta(ge=-273, le=1000)] | None = None
    new_lot_id: Code | None = None


class EquipmentStatusEvent(StatusEvent, kw_only=True):
    """The state of a machine: `normal`, or whatever the maintenance system calls it otherwise."""

    equipment_code: Code
    status: Annotated[str, msgspec.Meta(min_length=1, max_length=50)]


class MaintenanceTaskEvent(StatusEvent, kw_only=True):
    """The state of a maintenance task of a machine."""

    equipment_code: Code
    task_no: Code
    status: Literal["OPEN", "CLOSED"]
    title: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    is_blocking: bool | None = None
    due_at: Moment | None = None


class ReportedDefect(msgspec.Struct, rename="camel", kw_only=True):
    """A defect that an inspection found."""

    code: Code
    location: ShortText | None = None
    remark: LongText | None = None


class InspectionResultEvent(StatusEvent, kw_only=True):
    """What an inspection machine, or the person who reviews it, says of a unit's pass through a step."""

    run_no: ShortText | None = None
    station_code: ShortText
    unit_sn: ShortText
    step_no: StepNo
    inspection_type: Literal["SPI", "AOI"]
    result: Literal["PASS", "FAIL"]
    defects: Annotated[list[ReportedDefect], msgspec.Meta(max_length=1000)] = msgspec.field(default_factory=list)


class StationValue(msgspec.Struct, rename="camel", kw_only=True):
    """A value of a station: exactly one `value*`, of the named spec of the operation."""

    spec_name: Code
    value_number: float | None = None
    value_text: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None
    value_boolean: bool | None = None
    value_json: Any = None
    judge: Literal["PASS", "FAIL"] | None = None


class StationDataEvent(StatusEvent, kw_only=True):
    """Values of a station itself, such as the program it has loaded, collected at `eventTime`."""

    station_code: Code
    operation_code: Code
    data: Annotated[list[StationValue], msgspec.Meta(min_length=1, max_length=1000)]


class ReportedSlot(msgspec.Struct, rename="camel", kw_only=True):
    """What was done to a slot, with a lot, a tool or a program; `quantity` is what is in the lot."""

    action: Literal["LOADED", "UNLOADED", "SPLICED", "SPLICE_POINT", "EMPTY"]
    slot: ShortText | None = None
    lot_id: ShortText | None = None
    tool_id: ShortText | None = None
    program: ShortText | None = None
    material_code: ShortText | None = None
    quantity: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None


class MaterialLoadsEvent(StatusEvent, kw_only=True):
    """What was done to slots of a station at `eventTime`."""

    station_code: Code
    loads: Annotated[list[ReportedSlot], msgspec.Meta(min_length=1, max_length=1000)]


class ReportedUse(msgspec.Struct, rename="camel", kw_only=True):
    """A lot, a tool or a part with a serial number that was used for a unit, or taken out of it."""

    unit_sn: Code
    lot_id: Code | None = None
    tool_id: Code | None = None
    serial: Code | None = None
    material_code: Code | None = None
    slot: ShortText | None = None
    ref_des: ShortText | None = None
    quantity: Annotated[float, msgspec.Meta(ge=0, le=1_000_000_000)] | None = None
    is_removed: bool = False


class MaterialUsesEvent(StatusEvent, kw_only=True):
    """What was used for units at a station at the time of the event: exact, where slots tell what may have been."""

    station_code: Code
    uses: Annotated[list[ReportedUse], msgspec.Meta(min_length=1, max_length=10_000)]
