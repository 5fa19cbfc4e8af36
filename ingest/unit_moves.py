"""Turning what a mapping extracted into moves: the same guards and judging as an operator's (`execution.moves`).

Called inside a transaction that has claimed the event's key and locked run and units; the carrier is locked here, after
them. Nothing is written but a carrier's pass and units that are made on the fly: what the event moves is returned.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from execution import moves, rules, tracking, unit_state
from execution.data.judging import Misfit
from execution.data.values import Earlier
from execution.models import CarrierTrack, TrackSource
from execution.moves import Move
from execution.unit_state import StationState, UnitState
from ingest.candidates import list_of_transaction
from ingest.carrier_moves import BatchMeasurements, LockedCarrier, find_missed_positions
from ingest.context import EventContext
from ingest.envelope import ReceivedEvent
from ingest.mapping import measurements
from ingest.mapping.extract import Extracted, UnitReport
from ingest.mapping.paths import invalid
from ingest.matching import Match
from ingest.models import SettledIngestEvent
from mes import errors
from mes.plant.models import Station, StationType
from mes.platform.inbound.sender import Sender
from mes.production.locking import Outdated
from mes.production.models import Run, RunStatus
from mes.production.serial_numbers import no_such_unit
from mes.routing.snapshots import StepSnapshot


@dataclass
class EventMoves:
    """What an event moves; the moves are not yet written.

    `by` is who sent it, `carried` what its carrier carried at receipt, `misfits` are the values that failing reports
    are taken without.
    """

    match: Match
    station_state: StationState
    extracted: Extracted
    is_partial: bool
    by: str
    carried: Sequence[tuple[str, str]] = ()
    moves: list[Move] = field(default_factory=list)
    carrier_track: CarrierTrack | None = None
    skipped: list[dict[str, Any]] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)
    last_error: errors.DomainError | None = None

    @property
    def run(self) -> Run:
        """The run of the units."""
        return self.match.run

    @property
    def step(self) -> StepSnapshot:
        """The step that they are moved at."""
        return self.match.step

    @property
    def station(self) -> Station:
        """The station that reported it."""
        return self.station_state.station

    @property
    def problems(self) -> list[str]:
        """What is wrong with the values that were left out, in words."""
        return [misfit.problem for misfit in self.misfits]

    def leave_out_values(self, misfits: Sequence[Misfit]) -> None:
        """Note values that a failing report is taken without; one of a whole batch once."""
        new = [misfit for misfit in misfits if not any(misfit is known for known in self.misfits)]
        self.misfits += new
        self.unmapped += [misfit.name for misfit in new]

    def leave_out(self, sn: str, error: errors.DomainError) -> None:
        """Leave a unit of a partial batch out, and note why. Raises the error where the batch is all or nothing."""
        if not self.is_partial:
            raise error
        self.skipped.append({"sn": sn, "code": error.code, "message": str(error)})
        self.last_error = error


def decide_moves(
    event: ReceivedEvent,
    match: Match,
    context: EventContext,
    *,
    sender: Sender,
    rest_of: SettledIngestEvent | None = None,
) -> EventMoves:
    """Decide how the units of an event move, or raise the first refusal (with policy PARTIAL: of the last unit left).

    With `rest_of`, the event was applied before: only the units it left out then are moved, in the same carrier pass.
    Raises Outdated when it is for units that are not locked.
    """
    extracted = match.candidate.reading.extract()
    rules.check_time(extracted.occurred_at, now=timezone.now(), previous=None, skew=settings.MES_CLOCK_SKEW)
    station_state = find_station_state(extracted, match.step, context.station_states)
    sender.check_station(station_state.station.code)
    carrier = None
    if extracted.carrier_no is not None:
        carrier = LockedCarrier.lock(extracted.carrier_no, event, context.locked)
    reports, without_unit = _list_reports(event, extracted, carrier, rest_of)
    event_moves = EventMoves(
        match,
        station_state,
        replace(extracted, positions_without_unit=extracted.positions_without_unit + without_unit),
        is_partial=match.mapping.is_partial and (len(reports) > 1 or rest_of is not None),
        by=event.by,
        carried=() if carrier is None else carrier.received,
    )
    units = _find_units(event_moves, context, reports, may_make=event.envelope.run_no is not None)
    reports = [report for report in reports if report.sn in units]
    batch = BatchMeasurements.of(match, extracted)
    event_moves.unmapped += batch.unmapped
    if carrier is not None:
        event_moves.carrier_track = _find_or_record_pass(carrier, event_moves, reports, units, rest_of)
        batch.judge(event_moves.carrier_track, event_moves.station, by=event.by, is_new=rest_of is None)
    _move_units(event_moves, reports, units, batch)
    if event_moves.carrier_track is not None:
        batch.raise_alarms(event_moves.carrier_track, event_moves.moves, is_new=rest_of is None)
    return event_moves


# --- where and who -----------------------------------------------------------------------------------------


def find_station_state(
    extracted: Extracted, step: StepSnapshot, station_states: Mapping[str, StationState]
) -> StationState:
    """Return the station an event reports, or the only one that may run the step where none has to be reported.

    Raises StationNotFound, StationLineMismatch, IngestPayloadInvalid.
    """
    if extracted.station_code is not None:
        station_state = station_states.get(extracted.station_code)
        if station_state is None:
            raise errors.StationNotFound(code=extracted.station_code)
        line = station_state.station.line
        if extracted.line_code and line is not None and line.code != extracted.line_code:
            raise errors.StationLineMismatch(
                station=station_state.station.code, line=line.code, run_line=extracted.line_code
            )
        return station_state
    code = find_implied_station(step, extracted.line_code)
    if code is None:
        raise invalid(_("stationCodePath: finds no station"))
    return unit_state.load_states([], locked=None, stations=[code]).station_states[code]


def find_implied_station(step: StepSnapshot, line_code: str | None) -> str | None:
    """Return the code of the only station that may run a BATCH step which names none; None where there is not one."""
    if step.station_type != StationType.BATCH or step.station_group is not None or step.allowed_stations is not None:
        return None
    stations = Station.objects.filter(station_type=StationType.BATCH)
    if line_code:
        stations = stations.filter(line__code=line_code)
    codes = list(stations.values_list("code", flat=True)[:2])
    return codes[0] if len(codes) == 1 else None


def _list_reports(
    event: ReceivedEvent, extracted: Extracted, carrier: LockedCarrier | None, rest_of: SettledIngestEvent | None
) -> tuple[list[UnitReport], int]:
    """Return the reports with serial numbers, those of positions from the carrier, and how many have no unit."""
    fields = event.document.fields
    if not extracted.units and rest_of is None and (fields.get("sn") or fields.get("sns")):
        raise invalid(_("unitsPath: finds none of the units that the event names"))
    reports = _list_named_or_implied(event, extracted, carrier)
    sns_by_position = carrier.sns_by_position if carrier is not None else {}
    if missed := find_missed_positions(reports, sns_by_position):
        raise invalid(_("positionPath: says nothing of the units at {missed}").format(missed=", ".join(missed)))
    named = [
        report if report.sn else replace(report, sn=sns_by_position[str(report.position)])
        for report in reports
        if report.sn or report.position in sns_by_position
    ]
    if not named:
        raise invalid(_("the event names no unit"))
    if problems := [report.problem for report in named if report.problem]:
        raise invalid(*problems)
    repeated = sorted(sn for sn, count in Counter(str(report.sn) for report in named).items() if count > 1)
    if repeated:
        raise invalid(_("named more than once: {sns}").format(sns=", ".join(repeated)))
    without_unit = len(reports) - len(named)
    if rest_of is not None:
        left_out = {skipped["sn"] for skipped in rest_of.skipped}
        named = [report for report in named if report.sn in left_out]
    return named, without_unit


def _list_named_or_implied(
    event: ReceivedEvent, extracted: Extracted, carrier: LockedCarrier | None
) -> list[UnitReport]:
    """Return the reports of an event. One that names no unit is for those of its carrier, or of its transaction."""
    if extracted.units:
        return list(extracted.units)
    if carrier is not None:
        return [UnitReport(sn, position, extracted.result) for sn, position in carrier.received]
    if extracted.transaction_id:
        sns = list_of_transaction(event.envelope.source_system, extracted.transaction_id)
        return [UnitReport(sn, None, extracted.result) for sn in sns]
    return []


def _find_units(
    event_moves: EventMoves, context: EventContext, reports: Sequence[UnitReport], *, may_make: bool
) -> dict[str, UnitState]:
    """Return where the reported units stand; make those that a run makes on the fly, where the event names one.

    A partial batch leaves unknown units out.
    """
    sns = [str(report.sn) for report in reports]
    if not context.sns.issuperset(sns):
        raise Outdated
    missing = sorted(sn for sn in sns if sn not in context.unit_states or context.unit_states[sn].run is None)
    units = {sn: context.unit_states[sn] for sn in sns if sn not in missing}
    made = []
    for sn in missing:
        try:
            with transaction.atomic():
                if not may_make:
                    raise errors.UnitRunNotFound(code=sn) if sn in context.unit_states else no_such_unit(sn)
                tracking.create_on_the_fly(
                    event_moves.run, sn=sn, station=event_moves.station, by_machine=True, locked=context.locked
                )
            made.append(sn)
        except errors.DomainError as error:
            event_moves.leave_out(sn, error)
    if made:
        units |= unit_state.load_states(made, locked=None).unit_states
    return units


def _find_or_record_pass(
    carrier: LockedCarrier,
    event_moves: EventMoves,
    reports: Sequence[UnitReport],
    units: Mapping[str, UnitState],
    rest_of: SettledIngestEvent | None,
) -> CarrierTrack:
    """Return the pass that an event recorded when it was applied first, else record one."""
    if rest_of is not None and rest_of.carrier_track_id is not None:
        return CarrierTrack.objects.get(pk=rest_of.carrier_track_id)
    carrier.settle_loads(event_moves.extracted, reports, units)
    return carrier.record_pass(
        run=event_moves.run,
        step=event_moves.step,
        station=event_moves.station,
        at=event_moves.extracted.occurred_at,
    )


# --- moving ------------------------------------------------------------------------------------------------


def _move_units(
    event_moves: EventMoves,
    reports: Sequence[UnitReport],
    units: Mapping[str, UnitState],
    batch: BatchMeasurements,
) -> None:
    """Decide each unit's move. Raises the first refusal, of a partial batch the last one where no unit is left."""
    earlier = unit_state.find_earlier(units.values())
    # A unit that enters becomes a sample of the first article (see `moves.enter`): not one that then is left out.
    may_make_samples = event_moves.is_partial and event_moves.run.status == RunStatus.PREP
    for report in reports:
        state = units[str(report.sn)]
        try:
            with transaction.atomic() if may_make_samples else nullcontext():
                event_moves.moves.append(_move(event_moves, state, report, batch, earlier))
        except errors.DomainError as error:
            event_moves.leave_out(state.unit.sn, error)
    if not event_moves.moves:
        raise event_moves.last_error or invalid(_("the event names no unit"))


