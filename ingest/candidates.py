"""Which steps an event may be for, before anything is known of its units, and which units each of their mappings names.

Candidates are the steps of the event's type in the named run's frozen route, else in the versions of all open runs.
Which versions these are is remembered in the process. That cannot give a wrong answer: what is read after the units are
locked tells which they are now, and where that differs the event is read again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from execution.models import CarrierLoad
from ingest.envelope import Envelope, ReceivedEvent
from ingest.mapping.extract import EventReading
from ingest.mapping.paths import invalid
from ingest.models import SettledIngestEvent
from mes import errors
from mes.plant.models import Station, StationType
from mes.platform.database.lookup import get_or_raise
from mes.production.active_runs import Moment
from mes.production.models import OPEN_RUN_STATUSES, Run, Unit, UnitStatus
from mes.production.names import find_units
from mes.routing import snapshots
from mes.routing.models import RouteVersion, VersionStatus
from mes.routing.paths import Path
from mes.routing.snapshots import RouteSnapshot, StepSnapshot
from mes.routing.step_mapping import StepMapping

REMEMBERED_RUNS = 1024
ENDED_RUNS = 100  # whose routes are asked about what no open run reads
Version = tuple[int, str]  # id and digest


@dataclass(frozen=True, slots=True)
class CandidateStep:
    """A step in a frozen route, with one of its mappings by which it reads events.

    `naming_paths` are those that name units: by mappings with the same, an event names the same units.
    """

    version_id: int
    snapshot: RouteSnapshot
    step: StepSnapshot
    mapping: StepMapping
    naming_paths: tuple[Path | str | None, ...]

    @classmethod
    def of(cls, version_id: int, snapshot: RouteSnapshot, step: StepSnapshot, mapping: StepMapping) -> "CandidateStep":
        """Return a step as a candidate."""
        result = mapping.result
        skipping = () if result is None or not result.skip_values else (result.path, repr(result.skip_values))
        paths = (
            *skipping,
            mapping.units_path,
            mapping.sn_path,
            mapping.sn_list_path,
            mapping.position_path,
            mapping.carrier_code_path,
            mapping.transaction_id_path,
        )
        return cls(version_id, snapshot, step, mapping, paths)

    @property
    def is_first(self) -> bool:
        """Whether units begin their way here."""
        return self.step.step_no == self.snapshot.first_step_no


@dataclass(frozen=True, slots=True)
class NamedUnits:
    """The serial numbers that an event names by a mapping.

    `carried` is what its carrier carries, serial numbers with their positions; `transaction_id` is of the transaction
    whose units they are, `others` are serial numbers that the event may move besides. `skipped` are those that were not
    processed: where they stand says nothing of the step that the event is for.
    """

    sns: Sequence[str] = ()
    others: Sequence[str] = ()
    carried: Sequence[tuple[str, str]] = ()
    transaction_id: str | None = None
    skipped: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A step that an event may be for, with what the event says by its mapping.

    `station_code` is the station that it reports, or implies where it need not report any.
    """

    step: CandidateStep
    reading: EventReading
    station_code: str | None
    units: NamedUnits

    @property
    def mapping(self) -> StepMapping:
        """The mapping of the step."""
        return self.step.mapping

    @property
    def sns(self) -> Sequence[str]:
        """The serial numbers that the event names by the mapping."""
        return self.units.sns

    @property
    def moment(self) -> Moment | None:
        """Where and when it happened; None where the event neither says nor implies a station."""
        return None if self.station_code is None else Moment(self.station_code, self.reading.occurred_at_or_sent())


@dataclass(frozen=True)
class EventCandidates:
    """All steps that an event may be for.

    `version_ids` are those searched: of the run it names, else of all open runs. `sns` are the serial numbers of all
    that may move or lose their place on a carrier.
    """

    candidates: Sequence[Candidate]
    version_ids: frozenset[int]
    run_no: str | None
    sns: Sequence[str]

    @property
    def station_codes(self) -> list[str]:
        """The stations that the event may be of."""
        return list({candidate.station_code for candidate in self.candidates if candidate.station_code})

    @cached_property
    def moment(self) -> Moment | None:
        """Where and when new units began their way that an event without a run may name; None where it can name none.
        The run that was active then takes them.
        """
        if self.run_no is not None:
            return None
        first = (each.moment for each in self.candidates if each.step.is_first and each.sns)
        return next((moment for moment in first if moment is not None), None)


