"""Masks of serial numbers: pure. A unit is made only where its serial number fits one of its route's.

`#` is a digit, `@` a letter A-Z, `*` either, `?` any character, `\\` takes the next one as it is; the rest is itself. A
mask is of the whole text.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MOST_MASKS = 20
LONGEST_MASK = 200  # characters: each of 100 may be escaped

_CLASSES = {"#": "[0-9]", "@": "[A-Z]", "*": "[0-9A-Z]", "?": "."}


def find_problems(masks: Any) -> dict[str, str | Promise]:
    """Return a message per place (`0`) of a list of masks; empty when each of them can be asked."""
    if not isinstance(masks, list):
        return {"": _("Must be a list of masks.")}
    if len(masks) > MOST_MASKS:
        return {"": _("Must have at most 20 masks.")}
    problems = {str(index): _find_problem(mask) for index, mask in enumerate(masks)}
    return {place: problem for place, problem in problems.items() if problem is not None}


def _find_problem(mask: Any) -> str | Promise | None:
    if not isinstance(mask, str) or not 0 < len(mask) <= LONGEST_MASK:
        return _("Must be a text of 1 to 200 characters.")
    if not mask.isprintable() or mask != mask.strip(" "):
        return _("Must not have control characters, nor blank ends.")
    if len(mask) - len(mask.rstrip("\\")) & 1:
        return _("“\\” must be followed by the character that it takes as it is.")
    return None


def fits(sn: str, masks: Sequence[str]) -> bool:
    """Whether a serial number fits one of these masks."""
    return any(_compiled(mask).fullmatch(sn) for mask in masks)


@lru_cache(maxsize=1024)
def _compiled(mask: str) -> re.Pattern[str]:
    """Return the expression of a mask; each character of it stands for one, so it takes no longer than the text."""
    parts, characters = [], iter(mask)
    for character in characters:
        taken = next(characters, "\\") if character == "\\" else None
        parts.append(_CLASSES.get(character) or re.escape(character) if taken is None else re.escape(taken))
    return re.compile("".join(parts), re.DOTALL)
