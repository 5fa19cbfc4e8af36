"""Turning what a mapping extracted into moves: the same guards and judging as an operator's (`execution.moves`).

Called inside a transaction that has claimed the event's key and locked run and units; the carrier is locked here, after
them. Nothing is written but a carrier's pass and units that are made on the fly: what the event moves is returned.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from execution import (
    moves,
    rules,
    tracking,
    unit_state,
)
from execution.data.values import Earlier
from execution.models import CarrierTrack, TrackSource
from execution.moves import Move
from execution.unit_state import StationState, UnitState
from ingest.candidates import list_of_transaction
from ingest.carrier_moves import Carried, Shared
from ingest.context import Scene
from ingest.envelope import Sent
from ingest.mapping import extract as mappings
from ingest.mapping import measurements
from ingest.mapping.extract import Extracted, UnitReport
from ingest.matching import PARTIAL, Choice
from ingest.models import SettledIngestEvent
from mes import errors
from mes.plant.models import Station, StationType
from mes.production.locking import Outdated
from mes.production.models import Run, RunStatus
from mes.routing.snapshots import StepSnapshot

StationCheck = Callable[[str], None]


@dataclass
class Applied:
    """What an event does. The moves are not yet written. `carried` is what its carrier carried at receipt."""

    run: Run
    station: Station
    step: StepSnapshot
    extracted: Extracted
    carried: Sequence[tuple[str, str]] = ()
    moves: list[Move] = field(default_factory=list)
    carrier_track: CarrierTrack | None = None
    skipped: list[dict[str, Any]] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    last_error: errors.DomainError | None = None

    def skip(self, sn: str, error: errors.DomainError) -> None:
        """Leave a unit of a partial batch out, and say why."""
        self.skipped.append({"sn": sn, "code": error.code, "message": str(error)})
        self.last_error = error


def apply(
    sent: Sent,
    choice: Choice,
    scene: Scene,
    *,
    check_station: StationCheck,
    rest_of: SettledIngestEvent | None = None,
) -> Applied:
    """Decide how the units move that an event means, or raise the first refusal (with policy PARTIAL: of the last unit
    left).

    With `rest_of`, the event was applied before: only the units it left out then are moved, in the same carrier pass.
    Raises Outdated when it means units that are not locked.
    """
    event = sent.said
    extracted = mappings.extract(choice.mapping, event)
    rules.check_time(extracted.occurred_at, now=timezone.now(), previous=None, skew=settings.MES_CLOCK_SKEW)
    station_state = find_station_state(extracted, choice.step, scene.station_states)
    check_station(station_state.station.code)
    carried = Carried.on(extracted.carrier_no, sent, scene.locked) if extracted.carrier_no is not None else None
    if not extracted.units and rest_of is None and (event.get("sn") or event.get("sns")):
        raise mappings.invalid(_("unitsPath: finds none of the units that the event names"))
    reports, without_unit = _name_units(event, extracted, carried)
    extracted = replace(extracted, positions_without_unit=extracted.positions_without_unit + without_unit)
    if rest_of is not None:
        left = {one["sn"] for one in rest_of.skipped}
        reports = [report for report in reports if report.sn in left]
    done = Applied(
        choice.run, station_state.station, choice.step, extracted, carried.received if carried is not None else ()
    )
    is_partial = choice.mapping.get("batchPolicy") == PARTIAL and (len(reports) > 1 or rest_of is not None)
    units = _find_units(choice, scene, reports, done, is_named=event.get("runNo") is not None, is_partial=is_partial)
    reports = [report for report in reports if report.sn in units]
    shared = Shared.of(choice, extracted)
    done.unmapped += shared.unmapped
    if carried is not None:
        done.carrier_track = carried.find_or_record_pass(done, reports, units, rest_of)
        shared.judge(done.carrier_track, done.station, is_new=rest_of is None)
    earlier = unit_state.find_earlier(units.values())
    # A unit that enters becomes a sample of the first article (see `moving`): not one that then is left out.
    may_make_samples = is_partial and choice.run.status == RunStatus.PREP
    for report in reports:
        state = units[str(report.sn)]
        try:
            with transaction.atomic() if may_make_samples else nullcontext():
                done.moves.append(_move(state, report, choice, done, station_state, shared, earlier))
        except errors.DomainError as error:
            if not is_partial:
                raise
            done.skip(state.unit.sn, error)
    if not done.moves:
        raise done.last_error or mappings.invalid(_("the event names no unit"))
    shared.tell(done, is_new=rest_of is None)
    return done


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
        raise mappings.invalid(_("stationCodePath: finds no station"))
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


def _name_units(
    event: Mapping[str, Any], extracted: Extracted, carried: Carried | None
) -> tuple[list[UnitReport], int]:
    """Return the reports with serial numbers and how many positions have no unit: these are looked up on the carrier.

    An event that names nobody means the units of its carrier, or of the event that opened its transaction.
    """
    reports = list(extracted.units)
    if not reports and carried is not None:
        reports = [UnitReport(sn, position, extracted.result) for sn, position in carried.received]
    elif not reports and extracted.transaction_id:
        sns = list_of_transaction(event["sourceSystem"], extracted.transaction_id)
        reports = [UnitReport(sn, None, extracted.result) for sn in sns]
    by_position = carried.by_position if carried is not None else {}
    named = [
        report if report.sn else replace(report, sn=by_position[str(report.position)])
        for report in reports
        if report.sn or report.position in by_position
    ]
    if not named:
        raise mappings.invalid(_("the event names no unit"))
    if problems := [report.problem for report in named if report.problem]:
        raise mappings.invalid(*problems)
    repeated = sorted(sn for sn, count in Counter(str(report.sn) for report in named).items() if count > 1)
    if repeated:
        raise mappings.invalid(_("named more than once: {sns}").format(sns=", ".join(repeated)))
    return named, len(reports) - len(named)


def _find_units(
    choice: Choice,
    scene: Scene,
    reports: Sequence[UnitReport],
    done: Applied,
    *,
    is_named: bool,
    is_partial: bool,
) -> dict[str, UnitState]:
    """Return where the reported units stand; make those that a run, which the event names, makes on the fly.

    A partial batch leaves unknown units out.
    """
    sns = [str(report.sn) for report in reports]
    if not scene.asked.issuperset(sns):
        raise Outdated
    missing = sorted(sn for sn in sns if sn not in scene.unit_states or scene.unit_states[sn].run is None)
    found = {sn: scene.unit_states[sn] for sn in sns if sn not in missing}
    made = []
    for sn in missing:
        try:
            with transaction.atomic():
                if not is_named:
                    raise errors.UnitRunNotFound(code=sn) if sn in scene.unit_states else errors.UnitNotFound(code=sn)
                tracking.create_on_the_fly(
                    choice.run, sn=sn, station=done.station, by_machine=True, locked=scene.locked
                )
            made.append(sn)
        except errors.DomainError as error:
            if not is_partial:
                raise
            done.skip(sn, error)
    if made:
        found |= unit_state.load_states(made, locked=None).unit_states
    return found


# --- moving ------------------------------------------------------------------------------------------------


def _move(
    state: UnitState,
    report: UnitReport,
    choice: Choice,
    done: Applied,
    station_state: StationState,
    shared: Shared,
    earlier: Mapping[int, Earlier],
) -> Move:
    """Move one unit: in, out, or in and out. An event for a unit that is in this station closes its track."""
    at, phase, station = done.extracted.occurred_at, done.extracted.phase, station_state.station
    track, unit = state.open_track, state.unit
    if track is not None and (track.station_id, track.step_no) != (station.pk, choice.step.step_no):
        raise errors.UnitAlreadyInStation(sn=unit.sn, station=track.station.code)
    if track is not None and track.run_id != done.run.pk:
        raise errors.UnitRunMismatch(sn=unit.sn, run=done.run.run_no)
    if track is not None:
        move = moves.of_open_track(state, earlier[track.pk])
    else:
        if unit.current_step_no != choice.step.step_no:  # of several units, others are at the step
            raise choice.mismatch(state)
        move = moves.enter(
            state,
            station_state,
            run=done.run,
            source=TrackSource(choice.step.station_type),
            at=at,
            is_entry_inferred=phase == "OUT",
        )
    if phase == "IN":
        return move
    if done.carrier_track is not None:
        move.earlier = move.earlier.joined(shared.on_pass)
    mapped = measurements.to_readings(choice.mapping, report.measurements, choice.step, at=at)
    done.unmapped += mapped.unmapped
    moves.leave(
        move,
        claimed_result=report.result or "PASS",
        at=at,
        source="AUTO",
        readings=[*mapped.readings, *shared.of_units],
    )
    return move
