"""What a path may cost: what is too long or multiplies is refused when it is saved, the rest when it is evaluated."""

from collections.abc import Callable
from time import process_time
from typing import Any

import jmespath
import pytest

from mes import errors
from mes.routing import path_limits
from mes.routing.paths import Interpreters, compile_path, find_path_problem

LARGE = {"a": [{"b": number, "c": [number, "x"]} for number in range(20_000)], "text": "x" * 900_000}
DOUBLINGS = " | ".join(["[@, @]"] * 23)
LONGEST_TIME = 3.0  # seconds; all of these take a fraction of one, and minutes or hours without a limit


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("a." + "b" * 2000, "longer than 2000 characters"),
        (" || ".join(["a"] * 300), "more than 500 parts"),
        ("!" * 60 + "a", "nested deeper than 50"),
        (DOUBLINGS, "may repeat what it finds more than 1000 times"),
        ("{a: [@, @]} | {a: [@, @]} | " * 5 + "a", "may repeat"),
        ("map(&map(&[@, @, @, @, @, @], [@, @, @, @, @, @]), [@, @, @, @, @, @]) | [@, @, @, @, @, @]", "may repeat"),
    ],
)
def test_what_would_cost_too_much_is_not_saved(expression: str, problem: str) -> None:
    assert problem in str(find_path_problem(expression))


@pytest.mark.parametrize(
    "expression",
    [
        "a.b.c",
        "payload.units[?result != 'OK'].{sn: sn, values: values[*].{name: n, value: v}}",
        "join('-', [payload.panel, to_string(payload.position)])",
        "not_null(a, b, c, d, e, f, g, h)",
        "[" + ", ".join("abcdefghij") + "] | [0]",
        "a | b | c | d[0] | e[?f] | g[*].[h, i]",
    ],
)
def test_what_people_write_is_saved(expression: str) -> None:
    assert find_path_problem(expression) is None


@pytest.mark.parametrize(
    "expression",
    [
        DOUBLINGS,
        DOUBLINGS + " | " + "[]" * 20,
        f"to_string({DOUBLINGS})",
        f"length(to_string({DOUBLINGS}))",
        "[text, text, text, text] | [@, @, @, @][] | [@, @, @, @][] | [?contains(@, 'nowhere')] | length(@)",
        f"{{x: {DOUBLINGS}, y: {DOUBLINGS}}} | x == y",
        f"{{x: {DOUBLINGS}, y: {DOUBLINGS}}} | contains([x], y)",
        "[a, a] | [@, @] | [@, @] | [@, @] | [][][][] | [*].c[]",
        "[text, text, text, text] | [@, @, @, @, @, @, @, @][] | join(@[0], @)",
        "[text, text, text, text] | [@, @, @, @][] | [@, @, @, @][] | sort(@)",
        "[a, a, a, a] | [@, @, @, @][] | [@, @, @, @][] | [*].sort_by(@, &b) | [@, @]",
        "a[?length(c) == `2`] | [?length(c) == `2`] | [?length(c) == `2`] | [?length(c) == `2`] | [?length(c) == `2`]",
        "map(&sort_by(@, &to_string(@)), [a, a, a, a, a, a])",
        "[a, a, a, a, a, a, a, a] | [*][::2] | [@, @, @, @, @, @, @, @][][*][::2]",
    ],
)
def test_what_costs_too_much_ends_soon(expression: str) -> None:
    start = process_time()
    with pytest.raises(errors.IngestMappingTooCostly) as caught:
        compile_path(expression).search(LARGE)
    assert process_time() - start < LONGEST_TIME
    assert caught.value.details == {"problems": [expression]}


def test_without_the_limit_it_would_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: fewer doublings, counted and not limited, find as much as they say."""
    expression = " | ".join(["[@, @]"] * 12)
    monkeypatch.setattr(path_limits, "MOST_STEPS", 1000)
    with pytest.raises(errors.IngestMappingTooCostly):
        compile_path(expression).search({})
    monkeypatch.setattr(path_limits, "MOST_STEPS", 10**9)
    assert str(compile_path(expression).search({})).count("{}") == 2**12


def test_what_a_path_costs_in_all_items_counts_together() -> None:
    path, together = compile_path("a[?b > `1`].c[]"), Interpreters()
    item = {"a": LARGE["a"][:1000]}
    for _number in range(10):
        path.search(item)  # each by itself
        path.search(item, together)
    other = compile_path("a[?b > `2`].c[]")
    with pytest.raises(errors.IngestMappingTooCostly):
        for _number in range(100):
            path.search(item, together)
    assert len(other.search(item, together)) == 2 * 997, "each path counts for itself"


FUNCTIONS: list[tuple[str, Any]] = [
    ("a[].b | [0]", {"a": [[{"b": 1}], {"b": 2}, 3, [[{"b": 4}]]]}),
    ("a[]", {"a": [1, [2, [3]], []]}),
    ("a[]", {"a": {"b": 1}}),
    ("a[1:3]", {"a": [1, 2, 3, 4]}),
    ("a[1:3]", {"a": "text"}),
    ("a[?b > `1` && c < 'x']", {"a": [{"b": 2, "c": "a"}, {"b": 1}]}),
    ("a == b", {"a": [1, {"x": 2}], "b": [1, {"x": 2}]}),
    ("a != b", {"a": True, "b": 1}),
    ("sort_by(a, &b)[*].b", {"a": [{"b": 2}, {"b": 1}]}),
    ("max_by(a, &b).b", {"a": [{"b": 2}, {"b": 1}]}),
    ("map(&b, a)", {"a": [{"b": 2}, {}]}),
    ("join(',', a)", {"a": ["x", "y"]}),
    ("to_string(a)", {"a": [1, {"x": "y"}]}),
    ("contains(a, `2`)", {"a": [1, 2]}),
    ("{x: a, y: [a, b]}", {"a": 1}),
    ("merge(a, b)", {"a": {"x": 1}, "b": {"y": 2}}),
]


@pytest.mark.parametrize(("expression", "root"), FUNCTIONS)
def test_counting_changes_nothing_of_what_is_found(expression: str, root: Any) -> None:
    assert compile_path(expression).search(root) == jmespath.search(expression, root)


@pytest.mark.parametrize("expression", ["join(a, b)", "join(b)", 'join(`1`, `["x"]`)', "sort_by(a, b)"])
def test_what_cannot_be_applied_is_refused_as_before(expression: str) -> None:
    with pytest.raises(errors.IngestPayloadInvalid) as caught:
        compile_path(expression).search({"a": [1], "b": 2})
    assert caught.value.code == "INGEST_PAYLOAD_INVALID"


def test_a_plain_path_needs_no_interpreter() -> None:
    interpreters: Interpreters = {}
    find: Callable[..., Any] = compile_path("a.b.c").search
    assert find({"a": {"b": {"c": 1}}}, interpreters) == 1
    assert interpreters == {}
