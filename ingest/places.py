"""What a refused event was about: run, units, station and step, each as far as it alone can be found."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from execution import rules
from ingest.candidates import Candidate, EventCandidates
from ingest.envelope import Envelope, ReceivedEvent
from ingest.matching import Match
from mes.plant.models import Station
from mes.platform.validators import validate_name
from mes.production.active_runs import find_active_run
from mes.production.models import Run, Unit
from mes.production.names import find_units


@dataclass(frozen=True, slots=True)
class Place:
    """What an event is kept for; None and empty where it cannot be told."""

    run_id: int | None = None
    station_id: int | None = None
    step_no: int | None = None
    sns: Sequence[str] = ()
    unit_ids: Sequence[int] = ()


def find_place(event: ReceivedEvent, candidates: EventCandidates | None, match: Match | None) -> Place:
    """Return what an event is about: by its match, else by what it names and what its mappings read in it."""
    named = candidates.candidates if candidates is not None else ()
    station = _find_station(event.envelope, named if match is None else (match.candidate,))
    station_id = None if station is None else station.pk
    if match is not None and match.units:
        sns, unit_ids = [state.unit.sn for state in match.units], [state.unit.pk for state in match.units]
        return Place(match.run.pk, station_id, match.step.step_no, sns, unit_ids)
    sns = _list_sns(event.envelope, named)
    units = list(dict.fromkeys(find_units(sns, Unit.objects.select_related("run")).values()))
    run = _find_run(event.envelope, units) or (None if units else _find_active_run(candidates))
    step_no = None if run is None else _find_step_no(run, station, named)
    return Place(None if run is None else run.pk, station_id, step_no, sns, [unit.pk for unit in units])


def _list_sns(envelope: Envelope, candidates: Sequence[Candidate]) -> list[str]:
    """Return the units that an event names, else those that any of its candidates does."""
    if envelope.sns or envelope.sn:
        return envelope.sns or [str(envelope.sn)]
    sns = next((candidate.sns for candidate in candidates if candidate.sns), ())
    return list(filter(_may_be_code, dict.fromkeys(sns)))


def _find_station(envelope: Envelope, candidates: Sequence[Candidate]) -> Station | None:
    """Return the station that an event names, else the one that all its candidates read which read one."""
    read = {candidate.station_code for candidate in candidates if candidate.station_code}
    codes = {envelope.station_code} if envelope.station_code else read
    if len(codes) != 1 or not _may_be_code(str(*codes)):
        return None
    return Station.objects.filter(code=str(*codes)).select_related("group").first()


def _find_run(envelope: Envelope, units: Sequence[Unit]) -> Run | None:
    """Return the run that an event names, else the one that its units are in."""
    if envelope.run_no is not None and (run := Run.objects.filter(run_no=envelope.run_no).first()):
        return run
    runs = {unit.run_id: unit.run for unit in units if unit.run is not None}
    return next(iter(runs.values())) if len(runs) == 1 else None


def _find_active_run(candidates: EventCandidates | None) -> Run | None:
    """Return the run that would have taken new units of an event that names no run."""
    moment = None if candidates is None else candidates.moment
    return None if moment is None else find_active_run(moment)


def _find_step_no(run: Run, station: Station | None, candidates: Sequence[Candidate]) -> int | None:
    """Return the step of a run's route that an event is for: the only one there is, or that its station may run."""
    steps = [candidate.step.step for candidate in candidates if candidate.step.version_id == run.route_version_id]
    if len(steps) > 1 and station is not None:
        steps = [step for step in steps if rules.station_may_run(station, step)]
    return steps[0].step_no if len(steps) == 1 else None


def _may_be_code(text: str) -> bool:
    try:
        validate_name(text)
    except ValidationError:
        return False
    return True
