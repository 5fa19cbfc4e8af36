"""Turning what a mapping extracted into moves: the same guards, locks and judging as an operator's.

Called inside a transaction that has claimed the event's key. Locks: run, then units in one order, then the carrier.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from execution import carriers, collecting, rules, tracking, values
from execution.happenings import alarm_event, alarm_reason
from execution.holding import hold
from execution.models import CarrierLoad, CarrierTrack, Track, TrackSource
from ingest import mapping as mappings
from ingest.choosing import PARTIAL, Choice, list_of_transaction
from ingest.mapping import Extracted, Measurement, UnitReport
from ingest.models import SettledIngestEvent
from mes import errors
from mes.events.outbox import emit
from mes.plant.models import Station, StationType
from mes.production import runs
from mes.production.models import Run, Unit
from mes.routing.snapshots import StepSnapshot
from mes.specs.models import TriggerType

StationCheck = Callable[[str], None]


@dataclass
class Applied:
    """What an event did."""

    run: Run
    station: Station
    step: StepSnapshot
    extracted: Extracted
    units: list[Unit] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    carrier_track: CarrierTrack | None = None
    skipped: list[dict[str, Any]] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    last_error: errors.DomainError | None = None

    def skip(self, sn: str, error: errors.DomainError) -> None:
        """Leave a unit of a partial batch out, and say why."""
        self.skipped.append({"sn": sn, "code": error.code, "message": str(error)})
        self.last_error = error


def apply(
    event: Mapping[str, Any],
    choice: Choice,
    *,
    check_station: StationCheck,
    rest_of: SettledIngestEvent | None = None,
) -> Applied:
    """Move the units an event means, or raise the first refusal (with policy PARTIAL: of the last unit left).

    With `rest_of`, the event was applied before: only the units it left out then are moved, in the same carrier pass.
    """
    extracted = mappings.extract(choice.candidate.mapping, event)
    rules.check_time(extracted.occurred_at, now=timezone.now(), previous=None, skew=settings.MES_CLOCK_SKEW)
    station = find_station(extracted, choice.step)
    check_station(station.code)
    reports, without_unit = _name_units(event, extracted)
    extracted = replace(extracted, positions_without_unit=extracted.positions_without_unit + without_unit)
    if rest_of is not None:
        left = {one["sn"] for one in rest_of.skipped}
        reports = [report for report in reports if report.sn in left]
    done = Applied(choice.run, station, choice.step, extracted)
    is_partial = choice.candidate.mapping.get("batchPolicy") == PARTIAL and (len(reports) > 1 or rest_of is not None)
    done.run, units = _lock(choice, reports, done, is_partial=is_partial)
    reports = [report for report in reports if report.sn in units]
    shared = _Shared.of(choice, extracted)
    done.unmapped += shared.unmapped
    if extracted.carrier_no is not None and choice.step.station_type == StationType.BATCH:
        done.carrier_track = _find_pass(rest_of) or _pass_carrier(extracted, choice, done, reports, units)
        shared.judge(done.carrier_track, station, is_new=rest_of is None)
    for report in reports:
        _move_or_skip(units[str(report.sn)], report, choice, done, shared, is_partial=is_partial)
    if not done.units:
        raise done.last_error or mappings.invalid(_("the event names no unit"))
    shared.tell(done, is_new=rest_of is None)
    return done


def _find_pass(rest_of: SettledIngestEvent | None) -> CarrierTrack | None:
    """Return the carrier's pass that an event recorded when it was applied first."""
    return CarrierTrack.objects.get(pk=rest_of.carrier_track_id) if rest_of and rest_of.carrier_track_id else None


def _move_or_skip(
    unit: Unit, report: UnitReport, choice: Choice, done: Applied, shared: "_Shared", *, is_partial: bool
) -> None:
    """Move a unit; of a partial batch, leave it as it is with its reason when that is refused."""
    status = done.run.status
    try:
        with transaction.atomic():
            track = _move(unit, report, choice, done, shared)
    except errors.DomainError as error:
        if not is_partial:
            raise
        done.run.status = status  # the run was not started after all
        done.skip(unit.sn, error)
        return
    done.tracks.append(track)
    done.units.append(unit)


# --- where and who -----------------------------------------------------------------------------------------


