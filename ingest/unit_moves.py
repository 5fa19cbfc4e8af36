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

from execution import carriers, moves, rules, tracking, unit_state
from execution.data.values import NOTHING_EARLIER, Earlier
from execution.failing_reports import fail_too, find_failing, hold_late
from execution.models import CarrierTrack, ResultOverride, Track, TrackSource
from execution.moves import Move
from execution.quality.defect_codes.catalogue import Codes, codes_when_asked
from execution.unit_state import Pass, StationState, UnitState
from ingest.candidates import list_of_transaction
from ingest.carrier_moves import BatchMeasurements, LockedCarrier, find_missed_positions
from ingest.context import EventContext
from ingest.envelope import ReceivedEvent
from ingest.failing import read_failing
from ingest.mapping import measurements
from ingest.mapping.extract import DATA, FAIL, IN, OUT, PASS, Extracted, UnitReport, UnreadableItem
from ingest.mapping.paths import invalid
from ingest.matching import Match
from ingest.models import SettledIngestEvent
from mes import errors
from mes.plant.models import Station
from mes.platform.inbound.sender import Sender
from mes.production.active_runs import find_active_run
from mes.production.locking import Outdated
from mes.production.models import Run, RunStatus
from mes.production.serial_numbers import no_such_unit
from mes.routing.judging import Misfit
from mes.routing.snapshots import StepSnapshot


@dataclass
class EventMoves:
    """What an event moves; the moves are not yet written.

    `source` is its source system, `by` who sent it, `key` tells its alarms from others. `carried` is what its carrier
    carried at receipt. `skipped` are units that were refused, `left_out` counts those that the machine did not process.
    Of the `measured` values of the others, and of all, `unmapped` names those that are kept with the event alone; among
    them `misfits`, which failing reports are taken without. `too_late` is why units are not moved by it any more, by
    their ids. `references` are the reference units that it names, with their results.
    """

    match: Match
    station_state: StationState
    extracted: Extracted
    is_partial: bool
    source: str
    key: str
    by: str
    carried: Sequence[tuple[str, str]] = ()
    too_late: Mapping[int, errors.DomainError] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    carrier_track: CarrierTrack | None = None
    skipped: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    measured: int = 0
    unmapped: list[str | None] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)
    references: dict[str, str] = field(default_factory=dict)
    last_error: errors.DomainError | None = None
    is_counted: bool = False  # the stroke by which its units were worked together
    codes: Codes = field(default_factory=codes_when_asked)

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

    def leave_out_references(self, reports: list[UnitReport], reference_sns: frozenset[str]) -> list[UnitReport]:
        """Leave out reference units, of which nothing follows but that they passed; return the other reports."""
        if reference_sns.isdisjoint(report.sn for report in reports if report.sn):
            return reports
        for report in reports:
            if report.sn in reference_sns:
                error = errors.SnIsReference(sn=report.sn)
                self.skipped.append({"sn": report.sn, "code": error.code, "message": str(error)})
                self.references[str(report.sn)] = report.result if report.result in (PASS, FAIL) else ""
                self.unmapped += [measurement.name for measurement in report.measurements]
        return [report for report in reports if report.sn not in reference_sns]

    def leave_out_item(self, unreadable: UnreadableItem) -> None:
        """Leave out an item of which nobody can tell which unit it is of, and whether it says that this failed. Raises
        SnUnreadable where the event is all or nothing.
        """
        error = errors.SnUnreadable(sn="", item=unreadable.item)
        if not self.is_partial:
            raise error
        failing = read_failing(
            self.match.candidate,
            unreadable.report,
            self.extracted.occurred_at,
            source_system=self.source,
            codes=self.codes,
        )
        told = {"item": unreadable.item, "code": error.code, "message": str(error), "failing": failing is not None}
        self.skipped.append(told)


