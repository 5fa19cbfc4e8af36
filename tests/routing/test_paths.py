"""Paths: those that name nothing but members are followed without JMESPath's interpreter, to the same end.

What cannot be evaluated is found before any event comes.
"""

from typing import Any

import jmespath
import pytest
from jmespath.exceptions import ArityError, JMESPathError, UnknownFunctionError, VariadictArityError

from mes import errors
from mes.routing.path_functions import TEXT_FUNCTIONS
from mes.routing.path_limits import LONGEST_EXPRESSION, CountingFunctions
from mes.routing.paths import FUNCTIONS, broken_path, compile_path, find_path_problem

ROOTS: list[Any] = [
    {"a": {"b": {"c": 1}}, "b": [1, {"a": 2}], "true": {"null": 3}, "_x1": "text"},
    {"a": None, "b": "text"},
    {"a": {"b": [{"c": 1}]}},
    [{"a": 1}],
    "a",
    7,
    None,
]
LARGEST_COUNT = 4


def call(name: str, count: int) -> str:
    return f"{name}({', '.join(['@'] * count)})"


@pytest.mark.parametrize("path", ["a", "a.b", "a.b.c", "b.a", "true.null", "_x1", "nothing.at.all", "a.b.c.d"])
def test_a_plain_path_finds_what_jmespath_finds(path: str) -> None:
    for root in ROOTS:
        assert compile_path(path).search(root) == jmespath.search(path, root)


@pytest.mark.parametrize("path", ["a.b[0].c", "a.*", "b[].a", "keys(@)", '"a"."b"', "a || b", "b[-1].a"])
def test_any_other_path_is_jmespath_s(path: str) -> None:
    assert compile_path(path).search(ROOTS[0]) == jmespath.search(path, ROOTS[0])


def test_a_path_is_compiled_once() -> None:
    assert compile_path("a[0].b") is compile_path("a[0].b")


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - TEXT_FUNCTIONS.keys()))
@pytest.mark.parametrize("count", range(LARGEST_COUNT + 1))
def test_the_functions_take_as_many_arguments_as_jmespath_says(name: str, count: int) -> None:
    """JMESPath counts when it evaluates; whatever else it says then is not about their number."""
    try:
        jmespath.search(call(name, count), None)
        fits = True
    except (ArityError, VariadictArityError):
        fits = False
    except UnknownFunctionError:
        pytest.fail("JMESPath has no such function")
    except JMESPathError:
        fits = True
    assert (find_path_problem(call(name, count)) is None) == fits


def test_jmespath_has_no_function_that_is_not_in_the_table() -> None:
    """Were there a new one, nobody could use it. Only this test reads the library's own table: it may change."""
    from jmespath.functions import Functions

    assert set(Functions.FUNCTION_TABLE) == FUNCTIONS.keys() - TEXT_FUNCTIONS.keys()
    assert set(CountingFunctions.FUNCTION_TABLE) == set(FUNCTIONS)


@pytest.mark.parametrize(
    "place",
    [
        "{}",
        "a.{}",
        "a[*].{}",
        "a[].{}",
        "a.*.{}",
        "a | {}",
        "a || {}",
        "a && {}",
        "!{}",
        "a[?{}].b",
        "a[?b == {}]",
        "a[0:2].{}",
        "[a, {}]",
        "{{x: {}}}",
        "keys({})",
        "sort_by(a, &{})",
        "map(&{}, a)",
        "({}).b",
        "{}[0]",
    ],
)
def test_a_call_is_looked_at_wherever_it_stands(place: str) -> None:
    """Also where JMESPath would not come to it, because what stands before it finds nothing."""
    assert find_path_problem(place.format("length(b)")) is None
    assert "“lenght”" in str(find_path_problem(place.format("lenght(b)")))
    assert "“length” takes 1" in str(find_path_problem(place.format("length(b, c)")))
    assert "“not_null” takes at least 1" in str(find_path_problem(place.format("not_null()")))


@pytest.mark.parametrize("path", ["", " ", "a[", "[" * 5000, f"a[{'9' * 5000}]", "a.?"])
def test_what_is_no_path_is_told_so_and_fails_when_it_is_searched(path: str) -> None:
    problem = str(find_path_problem(path))
    assert "is not a JMESPath expression" in problem or len(path) > LONGEST_EXPRESSION
    assert problem != "None"
    with pytest.raises(errors.IngestPayloadInvalid):
        compile_path(path).search({})


@pytest.mark.parametrize("path", ["nope(@)", "length(@, @)", "a[::0]", "sum(a)", "length(b)"])
def test_a_path_that_cannot_be_applied_refuses_the_payload(path: str) -> None:
    with pytest.raises(errors.IngestPayloadInvalid) as caught:
        compile_path(path).search({"a": [1, "x"], "b": 1})
    assert caught.value.details["problems"][0].startswith(f"{path}: ")


def test_a_broken_path_says_why() -> None:
    with pytest.raises(errors.IngestPayloadInvalid, match="path: is missing"):
        broken_path("path", "is missing").search({"path": 1})
