"""Where in what was sent the fault is that it was refused for. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

MOST_LINES = 400
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class FaultLine:
    """A line of a payload as a page shows it."""

    depth: int
    key: str
    text: str
    is_faulty: bool

    @property
    def indent(self) -> str:
        """The blanks before it."""
        return "  " * self.depth


def mark_faults(payload: Any, refusal: Mapping[str, Any] | None) -> list[FaultLine]:
    """Return a payload line by line. Faulty is a value that the refusal's details name, or the field of that path.

    `refusal` is `{code, message, details}`, as it is kept; of a malformed body the details' keys are paths.
    """
    details = (refusal or {}).get("details")
    details = details if isinstance(details, Mapping) else {}
    named, paths = frozenset(_texts(details.values())), frozenset(details)
    lines = list(islice(_lines(payload, (), "", 0, "", named, paths), MOST_LINES + 1))
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], FaultLine(0, "", "…", False)]


def _texts(values: Collection[Any]) -> Iterator[str]:
    """Yield the texts among details, and of lists; what follows “: ” is a remark."""
    for value in values:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str) and each:
                yield each
                yield each.partition(": ")[0]


def _lines(
    value: Any, path: Path, key: str, depth: int, end: str, named: Collection[str], paths: Collection[str]
) -> Iterator[FaultLine]:
    label = f"{_json(key)}: " if key else ""
    is_faulty = ".".join(map(str, path)) in paths if path else False
    items = _items(value)
    if not items:
        is_named = isinstance(value, str) and value in named
        yield FaultLine(depth, label, f"{_json(value)}{end}", is_faulty or is_named)
        return
    opening, closing = ("[", "]") if isinstance(value, list) else ("{", "}")
    yield FaultLine(depth, label, opening, is_faulty)
    for number, (name, inner) in enumerate(items, start=1):
        inner_key = "" if isinstance(name, int) else name
        comma = "," if number < len(items) else ""
        yield from _lines(inner, (*path, name), inner_key, depth + 1, comma, named, paths)
    yield FaultLine(depth, "", f"{closing}{end}", False)


def _items(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
