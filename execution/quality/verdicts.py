"""How what is measured on an inspected unit is judged. Pure; first articles and outgoing inspections share it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from mes.errors import ValidationFailed

PASS, FAIL = "PASS", "FAIL"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of an item, and another one that was claimed; "" where none was."""

    result: str
    claimed_result: str = ""


def judge(item: Mapping[str, Any], *, number: float | None, claimed: str | None) -> Verdict:
    """Judge an item of a template, named as in the API: with a limit by the number, bounds in; else as it is said.

    Raises ValidationFailed where the number is missing, or without a limit the result.
    """
    lsl, usl = item.get("lsl"), item.get("usl")
    if lsl is None and usl is None:
        if not claimed:
            raise ValidationFailed({"result": _("This field is required.")})
        return Verdict(claimed)
    if number is None:
        raise ValidationFailed({"actualNumber": _("The item has limits: give the number that was measured.")})
    is_inside = (lsl is None or number >= lsl) and (usl is None or number <= usl)
    result = PASS if is_inside else FAIL
    return Verdict(result, claimed if claimed and claimed != result else "")
