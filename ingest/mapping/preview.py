"""Reading an event by a step's mapping without storing anything: what it extracts, how it is judged, what is refused.

The same functions as for a real event do the reading; here a part of the mapping that does not fit leaves the others.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from execution import rules, unit_state
from execution.quality.defects import ReportedDefect
from ingest import envelope, unit_moves
from ingest.candidates import find_implied_station
from ingest.mapping import measurements
from ingest.mapping.examples import read_example
from ingest.mapping.extract import DATA, IN, PASS, EventReading, Extracted, UnitReport
from ingest.mapping.measurements import Measurement
from ingest.mapping.paths import EventDocument, invalid
from mes import errors
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.envelope import camel_case
from mes.platform.inbound.sources import clock_of
from mes.production.models import Unit
from mes.production.names import find_units
from mes.routing import judging, snapshots
from mes.routing.compilation import build, load_sources
from mes.routing.mapping_problems import find_mapping_problems
from mes.routing.models import Routing, VersionStatus
from mes.routing.paths import Interpreters, Path
from mes.routing.snapshots import RouteSnapshot, SpecSnapshot, StepSnapshot
from mes.routing.step_mapping import MeasurementRule, StepMapping, list_paths
from mes.specs.models import TriggerType

LIVE = "live"
WHO = ("sn_path", "sn_list_path", "units_path", "position_path")
PARTS = (
    WHO,
    ("carrier_code_path",),
    ("phase",),
    ("result",),
    ("occurred_at_path", "time_format", "time_zone"),
    ("station_code_path",),
    ("line_code_path",),
    ("transaction_id_path",),
    ("test_result_id_path",),
    ("measurements", "data_spec_map"),
    ("defects",),
)
IN_LISTS: Mapping[str, tuple[str, ...]] = {  # what looks for a list, and its paths that are relative to the items
    "measurements": ("namePath", "valuePath", "unitPath", "judgePath"),
    "defects": ("codePath", "locationPath", "remarkPath", "falseCallPath"),
}
OF_ITEMS = ("snPath", "positionPath", "result.path", "defects.itemsPath")  # relative to an item of `unitsPath`
MISFITS = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)
NO_MAPPING = StepMapping()
T = TypeVar("T")


@dataclass
class Preview:
    """What became of an event that was only looked at. Times, values and codes are as they would be stored.

    `mapping` is the one that reads it, of the `mappings` of the step, which tell why.
    """

    step: StepSnapshot
    version: int | str
    event: dict[str, Any]
    mapping: StepMapping = NO_MAPPING
    mappings: list[dict[str, Any]] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    paths: list[dict[str, Any]] = field(default_factory=list)
    extracted: Extracted | None = None
    units: dict[str, Unit] = field(default_factory=dict)
    values: list[dict[str, Any]] = field(default_factory=list)
    unmapped: list[dict[str, Any]] = field(default_factory=list)
    overridden: set[int | None] = field(default_factory=set)
    outcome: dict[str, Any] = field(default_factory=dict)

    def read_anew(self) -> EventDocument:
        """Return the event as mappings see it, its times by the clock of its source."""
        source = self.event.get("sourceSystem")
        return EventDocument(self.event, clock=clock_of(source if isinstance(source, str) else None))

    def attempt(self, action: Callable[[], T]) -> T | None:
        """Return what the action returns; None when it is refused, which becomes a problem."""
        try:
            return action()
        except errors.DomainError as refusal:
            self.add(refusal)
        except MISFITS as error:  # of whatever kind: what is looked at need not even be an event
            self.add(invalid(str(error)[:200] or type(error).__name__))
        return None

    def add(self, refusal: errors.DomainError) -> None:
        """Note a refusal once."""
        message = str(refusal)
        if isinstance(refusal, errors.ValidationFailed):
            message = "; ".join(f"{path}: {problem}" for path, problem in refusal.details.items())
        problem = {"code": refusal.code, "message": message}
        if problem not in self.problems:
            self.problems.append(problem)


def preview_event(
    *, route_code: str, step_no: int, event: Any, version: int | str | None = None, mapping: Any = None
) -> Preview:
    """Read an event by the mapping of a step: of the latest READY version, of the one named, or as configured now.
    A `mapping` that is given is read in its place.

    Raises RouteNotFound, RouteVersionNotFound, RouteVersionNotReady, ValidationFailed for an unknown step. Whatever is
    wrong with the event or the mapping is among the problems.
    """
    snapshot, label = _find_snapshot(route_code, version)
    step = snapshot.step(step_no)
    if step is None:
        raise errors.ValidationFailed({"stepNo": _("The route has no step {number}.").format(number=step_no)})
    return preview_at(step if mapping is None else replace(step, ingest_mapping=mapping), label, event)


def preview_at(step: StepSnapshot, label: int | str, event: Any) -> Preview:
    """Read an event by the mapping of a step that was found already."""
    preview = Preview(step, label, event if isinstance(event, dict) else {})
    preview.outcome = read_example(step, event).outcome
    _check_envelope(preview, event)
    if not (_check_mapping(preview) and _choose_mapping(preview)):
        return preview
    preview.paths = list(_list_paths(preview.mapping, preview.event))
    preview.extracted = _extract(preview)
    _check_who_and_where(preview, preview.extracted)
    _read_values(preview, preview.extracted)
    return preview


def _find_snapshot(route_code: str, version: int | str | None) -> tuple[RouteSnapshot, int | str]:
    routing = get_or_raise(Routing.objects, errors.RouteNotFound, code=route_code)
    if version == LIVE:
        return build(load_sources(routing))[0], LIVE
    versions = routing.versions.defer("snapshot").order_by("-version_no")
    if version is None:
        chosen = versions.filter(status=VersionStatus.READY).first()
        if chosen is None:
            raise errors.RouteVersionNotReady(reason=_("compile the route, or ask for the live configuration."))
    else:
        chosen = get_or_raise(versions, partial(errors.RouteVersionNotFound, route=route_code), version_no=version)
    return snapshots.load(version_id=chosen.pk, digest=chosen.digest), chosen.version_no


# --- is it an event, is it a mapping -------------------------------------------------------------------------


def _check_envelope(preview: Preview, event: Any) -> None:
    """Check what every event must have, and leave out what cannot be read, so that the rest still can."""
    preview.attempt(lambda: envelope.decode(msgspec.json.encode(event)))
    kind = preview.event.get("eventType")
    if isinstance(kind, str) and kind != preview.step.station_type:
        preview.add(errors.IngestMappingMissing(event_type=kind))
    sns = preview.event.get("sns")
    sound = {
        "sn": isinstance(preview.event.get("sn"), str),
        "sns": isinstance(sns, list) and all(isinstance(sn, str) for sn in sns),
        "stationCode": isinstance(preview.event.get("stationCode"), str),
    }
    preview.event = {
        name: value for name, value in preview.event.items() if value is not None and sound.get(name, True)
    }
    try:
        sent_at = EventDocument({"occurredAt": preview.event.get("occurredAt")})
        EventReading(sent_at, NO_MAPPING).occurred_at_or_sent()
    except errors.DomainError:
        preview.event["occurredAt"] = timezone.now().isoformat()


def _check_mapping(preview: Preview) -> bool:
    if preview.step.ingest_mapping is None:
        preview.add(errors.IngestMappingMissing(event_type=preview.step.station_type))
        return False
    problems = find_mapping_problems(preview.step.ingest_mapping, station_type=preview.step.station_type)
    preview.problems += [
        {"code": "INGEST_MAPPING_INVALID", "message": str(problem), "path": problem.place} for problem in problems
    ]
    return not problems


def _choose_mapping(preview: Preview) -> bool:
    """Take the first mapping that reads the event, and say of each what its `when` finds."""
    document, chosen = preview.read_anew(), None
    for index, mapping in enumerate(preview.step.mappings):
        reading = EventReading(document, mapping)
        entry: dict[str, Any] = {"index": index, "when": None, "found": None, "reads": False}
        if mapping.when is not None:
            found = _found("when", mapping.when, preview.event, {})
            entry |= {"when": mapping.when.expression, "found": found["found"]}
            entry |= {"problem": found["problem"]} if "problem" in found else {}
        if chosen is None and reading.holds_when:
            chosen, entry["reads"] = mapping, True
        preview.mappings.append(entry)
    if chosen is None:
        preview.add(errors.IngestMappingReadsNothing(event_type=preview.step.station_type))
        return False
    preview.mapping = chosen
    return True


# --- paths ---------------------------------------------------------------------------------------------------


def _list_paths(mapping: StepMapping, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every path with what it finds: one thing at the event, a list of things at the items of a list."""
    roots: dict[str, list[Any]] = {}
    for key, path in sorted(list_paths(mapping), key=lambda entry: _rank(entry[0])):
        at = _root_of(mapping, key)
        if at == "event":
            yield _found(key, path, event, {})
            continue
        if at not in roots:
            roots[at] = _list_roots(mapping, event, at)
        yield _found_at_items(key, path, at, roots[at])