class _Remembered:
    """What the process remembers of runs: the versions of the open ones, and of those named lately."""

    open_versions: frozenset[Version] = frozenset()
    named: Mapping[str, Version] = {}


def forget() -> None:
    """Forget what is remembered of runs: it has changed."""
    _Remembered.open_versions, _Remembered.named = frozenset(), {}


def find_candidates(event: ReceivedEvent) -> EventCandidates:
    """Return the steps that an event may be for. Raises RunNotFound, IngestMappingMissing."""
    run_no, event_type = event.envelope.run_no, event.envelope.event_type
    versions = _find_versions(run_no)
    steps_that_read = _list_that_read(event, list_steps(event_type, versions))
    if not steps_that_read:  # by what is remembered
        forget()
        versions = _find_versions(run_no)
        steps_that_read = _list_that_read(event, list_steps(event_type, versions))
    if not steps_that_read:
        raise _no_mapping_error(event, list_steps(event_type, versions))
    return _read(event, steps_that_read, versions)


def find_candidates_of_own_routes(event: ReceivedEvent) -> EventCandidates | None:
    """Return the steps that an event may be for by the frozen routes of the units it names: of runs that are open or
    ended lately, and of units that its envelope names, whenever their runs ended; whichever run it names. None where no
    such route reads it.

    For what is refused: no open run, or not the named one, may read it, and yet it may say that a unit failed.
    """
    versions = _find_versions(None) | _find_ended_versions() | _find_versions_of(event.envelope)
    found = _read(event, _list_that_read(event, list_steps(event.envelope.event_type, versions)), versions)
    named = {sn for candidate in found.candidates for sn in candidate.sns}
    units = find_units(named, Unit.objects.select_related("run"))
    if renamed := {sn: unit.sn for sn, unit in units.items() if unit.sn != sn}:
        event.call_by(renamed)
        return find_candidates_of_own_routes(event)
    own_versions = {sn: unit.run.route_version_id for sn, unit in units.items() if unit.run is not None}
    own = [
        candidate
        for candidate in found.candidates
        if any(own_versions.get(sn) == candidate.step.version_id for sn in candidate.sns)
    ]
    return replace(found, candidates=own) if own else None


def find_candidates_whatever_runs(event: ReceivedEvent) -> EventCandidates:
    """Return the steps that read an event in the routes of runs that are open or ended lately, and in the newest ready
    versions of all: of one that may be about no unit at all, but for a reference unit.
    """
    ready = RouteVersion.objects.filter(status=VersionStatus.READY).order_by("-id").values_list("pk", "digest")
    versions = _find_versions(None) | _find_ended_versions() | frozenset(ready[:ENDED_RUNS])
    return _read(event, _list_that_read(event, list_steps(event.envelope.event_type, versions)), versions)


def _find_ended_versions() -> frozenset[Version]:
    """Return the versions of the runs that were made last of those that ended."""
    ended = Run.objects.exclude(status__in=OPEN_RUN_STATUSES).order_by("-id")
    return frozenset(ended.values_list("route_version_id", "route_version__digest")[:ENDED_RUNS])


def _find_versions_of(envelope: Envelope) -> frozenset[Version]:
    """Return the versions of the runs of the units that an envelope names."""
    sns = envelope.sns or ([] if envelope.sn is None else [envelope.sn])
    runs = Run.objects.filter(units__in=find_units(sns).values()) if sns else Run.objects.none()
    return frozenset(runs.values_list("route_version_id", "route_version__digest"))


