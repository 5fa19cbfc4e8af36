"""Limits in words, for pages: of live specs and of those frozen in route versions alike."""

from typing import Any


def describe_limits(spec: Any) -> str:
    """Return `235 … 245 … 250 °C`; a dash stands for a limit that is not set, and alone for no limits at all."""
    if spec.lsl is None and spec.usl is None and spec.target is None:
        return f"- {spec.unit}".rstrip()
    middle = [] if spec.target is None else [spec.target]
    numbers = " … ".join(_number(value) for value in (spec.lsl, *middle, spec.usl))
    return f"{numbers} {spec.unit}".rstrip()


def describe_alarm(spec: Any) -> str:
    """Return `230 … 255 HOLD`, or a dash for none."""
    if spec.alarm_min is None and spec.alarm_max is None:
        return "-"
    return f"{_number(spec.alarm_min)} … {_number(spec.alarm_max)} {spec.alarm_action}".rstrip()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.10g}"
