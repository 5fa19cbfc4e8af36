"""The mapping of a step: what tells where in a machine's report things stand. Typed, read from its document once.

Reading is lenient: whatever was frozen in a route version loads, however strict `mapping_problems` has become since. A
part that cannot be used never counts as absent: its path fails whenever it is searched, so that nothing passes by it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mes.routing.paths import Path, broken_path, compile_path
from mes.routing.time_formats import ISO
from mes.specs.measures import canonical_measure

ALL_OR_NOTHING, PARTIAL = "ALL_OR_NOTHING", "PARTIAL"
BATCH_POLICIES = (ALL_OR_NOTHING, PARTIAL)
UNIT, EVENT = "unit", "event"
OWNERS = (UNIT, EVENT)  # of measurements
LONGEST_WAIT_SECONDS = 366 * 24 * 3600
PARTIAL_BY_DEFAULT = ("AUTO", "TEST")  # types of steps for which a report of several units is so


@dataclass(frozen=True, slots=True)
class ResultRule:
    """Where an event reports its result, and by which words (any JSON values). By `skip_values` a unit was not
    processed.
    """

    path: Path
    pass_values: tuple[Any, ...]
    fail_values: tuple[Any, ...]
    skip_values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class PhaseRule:
    """Where an event reports whether units enter or leave, and by which words (any JSON values). By `data_values` they
    do neither: it brings values.
    """

    path: Path
    in_values: tuple[Any, ...]
    out_values: tuple[Any, ...]
    data_values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversion:
    """From a unit of measure to another: (value + offset) × factor."""

    factor: float
    offset: float = 0.0

    def apply(self, value: float) -> float:
        """Return a converted value; infinite, or no number, where it is out of range."""
        return (value + self.offset) * self.factor


@dataclass(frozen=True, slots=True)
class MeasurementRule:
    """Where measurements stand; all paths but `items_path` are relative to a measurement.

    Those of a unit are looked for where the unit is reported, those `of_event` in the whole event. `unit_factors`
    convert: unit as reported → unit of the spec → conversion, by their names as `canonical_measure` writes them.
    """

    items_path: Path
    name_path: Path
    value_path: Path
    unit_path: Path | None = None
    judge_path: Path | None = None
    unit_factors: Mapping[str, Mapping[str, Conversion]] = field(default_factory=dict)
    of_event: bool = False

    def find_conversion(self, measure: str, unit: str) -> Conversion | None:
        """Return what converts a unit of measure into another; None where the mapping does not say."""
        return (self.unit_factors.get(canonical_measure(measure)) or {}).get(canonical_measure(unit))


@dataclass(frozen=True, slots=True)
class DefectRule:
    """Where a unit's defects stand; all paths but `items_path` are relative to a defect."""

    items_path: Path
    code_path: Path
    location_path: Path | None = None
    remark_path: Path | None = None
    false_call_path: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StepMapping:
    """How events for a step are read; `docs/ingest.md` describes every key.

    `document` is the JSON it was read from, for those who show it. Where there is a `units_path`, `sn_path`,
    `position_path`, `result`, `defects` and the measurements of units are relative to its items. `time_zone` is the
    name of one, of times without an offset.
    """

    document: Any = field(default_factory=dict)
    when: Path | None = None
    occurred_at_path: Path | None = None
    station_code_path: Path | None = None
    line_code_path: Path | None = None
    units_path: Path | None = None
    sn_path: Path | None = None
    sn_list_path: Path | None = None
    position_path: Path | None = None
    carrier_code_path: Path | None = None
    test_result_id_path: Path | None = None
    transaction_id_path: Path | None = None
    result: ResultRule | None = None
    phase: PhaseRule | None = None
    measurements: tuple[MeasurementRule, ...] = ()
    defects: DefectRule | None = None
    data_spec_map: Mapping[str, str] = field(default_factory=dict)
    batch_policy: str = ALL_OR_NOTHING
    wait_seconds: int = 0
    time_format: str = ISO
    time_zone: str | None = None

    @property
    def is_partial(self) -> bool:
        """Whether units of a batch that are refused are left out, in place of refusing all."""
        return self.batch_policy == PARTIAL


def parse_mappings(document: Any, *, station_type: str | None = None) -> tuple[StepMapping, ...]:
    """Read what a step says of machine events, of whatever age and content: one mapping, or a list of them of which the
    first one counts whose `when` holds. None for none.
    """
    if document is None:
        return ()
    documents = document if isinstance(document, list) else [document]
    return tuple(parse_mapping(each, station_type=station_type) for each in documents)


def parse_mapping(document: Any, *, station_type: str | None = None) -> StepMapping:
    """Read the document of one mapping. The type of the step is that of `eventType` where it is not given."""
    keys = document if isinstance(document, dict) else {}
    policy = keys.get("batchPolicy")
    is_of_batch = "unitsPath" not in keys and ("carrierCodePath" in keys or "snListPath" in keys)
    return StepMapping(
        document=document,
        when=_path(keys, "when"),
        occurred_at_path=_path(keys, "occurredAtPath"),
        station_code_path=_path(keys, "stationCodePath"),
        line_code_path=_path(keys, "lineCodePath"),
        units_path=_path(keys, "unitsPath"),
        sn_path=_path(keys, "snPath"),
        sn_list_path=_path(keys, "snListPath"),
        position_path=_path(keys, "positionPath"),
        carrier_code_path=_path(keys, "carrierCodePath"),
        test_result_id_path=_path(keys, "testResultIdPath"),
        transaction_id_path=_path(keys, "transactionIdPath"),
        result=_result(keys.get("result")),
        phase=_phase(keys.get("phase")),
        measurements=_measurements(keys.get("measurements"), EVENT if is_of_batch else UNIT),
        defects=_defects(keys.get("defects")),
        data_spec_map=_texts(keys.get("dataSpecMap")),
        batch_policy=policy if policy in BATCH_POLICIES else _usual_policy(keys, station_type),
        wait_seconds=_seconds(keys.get("waitSeconds")),
        time_format=_text(keys, "timeFormat") or ISO,
        time_zone=_text(keys, "timeZone"),
    )