def find_station(extracted: Extracted, step: StepSnapshot) -> Station:
    """Return the station an event reports, or the only one that may run the step where none has to be reported.

    Raises StationNotFound, StationLineMismatch, IngestPayloadInvalid.
    """
    if extracted.station_code is not None:
        station = tracking.get_station(extracted.station_code)
        if extracted.line_code and station.line is not None and station.line.code != extracted.line_code:
            raise errors.StationLineMismatch(station=station.code, line=station.line.code, run_line=extracted.line_code)
        return station
    restricted = step.station_group is not None or step.allowed_stations is not None
    if step.station_type == StationType.BATCH and not restricted:
        stations = Station.objects.select_related("line", "group").filter(station_type=StationType.BATCH)
        if extracted.line_code:
            stations = stations.filter(line__code=extracted.line_code)
        found = list(stations[:2])
        if len(found) == 1:
            return found[0]
    raise mappings.invalid(_("stationCodePath: finds no station"))


def _name_units(event: Mapping[str, Any], extracted: Extracted) -> tuple[list[UnitReport], int]:
    """Return the reports with serial numbers and how many positions have no unit: these are looked up on the carrier.

    An event that names nobody means the units of its carrier, or of the event that opened its transaction.
    """
    reports = list(extracted.units)
    if not reports and extracted.carrier_no:
        loads = _loads(extracted.carrier_no)
        reports = [UnitReport(load.unit.sn, load.position, extracted.result) for load in loads]
    elif not reports and extracted.transaction_id:
        sns = list_of_transaction(event["sourceSystem"], extracted.transaction_id)
        reports = [UnitReport(sn, None, extracted.result) for sn in sns]
    carried = _loads(extracted.carrier_no) if extracted.carrier_no else []
    by_position = {load.position: load.unit.sn for load in carried if load.position}
    named = [
        report if report.sn else replace(report, sn=by_position[str(report.position)])
        for report in reports
        if report.sn or report.position in by_position
    ]
    if not named:
        raise mappings.invalid(_("the event names no unit"))
    repeated = sorted(sn for sn, count in Counter(str(report.sn) for report in named).items() if count > 1)
    if repeated:
        raise mappings.invalid(_("named more than once: {sns}").format(sns=", ".join(repeated)))
    return named, len(reports) - len(named)


def _loads(carrier_no: str) -> list[CarrierLoad]:
    loads = CarrierLoad.objects.filter(carrier__carrier_no=carrier_no, unloaded_at=None).select_related("unit")
    return list(loads.order_by("position", "id"))


def _lock(
    choice: Choice, reports: Sequence[UnitReport], done: Applied, *, is_partial: bool
) -> tuple[Run, dict[str, Unit]]:
    """Lock the run, then the units in one order; make those that the run makes on the fly.

    What the carrier carries is locked along, because it may be taken off. A partial batch leaves unknown units out.
    """
    sns = [str(report.sn) for report in reports]
    known = set(Unit.objects.filter(sn__in=sns, run__isnull=False).values_list("sn", flat=True))
    missing = [sn for sn in sns if sn not in known]
    run = runs.lock_for_entry(choice.run, exclusive=bool(missing))
    carrier_no = done.extracted.carrier_no
    carried = [load.unit.sn for load in _loads(carrier_no)] if carrier_no else []
    locked = {unit.sn: unit for unit in carriers.lock_units([*known, *carried]) if unit.sn in known}
    for sn in sorted(missing):
        try:
            with transaction.atomic():
                locked[sn] = tracking.create_on_the_fly(run, sn=sn, station=done.station, by_machine=True)
        except errors.DomainError as error:
            if not is_partial:
                raise
            done.skip(sn, error)
    return run, locked


# --- moving ------------------------------------------------------------------------------------------------


