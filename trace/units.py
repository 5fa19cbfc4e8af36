"""Everything about one unit, in a fixed number of queries. The page and the API share it."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy

from execution.materials import trace_levels
from execution.materials.contents import MaterialRow
from execution.materials.trace_levels import Bill, Traceability
from execution.models import Judge
from execution.quality.repair.reentries import find_reached_limit
from mes.production.hold_models import Hold
from mes.production.models import Unit, UnitStatus
from mes.production.runs import snapshot_of
from mes.routing.snapshots import RouteSnapshot, StepSnapshot
from trace import carriers, clocks, inspections, machine_events
from trace.carriers import CarrierPass, UnitCarriers
from trace.clocks import UnitClock
from trace.readiness import RunReadiness
from trace.readiness import as_json as readiness_as_json
from trace.unit_reading import read_unit
from trace.unit_rows import (
    AliasRow,
    ClockRow,
    DefectRow,
    DeviationRow,
    DispositionRow,
    EventRow,
    HeldRow,
    InspectionRow,
    MoveRow,
    RecordRow,
    RepairRow,
    TaskRow,
    TrackRow,
    ValueRow,
)
from trace.values import value_as_json

MISSING = {
    "NO_BOM": gettext_lazy("has no bill of materials"),
    "NOT_IN_RUN": gettext_lazy("no lot of it stood in a slot of the run"),
    "NOT_IN_UNIT": gettext_lazy("no lot of it came into this unit"),
    "ONE_OF_SEVERAL": gettext_lazy("several lots stood in its slot"),
    "NO_SUPPLIER_LOT": gettext_lazy("its lot has neither the supplier's lot nor a date code"),
    "NOT_REPORTED": gettext_lazy("what is there was not reported"),
}
UNFOLDED_PASSES = 3  # the newest ones, on the page


@dataclass(frozen=True)
class StepState:
    """A step of the frozen route, and how the unit stands to it.

    `state` is `passed`, `failed` (the last pass failed), `here` (in a station), `next` (to be done now) or `ahead`.
    """

    step: StepSnapshot
    state: str
    is_current: bool
    tracks: Sequence[TrackRow]

    @property
    def last_track(self) -> TrackRow | None:
        """The latest pass."""
        return self.tracks[-1] if self.tracks else None


@dataclass(frozen=True)
class Pass:
    """A track with what was collected on it, and what was wrong at it beside what inspections found."""

    track: TrackRow
    values: Sequence[ValueRow]
    records: Sequence[RecordRow]
    events: Sequence[EventRow]
    defects: Sequence[DefectRow]
    is_unfolded: bool
    on_carrier: CarrierPass | None = None

    @cached_property
    def rows(self) -> list[tuple[ValueRow, bool]]:
        """The values, each with whether a later value of the same spec decides in its place."""
        latest = {value.name: value.pk for value in self.values}
        return [(value, latest[value.name] != value.pk) for value in self.values]

    @cached_property
    def all_rows(self) -> list[tuple[ValueRow, bool]]:
        """The values of the pass and of the carrier it was made on."""
        return [*self.rows, *(self.on_carrier.rows if self.on_carrier else ())]

    @cached_property
    def failed(self) -> int:
        """How many of the values that decide failed."""
        return sum(1 for value, is_superseded in self.all_rows if value.judge == Judge.FAIL and not is_superseded)

    @cached_property
    def alarmed(self) -> int:
        """How many values raised an alarm."""
        return sum(1 for value, _is_superseded in self.all_rows if value.alarmed)


@dataclass(frozen=True)
class UnitTrace:
    """A unit with its own rows only, never all of its run's. Sequences are in the order things happened."""

    unit: Unit
    snapshot: RouteSnapshot | None
    tracks: Sequence[TrackRow]
    values: Sequence[ValueRow]
    records: Sequence[RecordRow]
    dispositions: Sequence[DispositionRow]
    moves: Sequence[MoveRow]
    deviations: Sequence[DeviationRow]
    events: Sequence[EventRow]
    carriers: UnitCarriers
    clocks: Sequence[ClockRow]
    inspections: Sequence[InspectionRow]
    defects: Sequence[DefectRow]
    readiness: RunReadiness | None
    loaded_at: datetime
    aliases: Sequence[AliasRow] = ()
    holds: Sequence[HeldRow] = ()
    tasks: Sequence[TaskRow] = ()
    materials: Sequence[MaterialRow] = ()
    bill: Bill | None = None

    @cached_property
    def traceability(self) -> Traceability:
        """How far it can be traced."""
        return trace_levels.judge(self.bill, self.materials)

    @property
    def missing_materials(self) -> list[tuple[str, str, str]]:
        """What is missing for the next trace level, for people: (part, designator, why)."""
        return [
            (each.material_code or self.unit.work_order.product_code, each.ref_des or "", str(MISSING[each.code]))
            for each in self.traceability.missing
        ]

    @cached_property
    def materials_by_step(self) -> list[tuple[StepSnapshot | None, int | None, list[MaterialRow]]]:
        """What is in it or served to make it: (step, its number, rows), in the order of the steps; what belongs to no
        pass of its own at the end.
        """
        names = {state.step.step_no: state.step for state in self.steps}
        groups: dict[int | None, list[MaterialRow]] = {}
        for row in self.materials:
            groups.setdefault(None if row.via else row.step_no, []).append(row)
        numbers = sorted(groups, key=lambda number: (number is None, number or 0))
        return [(None if number is None else names.get(number), number, groups[number]) for number in numbers]

    @property
    def open_holds(self) -> list[HeldRow]:
        """What holds the unit at present, the oldest first."""
        return [held for held in self.holds if held.ended_at is None]

    @cached_property
    def decisions(self) -> list[DispositionRow | MoveRow]:
        """What was decided about the unit, and how it came from run to run, newest first."""
        decisions: list[DispositionRow | MoveRow] = [*self.dispositions, *self.moves]
        return sorted(decisions, key=lambda item: item.decided_at)[::-1]

    @cached_property
    def steps(self) -> list[StepState]:
        """The frozen route as a line of steps."""
        if self.snapshot is None:
            return []
        return [self._state_of(step) for step in self.snapshot.steps]

    @cached_property
    def current_step(self) -> StepState | None:
        """The step to do now; None when the unit is done or in no run."""
        return next((state for state in self.steps if state.is_current), None)

    @property
    def is_at_reentry_limit(self) -> bool:
        """Whether rework has led the unit into a step of its run as often as that allows."""
        if self.snapshot is None:
            return False
        rounds = ((state.step, len({track.rework_no for track in state.tracks})) for state in self.steps)
        return any(find_reached_limit(self.snapshot, *each) is not None for each in rounds)

    @cached_property
    def open_track(self) -> TrackRow | None:
        """The pass that the unit has not left yet."""
        return next((track for track in self.tracks if track.out_at is None), None)

    @cached_property
    def passes(self) -> list["Pass"]:
        """The passes, newest first, each with its values and device records."""
        unfolded = {track.pk for track in self.tracks[-UNFOLDED_PASSES:]}
        return [
            Pass(
                track,
                self.values_of(track),
                self._records_of.get(track.pk, []),
                [event for event in self.events if track.pk in event.track_ids],
                [defect for defect in self.defects if defect.track_id == track.pk and defect.inspection_id is None],
                track.pk in unfolded,
                self.carriers.by_track.get(track.pk),
            )
            for track in reversed(self.tracks)
        ]

    @cached_property
    def loose_values(self) -> list[ValueRow]:
        """Values that belong to no pass of the unit itself."""
        return self._values_of.get(None, [])

    @cached_property
    def findings(self) -> list[ValueRow]:
        """Values that failed or raised an alarm, newest first."""
        values = sorted([*self.values, *self.carriers.values], key=lambda value: (value.collected_at, value.pk))
        return [value for value in reversed(values) if value.judge == Judge.FAIL or value.alarmed]

    @cached_property
    def clocks_shown(self) -> list[UnitClock]:
        """The clocks by time rules, newest first, as they look now."""
        return clocks.as_shown(self.clocks)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is expected to happen."""
        return self.unit.status in (UnitStatus.DONE, UnitStatus.SCRAPPED)

    @property
    def mark(self) -> str:
        """A text that changes whenever something about the unit changed. Values and records are only ever added."""
        last_track = self.tracks[-1] if self.tracks else None
        facts = (
            self.unit.updated_at,
            self.unit.run and self.unit.run.status,
            last_track and (last_track.pk, last_track.out_at),
            *(track.result for track in self.tracks),
            *(len(rows) for rows in (self.tracks, self.values, self.records, self.dispositions, self.moves)),
            *((each.pk, each.status) for each in self.deviations),
            *((event.pk, event.status, event.count) for event in self.events),
            *((load.pk, load.unloaded_at) for load in self.carriers.loads),
            *((clock.pk, clock.status, clock.ended_at, clock.decided_at) for clock in self.clocks),
            *((inspection.pk, inspection.result, inspection.status_at) for inspection in self.inspections),
            *((defect.pk, defect.code, defect.status, [file.pk for file in defect.files]) for defect in self.defects),
            *((held.pk, held.ended_at) for held in self.holds),
            *((task.pk, task.status, task.to_step_no, len(task.records)) for task in self.tasks),
            *((row.load_id, row.track_id, row.lot_id, row.until, row.certainty) for row in self.materials),
            *(len(rows) for rows in (self.carriers.passes, self.carriers.values)),
        )
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def values_of(self, track: TrackRow) -> list[ValueRow]:
        """Return the values of one pass."""
        return self._values_of.get(track.pk, [])

    @cached_property
    def events_with_passes(self) -> list[tuple[EventRow, TrackRow | None]]:
        """The machine events, newest first, each with the unit's own pass that it made or closed."""
        return [(event, machine_events.track_of(event, self.tracks)) for event in reversed(self.events)]

    @cached_property
    def _values_of(self) -> dict[int | None, list[ValueRow]]:
        return _group_by_track(self.values)

    @cached_property
    def _records_of(self) -> dict[int | None, list[RecordRow]]:
        return _group_by_track(self.records)

    def _state_of(self, step: StepSnapshot) -> StepState:
        assert self.unit.run is not None
        tracks = [t for t in self.tracks if t.step_no == step.step_no and t.run_id == self.unit.run_id]
        is_done = UnitStatus.DONE in (self.unit.status, self.unit.held_from)
        is_current = not is_done and self.unit.current_step_no == step.step_no
        return StepState(step, self._describe(step, tracks, is_current=is_current), is_current, tracks)

    def _is_left_out(self, step: StepSnapshot, *, is_current: bool) -> bool:
        """Whether the unit went past a step that it never passed, in whatever run: it is optional, or was skipped."""
        if is_current or any(track.step_no == step.step_no and track.result == "PASS" for track in self.tracks):
            return False
        is_done = UnitStatus.DONE in (self.unit.status, self.unit.held_from)
        is_behind = is_done or (self.unit.current_step_no or 0) > step.step_no
        is_skipped = any(it.action == "SKIP" and it.step_no == step.step_no for it in self.dispositions)
        return is_behind and (step.is_optional or is_skipped)

    def _describe(self, step: StepSnapshot, tracks: Sequence[TrackRow], *, is_current: bool) -> str:
        last = tracks[-1] if tracks else None
        if last is not None and last.out_at is None:
            return "here"
        if last is None and self._is_left_out(step, is_current=is_current):
            return "skipped"
        if is_current:
            return "failed" if last is not None and last.result == "FAIL" else "next"
        if last is None or (self.unit.current_step_no or 0) < step.step_no:
            return "ahead"
        return "passed" if last.result == "PASS" else "failed"