def _rank(key: str) -> tuple[int, str, int]:
    """Return what sorts the paths of lists' items behind the others, list by list, as people read them."""
    part, _dot, inner = key.partition(".")
    of_items = IN_LISTS.get(part.partition("[")[0], ())
    return (1, part, of_items.index(inner)) if inner in of_items else (0, "", 0)


def _root_of(mapping: StepMapping, key: str) -> str:
    """Return what a path is relative to: `event`, or the path that finds a list, as `list_paths` names it."""
    part, _dot, inner = key.partition(".")
    if inner in IN_LISTS.get(part.partition("[")[0], ()):
        return f"{part}.itemsPath"
    is_of_item = key in OF_ITEMS or (part.startswith("measurements") and not _block_of(mapping, part).of_event)
    return "unitsPath" if mapping.units_path is not None and is_of_item else "event"


def _block_of(mapping: StepMapping, part: str) -> MeasurementRule:
    """Return the block that `measurements` or `measurements[1]` names."""
    return mapping.measurements[int(part.partition("[")[2].rstrip("]") or 0)]


def _list_roots(mapping: StepMapping, event: dict[str, Any], at: str) -> list[Any]:
    """Return the items of the list that a path finds in the event, or in each of the items that it is relative to."""
    path = dict(list_paths(mapping))[at]
    outer = _root_of(mapping, at)
    roots = [event] if outer == "event" else _list_roots(mapping, event, outer)
    interpreters = Interpreters()
    return [item for root in roots for item in _find_items(path, root, interpreters)]


