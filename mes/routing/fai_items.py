"""Pure rules of the items of a first article template."""

import math
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MOST_ITEMS = 200
LONGEST_NAME = 100
LONGEST_SPEC = 200
LONGEST_UNIT = 20
LARGEST_STEP = 2**31 - 1
KEYS = ("itemName", "itemSpec", "stepNo", "specName", "lsl", "usl", "unit")


def find_problems(items: Any) -> dict[str, str | Promise]:
    """Return a message per place (`0.itemName`) of a template's items; empty when they can be inspected."""
    if not isinstance(items, list) or not items:
        return {"": _("Must be a list of at least one item.")}
    if len(items) > MOST_ITEMS:
        return {"": _("Too many items.")}
    problems: dict[str, str | Promise] = {}
    seen: set[str] = set()
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            problems[str(index)] = _("Must be an object.")
            continue
        problems |= {f"{index}.{key}": message for key, message in _problems_of(item).items()}
        name: Any = item.get("itemName")
        if not _is_text(name, LONGEST_NAME):
            problems[f"{index}.itemName"] = _("Must be a text of 1 to 100 characters.")
        elif name in seen:
            problems[f"{index}.itemName"] = _("Named twice.")
        else:
            seen.add(name)
    return problems


def _problems_of(item: dict[Any, Any]) -> dict[str, str | Promise]:
    """Return a message per key of an item, but for its name."""
    problems: dict[str, str | Promise] = {key: _("Unknown field.") for key in item if key not in KEYS}
    texts = (
        ("itemSpec", LONGEST_SPEC, _("Must be a text of at most 200 characters.")),
        ("specName", LONGEST_NAME, _("Must be a text of at most 100 characters.")),
        ("unit", LONGEST_UNIT, _("Must be a text of at most 20 characters.")),
    )
    for key, longest, message in texts:
        if item.get(key) not in (None, "") and not _is_text(item[key], longest):
            problems[key] = message
    step_no = item.get("stepNo")
    if step_no is not None and not (type(step_no) is int and 0 < step_no <= LARGEST_STEP):
        problems["stepNo"] = _("Must be the number of a step.")
    for key in ("lsl", "usl"):
        if item.get(key) is not None and not _is_finite(item[key]):
            problems[key] = _("Must be a finite number.")
    if "lsl" not in problems and "usl" not in problems and _are_crossed(item.get("lsl"), item.get("usl")):
        problems["usl"] = _("Must not be below the lower limit.")
    return problems


def _are_crossed(lower: Any, upper: Any) -> bool:
    return lower is not None and upper is not None and lower > upper


def _is_finite(value: Any) -> bool:
    """Whether it is a number: not a text, not true, not too large for one that is measured."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest and value.isprintable() and value == value.strip()