def _move(
    unit: Unit,
    report: UnitReport,
    choice: Choice,
    done: Applied,
    shared: "_Shared",
) -> Track:
    """Move one locked unit: in, out, or in and out. An event for a unit that is in this station closes its track."""
    at, phase, run, station = done.extracted.occurred_at, done.extracted.phase, done.run, done.station
    track = tracking.get_open_track(unit)
    if track is not None and (track.station_id, track.step_no) != (station.pk, choice.step.step_no):
        raise errors.UnitAlreadyInStation(sn=unit.sn, station=track.station.code)
    if track is not None and track.run_id != run.pk:
        raise errors.UnitRunMismatch(sn=unit.sn, run=run.run_no)
    if track is None:
        if unit.current_step_no != choice.step.step_no:  # it moved between the choice and the lock
            raise step_mismatch(unit, choice)
        track = tracking.enter(
            unit=unit,
            run=run,
            station=station,
            source=TrackSource(choice.step.station_type),
            at=at,
            is_entry_inferred=phase == "OUT",
        )
    if done.carrier_track is not None:
        carriers.join_pass(done.carrier_track, [track])
    if phase == "IN":
        return track
    mapped = mappings.to_readings(choice.candidate.mapping, report.measurements, choice.step, at=at)
    done.unmapped += mapped.unmapped
    track.run = run
    tracking.leave(
        track=track,
        unit=unit,
        claimed_result=report.result or "PASS",
        at=at,
        source="AUTO",
        readings=[*mapped.readings, *shared.of_units],
    )
    return track


def step_mismatch(unit: Unit, choice: Choice) -> errors.StepMismatch:
    """Return the refusal of an event for another step than the unit's, with the steps that are missing."""
    current, meant = unit.current_step_no or 0, choice.step.step_no
    missing = choice.candidate.snapshot.steps_between(current, meant) if current < meant else []
    return errors.StepMismatch(current=current, step_no=meant, missing_steps=missing)


# --- carriers ----------------------------------------------------------------------------------------------


def _pass_carrier(
    extracted: Extracted,
    choice: Choice,
    done: Applied,
    reports: Sequence[UnitReport],
    units: Mapping[str, Unit],
) -> CarrierTrack:
    """Record the carrier's pass; units the event lists are what the carrier carries."""
    carrier = carriers.lock_carrier(str(extracted.carrier_no))
    if extracted.units:
        positions = {load.unit_id: load.position for load in carriers.list_loads(carrier)}
        there = [(units[str(report.sn)], report.position) for report in reports]
        seen = [(unit, position or positions.get(unit.pk, "")) for unit, position in there]
        _check_positions([position for _unit, position in seen if position])
        carriers.settle_loads(carrier, seen, at=extracted.occurred_at)
    return carriers.record_pass(
        carrier,
        run=done.run,
        step_no=choice.step.step_no,
        operation_code=choice.step.operation_code,
        station=done.station,
        at=extracted.occurred_at,
    )


def _check_positions(positions: Sequence[str]) -> None:
    """Raise IngestPayloadInvalid when two units are said to be at one position."""
    repeated = sorted(position for position, count in Counter(positions).items() if count > 1)
    if repeated:
        raise mappings.invalid(_("positionPath: more than one unit at: {names}").format(names=", ".join(repeated)))


@dataclass
class _Shared:
    """Measurements of a whole batch: on the carrier's pass where a spec asks for that, else on each unit."""

    step: StepSnapshot
    at: datetime
    of_carrier: list[collecting.Reading]
    of_units: list[collecting.Reading]
    unmapped: list[str]
    judged: list[collecting.JudgedValue] = field(default_factory=list)

    @classmethod
    def of(cls, choice: Choice, extracted: Extracted) -> "_Shared":
        """Sort the measurements of the event by what their specs ask for."""
        measurements: tuple[Measurement, ...] = extracted.measurements
        mapped = mappings.to_readings(choice.candidate.mapping, measurements, choice.step, at=extracted.occurred_at)
        carried = {
            spec.name
            for spec in choice.step.specs
            if spec.trigger_type == TriggerType.EACH_CARRIER and extracted.carrier_no is not None
        }
        of_carrier = [reading for reading in mapped.readings if reading.spec_name in carried]
        of_units = [reading for reading in mapped.readings if reading.spec_name not in carried]
        return cls(choice.step, extracted.occurred_at, of_carrier, of_units, mapped.unmapped)

    def judge(self, carrier_track: CarrierTrack, station: Station, *, is_new: bool) -> None:
        """Judge the values of the carrier's pass, and store those of a new one."""
        self.judged = collecting.collect(self.of_carrier, self.step, source="AUTO", default_time=self.at)
        if not is_new:
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

    def tell(self, done: Applied, *, is_new: bool) -> None:
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
        holding = [value.spec.name for value in self.judged if value.holds]
        for unit in done.units if holding else ():
            hold(unit, reason=alarm_reason(holding))
