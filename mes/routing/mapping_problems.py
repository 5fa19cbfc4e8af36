"""What an ingest mapping may say, per station type. Pure: the reading of events by mappings is `ingest`'s."""

from collections.abc import Iterator
from typing import Any

import jmespath
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from jmespath.exceptions import JMESPathError

from mes.plant.models import StationType

COMMON_KEYS = {
    "eventType",
    "occurredAtPath",
    "stationCodePath",
    "lineCodePath",
    "unitsPath",
    "snPath",
    "positionPath",
    "result",
    "measurements",
    "dataSpecMap",
    "waitSeconds",
    "transactionIdPath",
}
TYPE_KEYS = {
    StationType.AUTO.value: COMMON_KEYS | {"phase"},
    StationType.TEST.value: COMMON_KEYS | {"testResultIdPath"},
    StationType.BATCH.value: COMMON_KEYS | {"snListPath", "carrierCodePath", "batchPolicy"},
}
PARTS = {
    "result": {"path": True, "passValues": True, "failValues": True},
    "phase": {"path": True, "inValues": True, "outValues": True},
    "measurements": {
        "itemsPath": True,
        "namePath": True,
        "valuePath": True,
        "unitPath": False,
        "judgePath": False,
        "unitFactors": False,
    },
}
BATCH_POLICIES = ("ALL_OR_NOTHING", "PARTIAL")


def find_mapping_problems(mapping: Any, *, station_type: str) -> list[str]:
    """Return what is wrong with a mapping for a step of that station type; empty when nothing is."""
    known = TYPE_KEYS.get(station_type)
    if known is None:
        return [_("A %(type)s step takes no mapping.") % {"type": station_type}]
    if not isinstance(mapping, dict):
        return [_("A mapping is an object.")]
    problems = [_("Unknown key “%(key)s”.") % {"key": key} for key in mapping if key not in known]
    for key, value in mapping.items():
        if key in known:
            problems.extend(f"{key}{problem}" for problem in _find_value_problems(key, value, station_type))
    if station_type == StationType.TEST and "testResultIdPath" not in mapping:
        problems.append(_("“testResultIdPath” is required for TEST."))
    return problems


def _find_value_problems(key: str, value: Any, station_type: str) -> Iterator[str | Promise]:
    if key in PARTS:
        yield from _find_part_problems(key, value)
    elif key.endswith("Path"):
        yield from _find_path_problems(value)
    elif key == "eventType" and value != station_type:
        yield _(": must equal the step's station type %(type)s.") % {"type": station_type}
    elif key == "waitSeconds" and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        yield _(": must be a whole number of seconds.")
    elif key == "batchPolicy" and value not in BATCH_POLICIES:
        yield _(": must be one of %(known)s.") % {"known": ", ".join(BATCH_POLICIES)}
    elif key == "dataSpecMap" and not _is_text_map(value):
        yield _(": must map measurement names to spec names.")


def _find_part_problems(part: str, value: Any) -> Iterator[str | Promise]:
    if not isinstance(value, dict):
        yield _(": must be an object.")
        return
    known = PARTS[part]
    for key in value.keys() - known.keys():
        yield _(".%(key)s: unknown key.") % {"key": key}
    for key in (key for key, required in known.items() if required and key not in value):
        yield _(".%(key)s: missing.") % {"key": key}
    for key, inner in value.items():
        if key.endswith("Path") or key == "path":
            yield from (f".{key}{problem}" for problem in _find_path_problems(inner))
        elif key == "unitFactors":
            yield from _find_factor_problems(inner)
        elif key in known and not isinstance(inner, list):
            yield _(".%(key)s: must be a list.") % {"key": key}


def _find_factor_problems(value: Any) -> Iterator[str | Promise]:
    tables = list(value.values()) if isinstance(value, dict) else [None]
    factors = [factor for table in tables for factor in (table.values() if isinstance(table, dict) else [None])]
    if any(not isinstance(factor, int | float) or isinstance(factor, bool) for factor in factors):
        yield _(".unitFactors: must map units as reported to units of specs and their factors.")


def _find_path_problems(path: Any) -> Iterator[str | Promise]:
    if not isinstance(path, str):
        yield _(": must be a JMESPath expression.")
        return
    try:
        jmespath.compile(path)
    except (JMESPathError, RecursionError) as error:
        yield _(": is not a JMESPath expression: %(error)s") % {"error": str(error).splitlines()[0]}


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(inner, str) for inner in value.values())