def _read(
    event: ReceivedEvent, steps_that_read: Sequence[CandidateStep], versions: frozenset[Version]
) -> EventCandidates:
    """Return what an event says by each of these steps, which read it."""
    known: dict[tuple[Path | str | None, ...], NamedUnits] = {}
    implied: dict[str | None, str | None] = {}
    candidates: list[Candidate] = []
    for step in steps_that_read:
        reading = event.read(step.mapping)
        units = known.get(step.naming_paths)
        if units is None:
            units = known[step.naming_paths] = _find_units(reading, event)
        station_code = reading.find_station_code()
        if station_code is None and _implies_station(step.step):
            line_code = reading.find_line_code()
            if line_code not in implied:
                implied[line_code] = _find_only_station(line_code)
            station_code = implied[line_code]
        candidates.append(Candidate(step, reading, station_code, units))
    sns = dict.fromkeys(sn for units in known.values() for sn in (*units.sns, *units.others))
    version_ids = frozenset(version_id for version_id, _digest in versions)
    return EventCandidates(candidates, version_ids, event.envelope.run_no, list(sns))


def find_implied_station(step: StepSnapshot, line_code: str | None) -> str | None:
    """Return the code of the only station that may run a BATCH step which names none; None where there is not one."""
    return _find_only_station(line_code) if _implies_station(step) else None


def _implies_station(step: StepSnapshot) -> bool:
    """Whether an event for a step need not say at which station."""
    return step.station_type == StationType.BATCH and step.station_group is None and step.allowed_stations is None


def _find_only_station(line_code: str | None) -> str | None:
    """Return the code of the only BATCH station, of a line where one is known; None where there is not just one."""
    if line_code and "\0" in line_code:  # which no database text can hold
        return None
    stations = Station.objects.filter(station_type=StationType.BATCH)
    if line_code:
        stations = stations.filter(line__code=line_code)
    codes = list(stations.values_list("code", flat=True)[:2])
    return codes[0] if len(codes) == 1 else None


def _find_versions(run_no: str | None) -> frozenset[Version]:
    """Return the version of the named run, or those of all open runs. Raises RunNotFound."""
    if run_no is None:
        open_versions = _Remembered.open_versions  # once: another thread may forget them at any moment
        if not open_versions:
            open_runs = Run.objects.filter(status__in=OPEN_RUN_STATUSES).order_by()
            rows = open_runs.values_list("route_version_id", "route_version__digest").distinct()
            open_versions = _Remembered.open_versions = frozenset(rows)
        return open_versions
    version = _Remembered.named.get(run_no)
    if version is None:
        versions = Run.objects.values_list("route_version_id", "route_version__digest")
        version = get_or_raise(versions, errors.RunNotFound, run_no=run_no)
        lately = dict(list(_Remembered.named.items())[-REMEMBERED_RUNS:])
        _Remembered.named = {**lately, run_no: version}
    return frozenset([version])


def _list_that_read(event: ReceivedEvent, steps: Iterable[Sequence[CandidateStep]]) -> list[CandidateStep]:
    """Return each step by the first of its mappings that reads the event, but for those of which none does."""
    first = (next((each for each in mappings if event.is_read_by(each.mapping)), None) for mappings in steps)
    return [step for step in first if step is not None]


def _no_mapping_error(event: ReceivedEvent, steps: Sequence[Sequence[CandidateStep]]) -> errors.DomainError:
    """Return the refusal of an event that no step reads; where a `when` could not be evaluated, with what was wrong."""
    excess = event.document.find_excess()
    if excess is not None:
        return excess
    event_type = event.envelope.event_type
    if not steps:
        return errors.IngestMappingMissing(event_type=event_type)
    problems = [event.read(each.mapping).find_problem_of_when() for mappings in steps for each in mappings]
    return errors.IngestMappingReadsNothing(
        event_type=event_type, problems=list(dict.fromkeys(problem for problem in problems if problem))
    )


@lru_cache(maxsize=64)
def list_steps(event_type: str, versions: frozenset[Version]) -> tuple[tuple[CandidateStep, ...], ...]:
    """Return the steps of a type that take events, in these frozen routes, each once for each of its mappings."""
    steps: list[tuple[CandidateStep, ...]] = []
    for version_id, digest in sorted(versions):
        try:
            snapshot = snapshots.load(version_id=version_id, digest=digest)
        except RouteVersion.DoesNotExist:  # its runs are gone, which what is read next tells
            continue
        steps += [
            tuple(CandidateStep.of(version_id, snapshot, step, mapping) for mapping in step.mappings)
            for step in snapshot.steps
            if step.station_type == event_type and step.mappings
        ]
    return tuple(steps)


