"""Pure rules about data collection specs."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class HasLimits(Protocol):
    """Anything with the limit fields of a spec."""

    data_type: str
    lsl: float | None
    usl: float | None
    target: float | None
    alarm_min: float | None
    alarm_max: float | None
    alarm_action: str


LIMIT_FIELDS = ("lsl", "usl", "target", "alarm_min", "alarm_max")

# Fields that only some specs have: the column that decides, the values with which they fit, and why they do else not.
FITTING: tuple[tuple[str, tuple[str, ...], tuple[str, ...], Promise], ...] = (
    ("data_type", ("NUMBER",), (*LIMIT_FIELDS, "unit", "alarm_action"), _("Only a NUMBER spec has this.")),
    ("trigger_type", ("EVENT", "TIME"), ("trigger_rule",), _("Only a spec by EVENT or TIME has this.")),
)


def find_misfits(values: Mapping[str, Any]) -> dict[str, Promise]:
    """Return a message for each field that is filled and does not fit the data type or the trigger.

    Limits are left to `find_limit_problems`.
    """
    return {
        name: message
        for decides, fitting, names, message in FITTING
        if values.get(decides) and values[decides] not in fitting
        for name in names
        if name not in LIMIT_FIELDS and values.get(name) not in (None, "")
    }


def usual_alarm_action(lower: float | None, upper: float | None) -> str:
    """Return what happens outside of an alarm band of which nothing else is said."""
    return "" if lower is None and upper is None else "ALARM_ONLY"


def find_limit_problems(spec: HasLimits) -> dict[str, str | Promise]:
    """Return a message for each limit field that contradicts the others; empty when they agree."""
    limits = {name: value for name in LIMIT_FIELDS if (value := getattr(spec, name)) is not None}
    if spec.data_type != "NUMBER":
        return {name: _("Only a NUMBER spec has limits.") for name in limits}
    problems: dict[str, str | Promise] = {
        name: _("Must be a finite number.") for name, value in limits.items() if not math.isfinite(value)
    }
    if problems:
        return problems
    _refuse_above(problems, limits, "lsl", "usl", "usl", _("Must not be below the lower limit."))
    _refuse_above(problems, limits, "lsl", "target", "target", _("Must not be below the lower limit."))
    _refuse_above(problems, limits, "target", "usl", "target", _("Must not be above the upper limit."))
    _refuse_above(problems, limits, "alarm_min", "alarm_max", "alarm_max", _("Must not be below the lower alarm."))
    _refuse_above(problems, limits, "alarm_min", "lsl", "alarm_min", _("Must not lie inside the limits."))
    _refuse_above(problems, limits, "usl", "alarm_max", "alarm_max", _("Must not lie inside the limits."))
    if spec.alarm_action and not ({"alarm_min", "alarm_max"} & limits.keys()):
        problems["alarm_action"] = _("An alarm needs a lower or an upper bound.")
    return problems


def _refuse_above(
    problems: dict[str, str | Promise],
    limits: dict[str, float],
    lower: str,
    upper: str,
    blamed: str,
    message: str | Promise,
) -> None:
    if lower in limits and upper in limits and limits[lower] > limits[upper]:
        problems.setdefault(blamed, message)