def decide_moves(
    event: ReceivedEvent,
    match: Match,
    context: EventContext,
    *,
    sender: Sender,
    rest_of: SettledIngestEvent | None = None,
    too_late: Mapping[int, errors.DomainError] | None = None,
) -> EventMoves:
    """Decide how the units of an event move, or raise the first refusal (with policy PARTIAL: of the last unit left).

    `too_late` is why units are refused, by their ids, of an event that nobody asked for. With `rest_of`, the event was
    applied before: only those of the units it left out then that it names now are moved, in the same carrier pass.
    Raises Outdated when it is for units that are not locked.
    """
    extracted = match.candidate.reading.extract()
    rules.check_time(extracted.occurred_at, now=timezone.now(), previous=None, skew=settings.MES_CLOCK_SKEW)
    station_state = find_station_state(extracted, match.candidate.station_code, context.station_states)
    sender.check_station(station_state.station.code)
    carrier = None
    if extracted.carrier_no is not None:
        carrier = LockedCarrier.lock(extracted.carrier_no, event, context.locked)
    unreadable_items = _list_unreadable(extracted, carrier)
    reports, of_no_unit = _list_reports(event, extracted, carrier, rest_of, unreadable_items)
    event_moves = EventMoves(
        match,
        station_state,
        replace(
            extracted,
            positions_without_unit=extracted.positions_without_unit + len(of_no_unit),
            measured_without_unit=extracted.measured_without_unit + sum(len(it.measurements) for it in of_no_unit),
        ),
        is_partial=match.mapping.is_partial and (len(reports) + len(unreadable_items) > 1 or rest_of is not None),
        source=event.envelope.source_system,
        key=f"event:{context.event_id}",
        by=event.by,
        carried=() if carrier is None else carrier.received,
        too_late=too_late or {},
        is_counted=rest_of is not None,
    )
    for unreadable in unreadable_items:
        event_moves.leave_out_item(unreadable)
    reports = event_moves.leave_out_references(reports, context.reference_sns)
    processed = [report for report in reports if not report.is_skipped]
    units = _find_units(event_moves, context, processed, names_run=event.envelope.run_no is not None)
    event_moves.measured = sum(len(report.measurements) for report in processed)
    event_moves.unmapped += [it.name for report in processed if report.sn not in units for it in report.measurements]
    processed = [report for report in processed if report.sn in units]
    batch = BatchMeasurements.of(match, extracted)
    if rest_of is None:
        event_moves.unmapped += [*batch.unmapped, *[None] * event_moves.extracted.measured_without_unit]
    if carrier is not None:
        on_it = _states_of_skipped(context, reports) | units
        reported = [report for report in reports if report.sn in on_it]
        event_moves.carrier_track = _find_or_record_pass(carrier, event_moves, reported, on_it, rest_of)
        batch.judge(event_moves.carrier_track, event_moves.station, by=event.by, is_new=rest_of is None)
    _leave_out_skipped(event_moves, context, reports)
    _move_units(event_moves, processed, units, batch)
    if event_moves.carrier_track is not None:
        key = f"carrier:{context.event_id}" if extracted.phase else "carrier"  # a pass has several events by phases
        batch.raise_alarms(event_moves.carrier_track, event_moves.moves, key=key, is_new=rest_of is None)
    return event_moves


# --- where and who -----------------------------------------------------------------------------------------


def find_station_state(
    extracted: Extracted, code: str | None, station_states: Mapping[str, StationState]
) -> StationState:
    """Return the station of an event by its code: the one that it reports, or implies where it need not report any.

    Raises StationNotFound, StationLineMismatch, IngestPayloadInvalid.
    """
    if code is None:
        raise invalid(_("stationCodePath: finds no station"))
    station_state = station_states.get(code)
    if station_state is None:
        raise errors.StationNotFound(code=code)
    line = station_state.station.line
    if extracted.line_code and line is not None and line.code != extracted.line_code:
        raise errors.StationLineMismatch(
            station=station_state.station.code, line=line.code, run_line=extracted.line_code
        )
    return station_state


def _list_unreadable(extracted: Extracted, carrier: LockedCarrier | None) -> list[UnreadableItem]:
    """Return the items that name no unit, neither by themselves nor by where the carrier has one; in their order."""
    sns_by_position = carrier.sns_by_position if carrier is not None else {}
    of_no_unit = [each for each in extracted.unreadable if each.report.position not in sns_by_position]
    return sorted(of_no_unit, key=lambda each: each.item)


