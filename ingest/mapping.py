"""Reading an event by a mapping. Pure: no query, no clock.

Paths are JMESPath on the event root (`payload.device.code`); below `unitsPath` they are relative to the item.
`docs/ingest.md` describes every key.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import jmespath
import msgspec
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from jmespath.exceptions import JMESPathError

from execution.collecting import Reading
from mes import errors
from mes.routing.snapshots import SpecSnapshot, StepSnapshot
from mes.web.validators import validate_code, validate_moment

JSON_TYPE = "JSON"
LONGEST_ID = 200
LONGEST_POSITION = 100
_PLAIN_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True, slots=True)
class Measurement:
    """A named value as the machine reported it."""

    name: str
    value: Any
    measure: str | None = None
    judge: str | None = None


@dataclass(frozen=True, slots=True)
class UnitReport:
    """What an event says about one unit, named by its serial number or by its position on the carrier."""

    sn: str | None
    position: str | None = None
    result: str | None = None
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a mapping makes of an event. `phase` is IN, OUT or None: in and out at once."""

    units: tuple[UnitReport, ...]
    occurred_at: datetime
    station_code: str | None
    line_code: str | None
    carrier_no: str | None
    test_result_id: str | None
    transaction_id: str | None
    phase: str | None
    result: str | None = None
    measurements: tuple[Measurement, ...] = ()
    positions_without_unit: int = 0

    @property
    def sns(self) -> list[str]:
        """The serial numbers named, in order."""
        return [unit.sn for unit in self.units if unit.sn is not None]


@dataclass
class Readings:
    """Measurements turned into readings of a step's specs, and those that map to none."""

    readings: list[Reading] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)


@lru_cache(maxsize=2048)
def _compiled(path: str) -> Callable[[Any], Any]:
    if not _PLAIN_PATH.fullmatch(path):
        return jmespath.compile(path).search
    names = path.split(".")

    def follow(root: Any) -> Any:  # most paths name nothing but members, which needs no interpreter
        for name in names:
            if not isinstance(root, dict):
                return None
            root = root.get(name)
        return root

    return follow


def search(path: str, root: Any) -> Any:
    """Return what a path finds. Raises IngestPayloadInvalid when the path cannot be applied to what is there."""
    try:
        return _compiled(path)(root)
    except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise invalid(f"{path}: {str(error).splitlines()[0]}") from None


def invalid(*problems: str) -> errors.IngestPayloadInvalid:
    """Return the refusal of a payload that the mapping does not fit."""
    return errors.IngestPayloadInvalid(problems=list(problems))


# --- who ---------------------------------------------------------------------------------------------------