def _usual_policy(keys: Mapping[str, Any], station_type: str | None) -> str:
    kind = station_type or keys.get("eventType")
    return PARTIAL if kind in PARTIAL_BY_DEFAULT and "unitsPath" in keys else ALL_OR_NOTHING


def as_blocks(document: Any) -> list[Any]:
    """Return the blocks of `measurements`: a list, or a single one."""
    return document if isinstance(document, list) else [document]


def list_paths(mapping: StepMapping) -> Iterator[tuple[str, Path]]:
    """Yield every path of a mapping by the name of its key (`snPath`, `result.path`, `measurements[1].itemsPath` of a
    list), in the order of its document.
    """
    keys = mapping.document if isinstance(mapping.document, dict) else {}
    for key, value in keys.items():
        if key == "when" or key.endswith("Path"):
            yield key, compile_path(str(value))
        elif key in ("result", "phase", "measurements", "defects"):
            yield from _list_paths_of_part(key, value)


def _list_paths_of_part(key: str, value: Any) -> Iterator[tuple[str, Path]]:
    if isinstance(value, list):
        for index, block in enumerate(value):
            yield from _list_paths_of_part(f"{key}[{index}]", block)
    elif isinstance(value, dict):
        for inner, expression in value.items():
            if inner == "path" or inner.endswith("Path"):
                yield f"{key}.{inner}", compile_path(str(expression))


def _result(document: Any) -> ResultRule | None:
    if document is None:
        return None
    keys = document if isinstance(document, dict) else {}
    words = (_words(keys, name) for name in ("passValues", "failValues", "skipValues"))
    return ResultRule(_required(keys, "path"), *words)


def _phase(document: Any) -> PhaseRule | None:
    if document is None:
        return None
    keys = document if isinstance(document, dict) else {}
    words = (_words(keys, name) for name in ("inValues", "outValues", "dataValues"))
    return PhaseRule(_required(keys, "path"), *words)


def _measurements(document: Any, usual_owner: str) -> tuple[MeasurementRule, ...]:
    if document is None:
        return ()
    return tuple(_measurement_rule(block, usual_owner) for block in as_blocks(document))


def _measurement_rule(document: Any, usual_owner: str) -> MeasurementRule:
    keys = document if isinstance(document, dict) else {}
    owner = keys.get("of")
    return MeasurementRule(
        items_path=_required(keys, "itemsPath"),
        name_path=_required(keys, "namePath"),
        value_path=_required(keys, "valuePath"),
        unit_path=_path(keys, "unitPath"),
        judge_path=_path(keys, "judgePath"),
        unit_factors=_conversions(keys.get("unitFactors")),
        of_event=(owner if owner in OWNERS else usual_owner) == EVENT,
    )


def _defects(document: Any) -> DefectRule | None:
    if document is None:
        return None
    keys = document if isinstance(document, dict) else {}
    return DefectRule(
        items_path=_required(keys, "itemsPath"),
        code_path=_required(keys, "codePath"),
        location_path=_path(keys, "locationPath"),
        remark_path=_path(keys, "remarkPath"),
        false_call_path=_path(keys, "falseCallPath"),
    )


def _required(keys: Mapping[str, Any], name: str) -> Path:
    return _path(keys, name) or broken_path(name, "is missing")


def _path(keys: Mapping[str, Any], name: str) -> Path | None:
    expression = keys.get(name)
    if expression is None:
        return None
    if not isinstance(expression, str):
        return broken_path(name, "is not a JMESPath expression")
    return compile_path(expression)


def _words(keys: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    words = keys.get(name)
    return tuple(words) if isinstance(words, list) else ()


def _texts(document: Any) -> Mapping[str, str]:
    keys = document if isinstance(document, dict) else {}
    return {name: text for name, text in keys.items() if isinstance(text, str)}


def _seconds(value: Any) -> int:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return min(max(value, 0), LONGEST_WAIT_SECONDS) if is_whole else 0


def _text(keys: Mapping[str, Any], name: str) -> str | None:
    """Return a text; what is none, and so cannot be used, as one that cannot be used either."""
    value = keys.get(name)
    return value if value is None or isinstance(value, str) else repr(value)


def _conversions(document: Any) -> Mapping[str, Mapping[str, Conversion]]:
    """Tables of one unit of measure under two of its names (`um`, `µm`) are one."""
    conversions: dict[str, dict[str, Conversion]] = {}
    tables = document if isinstance(document, dict) else {}
    for reported, table in tables.items():
        of_measure = conversions.setdefault(canonical_measure(reported), {})
        for unit, given in table.items() if isinstance(table, dict) else ():
            if (conversion := as_conversion(given)) is not None:
                of_measure[canonical_measure(unit)] = conversion
    return conversions


def as_conversion(given: Any) -> Conversion | None:
    """Return a conversion from a factor, or from `{"factor", "offset"}`; None for what is neither."""
    keys = given if isinstance(given, dict) else {"factor": given}
    factor, offset = keys.get("factor"), keys.get("offset", 0)
    if factor is None or not (is_number(factor) and is_number(offset) and keys.keys() <= {"factor", "offset"}):
        return None
    return Conversion(as_factor(factor), as_factor(offset))


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_factor(value: float) -> float:
    """Return a factor; infinity for one that is beyond the range of floating point numbers."""
    try:
        return float(value)
    except OverflowError:
        return math.inf
