"""Showing in a payload what the paths of a mapping read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from ingest.mapping.preview import Preview, roots_of
from mes.routing.paths import syntax_tree

MOST_LINES = 3000
CHANGES_CONTEXT = {"projection", "value_projection", "filter_projection", "flatten", "pipe"}
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Line:
    """A line of a payload as it is shown; `marks` are the numbers of the paths that read it."""

    depth: int
    key: str
    text: str
    marks: tuple[int, ...] = ()

    @property
    def indent(self) -> str:
        """The blanks before it."""
        return "  " * self.depth


def list_lines(preview: Preview) -> list[Line]:
    """Return the event of a preview line by line, each with the numbers of the paths that read it."""
    marks: dict[Place, list[int]] = {}
    for number, place in _list_marks(preview):
        numbers = marks.setdefault(place, [])
        if number not in numbers:
            numbers.append(number)
    lines: list[Line] = []
    for line in _lines("", preview.event, (), marks):
        if len(lines) == MOST_LINES:
            return [*lines, Line(0, "", "…")]
        lines.append(line)
    return lines


def _list_marks(preview: Preview) -> Iterator[tuple[int, Place]]:
    places = {id(container): place for place, container in _containers(preview.event, ())}
    for number, entry in enumerate(preview.paths, start=1):
        chains = list(_chains(syntax_tree(entry["path"])))
        for root in roots_of(preview, entry["at"]):
            base = places.get(id(root))
            if base is None:
                continue
            for chain in chains:
                if _is_there(root, chain):
                    yield number, (*base, *chain)


def _containers(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict | list):
        yield place, value
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from _containers(inner, (*place, key))


def _chains(node: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the plain names (`payload.device.code`) that an expression reads below its root."""
    parts = _parts(node)
    if parts:
        yield parts
        return
    children = node["children"][:1] if node["type"] in CHANGES_CONTEXT else node["children"]
    if node["type"] == "subexpression":
        children = children[:1]
    for child in children:
        if isinstance(child, dict):
            yield from _chains(child)


def _parts(node: dict[str, Any]) -> tuple[str, ...]:
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] != "subexpression":
        return ()
    parts = [_parts(child) for child in node["children"]]
    return tuple(name for part in parts for name in part) if all(parts) else ()


def _is_there(root: Any, chain: tuple[str, ...]) -> bool:
    for name in chain:
        if not isinstance(root, dict) or name not in root:
            return False
        root = root[name]
    return True


def _lines(key: str, value: Any, place: Place, marks: dict[Place, list[int]]) -> Iterator[Line]:
    numbers, depth = tuple(marks.get(place, ())), len(place)
    if not isinstance(value, dict | list) or not value:
        yield Line(depth, key, msgspec.json.encode(value, enc_hook=str).decode(), numbers)
        return
    is_object = isinstance(value, dict)
    yield Line(depth, key, "{" if is_object else "[", numbers)
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in pairs:
        yield from _lines(str(name) if is_object else "", inner, (*place, name), marks)
    yield Line(depth, "", "}" if is_object else "]")
