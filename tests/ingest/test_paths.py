"""Paths that name nothing but members are followed without JMESPath's interpreter, to the same end."""

from typing import Any

import jmespath
import pytest

from ingest.mapping import extract

ROOTS: list[Any] = [
    {"a": {"b": {"c": 1}}, "b": [1, {"a": 2}], "true": {"null": 3}, "_x1": "text"},
    {"a": None, "b": "text"},
    {"a": {"b": [{"c": 1}]}},
    [{"a": 1}],
    "a",
    7,
    None,
]


@pytest.mark.parametrize("path", ["a", "a.b", "a.b.c", "b.a", "true.null", "_x1", "nothing.at.all", "a.b.c.d"])
def test_a_plain_path_finds_what_jmespath_finds(path: str) -> None:
    for root in ROOTS:
        assert extract.search(path, root) == jmespath.search(path, root)


@pytest.mark.parametrize("path", ["a.b[0].c", "a.*", "b[].a", "keys(@)", '"a"."b"', "a || b", "b[-1].a"])
def test_any_other_path_is_jmespath_s(path: str) -> None:
    assert extract.search(path, ROOTS[0]) == jmespath.search(path, ROOTS[0])