def _list_reports(
    event: ReceivedEvent,
    extracted: Extracted,
    carrier: LockedCarrier | None,
    rest_of: SettledIngestEvent | None,
    unreadable_items: Sequence[UnreadableItem],
) -> tuple[list[UnitReport], list[UnitReport]]:
    """Return the reports with serial numbers, those of positions from the carrier, and the others, of no unit."""
    fields = event.document.fields
    if not extracted.units and rest_of is None and (fields.get("sn") or fields.get("sns")):
        raise invalid(_("unitsPath: finds none of the units that the event names"))
    if unreadable_items and not extracted.units:
        raise _none_readable(unreadable_items)
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
        raise _none_readable(unreadable_items) if unreadable_items else invalid(_("the event names no unit"))
    if problems := [report.problem for report in named if report.problem]:
        raise invalid(*problems)
    repeated = sorted(sn for sn, count in Counter(str(report.sn) for report in named).items() if count > 1)
    if repeated:
        raise invalid(_("named more than once: {sns}").format(sns=", ".join(repeated)))
    of_no_unit = [report for report in reports if not (report.sn or report.position in sns_by_position)]
    if rest_of is not None:
        left_out = set(map(event.present, fields.get("sns", ())))
        named = [report for report in named if report.sn in left_out]
    return named, of_no_unit


def _none_readable(unreadable_items: Sequence[UnreadableItem]) -> errors.SnUnreadable:
    return errors.SnUnreadable(sn="", items=[each.item for each in unreadable_items])


def _list_named_or_implied(
    event: ReceivedEvent, extracted: Extracted, carrier: LockedCarrier | None
) -> list[UnitReport]:
    """Return the reports of an event. One that names no unit is for those of its carrier, or of its transaction."""
    if extracted.units:
        return list(extracted.units)
    implied: Sequence[tuple[str, str | None]] = ()
    if carrier is not None:
        implied = carrier.received
    elif extracted.transaction_id:
        implied = [(sn, None) for sn in list_of_transaction(event, extracted.transaction_id)]
    return [UnitReport(sn, position, extracted.result, defects=extracted.defects) for sn, position in implied]


def _find_units(
    event_moves: EventMoves, context: EventContext, reports: Sequence[UnitReport], *, names_run: bool
) -> dict[str, UnitState]:
    """Return where the reported units stand; make those that a run makes on the fly: the one that the event names, else
    the one that was active then.

    A partial batch leaves unknown units out.
    """
    sns = [str(report.sn) for report in reports]
    if not context.sns.issuperset(sns):
        raise Outdated
    missing = sorted(sn for sn in sns if sn not in context.unit_states or context.unit_states[sn].run is None)
    units = {sn: context.unit_states[sn] for sn in sns if sn not in missing}
    may_make = bool(missing) and _may_make(event_moves, names_run=names_run)
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
        except errors.ValidationFailed as error:  # of the code: the event itself is well-formed
            event_moves.leave_out(sn, invalid(" ".join(error.details.values())))
        except errors.DomainError as error:
            event_moves.leave_out(sn, error)
    if made:
        units |= unit_state.load_states(made, locked=None).unit_states
    return units


def _may_make(event_moves: EventMoves, *, names_run: bool) -> bool:
    """Whether an event may name new units of its run."""
    if event_moves.extracted.phase == DATA or names_run:
        return event_moves.extracted.phase != DATA
    moment = event_moves.match.candidate.moment
    run = None if moment is None else find_active_run(moment)
    return run is not None and run.pk == event_moves.run.pk


