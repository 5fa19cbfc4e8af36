"""The paths of mappings: JMESPath expressions, checked when a mapping is saved, compiled once."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import jmespath
from django.utils.translation import gettext as _
from jmespath.exceptions import JMESPathError

from mes import errors
from mes.routing.path_functions import TEXT_FUNCTIONS
from mes.routing.path_limits import CountingInterpreter, TooCostly, does_copy, find_excess, find_excess_of_tree, walk

REMEMBERED_PATHS = 2048
_PLAIN_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_UNREADABLE = (ValueError, RecursionError)  # JMESPath's own errors are ValueErrors; so is a number of 5,000 digits
_INAPPLICABLE = (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError)

# How many arguments each function takes, at least and at most: those of JMESPath's specification, and ours. JMESPath
# itself looks at them only when a path is evaluated, and then only at those that it comes to.
FUNCTIONS: Mapping[str, tuple[int, int | None]] = {
    "abs": (1, 1),
    "avg": (1, 1),
    "ceil": (1, 1),
    "contains": (2, 2),
    "ends_with": (2, 2),
    "floor": (1, 1),
    "join": (2, 2),
    "keys": (1, 1),
    "length": (1, 1),
    "map": (2, 2),
    "max": (1, 1),
    "max_by": (2, 2),
    "merge": (1, None),
    "min": (1, 1),
    "min_by": (2, 2),
    "not_null": (1, None),
    "reverse": (1, 1),
    "sort": (1, 1),
    "sort_by": (2, 2),
    "starts_with": (2, 2),
    "sum": (1, 1),
    "to_array": (1, 1),
    "to_number": (1, 1),
    "to_string": (1, 1),
    "type": (1, 1),
    "values": (1, 1),
    **TEXT_FUNCTIONS,
}


Interpreters = dict[str, CountingInterpreter]  # by expression: what each has cost so far
Find = Callable[[Any, Interpreters], Any]


class Path:
    """A compiled path. Those of one expression are one object, as long as it is remembered."""

    __slots__ = ("_find", "expression")

    def __init__(self, expression: str, find: Find) -> None:
        self.expression = expression
        self._find = find

    def search(self, root: Any, interpreters: Interpreters | None = None) -> Any:
        """Return what the path finds. What it costs in all items of an event counts together, by `interpreters`.

        Raises IngestPayloadInvalid when it cannot be applied to what is there, IngestMappingTooCostly.
        """
        try:
            return self._find(root, {} if interpreters is None else interpreters)
        except TooCostly:
            raise errors.IngestMappingTooCostly(problems=[self.expression]) from None
        except _INAPPLICABLE as error:
            raise errors.IngestPayloadInvalid(problems=[f"{self.expression}: {_first_line(error)}"]) from None

    def __repr__(self) -> str:
        return f"Path({self.expression!r})"


@lru_cache(maxsize=REMEMBERED_PATHS)
def compile_path(expression: str) -> Path:
    """Return a compiled path. One that is not JMESPath fails whenever it is searched, so that old documents load."""
    if _PLAIN_PATH.fullmatch(expression):
        return Path(expression, _members(expression.split(".")))
    try:
        return Path(expression, _interpret(expression, syntax_tree(expression)))
    except _UNREADABLE as error:
        return broken_path(expression, _first_line(error))


def broken_path(expression: str, problem: str) -> Path:
    """Return a path that fails whenever it is searched."""

    def fail(_root: Any, _interpreters: Interpreters) -> Any:
        raise ValueError(problem)

    return Path(expression, fail)


def _interpret(expression: str, tree: dict[str, Any]) -> Find:
    """Return what evaluates an expression and counts what that costs."""
    copies = does_copy(tree)

    def evaluate(root: Any, interpreters: Interpreters) -> Any:
        interpreter = interpreters.get(expression)
        if interpreter is None:
            interpreter = interpreters[expression] = CountingInterpreter()
        return interpreter.find(tree, root, copies=copies)

    return evaluate


def _members(names: Sequence[str]) -> Find:
    """Return what follows the names of members: most paths name nothing else, which needs no interpreter."""

    def follow(root: Any, _interpreters: Interpreters) -> Any:
        for name in names:
            if not isinstance(root, dict):
                return None
            root = root.get(name)
        return root

    return follow


def syntax_tree(expression: str) -> dict[str, Any]:
    """Return the nodes of an expression: `{"type", "children", "value"?}`. Raises ValueError, RecursionError."""
    tree: dict[str, Any] = jmespath.compile(expression).parsed
    return tree


def find_path_problem(expression: str) -> str | None:
    """Return what is wrong with an expression: its syntax, a function that there is not, a number of arguments, what it
    may cost.
    """
    if (excess := find_excess(expression)) is not None:
        return excess
    try:
        tree = syntax_tree(expression)
    except _UNREADABLE as error:
        return _("is not a JMESPath expression: %(error)s") % {"error": _first_line(error)}
    if (excess := find_excess_of_tree(tree)) is not None:
        return excess
    return next(filter(None, (_find_problem_of_call(name, given) for name, given in _calls(tree))), None)


def _find_problem_of_call(name: str, given: int) -> str | None:
    if name not in FUNCTIONS:
        return _("there is no function “%(name)s”") % {"name": name}
    least, most = FUNCTIONS[name]
    said = {"name": name, "least": least, "most": most, "given": given}
    if given < least and most != least:
        return _("the function “%(name)s” takes at least %(least)d argument(s), not %(given)d") % said
    if given != least and most == least:
        return _("the function “%(name)s” takes %(least)d argument(s), not %(given)d") % said
    if most is not None and given > most:
        return _("the function “%(name)s” takes at most %(most)d arguments, not %(given)d") % said
    return None


def _calls(tree: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the functions that an expression calls, with the number of arguments."""
    for node, _depth in walk(tree):
        if node["type"] == "function_expression":
            yield node["value"], len(node["children"])


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