def get_unit_trace(*, sn: str) -> UnitTrace:
    """Load the trace of a unit in three statements, whatever there is, by its serial number or one that it had.

    Raises UnitNotFound, SnUnreadable, SnIsReference.
    """
    rows = read_unit(sn)
    unit = rows.unit
    return UnitTrace(
        unit=unit,
        snapshot=snapshot_of(unit.run) if unit.run else None,
        tracks=rows.tracks,
        values=rows.values,
        records=rows.records,
        dispositions=rows.dispositions,
        moves=rows.moves,
        deviations=rows.deviations,
        events=rows.events,
        carriers=UnitCarriers(rows.loads, rows.carrier_passes, rows.carrier_values),
        clocks=rows.clocks,
        inspections=rows.inspections,
        defects=rows.defects,
        readiness=RunReadiness(rows.check, rows.check.items) if rows.check else None,
        loaded_at=timezone.now(),
        aliases=rows.aliases,
        holds=rows.holds,
        tasks=rows.tasks,
        materials=rows.materials,
        bill=rows.bill,
    )


def _group_by_track(rows: Iterable[Any]) -> dict[int | None, list[Any]]:
    groups: dict[int | None, list[Any]] = {}
    for row in rows:
        groups.setdefault(row.track_id, []).append(row)
    return groups


