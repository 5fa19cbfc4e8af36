"""What an event measured: named values, and readings of a step's specs made of them. Pure."""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from ingest.mapping.paths import EventDocument, invalid, is_same
from mes import errors
from mes.routing.judging import Misfit, Reading
from mes.routing.snapshots import SpecSnapshot, StepSnapshot
from mes.routing.step_mapping import MeasurementRule, ResultRule, StepMapping
from mes.specs.measures import is_same_measure

JSON_TYPE = "JSON"
Blocks = Sequence[tuple[int, MeasurementRule]]  # of `measurements`, each with its place


@dataclass(frozen=True, slots=True)
class Measurement:
    """A value as the machine reported it. `block` is the place of the block of `measurements` that found it."""

    name: str | None
    value: Any
    measure: str | None = None
    judge: str | None = None
    block: int = 0


@dataclass
class Readings:
    """Measurements as readings of a step's specs, names of those that map to none, and those that cannot be read."""

    readings: list[Reading] = field(default_factory=list)
    unmapped: list[str | None] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)


def find_measurements(
    mapping: StepMapping, document: EventDocument, root: Any, blocks: Blocks
) -> tuple[Measurement, ...]:
    """Return what blocks of a mapping find measured in an event, or in an item of it. Raises IngestPayloadInvalid."""
    found: list[Measurement] = []
    for index, rule in blocks:
        items = document.find_at(root, rule.items_path)
        if items is not None and not isinstance(items, list):
            raise invalid(_("measurements.itemsPath: finds no list"))
        found += (_measurement(rule, index, mapping.result, document, item) for item in items or ())
    return tuple(found)


def list_readable_measurements(
    mapping: StepMapping, document: EventDocument, root: Any, blocks: Blocks
) -> list[Measurement]:
    """Return what can be read of what is measured, in an event or in an item of it; the rest is left out."""
    readable = []
    for index, rule in blocks:
        items = None
        with contextlib.suppress(errors.IngestPayloadInvalid):
            items = document.find_at(root, rule.items_path)
        for item in items if isinstance(items, list) else ():
            with contextlib.suppress(errors.IngestPayloadInvalid):
                readable.append(_measurement(rule, index, mapping.result, document, item))
    return readable


def _measurement(
    rule: MeasurementRule, block: int, words: ResultRule | None, document: EventDocument, item: Any
) -> Measurement:
    return Measurement(
        name=document.text_in(item, rule.name_path),
        value=document.search_in(item, rule.value_path),
        measure=document.text_in(item, rule.unit_path),
        judge=_judge(rule, words, document, item),
        block=block,
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
    for measurement in measurements:
        name = measurement.name
        spec = None if name is None else step.spec_index.find(names.get(name, name))
        if spec is None or measurement.value is None:
            result.unmapped.append(name)
            continue
        try:
            value = _converted(measurement, spec, mapping)
        except errors.IngestPayloadInvalid as error:
            result.misfits.append(Misfit(str(name), error))
            continue
        result.readings.append(_reading(spec, value, measurement.judge, at))
    return result


def _converted(measurement: Measurement, spec: SpecSnapshot, mapping: StepMapping) -> Any:
    """Return the value in the spec's unit of measure, as the block that found it converts. Raises
    IngestPayloadInvalid.
    """
    value, measure = measurement.value, measurement.measure
    if isinstance(value, float) and not math.isfinite(value):
        raise invalid(_("{name}: is not finite").format(name=measurement.name))
    if not measure or not spec.unit or is_same_measure(measure, spec.unit):
        return value
    conversion = mapping.measurements[measurement.block].find_conversion(measure, spec.unit)
    if conversion is None:
        reason = _("{name}: reported in {measure}, its spec is in {unit}; give measurements.unitFactors")
        raise invalid(reason.format(name=measurement.name, measure=measure, unit=spec.unit))
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    converted = conversion.apply(float(value))
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
