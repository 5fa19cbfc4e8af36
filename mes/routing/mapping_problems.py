"""What an ingest mapping may say, per station type: asked when one is saved and when a route is compiled. Pure."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from mes.plant.models import StationType
from mes.routing.paths import find_path_problem
from mes.routing.step_mapping import BATCH_POLICIES, LONGEST_WAIT_SECONDS, OWNERS, as_conversion
from mes.routing.time_formats import find_format_problem, find_zone_problem

COMMON_KEYS = {
    "when",
    "eventType",
    "occurredAtPath",
    "timeFormat",
    "timeZone",
    "stationCodePath",
    "lineCodePath",
    "unitsPath",
    "snPath",
    "positionPath",
    "carrierCodePath",
    "batchPolicy",
    "result",
    "measurements",
    "defects",
    "dataSpecMap",
    "waitSeconds",
    "transactionIdPath",
}
TYPE_KEYS = {
    StationType.AUTO.value: COMMON_KEYS | {"phase"},
    StationType.TEST.value: COMMON_KEYS | {"testResultIdPath"},
    StationType.BATCH.value: COMMON_KEYS | {"snListPath"},
}
PARTS = {  # whether a key is required
    "result": {"path": True, "passValues": True, "failValues": True, "skipValues": False},
    "phase": {"path": True, "inValues": True, "outValues": True, "dataValues": False},
    "measurements": {
        "itemsPath": True,
        "namePath": True,
        "valuePath": True,
        "unitPath": False,
        "judgePath": False,
        "unitFactors": False,
        "of": False,
    },
    "defects": {
        "itemsPath": True,
        "codePath": True,
        "locationPath": False,
        "remarkPath": False,
        "falseCallPath": False,
    },
}
MOST_MAPPINGS = 20  # of a step
MOST_BLOCKS = 50  # of measurements
MOST_WORDS = 1000  # of a list, or of a table of factors
MOST_NAMES = 10_000  # of measurements that are called otherwise than their specs
ANY_TYPE_KEYS = frozenset().union(*TYPE_KEYS.values())


_INDEX = re.compile(r"\[([0-9]+)\]")


@dataclass(frozen=True)
class MappingProblem:
    """What is wrong with a mapping, in words, and where: a dotted path into it, "" for the whole."""

    place: str
    text: str

    def __str__(self) -> str:
        return self.text


def find_mapping_problems(mapping: Any, *, station_type: str | None) -> list[MappingProblem]:
    """Return what is wrong with what a step of that station type says of machine events: a mapping, or a list of them.

    Empty when nothing is. Without a station type, which a wider config need not name, it is the one that each mapping
    names itself.
    """
    if not isinstance(mapping, list):
        return _find_problems_of_one(mapping, station_type)
    if not 1 <= len(mapping) <= MOST_MAPPINGS:
        return [MappingProblem("", _("A list has between 1 and %(most)d mappings.") % {"most": MOST_MAPPINGS})]
    return [
        MappingProblem(f"{index}.{problem.place}".rstrip("."), f"[{index}] {problem}")
        for index, one in enumerate(mapping)
        for problem in _find_problems_of_one(one, station_type)
    ]


def passes_all(mapping: Any) -> bool:
    """Whether a mapping takes every event, and every one as a pass: it asks for nothing."""
    return isinstance(mapping, dict) and not mapping.keys() & {"when", "result", "phase"}


def _find_problems_of_one(mapping: Any, station_type: str | None) -> list[MappingProblem]:
    if not isinstance(mapping, dict):
        return [MappingProblem("", _("A mapping is an object, or a list of objects."))]
    if station_type is None:
        named = mapping.get("eventType")
        station_type = named if isinstance(named, str) and named in TYPE_KEYS else None
    allowed_keys = ANY_TYPE_KEYS if station_type is None else TYPE_KEYS.get(station_type)
    if allowed_keys is None:
        return [MappingProblem("", _("A %(type)s step takes no mapping.") % {"type": station_type})]
    problems = [
        MappingProblem(key, _("Unknown key “%(key)s”.") % {"key": key}) for key in mapping if key not in allowed_keys
    ]
    for key, value in mapping.items():
        if key in allowed_keys:
            problems.extend(_problem_at(key, problem) for problem in _find_value_problems(key, value, station_type))
    if station_type == StationType.TEST and "testResultIdPath" not in mapping:
        problems.append(MappingProblem("", _("“testResultIdPath” is required for TEST.")))
    return problems


def _problem_at(key: str, problem: str | Promise) -> MappingProblem:
    """Name the place of what is wrong with a key; what is said begins with where below the key it is."""
    below, _colon, _text = str(problem).partition(": ")
    return MappingProblem(key + _INDEX.sub(r".\1", below), f"{key}{problem}")


def _find_value_problems(key: str, value: Any, station_type: str | None) -> Iterator[str | Promise]:
    if key == "measurements" and isinstance(value, list):
        yield from _find_block_problems(value)
    elif key in PARTS:
        yield from _find_part_problems(key, value)
    elif key == "when" or key.endswith("Path"):
        yield from _find_path_problems(value)
    elif key == "eventType":
        yield from _find_type_problems(value, station_type)
    else:
        yield from _PROBLEMS_OF_VALUES[key](value)


def _find_block_problems(blocks: list[Any]) -> Iterator[str | Promise]:
    if not 1 <= len(blocks) <= MOST_BLOCKS:
        yield _(": must have between 1 and %(most)d blocks.") % {"most": MOST_BLOCKS}
        return
    for index, block in enumerate(blocks):
        yield from (f"[{index}]{problem}" for problem in _find_part_problems("measurements", block))


def _find_policy_problems(value: Any) -> Iterator[str | Promise]:
    if value not in BATCH_POLICIES:
        yield _(": must be one of %(known)s.") % {"known": ", ".join(BATCH_POLICIES)}


def _find_name_problems(value: Any) -> Iterator[str | Promise]:
    if not _is_text_map(value):
        yield _(": must map measurement names to spec names.")
    elif len(value) > MOST_NAMES:
        yield _(": must have at most %(most)d names.") % {"most": MOST_NAMES}


def _find_format_problems(value: Any) -> Iterator[str | Promise]:
    if not isinstance(value, str):
        yield _(": must be a text.")
    elif (problem := find_format_problem(value)) is not None:
        yield f": {problem}"


def _find_zone_problems(value: Any) -> Iterator[str | Promise]:
    if not isinstance(value, str):
        yield _(": must be the name of a time zone.")
    elif (problem := find_zone_problem(value)) is not None:
        yield f": {problem}"


def _find_type_problems(value: Any, station_type: str | None) -> Iterator[str | Promise]:
    if station_type is None:
        yield _(": must be one of %(known)s.") % {"known": ", ".join(TYPE_KEYS)}
    elif value != station_type:
        yield _(": must equal the step's station type %(type)s.") % {"type": station_type}


def _find_wait_problems(value: Any) -> Iterator[str | Promise]:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        yield _(": must be a whole number of seconds.")
    elif value > LONGEST_WAIT_SECONDS:
        yield _(": must be at most %(seconds)d.") % {"seconds": LONGEST_WAIT_SECONDS}


_PROBLEMS_OF_VALUES: dict[str, Callable[[Any], Iterator[str | Promise]]] = {
    "batchPolicy": _find_policy_problems,
    "dataSpecMap": _find_name_problems,
    "timeFormat": _find_format_problems,
    "timeZone": _find_zone_problems,
    "waitSeconds": _find_wait_problems,
}


def _find_part_problems(part: str, value: Any) -> Iterator[str | Promise]:
    if not isinstance(value, dict):
        yield _(": must be an object.")
        return
    allowed_keys = PARTS[part]
    for key in sorted(value.keys() - allowed_keys.keys()):  # always in the same order: they are part of a digest
        yield _(".%(key)s: unknown key.") % {"key": key}
    for key in (key for key, required in allowed_keys.items() if required and key not in value):
        yield _(".%(key)s: missing.") % {"key": key}
    for key, inner in value.items():
        if key.endswith("Path") or key == "path":
            yield from (f".{key}{problem}" for problem in _find_path_problems(inner))
        elif key == "unitFactors":
            yield from _find_factor_problems(inner)
        elif key == "of" and part == "measurements":
            yield from _find_owner_problems(inner)
        elif key in allowed_keys and not isinstance(inner, list):
            yield _(".%(key)s: must be a list.") % {"key": key}
        elif key in allowed_keys and len(inner) > MOST_WORDS:
            yield _(".%(key)s: must have at most %(most)d items.") % {"key": key, "most": MOST_WORDS}


def _find_owner_problems(value: Any) -> Iterator[str | Promise]:
    if value not in OWNERS:
        yield _(".of: must be one of %(known)s.") % {"known": ", ".join(OWNERS)}


def _find_factor_problems(value: Any) -> Iterator[str | Promise]:
    tables = list(value.values()) if isinstance(value, dict) else [None]
    factors = [factor for table in tables for factor in (table.values() if isinstance(table, dict) else [None])]
    if not all(_is_factor(factor) for factor in factors):
        yield _(".unitFactors: must map units as reported to units of specs and their factors, or factors and offsets.")
    elif len(factors) > MOST_WORDS:
        yield _(".unitFactors: must have at most %(most)d factors.") % {"most": MOST_WORDS}


def _is_factor(value: Any) -> bool:
    conversion = as_conversion(value)
    return conversion is not None and math.isfinite(conversion.factor) and math.isfinite(conversion.offset)


def _find_path_problems(path: Any) -> Iterator[str | Promise]:
    if not isinstance(path, str):
        yield _(": must be a JMESPath expression.")
    elif (problem := find_path_problem(path)) is not None:
        yield f": {problem}"


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(inner, str) for inner in value.values())
