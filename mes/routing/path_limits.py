"""What a path may cost: its length and shape are bounded when it is saved, its steps when it is evaluated. Pure.

A short expression can go on without end: `[x, x] | [@, @] | [@, @] | …` doubles what it finds with each part. So every
node that is visited, every item and every text that is looked at costs steps, and what needs too many is ended.
"""

import math
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _
from jmespath.visitor import Options, TreeInterpreter

from mes.routing.path_functions import CHARACTERS_OF_STEP, TextFunctions

LONGEST_EXPRESSION = 2000  # characters
MOST_NODES = 500  # of the syntax tree
DEEPEST_TREE = 50
MOST_COPIES = 1000  # of what it is given, that an expression may put into its result
MOST_STEPS = 300_000  # of one path in one event: about a fifth of a second

MULTI_SELECTS = frozenset({"multi_select_list", "multi_select_dict"})  # what can put the same thing into a result twice
WEIGHED_WHOLE = frozenset({"contains", "max_by", "min_by", "sort_by", "to_string"})  # these go into what they are given

Tree = dict[str, Any]


class TooCostly(Exception):
    """An evaluation needs more than MOST_STEPS."""


# --- when it is evaluated ----------------------------------------------------------------------------------


class CountingInterpreter(TreeInterpreter):
    """Evaluates a path, for all items of an event, and counts. Raises TooCostly, and what JMESPath raises."""

    def __init__(self) -> None:
        super().__init__(Options(custom_functions=CountingFunctions(self)))
        self.steps = 0

    def find(self, tree: Tree, root: Any, *, copies: bool) -> Any:
        """Return what an expression finds; what one that `copies` puts together counts with all it holds."""
        found = self.visit(tree, root)
        if copies:
            self.weigh(found)
        return found

    def visit(self, node: Tree, value: Any) -> Any:
        """Evaluate a node: a step. The shortest way, because it is gone for every node and item."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooCostly
        return getattr(self, _METHODS[node["type"]])(node, value)

    def visit_comparator(self, node: Tree, value: Any) -> Any:
        """Compare; what is compared is counted before."""
        left, right = self.visit(node["children"][0], value), self.visit(node["children"][1], value)
        for compared in (left, right):
            if isinstance(compared, str):
                self.spend(len(compared) // CHARACTERS_OF_STEP)
            elif isinstance(compared, list | dict):
                self.weigh(compared)
        if node["value"] not in _EQUALITIES and not (_has_order(left) and _has_order(right)):
            return None
        return self.COMPARATOR_FUNC[node["value"]](left, right)

    def visit_flatten(self, node: Tree, value: Any) -> Any:
        """Put the items of lists in a list together into one; counted before that is done."""
        outer = self.visit(node["children"][0], value)
        if not isinstance(outer, list):
            return None
        lists = [item if isinstance(item, list) else [item] for item in outer]
        self.spend(sum(map(len, lists)))
        return [item for inner in lists for item in inner]

    def visit_slice(self, node: Tree, value: Any) -> Any:
        """Take a part of a list."""
        self.spend(len(value) if isinstance(value, list) else 0)
        return super().visit_slice(node, value)

    def spend(self, steps: int) -> None:
        """Count steps. Raises TooCostly."""
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise TooCostly

    def weigh(self, value: Any) -> None:
        """Count a value with all it holds, as often as it holds it."""
        waiting = [value]
        while waiting:
            inner = waiting.pop()
            self.spend(1 + _weight(inner))
            if isinstance(inner, dict):
                waiting.extend(inner.values())
            elif isinstance(inner, list):
                waiting.extend(inner)


class _Methods(dict[str, str]):
    """The names of an interpreter's methods by the types of nodes."""

    def __missing__(self, node_type: str) -> str:
        name = self[node_type] = f"visit_{node_type}"
        return name


_METHODS = _Methods()
_EQUALITIES = frozenset({"eq", "ne"})


def _has_order(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


class CountingFunctions(TextFunctions):
    """The functions of paths: what they are given is counted before they are called."""

    def __init__(self, interpreter: CountingInterpreter) -> None:
        self.interpreter = interpreter
        self.spend = interpreter.spend

    def call_function(self, function_name: str, resolved_args: list[Any]) -> Any:
        """Count the arguments, and call it."""
        for argument in resolved_args:
            if function_name in WEIGHED_WHOLE:
                self.interpreter.weigh(argument)
            else:
                self.interpreter.spend(_weight(argument) + _weight_of_texts(argument))
        if function_name == "join" and isinstance(resolved_args[0], str) and isinstance(resolved_args[-1], list):
            self.interpreter.spend(_weight(resolved_args[0]) * len(resolved_args[-1]))
        result = super().call_function(function_name, resolved_args)
        return None if isinstance(result, int | float) and not _is_finite(result) else result  # to_number('NaN')


def _is_finite(number: float) -> bool:
    """Whether a number is one that values can have: also a whole one may be beyond floating point numbers."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _weight(value: Any) -> int:
    """Return what it costs to go through a text, or the items of a list or an object."""
    if isinstance(value, str):
        return len(value) // CHARACTERS_OF_STEP
    return len(value) if isinstance(value, list | dict) else 0


def _weight_of_texts(value: Any) -> int:
    return sum(_weight(item) for item in value if isinstance(item, str)) if isinstance(value, list) else 0


# --- when it is saved --------------------------------------------------------------------------------------


def does_copy(tree: Tree) -> bool:
    """Whether an expression may put what it is given into its result more than once."""
    return any(node["type"] in MULTI_SELECTS for node, _depth in walk(tree))


def find_excess(expression: str) -> str | None:
    """Return what is too much of the text of an expression: to be asked before it is parsed."""
    if len(expression) > LONGEST_EXPRESSION:
        return _("is longer than %(limit)d characters") % {"limit": LONGEST_EXPRESSION}
    return None


def find_excess_of_tree(tree: Tree) -> str | None:
    """Return what is too much of an expression that was parsed."""
    depths = [depth for _node, depth in walk(tree)]
    if len(depths) > MOST_NODES:
        return _("has more than %(limit)d parts") % {"limit": MOST_NODES}
    if max(depths) > DEEPEST_TREE:
        return _("is nested deeper than %(limit)d levels") % {"limit": DEEPEST_TREE}
    if _count_copies(tree) > MOST_COPIES:
        return _("may repeat what it finds more than %(limit)d times") % {"limit": MOST_COPIES}
    return None


def walk(tree: Tree) -> Iterator[tuple[Tree, int]]:
    """Yield the nodes of an expression in their order, each with its depth (from 1)."""
    waiting: list[tuple[Any, int]] = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        if not isinstance(node, dict):  # the bounds of a slice
            continue
        yield node, depth
        waiting.extend((child, depth + 1) for child in reversed(node["children"]))


def _count_copies(node: Tree) -> int:
    """Return how often the result of an expression may hold what the expression is given; at most.

    Parts beside each other add up; what is given from one part to the next, multiplies. The tree is not too deep.
    """
    copies = [_count_copies(child) for child in node["children"] if isinstance(child, dict)]
    if node["type"] in MULTI_SELECTS:
        return max(1, sum(copies))
    product = 1
    for count in copies:
        product *= count
    return product