def _move(
    event_moves: EventMoves,
    state: UnitState,
    report: UnitReport,
    batch: BatchMeasurements,
    earlier: Mapping[int, Earlier],
) -> Move:
    """Move one unit: in, out, or in and out. An event for a unit that is in this station closes its track."""
    at, match = event_moves.extracted.occurred_at, event_moves.match
    move = _begin_move(event_moves, state, earlier)
    move.track.reported_at = event_moves.extracted.reported_at
    if event_moves.extracted.phase == "IN":
        return move
    if event_moves.carrier_track is not None:
        move.earlier = move.earlier.joined(batch.on_pass)
    mapped = measurements.to_readings(match.mapping, report.measurements, match.step, at=at)
    event_moves.unmapped += mapped.unmapped
    moves.leave(
        move,
        claimed_result=report.result or "PASS",
        at=at,
        by=event_moves.by,
        source="AUTO",
        readings=[*mapped.readings, *batch.of_units],
        misfits=[*batch.misfits, *mapped.misfits],
    )
    event_moves.leave_out_values(move.misfits)
    return move


def _begin_move(event_moves: EventMoves, state: UnitState, earlier: Mapping[int, Earlier]) -> Move:
    """Return the move of a unit out of its open track here, else have it enter."""
    match, track, unit = event_moves.match, state.open_track, state.unit
    if track is not None:
        if (track.station_id, track.step_no) != (event_moves.station.pk, match.step.step_no):
            raise errors.UnitAlreadyInStation(sn=unit.sn, station=track.station.code)
        if track.run_id != match.run.pk:
            raise errors.UnitRunMismatch(sn=unit.sn, run=match.run.run_no)
        return moves.of_open_track(state, earlier[track.pk])
    if unit.current_step_no != match.step.step_no:  # of several units, others are at the step
        raise match.step_mismatch(state)
    return moves.enter(
        state,
        event_moves.station_state,
        run=match.run,
        source=TrackSource(match.step.station_type),
        at=event_moves.extracted.occurred_at,
        by=event_moves.by,
        is_entry_inferred=event_moves.extracted.phase == "OUT",
    )