def _find_units(reading: EventReading, event: ReceivedEvent) -> NamedUnits:
    """Return the units that an event names by a mapping; none where they cannot be read.

    One that names no unit means those of its carrier, or of the event that opened its transaction. What its carrier
    carries is locked along, and so are its items where the envelope names other units.
    """
    try:
        carrier_no, sns = reading.carrier_no, reading.sns
        if carrier_no is not None:
            return _find_units_on(carrier_no, sns, reading, event)
        if sns:
            return NamedUnits(sns, others=reading.item_sns, skipped=_find_skipped(reading, sns))
        transaction_id = reading.transaction_id
    except errors.IngestPayloadInvalid:
        return NamedUnits()
    if transaction_id is None:
        return NamedUnits()
    sns = list_of_transaction(event, transaction_id)
    return NamedUnits(sns, transaction_id=transaction_id, skipped=_find_skipped(reading, sns))


def _find_skipped(reading: EventReading, sns: Sequence[str], carried: Sequence[tuple[str, str]] = ()) -> frozenset[str]:
    """Return the serial numbers of the units that were not processed."""
    rule = reading.mapping.result
    if rule is None or not rule.skip_values:
        return frozenset()
    skipped = reading.skipped
    if not skipped and not reading.item_sns and reading.is_skipped:
        return frozenset(sns)
    return skipped | {sn for sn, position in carried if position in skipped}


def _find_units_on(carrier_no: str, sns: list[str], reading: EventReading, event: ReceivedEvent) -> NamedUnits:
    now = list_carried(carrier_no)
    carried = now if event.carried is None else list_unscrapped(event.carried)
    carried_sns = [sn for sn, _position in carried]
    others = [*carried_sns, *(sn for sn, _position in now), *reading.item_sns]
    return NamedUnits(sns or carried_sns, others, carried, skipped=_find_skipped(reading, sns or carried_sns, carried))


def list_carried(carrier_no: str) -> list[tuple[str, str]]:
    """Return (serial number, position) of the units that a carrier carries now, by position."""
    loads = CarrierLoad.objects.filter(carrier__carrier_no=carrier_no, unloaded_at=None).order_by("position", "id")
    return list(loads.values_list("unit__sn", "position"))


def list_unscrapped(carried: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what a carrier carried when its event was received, without the units that were scrapped since."""
    units = Unit.objects.filter(sn__in=[sn for sn, _position in carried], status=UnitStatus.SCRAPPED)
    scrapped = set(units.values_list("sn", flat=True))
    return [(sn, position) for sn, position in carried if sn not in scrapped]


def list_of_transaction(event: ReceivedEvent, transaction_id: str) -> list[str]:
    """Return the units of the event that opened the transaction of this one: a machine may name them only once."""
    opening = SettledIngestEvent.objects.filter(
        source_system=event.envelope.source_system, transaction_id=transaction_id
    )
    named = next(iter(opening.order_by("-id").values_list("sns", flat=True)[:1]), [])
    return [event.present(sn) for sn in named]


def no_unit_error(candidates: Iterable[Candidate]) -> errors.DomainError:
    """Return the refusal of an event in which no candidate finds a unit: of a path that cost too much, if there is
    one, or of what its reader could not read.
    """
    candidates = list(candidates)
    excess = candidates[0].reading.document.find_excess() if candidates else None  # they read the same document
    if excess is not None:
        return excess
    unreadable = next((sn for candidate in candidates if (sn := candidate.reading.find_unreadable())), None)
    if unreadable is not None:
        return errors.SnUnreadable(sn=unreadable)
    paths = {
        path.expression
        for mapping in (candidate.mapping for candidate in candidates)
        for path in (mapping.sn_path, mapping.sn_list_path, mapping.units_path, mapping.carrier_code_path)
        if path is not None
    }
    problems = [f"{path}: finds no unit" for path in sorted(paths)] or ["no path names a unit"]
    return invalid(*problems)
