"""Where in a text of JSON things stand. Pure."""

import json
import re
from collections.abc import Iterator

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


class _Level:
    """An object or a list that is being read."""

    def __init__(self, opening: str) -> None:
        self.is_list = opening == "["
        self.key: str | int = 0 if self.is_list else ""
        self.wants_key = not self.is_list


def find_lines(text: str) -> dict[str, int]:
    """Return the lines, from 1, of a sound document's members by their dotted paths; the document itself is ""."""
    lines = {"": 1}
    for path, line in _members(text):
        lines.setdefault(path, line)
    return lines


def _members(text: str) -> Iterator[tuple[str, int]]:
    levels: list[_Level] = []
    line, seen = 1, 0
    for match in _TOKEN.finditer(text):
        line, seen = line + text.count("\n", seen, match.start()), match.start()
        token, top = match[0], levels[-1] if levels else None
        if token in "}]":
            levels.pop()
        elif top is not None and token == ",":
            top.wants_key = not top.is_list
            top.key = top.key + 1 if isinstance(top.key, int) else top.key
        elif top is not None and token == ":":
            top.wants_key = False
        else:
            if top is not None and top.wants_key:
                top.key = json.loads(token)
            if top is not None and (top.is_list or top.wants_key):
                yield ".".join(str(level.key) for level in levels), line
            if token in "{[":
                levels.append(_Level(token))