def _find_or_record_pass(
    carrier: LockedCarrier,
    event_moves: EventMoves,
    reports: Sequence[UnitReport],
    units: Mapping[str, UnitState],
    rest_of: SettledIngestEvent | None,
) -> CarrierTrack:
    """Return the pass that an event recorded when it was applied first, or the one that the units entered in; else
    record one.
    """
    if rest_of is not None and rest_of.carrier_track_id is not None:
        return CarrierTrack.objects.get(pk=rest_of.carrier_track_id)
    extracted = event_moves.extracted
    begun = _find_pass_begun(carrier, event_moves, units) if extracted.phase in (OUT, DATA) else None
    if begun is not None and extracted.phase == OUT:
        event_moves.is_counted |= begun.out_at is not None
        carriers.end_pass(begun, at=extracted.occurred_at)
    if begun is not None:
        return begun
    carrier.settle_loads(extracted, reports, units)
    return carrier.record_pass(
        run=event_moves.run,
        step=event_moves.step,
        station=event_moves.station,
        at=extracted.occurred_at,
        is_through=extracted.phase != IN,
    )


def _find_pass_begun(
    carrier: LockedCarrier, event_moves: EventMoves, units: Mapping[str, UnitState]
) -> CarrierTrack | None:
    """Return the carrier's pass in which its units entered the step here."""
    passes = [_find_pass(event_moves, state) for state in units.values()]
    return carriers.find_pass(carrier.carrier, [it.id for it in passes if it is not None])


# --- units that were not processed -------------------------------------------------------------------------


def _states_of_skipped(context: EventContext, reports: Sequence[UnitReport]) -> dict[str, UnitState]:
    """Return where the units stand that the machine says it did not process, as far as they are known."""
    sns = [str(report.sn) for report in reports if report.is_skipped]
    return {sn: context.unit_states[sn] for sn in sns if sn in context.unit_states}


def _leave_out_skipped(event_moves: EventMoves, context: EventContext, reports: Sequence[UnitReport]) -> None:
    """Leave out the units that the machine did not process. One that is in its station failed there: it was to be."""
    skipped = [report for report in reports if report.is_skipped]
    event_moves.unmapped += [measurement.name for report in skipped for measurement in report.measurements]
    states = _states_of_skipped(context, skipped).values()
    in_station = [state for state in states if _is_in_station(event_moves, state)]
    event_moves.left_out += len(skipped) - len(in_station)
    for state in in_station:
        try:
            move = moves.of_open_track(state, NOTHING_EARLIER)
            moves.leave(
                move,
                claimed_result="",
                at=event_moves.extracted.occurred_at,
                by=event_moves.by,
                source="AUTO",
                override=ResultOverride.SKIP,
                strokes=0,
            )
            event_moves.moves.append(move)
        except errors.DomainError as error:
            event_moves.leave_out(state.unit.sn, error)


def _find_pass(event_moves: EventMoves, state: UnitState) -> Pass | None:
    """Return the latest track of a unit at the step and in the station that an event is of."""
    run, step, station = event_moves.run, event_moves.step, event_moves.station
    return state.find_pass(run_id=run.pk, step_no=step.step_no, station_id=station.pk)


def _is_in_station(event_moves: EventMoves, state: UnitState) -> bool:
    """Whether a unit is in the station and at the step that an event is of."""
    track, match = state.open_track, event_moves.match
    here = (event_moves.station.pk, match.step.step_no, match.run.pk)
    return track is not None and (track.station_id, track.step_no, track.run_id) == here


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
    moved_before = len(event_moves.moves)  # out of the station, because they were not processed: values are not theirs
    for report in reports:
        state, counted = units[str(report.sn)], len(event_moves.unmapped)
        try:
            with transaction.atomic() if may_make_samples else nullcontext():
                event_moves.moves.append(_move(event_moves, state, report, batch, earlier))
        except errors.DomainError as error:
            event_moves.unmapped[counted:] = [measurement.name for measurement in report.measurements]
            event_moves.leave_out(state.unit.sn, error)
    if not event_moves.moves and (event_moves.last_error or not event_moves.left_out):
        raise event_moves.last_error or invalid(_("the event names no unit"))
    if len(event_moves.moves) == moved_before:
        event_moves.unmapped += [reading.spec_name for reading in batch.of_units]