def find_names(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> tuple[list[str], str | None]:
    """Return the serial numbers and the carrier that an event names by a mapping; the envelope goes before paths."""
    if event.get("sn"):
        return [event["sn"]], _text_at(mapping.get("carrierCodePath"), event)
    if event.get("sns"):
        return list(event["sns"]), _text_at(mapping.get("carrierCodePath"), event)
    carrier = _text_at(mapping.get("carrierCodePath"), event)
    if "unitsPath" in mapping:
        return find_names_of_items(mapping, event), carrier
    if "snListPath" in mapping:
        return [sn for sn in _list_at(mapping["snListPath"], event) if isinstance(sn, str) and sn], carrier
    sn = _text_at(mapping.get("snPath"), event)
    return [sn] if sn else [], carrier


def find_names_of_items(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> list[str]:
    """Return the serial numbers of the items that a mapping reads one by one; none where it reads no items."""
    items = _list_at(mapping["unitsPath"], event) if "unitsPath" in mapping else []
    return [sn for item in items if (sn := _text_at(mapping.get("snPath"), item))]


def find_station_code(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    """Return the station that an event reports; None where it reports none that could be read."""
    try:
        return event.get("stationCode") or _text_at(mapping.get("stationCodePath"), event)
    except errors.IngestPayloadInvalid:
        return None


def find_occurred_at(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> datetime:
    """Return when an event occurred; where its mapping finds no time, what the envelope says."""
    try:
        return _occurred_at(mapping, event)
    except errors.IngestPayloadInvalid:
        return _occurred_at({}, event)


def find_transaction(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    """Return the id of the transaction that an event belongs to, where the mapping names one."""
    return _text_at(mapping.get("transactionIdPath"), event)


def _text_at(path: str | None, root: Any) -> str | None:
    """Return the text a path finds; numbers that name something are taken as they are written."""
    found = search(path, root) if path else None
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return found if isinstance(found, str) and found else None


def _list_at(path: str, root: Any) -> list[Any]:
    found = search(path, root)
    return found if isinstance(found, list) else []


# --- what --------------------------------------------------------------------------------------------------


def extract(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> Extracted:
    """Return everything a mapping extracts. Raises IngestPayloadInvalid naming the path that finds nothing usable."""
    names, carrier = find_names(mapping, event)
    phase = _phase(mapping, event)
    units, without_unit = _units(mapping, event, names, needs_result=phase != "IN")
    for sn in (unit.sn for unit in units if unit.sn is not None):
        _check_code(sn)
    if carrier is not None:
        _check_code(carrier)
    transaction_id = find_transaction(mapping, event)
    if transaction_id is not None and len(transaction_id) > LONGEST_ID:
        raise invalid(_("{path}: finds no transaction id").format(path=mapping["transactionIdPath"]))
    return Extracted(
        units=units,
        occurred_at=_occurred_at(mapping, event),
        station_code=event.get("stationCode") or _text_at(mapping.get("stationCodePath"), event),
        line_code=_text_at(mapping.get("lineCodePath"), event),
        carrier_no=carrier,
        test_result_id=find_test_result_id(mapping, event) if "testResultIdPath" in mapping else None,
        transaction_id=transaction_id,
        phase=phase,
        result=_result(mapping, event) if not units and phase != "IN" else None,
        measurements=_measurements(mapping, event) if _is_of_the_carrier(mapping) else (),
        positions_without_unit=without_unit,
    )


def _is_of_the_carrier(mapping: Mapping[str, Any]) -> bool:
    """Whether measurements belong to the whole pass: a batch that does not report unit by unit."""
    return "unitsPath" not in mapping and ("carrierCodePath" in mapping or "snListPath" in mapping)


def _check_code(text: str) -> None:
    try:
        validate_code(text)
    except ValidationError as error:
        raise invalid(f"“{text[:100]}”: {' '.join(error.messages)}") from None


def _units(
    mapping: Mapping[str, Any], event: Mapping[str, Any], names: list[str], *, needs_result: bool
) -> tuple[tuple[UnitReport, ...], int]:
    """Return the units reported and how many positions of the report name none."""
    if "unitsPath" not in mapping:
        result = _result(mapping, event) if needs_result else None
        measurements = () if _is_of_the_carrier(mapping) else _measurements(mapping, event)
        return tuple(UnitReport(sn, result=result, measurements=measurements) for sn in dict.fromkeys(names)), 0
    units, without = [], 0
    for item in _list_at(mapping["unitsPath"], event):
        sn, position = _text_at(mapping.get("snPath"), item), _text_at(mapping.get("positionPath"), item)
        if sn is None and position is None:
            without += 1
            continue
        if position is not None and len(position) > LONGEST_POSITION:
            raise invalid(_("positionPath: longer than {limit} characters").format(limit=LONGEST_POSITION))
        result = _result(mapping, item) if needs_result else None
        units.append(UnitReport(sn, position, result, _measurements(mapping, item)))
    return tuple(units), without


def _result(mapping: Mapping[str, Any], root: Any) -> str:
    """Return PASS or FAIL; a mapping without `result` means that leaving is passing. Nothing unknown passes."""
    rule = mapping.get("result")
    if rule is None:
        return "PASS"
    found = search(rule["path"], root)
    for verdict, words in (("PASS", rule["passValues"]), ("FAIL", rule["failValues"])):
        if any(_is_same(found, word) for word in words):
            return verdict
    raise invalid(_("result.path: {found} is in neither passValues nor failValues").format(found=repr(found)[:200]))


def _phase(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    rule = mapping.get("phase")
    if rule is None:
        return None
    found = search(rule["path"], event)
    for phase, words in (("IN", rule["inValues"]), ("OUT", rule["outValues"])):
        if any(_is_same(found, word) for word in words):
            return phase
    raise invalid(_("phase.path: {found} is in neither inValues nor outValues").format(found=repr(found)[:200]))


def _is_same(found: Any, word: Any) -> bool:
    """Compare without coercion: true is not 1, "1" is not 1."""
    return isinstance(found, bool) == isinstance(word, bool) and found == word and found is not None


def _occurred_at(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> datetime:
    path = mapping.get("occurredAtPath")
    text = search(path, event) if path else event["occurredAt"]
    try:
        moment = msgspec.convert(text, datetime)
        validate_moment(moment)
    except (msgspec.ValidationError, ValidationError):
        reason = _("{path}: {text} is no time with an offset from UTC")
        raise invalid(reason.format(path=path or "occurredAt", text=repr(text)[:100])) from None
    return moment


def find_test_result_id(mapping: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """Return the id of a test result. Raises IngestPayloadInvalid when its path finds none."""
    path = str(mapping["testResultIdPath"])
    found = _text_at(path, event)
    if found is None or len(found) > LONGEST_ID:
        raise invalid(_("{path}: finds no test result id").format(path=path))
    return found


# --- measurements ------------------------------------------------------------------------------------------


def _measurements(mapping: Mapping[str, Any], root: Any) -> tuple[Measurement, ...]:
    rule = mapping.get("measurements")
    if rule is None:
        return ()
    found = search(rule["itemsPath"], root)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise invalid(_("measurements.itemsPath: finds no list"))
    return tuple(_measurement(rule, mapping, item) for item in found)


def _measurement(rule: Mapping[str, Any], mapping: Mapping[str, Any], item: Any) -> Measurement:
    name = _text_at(rule["namePath"], item)
    if name is None:
        raise invalid(_("measurements.namePath: finds no name"))
    return Measurement(
        name=name,
        value=search(rule["valuePath"], item),
        measure=_text_at(rule.get("unitPath"), item),
        judge=_judge(rule, mapping, item),
    )


def _judge(rule: Mapping[str, Any], mapping: Mapping[str, Any], item: Any) -> str | None:
    """Return what the machine says of a value, in the words of `result`; other words are no judgement."""
    words = mapping.get("result")
    if "judgePath" not in rule:
        return None
    found = search(rule["judgePath"], item)
    passing = words["passValues"] if words else ["PASS"]
    failing = words["failValues"] if words else ["FAIL"]
    if any(_is_same(found, word) for word in passing):
        return "PASS"
    return "FAIL" if any(_is_same(found, word) for word in failing) else None


def to_readings(
    mapping: Mapping[str, Any], measurements: tuple[Measurement, ...], step: StepSnapshot, *, at: datetime
) -> Readings:
    """Turn measurements into readings of the step's bound specs; those that map to none are named apart.

    Nothing is coerced: a value of another type than its spec's is refused later, by the same check as every value.
    Raises IngestPayloadInvalid when a unit of measure cannot be converted to the spec's.
    """
    result = Readings()
    names = mapping.get("dataSpecMap") or {}
    factors = (mapping.get("measurements") or {}).get("unitFactors") or {}
    for measurement in measurements:
        spec = step.find_spec(names.get(measurement.name, measurement.name))
        if spec is None or measurement.value is None:
            result.unmapped.append(measurement.name)
            continue
        value = _converted(measurement, spec, factors)
        result.readings.append(_reading(spec, value, measurement.judge, at))
    return result


def _converted(measurement: Measurement, spec: SpecSnapshot, factors: Mapping[str, Any]) -> Any:
    """Return the value in the spec's unit of measure, by the factors the mapping gives."""
    value, measure = measurement.value, measurement.measure
    if not measure or not spec.unit or measure == spec.unit:
        return value
    factor = (factors.get(measure) or {}).get(spec.unit)
    if factor is None:
        reason = _("{name}: reported in {measure}, its spec is in {unit}; give measurements.unitFactors")
        raise invalid(reason.format(name=measurement.name, measure=measure, unit=spec.unit))
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    converted = float(value) * float(factor)
    if not math.isfinite(converted):
        raise invalid(_("{name}: is out of range in {unit}").format(name=measurement.name, unit=spec.unit))
    return converted


def _reading(spec: SpecSnapshot, value: Any, judge: str | None, at: datetime) -> Reading:
    verdict: Any = judge
    if spec.data_type == JSON_TYPE and not isinstance(value, str | bool | int | float):
        return Reading(spec_name=spec.name, value_json=value, judge=verdict, collected_at=at)
    if isinstance(value, bool):
        return Reading(spec_name=spec.name, value_boolean=value, judge=verdict, collected_at=at)
    if isinstance(value, int | float):
        return Reading(spec_name=spec.name, value_number=float(value), judge=verdict, collected_at=at)
    if isinstance(value, str):
        return Reading(spec_name=spec.name, value_text=value, judge=verdict, collected_at=at)
    return Reading(spec_name=spec.name, value_json=value, judge=verdict, collected_at=at)
