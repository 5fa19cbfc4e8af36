"""What refused machine events say against their units, as far as they can be read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from execution import dispositions, rules
from execution.failing_reports import FailingReport, hold_units, list_held
from execution.models import Disposition
from execution.quality.defect_codes.catalogue import codes_when_asked
from ingest import left_out
from ingest.candidates import Candidate, EventCandidates
from ingest.carrier_moves import find_missed_positions
from ingest.envelope import ReceivedEvent
from ingest.failing import read_failing
from ingest.mapping.extract import UnitReport
from ingest.models import OpenIngestEvent
from ingest.open_events import NOBODY, Against
from ingest.unit_moves import EventMoves
from mes import errors
from mes.plant.models import Station
from mes.production import locking
from mes.production.models import Unit, UnitStatus
from mes.production.names import find_names, named


@dataclass(frozen=True, slots=True)
class _Said:
    """What an event says against a unit by the mapping of a candidate."""

    candidate: Candidate
    report: FailingReport | None


def hold_failing(
    event: ReceivedEvent, error: errors.DomainError, candidates: EventCandidates
) -> tuple[list[Disposition], Against]:
    """Hold the units of which a refused event says that they failed; name them in `details.held` of its refusal.

    Returns the decisions, unsaved (`save`), and what it says against its units. Locks the units, in a transaction that
    holds the key of the event.
    """
    said = _find_said(event, candidates.candidates)
    if not any(each.report for of_unit in said.values() for each in of_unit):
        return [], NOBODY
    units = locking.lock_units(Unit.objects.filter(named(list(said))).select_related("run"))
    for sn, present in find_names(said.keys() - {unit.sn for unit in units}).present.items():
        said.setdefault(present, []).extend(said.pop(sn))
    stations = _find_stations(candidates)
    failing = {unit.sn: report for unit in units if (report := _choose(unit, said[unit.sn], stations).report)}
    decisions = hold_units(
        units,
        failing,
        source=event.envelope.source_system,
        code=error.code,
        held_before=_find_held_before(event),
    )
    held = list_held(units, failing)
    if held:
        error.details["held"] = held
    return decisions, Against(is_failing=True, held_unit_ids=[unit.pk for unit in units if unit.sn in held])


def hold_left_out(
    event: ReceivedEvent, event_moves: EventMoves, *, event_id: int
) -> tuple[list[Disposition], Sequence[int]]:
    """Hold those of the units that a partial batch leaves out of which it says that they failed, and mark them in
    `skipped`. Returns the decisions, unsaved, and the ids of the units that are held for it.
    """
    skipped = {item["sn"]: item for item in left_out.list_open(event_moves.skipped) if "sn" in item}
    said = _find_said(event, [event_moves.match.candidate]) if skipped else {}
    failing = {sn: each.report for sn, of_unit in said.items() for each in of_unit if each.report and sn in skipped}
    if not failing:
        return [], ()
    for sn in failing:
        skipped[sn]["failing"] = True
    held_before = Disposition.objects.filter(about_event_id=event_id).values_list("unit_id", flat=True)
    decisions, held_unit_ids = [], []
    for unit in locking.lock_units(Unit.objects.filter(sn__in=list(failing))):
        code = skipped[unit.sn]["code"]
        source = event.envelope.source_system
        decisions += hold_units([unit], failing, source=source, code=code, held_before=list(held_before))
        skipped[unit.sn]["held"] = unit.status == UnitStatus.ON_HOLD
        held_unit_ids += [unit.pk] if unit.status == UnitStatus.ON_HOLD else []
    return decisions, held_unit_ids


def save(decisions: Sequence[Disposition], *, event_id: int) -> None:
    """Write holds, with the event that they are about."""
    for decision in decisions:
        decision.about_event_id = event_id
    dispositions.save_holds(decisions)


# --- what the event says -----------------------------------------------------------------------------------


def _find_said(event: ReceivedEvent, candidates: Sequence[Candidate]) -> dict[str, list[_Said]]:
    """Return what an event says of each unit that it names, by each mapping that names the unit."""
    said: dict[str, list[_Said]] = {}
    at, codes, source_system = event.occurred_at, codes_when_asked(), event.envelope.source_system
    for candidate in candidates:
        read: dict[str, FailingReport | None] = {}
        for sn, report in _list_reports(candidate):
            read[sn] = read.get(sn) or read_failing(candidate, report, at, source_system=source_system, codes=codes)
        for sn in {*candidate.sns, *read}:
            said.setdefault(sn, []).append(_Said(candidate, read.get(sn)))
    return said


def _list_reports(candidate: Candidate) -> Iterator[tuple[str, UnitReport]]:
    """Yield the reports by serial number. One that names no unit is for those of the carrier, or the transaction; so is
    one by position where positions cannot be trusted.
    """
    sns_by_position = {position: sn for sn, position in candidate.units.carried}
    try:
        reports = candidate.reading.extract().reports
    except errors.IngestPayloadInvalid:
        reports = candidate.reading.list_readable_reports()
    missed = find_missed_positions([report for report in reports if report.sn or report.position], sns_by_position)
    for report in reports:
        if report.sn is not None:
            yield report.sn, report
        elif report.position is None or missed:
            yield from ((sn, report) for sn in candidate.sns)
        elif report.position in sns_by_position:
            yield sns_by_position[report.position], report


# --- which mapping counts ----------------------------------------------------------------------------------


def _choose(unit: Unit, said: Sequence[_Said], stations: Mapping[str, Station]) -> _Said:
    """Return what is said by the mapping that fits a unit best: of its own route, of a step that the reported station
    may run, and nearest to where it stands.
    """
    version_id = unit.run.route_version_id if unit.run is not None else None

    def rank(each: _Said) -> tuple[bool, bool, int]:
        step = each.candidate.step
        station = stations.get(each.candidate.station_code or "")
        cannot_run = station is not None and not rules.station_may_run(station, step.step)
        distance = abs(step.step.step_no - (unit.current_step_no or 0))
        return (step.version_id != version_id, cannot_run, distance)

    return min(said, key=rank)


def _find_stations(candidates: EventCandidates) -> dict[str, Station]:
    stations = Station.objects.filter(code__in=candidates.station_codes).select_related("group")
    return {station.code: station for station in stations}


def _find_held_before(event: ReceivedEvent) -> list[int]:
    """Return the units that the same event, kept before with the same content, has held."""
    envelope = event.envelope
    kept = OpenIngestEvent.objects.filter(
        source_system=envelope.source_system, dedupe_key=envelope.dedupe_key, digest=event.digest
    )
    decided = Disposition.objects.filter(about_event_id__in=kept.values("pk"))
    return list(decided.values_list("unit_id", flat=True))