def as_json(trace: UnitTrace) -> dict[str, Any]:
    """Return a trace in the words of the HTTP interface."""
    unit, run = trace.unit, trace.unit.run
    version = run.route_version if run else None
    links = machine_events.Links(trace.events, [*trace.values, *trace.carriers.values])
    return {
        "unit": {
            "sn": unit.sn,
            "status": unit.status,
            "currentStepNo": unit.current_step_no,
            "woNo": unit.work_order.wo_no,
            "runNo": run.run_no if run else None,
            "productCode": unit.work_order.product_code,
            "lineCode": run.line.code if run else None,
            "holdReason": unit.hold_reason or None,
            "heldFrom": unit.held_from or None,
            "scrapReason": unit.scrap_reason or None,
            "reworkNo": unit.rework_no,
            "holds": [_held_as_json(held) for held in trace.holds],
        },
        "route": {
            "code": version.routing.code,
            "name": trace.snapshot.route_name if trace.snapshot else version.routing.name,
            "sourceSystem": version.routing.source_system,
        }
        if version
        else None,
        "routeVersion": {
            "id": str(version.pk),
            "versionNo": version.version_no,
            "compiledAt": version.compiled_at,
            "digest": version.digest,
        }
        if version
        else None,
        "steps": [_step_as_json(state) for state in trace.steps],
        "tracks": [_track_as_json(track) for track in trace.tracks],
        "dataValues": [_value_as_json(value, links) for value in trace.values],
        "ingestEvents": [machine_events.as_json(event, tracks=trace.tracks, links=links) for event in trace.events],
        "deviceData": [_record_as_json(record) for record in trace.records],
        "carrierTracks": [
            {
                **carriers.track_as_json(part.carrier_track),
                "carrierNo": part.carrier_track.carrier.carrier_no,
                "trackId": str(part.track_id),
            }
            for part in trace.carriers.passes
        ],
        "carrierLoads": [
            {**carriers.load_as_json(load), "carrierNo": load.carrier.carrier_no} for load in trace.carriers.loads
        ],
        "carrierDataValues": [_value_as_json(value, links) for value in trace.carriers.values],
        "defects": [inspections.defect_as_json(defect) for defect in trace.defects],
        "reworkTasks": [_task_as_json(task) for task in trace.tasks],
        "repairs": [_repair_as_json(task, record) for task in trace.tasks for record in task.records],
        "dispositions": [_disposition_as_json(item) for item in trace.dispositions],
        "moves": [_move_as_json(move) for move in trace.moves],
        "deviations": [_deviation_as_json(deviation) for deviation in trace.deviations],
        "inspections": [inspections.as_json(inspection) for inspection in trace.inspections],
        "timeRules": [clocks.as_json(clock) for clock in trace.clocks],
        "readiness": readiness_as_json(trace.readiness),
        "materials": [_material_as_json(row) for row in trace.materials],
        "traceability": _traceability_as_json(trace.traceability),
        "aliases": [
            {
                "sn": alias.sn,
                "reason": alias.reason,
                "relabelledBy": alias.relabelled_by,
                "relabelledAt": alias.relabelled_at,
            }
            for alias in trace.aliases
        ],
    }


