"""The mapping of a step: what tells where in a machine's report things stand. Typed, read from its document once.

Reading is lenient: whatever was frozen in a route version loads, however strict `mapping_problems` has become since. A
part that cannot be used never counts as absent: its path fails whenever it is searched, so that nothing passes by it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mes.routing.paths import Path, broken_path, compile_path

ALL_OR_NOTHING, PARTIAL = "ALL_OR_NOTHING", "PARTIAL"
BATCH_POLICIES = (ALL_OR_NOTHING, PARTIAL)
LONGEST_WAIT_SECONDS = 366 * 24 * 3600


@dataclass(frozen=True, slots=True)
class ResultRule:
    """Where an event reports its result, and by which words (any JSON values)."""

    path: Path
    pass_values: tuple[Any, ...]
    fail_values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class PhaseRule:
    """Where an event reports whether units enter or leave, and by which words (any JSON values)."""

    path: Path
    in_values: tuple[Any, ...]
    out_values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class MeasurementRule:
    """Where measurements stand; all paths but `items_path` are relative to a measurement.

    `unit_factors` convert: unit as reported → unit of the spec → factor.
    """

    items_path: Path
    name_path: Path
    value_path: Path
    unit_path: Path | None = None
    judge_path: Path | None = None
    unit_factors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class StepMapping:
    """How events for a step are read; `docs/ingest.md` describes every key.

    `document` is the JSON it was read from, for those who show it or hand it on. Where there is a `units_path`,
    `sn_path`, `position_path`, `result` and `measurements` are relative to its items.
    """

    document: Any = field(default_factory=dict)
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
    measurements: MeasurementRule | None = None
    data_spec_map: Mapping[str, str] = field(default_factory=dict)
    batch_policy: str = ALL_OR_NOTHING
    wait_seconds: int = 0

    @property
    def is_partial(self) -> bool:
        """Whether units of a batch that are refused are left out, in place of refusing all."""
        return self.batch_policy == PARTIAL

    @property
    def measures_batch(self) -> bool:
        """Whether measurements belong to the whole pass: a batch that does not report unit by unit."""
        return self.units_path is None and not (self.carrier_code_path is None and self.sn_list_path is None)


def parse_mapping(document: Any) -> StepMapping | None:
    """Read the document of a mapping, of whatever age and content; None for none."""
    if document is None:
        return None
    keys = document if isinstance(document, dict) else {}
    policy = keys.get("batchPolicy")
    return StepMapping(
        document=document,
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
        measurements=_measurements(keys.get("measurements")),
        data_spec_map=_texts(keys.get("dataSpecMap")),
        batch_policy=policy if policy in BATCH_POLICIES else ALL_OR_NOTHING,
        wait_seconds=_seconds(keys.get("waitSeconds")),
    )


def list_paths(mapping: StepMapping) -> Iterator[tuple[str, Path]]:
    """Yield every path of a mapping by the name of its key (`snPath`, `result.path`), in the order of its document."""
    keys = mapping.document if isinstance(mapping.document, dict) else {}
    for key, value in keys.items():
        if key.endswith("Path"):
            yield key, compile_path(str(value))
        elif key in ("result", "phase", "measurements") and isinstance(value, dict):
            for inner, expression in value.items():
                if inner == "path" or inner.endswith("Path"):
                    yield f"{key}.{inner}", compile_path(str(expression))


def _result(document: Any) -> ResultRule | None:
    if document is None:
        return None
    keys = document if isinstance(document, dict) else {}
    return ResultRule(_required(keys, "path"), _words(keys, "passValues"), _words(keys, "failValues"))


def _phase(document: Any) -> PhaseRule | None:
    if document is None:
        return None
    keys = document if isinstance(document, dict) else {}
    return PhaseRule(_required(keys, "path"), _words(keys, "inValues"), _words(keys, "outValues"))


def _measurements(document: Any) -> MeasurementRule | None:
    if document is None:
        return None
    keys = document if isinstance(document, dict) else {}
    return MeasurementRule(
        items_path=_required(keys, "itemsPath"),
        name_path=_required(keys, "namePath"),
        value_path=_required(keys, "valuePath"),
        unit_path=_path(keys, "unitPath"),
        judge_path=_path(keys, "judgePath"),
        unit_factors=_factors(keys.get("unitFactors")),
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


def _factors(document: Any) -> Mapping[str, Mapping[str, float]]:
    tables = document if isinstance(document, dict) else {}
    return {
        reported: {unit: as_factor(factor) for unit, factor in table.items() if is_number(factor)}
        for reported, table in tables.items()
        if isinstance(table, dict)
    }


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_factor(value: float) -> float:
    """Return a factor; infinity for one that is beyond the range of floating point numbers."""
    try:
        return float(value)
    except OverflowError:
        return math.inf