def roots_of(preview: Preview, at: str) -> list[Any]:
    """Return what the paths of a list are relative to: the event, or the items of the list that a path finds."""
    return [preview.event] if at == "event" else _list_roots(preview.mapping, preview.event, at)


def _find_items(path: Path, root: Any, interpreters: Interpreters) -> list[Any]:
    """Return the items of a list that a path finds."""
    try:
        found = path.search(root, interpreters)
    except (errors.IngestPayloadInvalid, *MISFITS):
        return []
    return found if isinstance(found, list) else []


def _found(key: str, path: Path, root: Any, interpreters: Interpreters) -> dict[str, Any]:
    entry: dict[str, Any] = {"key": key, "path": path.expression, "at": "event", "found": None}
    try:
        entry["found"] = _plain(path.search(root, interpreters))
    except (errors.IngestPayloadInvalid, *MISFITS) as error:
        entry["problem"] = str(error)
    return entry


def _found_at_items(key: str, path: Path, at: str, items: Sequence[Any]) -> dict[str, Any]:
    interpreters = Interpreters()
    entries = [_found(key, path, item, interpreters) for item in items]
    found = [item["found"] for item in entries]
    entry: dict[str, Any] = {"key": key, "path": path.expression, "at": at, "found": found}
    problems = [item["problem"] for item in entries if "problem" in item]
    return {**entry, "problem": problems[0]} if problems else entry


