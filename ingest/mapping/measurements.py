"""What an event measured: named values, and readings of a step's specs made of them. Pure."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from execution.data.judging import Misfit, Reading
from ingest.mapping.paths import EventDocument, invalid, is_same
from mes import errors
from mes.routing.snapshots import SpecSnapshot, StepSnapshot
from mes.routing.step_mapping import MeasurementRule, ResultRule, StepMapping

JSON_TYPE = "JSON"


@dataclass(frozen=True, slots=True)
class Measurement:
    """A named value as the machine reported it."""

    name: str
    value: Any
    measure: str | None = None
    judge: str | None = None


@dataclass
class Readings:
    """Measurements turned into readings of a step's specs, those that map to none, and those that cannot be read."""

    readings: list[Reading] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)


def find_measurements(mapping: StepMapping, document: EventDocument, root: Any) -> tuple[Measurement, ...]:
    """Return what a mapping finds measured in an event, or in an item of it. Raises IngestPayloadInvalid."""
    rule = mapping.measurements
    if rule is None:
        return ()
    items = _search_items(document, root, rule)
    if items is None:
        return ()
    if not isinstance(items, list):
        raise invalid(_("measurements.itemsPath: finds no list"))
    return tuple(_measurement(rule, mapping.result, document, item) for item in items)


def list_readable_measurements(mapping: StepMapping, document: EventDocument, root: Any) -> list[Measurement]:
    """Return what can be read of what is measured, in an event or in an item of it; the rest is left out."""
    rule = mapping.measurements
    if rule is None:
        return []
    try:
        items = _search_items(document, root, rule)
    except errors.IngestPayloadInvalid:
        return []
    readable = []
    for item in items if isinstance(items, list) else ():
        with contextlib.suppress(errors.IngestPayloadInvalid):
            readable.append(_measurement(rule, mapping.result, document, item))
    return readable


def _search_items(document: EventDocument, root: Any, rule: MeasurementRule) -> Any:
    """Return what the items' path finds; in the event itself, it is evaluated once."""
    return document.search(rule.items_path) if root is document.fields else document.search_in(root, rule.items_path)


def _measurement(rule: MeasurementRule, words: ResultRule | None, document: EventDocument, item: Any) -> Measurement:
    name = document.text_in(item, rule.name_path)
    if name is None:
        raise invalid(_("measurements.namePath: finds no name"))
    return Measurement(
        name=name,
        value=document.search_in(item, rule.value_path),
        measure=document.text_in(item, rule.unit_path),
        judge=_judge(rule, words, document, item),
    )


def _judge(rule: MeasurementRule, words: ResultRule | None, document: EventDocument, item: Any) -> str | None:
    """Return what the machine says of a value, in the words of `result`; other words are no judgement."""
    if rule.judge_path is None:
        return None
    found = document.search_in(item, rule.judge_path)
    passing = words.pass_values if words else ("PASS",)
    failing = words.fail_values if words else ("FAIL",)
    if any(is_same(found, word) for word in passing):
        return "PASS"
    return "FAIL" if any(is_same(found, word) for word in failing) else None


def to_readings(
    mapping: StepMapping, measurements: tuple[Measurement, ...], step: StepSnapshot, *, at: datetime
) -> Readings:
    """Turn measurements into readings of the step's bound specs; the names of those that map to none are listed apart,
    and so are those whose unit of measure cannot be converted to the spec's, or that are not finite.

    Nothing is coerced: a value of another type than its spec's is refused later, by the same check as every value.
    """
    result = Readings()
    names = mapping.data_spec_map
    factors = mapping.measurements.unit_factors if mapping.measurements is not None else {}
    for measurement in measurements:
        spec = step.spec_index.find(names.get(measurement.name, measurement.name))
        if spec is None or measurement.value is None:
            result.unmapped.append(measurement.name)
            continue
        try:
            value = _converted(measurement, spec, factors)
        except errors.IngestPayloadInvalid as error:
            result.misfits.append(Misfit(measurement.name, error))
            continue
        result.readings.append(_reading(spec, value, measurement.judge, at))
    return result


def _converted(measurement: Measurement, spec: SpecSnapshot, factors: Mapping[str, Mapping[str, float]]) -> Any:
    """Return the value in the spec's unit of measure, by the factors the mapping gives. Raises IngestPayloadInvalid."""
    value, measure = measurement.value, measurement.measure
    if isinstance(value, float) and not math.isfinite(value):
        raise invalid(_("{name}: is not finite").format(name=measurement.name))
    if not measure or not spec.unit or measure == spec.unit:
        return value
    factor = (factors.get(measure) or {}).get(spec.unit)
    if factor is None:
        reason = _("{name}: reported in {measure}, its spec is in {unit}; give measurements.unitFactors")
        raise invalid(reason.format(name=measurement.name, measure=measure, unit=spec.unit))
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    converted = float(value) * factor
    if not math.isfinite(converted):
        raise invalid(_("{name}: is out of range in {unit}").format(name=measurement.name, unit=spec.unit))
    return converted


def _reading(spec: SpecSnapshot, value: Any, judge: str | None, at: datetime) -> Reading:
    verdict: Any = judge
    if spec.data_type == JSON_TYPE:
        return Reading(spec_name=spec.name, value_json=value, judge=verdict, collected_at=at)
    if isinstance(value, bool):
        return Reading(spec_name=spec.name, value_boolean=value, judge=verdict, collected_at=at)
    if isinstance(value, int | float):
        return Reading(spec_name=spec.name, value_number=float(value), judge=verdict, collected_at=at)
    if isinstance(value, str):
        return Reading(spec_name=spec.name, value_text=value, judge=verdict, collected_at=at)
    return Reading(spec_name=spec.name, value_json=value, judge=verdict, collected_at=at)
