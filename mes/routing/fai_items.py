"""Pure rules of the items of a first article template."""

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MOST_ITEMS = 200
LONGEST_NAME = 100
LONGEST_SPEC = 200


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
        problems |= {f"{index}.{key}": _("Unknown field.") for key in item if key not in ("itemName", "itemSpec")}
        name: Any = item.get("itemName")
        if not _is_text(name, LONGEST_NAME):
            problems[f"{index}.itemName"] = _("Must be a text of 1 to 100 characters.")
        elif name in seen:
            problems[f"{index}.itemName"] = _("Named twice.")
        else:
            seen.add(name)
        spec = item.get("itemSpec")
        if spec not in (None, "") and not _is_text(spec, LONGEST_SPEC):
            problems[f"{index}.itemSpec"] = _("Must be a text of at most 200 characters.")
    return problems


def _is_text(value: Any, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest and value.isprintable() and value == value.strip()