def _material_as_json(row: MaterialRow) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "trackId": None if row.track_id is None else str(row.track_id),
        "stepNo": row.step_no,
        "stationCode": row.station_code,
        "slot": row.slot or None,
        "materialCode": row.material_code,
        "lotId": row.lot_id,
        "supplierLot": row.supplier_lot or None,
        "dateCode": row.date_code or None,
        "toolId": row.tool_id,
        "program": row.program or None,
        "serial": row.serial,
        "refDes": row.ref_des,
        "certainty": row.certainty,
        "verify": row.verify or None,
        "from": row.since,
        "to": row.until,
        "loadId": None if row.load_id is None else str(row.load_id),
        "via": row.via,
    }


def _traceability_as_json(found: Traceability) -> dict[str, Any]:
    missing = [
        {"level": each.level, "code": each.code, "materialCode": each.material_code, "refDes": each.ref_des}
        for each in found.missing
    ]
    return {"declared": found.declared, "reached": found.reached, "missing": missing}


def _deviation_as_json(deviation: DeviationRow) -> dict[str, Any]:
    return {
        "deviationNo": f"DEV-{deviation.pk}",
        "type": deviation.type,
        "status": deviation.status,
        "stepNo": deviation.step_no,
        "operationCode": deviation.operation_code,
        "stationCodes": deviation.station_codes,
        "expiresAt": deviation.expires_at,
        "reason": deviation.reason,
        "requestedBy": deviation.requested_by,
        "approvedBy": deviation.approved_by,
        "approvedAt": deviation.approved_at,
        "endedBy": deviation.ended_by,
        "endedAt": deviation.ended_at,
        "endReason": deviation.end_reason,
    }


def _value_as_json(value: ValueRow, links: machine_events.Links) -> dict[str, Any]:
    told = value_as_json(value)
    told["ingestEventId"] = links.event_id_of(value)
    return told


