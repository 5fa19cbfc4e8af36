"""Which mapping, which step, which units: an event is read by every mapping that could be meant.

Candidates are the steps of the event's type in the named run's frozen route, else in the versions of all open runs. A
candidate counts when it names a known unit of a run with that version. The unit's current step wins where the reported
station may run it; else a later step that fits by type and station.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from execution import rules
from execution.models import Carrier, CarrierLoad, Track
from ingest import mapping as mappings
from ingest.models import SettledIngestEvent
from mes import errors
from mes.plant.models import Station
from mes.production.models import OPEN_RUN_STATUSES, Run, Unit
from mes.routing import snapshots
from mes.routing.snapshots import RouteSnapshot, StepSnapshot

PARTIAL = "PARTIAL"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A step whose mapping may be meant, in a frozen route."""

    version_id: int
    snapshot: RouteSnapshot
    step: StepSnapshot

    @property
    def mapping(self) -> Mapping[str, Any]:
        """The mapping of the step."""
        return self.step.ingest_mapping or {}


@dataclass(frozen=True, slots=True)
class Choice:
    """The step that is meant, and the run and units it is meant for. `units` may miss one that is yet to be made."""

    candidate: Candidate
    run: Run
    units: tuple[Unit, ...]
    is_ahead: bool

    @property
    def step(self) -> StepSnapshot:
        """The step that is meant."""
        return self.candidate.step


def choose(event: Mapping[str, Any]) -> Choice:
    """Return what an event means. `event` is the envelope as it was sent.

    Raises RunNotFound, IngestMappingMissing, IngestPayloadInvalid, UnitNotFound, UnitRunMismatch, UnitRunNotFound,
    RunMismatch, StepMismatch.
    """
    named_run = _find_run(event.get("runNo"))
    candidates = list_candidates(event["eventType"], named_run)
    if not candidates:
        raise errors.IngestMappingMissing(event_type=event["eventType"])
    names = {id(candidate): _names_of(candidate, event) for candidate in candidates}
    sns = {sn for found in names.values() for sn in found}
    if not sns:
        raise mappings.invalid(*_why_nobody(candidates))
    units = {unit.sn: unit for unit in _load_units(sns)}
    fitting = [one for one in candidates if _fits(one, names[id(one)], units, named_run)]
    if not fitting:
        return _choose_new_unit(candidates, names, units, named_run)
    best = _choose_best(fitting, names, units, event)
    return _settle(best, [units[sn] for sn in names[id(best)] if sn in units], named_run)


def _find_run(run_no: str | None) -> Run | None:
    if run_no is None:
        return None
    runs = Run.objects.select_related("work_order", "line", "route_version").defer("route_version__snapshot")
    run = runs.filter(run_no=run_no).first()
    if run is None:
        raise errors.RunNotFound(code=run_no)
    return run


def find_candidates(event: Mapping[str, Any]) -> list[Candidate]:
    """Return the steps whose mappings may be meant by an event. Raises RunNotFound."""
    return list_candidates(event["eventType"], _find_run(event.get("runNo")))


def list_candidates(event_type: str, named_run: Run | None) -> list[Candidate]:
    """Return the steps of a type that take events, in the named run's route or in those of all open runs."""
    if named_run is not None:
        versions = {(named_run.route_version_id, named_run.route_version.digest)}
    else:
        open_runs = Run.objects.filter(status__in=OPEN_RUN_STATUSES).order_by()
        versions = set(open_runs.values_list("route_version_id", "route_version__digest").distinct())
    candidates = []
    for version_id, digest in sorted(versions):
        snapshot = snapshots.load(version_id=version_id, digest=digest)
        candidates += [
            Candidate(version_id, snapshot, step)
            for step in snapshot.steps
            if step.station_type == event_type and step.ingest_mapping is not None
        ]
    return candidates


def _names_of(candidate: Candidate, event: Mapping[str, Any]) -> list[str]:
    """Return the serial numbers that an event names by a candidate's mapping, its carrier or its transaction."""
    try:
        sns, carrier_no = mappings.find_names(candidate.mapping, event)
        if sns:
            return sns
        if carrier_no is not None:
            return list_carried(carrier_no)
        transaction_id = mappings.find_transaction(candidate.mapping, event)
    except errors.IngestPayloadInvalid:
        return []
    return list_of_transaction(event["sourceSystem"], transaction_id) if transaction_id else []


def list_carried(carrier_no: str) -> list[str]:
    """Return the serial numbers of the units that a carrier carries now, by position."""
    carrier = Carrier.objects.filter(carrier_no=carrier_no).first()
    loads = CarrierLoad.objects.filter(carrier=carrier, unloaded_at=None).order_by("position", "id")
    return list(loads.values_list("unit__sn", flat=True))