def _move(
    event_moves: EventMoves,
    state: UnitState,
    report: UnitReport,
    batch: BatchMeasurements,
    earlier: Mapping[int, Earlier],
) -> Move:
    """Move one unit: in, out, or in and out. An event for a unit that is in this station closes its track."""
    at, match, phase = event_moves.extracted.occurred_at, event_moves.match, event_moves.extracted.phase
    if (refusal := event_moves.too_late.get(state.unit.pk)) is not None:
        raise refusal
    move = _find_move(event_moves, state) if phase == DATA else _begin_move(event_moves, state, earlier)
    mapped = measurements.to_readings(match.mapping, report.measurements, match.step, at=at)
    event_moves.unmapped += mapped.unmapped
    readings, misfits = [*mapped.readings, *batch.of_units], [*batch.misfits, *mapped.misfits]
    if phase in (IN, DATA):
        against = moves.add_defects(move, report.defects, at=at, by=event_moves.by, source_system=event_moves.source)
        moves.bring_values(
            move,
            at=at,
            by=event_moves.by,
            source="AUTO",
            readings=readings,
            misfits=misfits,
            claims_failure=report.result == FAIL or bool(against),
            key=event_moves.key,
        )
        event_moves.leave_out_values(move.misfits)
    if phase == DATA:
        _judge_late(event_moves, move, report, batch, found=[str(defect) for defect in against])
        return move
    move.track.reported_at = event_moves.extracted.reported_at
    move.track.is_time_doubtful |= event_moves.extracted.is_time_doubtful
    if phase == IN:
        return move
    if event_moves.carrier_track is not None:
        move.earlier = move.earlier.joined(batch.on_pass)
    moves.leave(
        move,
        claimed_result=report.result or PASS,
        at=at,
        by=event_moves.by,
        source="AUTO",
        readings=readings,
        misfits=misfits,
        defects=report.defects,
        source_system=event_moves.source,
        strokes=0 if event_moves.is_counted else 1,
    )
    event_moves.leave_out_values(move.misfits)
    event_moves.is_counted = True
    return move


def _find_move(event_moves: EventMoves, state: UnitState) -> Move:
    """Return a move that only brings values, to the open track here, else to the latest. Raises TrackNotFound."""
    if state.open_track is not None and _is_in_station(event_moves, state):
        return Move(state, state.open_track, is_entry=False)
    found = _find_pass(event_moves, state)
    if found is None:
        raise errors.TrackNotFound
    track = Track.objects.get(pk=found.id)
    track.unit, track.run = state.unit, event_moves.run
    return Move(state, track, is_entry=False)


def _judge_late(
    event_moves: EventMoves, move: Move, report: UnitReport, batch: BatchMeasurements, *, found: Sequence[str]
) -> None:
    """Have a failing report of values fail the open pass when that is left; afterwards it holds the unit. `found` are
    the defects that it brought.
    """
    if move.track.out_at is None:
        if report.result == FAIL:
            moves.fail_at_exit(move)
        return
    failing = find_failing(event_moves.step.step_no, report.result, [*move.judged, *batch.judged], found)
    if failing is None:
        return
    fail_too(move.track)
    decision = hold_late(move.unit, failing, source=event_moves.source, run=event_moves.run)
    move.dispositions += [decision] if decision is not None else []


def _begin_move(event_moves: EventMoves, state: UnitState, earlier: Mapping[int, Earlier]) -> Move:
    """Return the move of a unit out of its open track here, else have it enter."""
    match = event_moves.match
    if state.open_track is not None and _is_in_station(event_moves, state):
        return moves.of_open_track(state, earlier[state.open_track.pk])
    if state.open_track is None and not match.is_at_step(state):  # of several units, others are at the step
        raise match.step_mismatch(state)
    return moves.enter(
        state,
        event_moves.station_state,
        run=match.run,
        source=TrackSource(match.step.station_type),
        at=event_moves.extracted.occurred_at,
        by=event_moves.by,
        is_entry_inferred=event_moves.extracted.phase == OUT,
        step_no=match.step.step_no,
    )