def _step_as_json(state: StepState) -> dict[str, Any]:
    step = state.step
    return {
        "stepNo": step.step_no,
        "operationCode": step.operation_code,
        "operationName": step.operation_name,
        "operationKind": step.operation_kind,
        "stationType": step.station_type,
        "state": state.state.upper(),
        "isCurrent": state.is_current,
        "attempts": len(state.tracks),
    }


def _track_as_json(track: TrackRow) -> dict[str, Any]:
    return {
        "id": str(track.pk),
        "runNo": track.run.run_no,
        "stepNo": track.step_no,
        "operationCode": track.operation_code,
        "stationCode": track.station.code,
        "source": track.source,
        "attempt": track.attempt,
        "inAt": track.in_at,
        "outAt": track.out_at,
        "result": track.result or None,
        "claimedResult": track.claimed_result or None,
        "resultOverride": track.result_override or None,
        "inspectionOverride": track.inspection_override,
        "operatorId": track.operator_out or track.operator_in or None,
        "inBy": track.in_by or None,
        "outBy": track.out_by or None,
        "isTrial": track.is_trial,
        "isTimeDoubtful": track.is_time_doubtful,
        "reportedAt": track.reported_at,
    }


def _record_as_json(record: RecordRow) -> dict[str, Any]:
    return {
        "id": str(record.pk),
        "eventId": record.event_id,
        "eventTime": record.event_time,
        "receivedAt": record.received_at,
        "source": record.source,
        "stationCode": record.station.code if record.station else None,
        "stepNo": record.step_no,
        "trackId": None if record.track_id is None else str(record.track_id),
        "equipmentId": record.equipment_id or None,
        "operatorId": record.operator_id or None,
        "recordedBy": record.system or None,
        "valuesCount": record.values_count,
        "judge": record.judge or None,
        "data": record.data,
        "meta": record.meta,
    }


def _disposition_as_json(item: DispositionRow) -> dict[str, Any]:
    return {
        "id": str(item.pk),
        "action": item.action,
        "fromStatus": item.from_status,
        "toStatus": item.to_status,
        "stepNo": item.step_no,
        "aboutStepNo": item.about_step_no,
        "aboutEventId": None if item.about_event_id is None else str(item.about_event_id),
        "aboutMessageId": None if item.about_message_id is None else str(item.about_message_id),
        "reason": item.reason,
        "decidedBy": item.decided_by,
        "approvedBy": item.approved_by or None,
        "decidedAt": item.decided_at,
        "holdNo": None if item.hold_id is None else Hold.number_of(item.hold_id),
    }


def _held_as_json(held: HeldRow) -> dict[str, Any]:
    return {
        "holdNo": held.hold.hold_no,
        "source": held.hold.source,
        "reason": held.hold.reason,
        "scope": held.hold.scope,
        "owner": held.hold.owner or None,
        "heldAt": held.held_at,
        "heldBy": held.held_by,
        "endedAt": held.ended_at,
        "endedBy": held.ended_by or None,
        "end": held.end or None,
        "endReason": held.end_reason or None,
    }


def _task_as_json(task: TaskRow) -> dict[str, Any]:
    return {
        "id": str(task.pk),
        "toStepNo": task.to_step_no,
        "status": task.status,
        "reason": task.reason,
        "defectIds": list(map(str, task.defect_ids)),
        "createdBy": task.created_by,
        "createdAt": task.created_at,
        "endedBy": task.ended_by or None,
        "endedAt": task.ended_at,
        "endReason": task.end_reason or None,
    }


def _repair_as_json(task: TaskRow, record: RepairRow) -> dict[str, Any]:
    return {
        "id": str(record.pk),
        "taskId": str(task.pk),
        "defectId": str(record.defect_id),
        "code": record.code,
        "location": record.location or None,
        "action": record.action,
        "result": record.result,
        "replaced": record.replaced,
        "remark": record.remark or None,
        "recordedBy": record.recorded_by,
        "recordedAt": record.recorded_at,
    }


def _move_as_json(move: MoveRow) -> dict[str, Any]:
    return {
        "id": str(move.pk),
        "act": move.act,
        "fromRunNo": move.from_run.run_no,
        "toRunNo": move.to_run.run_no if move.to_run else None,
        "status": move.status,
        "stepNo": move.step_no,
        "countedAs": move.counted_as or None,
        "reason": move.reason,
        "movedBy": move.moved_by,
        "movedAt": move.moved_at,
    }