def list_of_transaction(source_system: str, transaction_id: str) -> list[str]:
    """Return the units of the event that opened a transaction: a machine may name them only once."""
    opened = SettledIngestEvent.objects.filter(source_system=source_system, transaction_id=transaction_id)
    return next(iter(opened.order_by("-id").values_list("sns", flat=True)[:1]), [])


def _why_nobody(candidates: Iterable[Candidate]) -> list[str]:
    paths = {
        str(candidate.mapping.get(key))
        for candidate in candidates
        for key in ("snPath", "snListPath", "unitsPath", "carrierCodePath")
        if candidate.mapping.get(key)
    }
    return [f"{path}: finds no unit" for path in sorted(paths)] or ["no path names a unit"]


def _load_units(sns: Iterable[str]) -> list[Unit]:
    units = Unit.objects.select_related("run__work_order", "run__line", "run__route_version")
    return list(units.defer("run__route_version__snapshot").filter(sn__in=sns).order_by("pk"))


def _fits(candidate: Candidate, sns: Sequence[str], units: Mapping[str, Unit], named_run: Run | None) -> bool:
    """Whether a known unit is in a run with this version (in the named run, if one is named)."""
    for sn in sns:
        run = units[sn].run if sn in units else None
        if run is not None and run.route_version_id == candidate.version_id and named_run in (None, run):
            return True
    return False


def _choose_best(
    fitting: Sequence[Candidate],
    names: Mapping[int, list[str]],
    units: Mapping[str, Unit],
    event: Mapping[str, Any],
) -> Candidate:
    """Return the candidate that is meant: by where the units stand and which steps the reported station may run."""
    if len(fitting) == 1:
        return fitting[0]
    reported = {id(one): mappings.find_station_code(one.mapping, event) for one in fitting}
    found = Station.objects.select_related("group").filter(code__in=[code for code in reported.values() if code])
    stations = {station.code: station for station in found}

    def rank(one: Candidate) -> tuple[int, int]:
        code = reported[id(one)]
        runs_here = code is None or (code in stations and rules.station_may_run(stations[code], one.step))
        ahead = one.step.step_no - _stand(one, [units[sn] for sn in names[id(one)] if sn in units])
        place = 0 if ahead == 0 else 1 if ahead > 0 else 2
        return (place if runs_here else place + 3 if place else 2, abs(ahead))

    return min(fitting, key=rank)


def _stand(candidate: Candidate, units: Sequence[Unit]) -> int:
    """Return the step that units stand at: of the one furthest behind. A PARTIAL batch needs only one at its step."""
    steps = [unit.current_step_no or 0 for unit in units]
    if candidate.mapping.get("batchPolicy") == PARTIAL and candidate.step.step_no in steps:
        return candidate.step.step_no
    return min(steps, default=0)


def _settle(candidate: Candidate, units: Sequence[Unit], named_run: Run | None) -> Choice:
    """Return the choice for these units, or raise why it cannot be one."""
    owners = {unit.run for unit in units if unit.run is not None}
    if len(owners) > 1:
        raise errors.RunMismatch(runs=sorted(run.run_no for run in owners))
    run = named_run or owners.pop()
    current, meant = _stand(candidate, units), candidate.step.step_no
    if meant < current:
        raise errors.StepMismatch(current=current, step_no=meant, missing_steps=[])
    return Choice(candidate, run, tuple(units), is_ahead=meant > current)


def _choose_new_unit(
    candidates: Sequence[Candidate],
    names: Mapping[int, list[str]],
    units: Mapping[str, Unit],
    named_run: Run | None,
) -> Choice:
    """Choose for units that are in no run with these versions: new ones of the named run, at its first step."""
    known = [units[sn] for found in names.values() for sn in found if sn in units]
    if known and named_run is not None and known[0].run is not None:
        raise errors.UnitRunMismatch(sn=known[0].sn, run=named_run.run_no)
    if known and known[0].run is not None:
        raise errors.IngestMappingMissing(event_type=candidates[0].step.station_type)
    first = next((one for one in candidates if one.step.step_no == one.snapshot.first_step_no), None)
    if named_run is not None and not named_run.units_registered and first is not None and names[id(first)]:
        return Choice(first, named_run, (), is_ahead=False)
    if known:
        raise errors.UnitRunNotFound(code=known[0].sn)
    raise errors.UnitNotFound(code=next(sn for found in names.values() for sn in found))


def is_stale(choice: Choice, event: Mapping[str, Any]) -> bool:
    """Whether an event for a later step occurred before one of its units last was there: it is of an earlier pass."""
    at = mappings.find_occurred_at(choice.candidate.mapping, event)
    there = Track.objects.filter(unit__in=choice.units, run=choice.run, step_no=choice.step.step_no)
    return there.filter(Q(in_at__gte=at) | Q(out_at__gte=at)).exists()