def _plain(value: Any) -> Any:
    """Leave out what JSON cannot hold: an expression that a path returned, or a number that is infinite or none."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | list | dict) else None


# --- extracting ----------------------------------------------------------------------------------------------


def _extract(preview: Preview) -> Extracted:
    """Extract by the whole mapping, or by those parts of it that fit."""
    mapping, document = preview.mapping, preview.read_anew()
    try:
        whole = EventReading(document, mapping).extract()
        for problem in dict.fromkeys(unit.problem for unit in whole.units if unit.problem):
            preview.add(invalid(problem))
        return whole
    except (errors.DomainError, *MISFITS):
        pass
    fitting = NO_MAPPING
    best = EventReading(EventDocument({"occurredAt": preview.event.get("occurredAt")}), fitting).extract()
    for names in PARTS:
        tried = replace(fitting, **{name: getattr(mapping, name) for name in names})
        extracted = preview.attempt(EventReading(document, tried).extract)
        if extracted is not None:
            fitting, best = tried, extracted
    if fitting.result is not mapping.result:
        best = replace(best, result=None, units=tuple(replace(unit, result=None) for unit in best.units))
    return best


def _check_who_and_where(preview: Preview, extracted: Extracted) -> None:
    if not (extracted.units or extracted.carrier_no or extracted.transaction_id):
        preview.add(invalid(_("the event names no unit")))
    code = extracted.station_code or find_implied_station(preview.step, extracted.line_code)
    codes = [code] if code and "\0" not in code else []
    station_states = unit_state.load_states([], locked=None, stations=codes).station_states
    preview.attempt(lambda: unit_moves.find_station_state(extracted, code, station_states))
    skew = settings.MES_CLOCK_SKEW
    at = extracted.occurred_at
    preview.attempt(lambda: rules.check_time(at, now=timezone.now(), previous=None, skew=skew))
    sns = [sn for sn in extracted.sns if "\0" not in sn]
    preview.units = find_units(sns, Unit.objects.select_related("run"))
    repeated = sorted({sn for sn in sns if sns.count(sn) > 1}) if len(sns) <= envelope.LARGEST_BATCH else []
    if repeated:
        preview.add(invalid(_("named more than once: {sns}").format(sns=", ".join(repeated))))


# --- values --------------------------------------------------------------------------------------------------


def _read_values(preview: Preview, extracted: Extracted) -> None:
    """Map, convert and judge every measurement by itself, so that one that is refused hides no other."""
    shared = _read_measurements(preview, extracted, extracted.measurements, index=None)
    for index, unit in enumerate(extracted.units):
        own = _read_measurements(preview, extracted, unit.measurements, index=index)
        _check_required(preview, extracted, unit, own | shared)
    if not extracted.units:
        _check_required(preview, extracted, UnitReport(None, result=extracted.result), shared)


def _read_measurements(
    preview: Preview, extracted: Extracted, measurements: Sequence[Measurement], *, index: int | None
) -> set[int]:
    """Add the values of a unit, or of the whole event; return the ids of the specs that get one."""
    specs: set[int] = set()
    sn = None if index is None else extracted.units[index].sn
    for measurement in measurements:
        name = measurement.name
        spec = None if name is None else preview.step.spec_index.find(preview.mapping.data_spec_map.get(name, name))
        if spec is None or measurement.value is None:
            reason = _("no spec of this name is bound to the step") if spec is None else _("there is no value")
            preview.unmapped.append({**_as_measured(measurement), "sn": sn, "reason": reason})
            continue
        entry, judged = _read_value(preview, extracted, measurement, spec)
        preview.values.append({**entry, "sn": sn})
        if judged is not None:
            specs.add(spec.id)
            if judged.is_key_failure:
                preview.overridden.add(index)
    return specs


def _as_measured(measurement: Measurement) -> dict[str, Any]:
    return {"name": measurement.name, "value": _plain(measurement.value), "unit": measurement.measure}


def _as_judged(measurement: Measurement) -> dict[str, Any]:
    return {**_as_measured(measurement), "judge": measurement.judge}


def _read_value(
    preview: Preview, extracted: Extracted, measurement: Measurement, spec: SpecSnapshot
) -> tuple[dict[str, Any], judging.JudgedValue | None]:
    entry: dict[str, Any] = {
        "name": measurement.name,
        "specName": spec.name,
        "itemType": spec.item_type,
        "value": _plain(measurement.value),
        "unit": spec.unit or None,
        "reportedValue": _plain(measurement.value),
        "reportedUnit": measurement.measure,
        "limits": {"lsl": spec.lsl, "usl": spec.usl, "target": spec.target, "unit": spec.unit},
        "alarm": {"min": spec.alarm_min, "max": spec.alarm_max, "action": spec.alarm_action or None},
        "judge": None,
        "reportedJudge": measurement.judge,
        "alarmed": False,
    }
    judged, refusal = _judge(preview, extracted.occurred_at, measurement)
    if refusal is not None:
        entry["problem"] = {"code": refusal.code, "message": str(refusal)}
        preview.add(refusal)
    if judged is None:
        return entry, None
    reading = judged.reading
    entry["value"] = _plain(getattr(reading, judging.VALUE_FIELDS[spec.data_type]))
    return {**entry, "judge": judged.judge or None, "alarmed": judged.alarmed}, judged


def _judge(
    preview: Preview, at: datetime, measurement: Measurement
) -> tuple[judging.JudgedValue | None, errors.DomainError | None]:
    """Convert, check and judge a measurement; return it, or why it is refused."""
    try:
        mapped = measurements.to_readings(preview.mapping, (measurement,), preview.step, at=at)
        if mapped.misfits:
            raise mapped.misfits[0].error
        judging.check_shape(mapped.readings)
        [judged] = judging.collect(mapped.readings, preview.step, source="AUTO", default_time=at)
    except errors.DomainError as refusal:
        return None, refusal
    except MISFITS:
        return None, invalid(_("{name}: the value cannot be converted").format(name=measurement.name))
    return judged, None


def _check_required(preview: Preview, extracted: Extracted, unit: UnitReport, specs: set[int]) -> None:
    """Say which required values the event itself does not bring; they may have come before, by another way."""
    if extracted.phase in (IN, DATA) or unit.result != PASS:
        return
    on_carrier = {spec.id for spec in preview.step.specs if spec.trigger_type == TriggerType.EACH_CARRIER} & specs
    preview.attempt(lambda: rules.check_required(preview.step, on_track=specs, on_carrier=on_carrier))


# --- as JSON -------------------------------------------------------------------------------------------------


def as_json(preview: Preview) -> dict[str, Any]:
    """Return a preview in the words of the HTTP interface."""
    return {
        "stepNo": preview.step.step_no,
        "version": preview.version,
        "stationType": preview.step.station_type,
        "mapping": preview.mapping.document or None,
        "mappings": preview.mappings,
        "outcome": preview.outcome,
        "extracted": None if preview.extracted is None else _extracted_as_json(preview, preview.extracted),
        "paths": preview.paths,
        "values": preview.values,
        "unmapped": preview.unmapped,
        "problems": preview.problems,
    }


def _extracted_as_json(preview: Preview, extracted: Extracted) -> dict[str, Any]:
    said = {camel_case(name): getattr(extracted, name) for name in extracted.__dataclass_fields__}
    return said | {
        "units": [_unit_as_json(preview, unit, index) for index, unit in enumerate(extracted.units)],
        "measurements": [_as_measured(measurement) for measurement in extracted.measurements],
        "defects": [_as_found(defect) for defect in extracted.defects],
    }


def _as_found(defect: ReportedDefect) -> dict[str, Any]:
    return {
        "code": defect.code,
        "location": defect.location,
        "remark": defect.remark,
        "isFalseCall": defect.is_false_call,
    }


def _unit_as_json(preview: Preview, report: UnitReport, index: int) -> dict[str, Any]:
    unit = preview.units.get(report.sn or "")
    is_overridden = report.result == "PASS" and not preview.overridden.isdisjoint({index, None})
    return {
        "sn": report.sn,
        "position": report.position,
        "result": report.result,
        "resultOverride": "DATA" if is_overridden else None,
        "measurements": [_as_judged(measurement) for measurement in report.measurements],
        "defects": [_as_found(defect) for defect in report.defects],
        "isKnown": unit is not None,
        "status": unit.status if unit else None,
        "currentStepNo": unit.current_step_no if unit else None,
        "runNo": unit.run.run_no if unit and unit.run else None,
    }
