"""Limit bars: where a value lies between its limits, drawn as SVG on the server."""

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import NamedTuple

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from execution.models import DataValue, Judge
from trace.unit_rows import ValueRow

register = template.Library()

MARGIN = 0.15  # of the outermost limits' distance, drawn on both sides
MARKERS = {  # paths around the marker's place; the shape tells as much as the colour
    "in": "M0-5.5A5.5 5.5 0 1 1 0 5.5A5.5 5.5 0 1 1 0-5.5Z",
    "out": "M0-7L7 0L0 7L-7 0Z",
    "below": "M-3 0L7-7V7Z",
    "above": "M3 0L-7-7V7Z",
}


@dataclass(frozen=True)
class Scale:
    """Which numbers the bar's two ends stand for."""

    low: float
    high: float

    def place(self, number: float) -> float:
        """Return where a number lies, in per cent of the bar; less than 0 or more than 100 is off the bar."""
        return 100 * (number - self.low) / (self.high - self.low)

    def clamp(self, number: float | None, *, default: float) -> float:
        """Return the place of a limit within the bar; `default` where there is no limit."""
        return default if number is None else min(100.0, max(0.0, self.place(number)))


def choose_scale(value: DataValue | ValueRow) -> Scale | None:
    """Return a scale on which the value's limits can be told apart; None without limits."""
    limits = [value.alarm_min, value.lsl, value.target, value.usl, value.alarm_max]
    set_limits = [limit for limit in limits if limit is not None]
    if not set_limits or value.value_number is None:
        return None
    low, high = min(set_limits), max(set_limits)
    if value.lsl is None and value.alarm_min is None:  # open below: the value's side is part of the picture
        low = min(low, value.value_number)
    if value.usl is None and value.alarm_max is None:
        high = max(high, value.value_number)
    span = high - low
    if not span:
        span = max(abs(value.value_number - low), abs(low) / 10) or 1.0
    low, high = low - MARGIN * span, high + MARGIN * span
    return Scale(low, high) if isfinite(high - low) and high > low else None


@register.simple_tag
def limit_bar(value: DataValue | ValueRow) -> SafeString | str:
    """Draw the bands of a value's limits and a marker where it lies. The numbers stand beside it as text."""
    scale = choose_scale(value)
    if scale is None:
        return ""
    limits = Limits(value.alarm_min, value.lsl, value.target, value.usl, value.alarm_max)
    ground = _draw_limits(scale, limits)
    return ground and format_html("{}{}</svg>", ground, _marker(scale, value))


class Limits(NamedTuple):
    """What a value was judged by."""

    alarm_min: float | None
    lsl: float | None
    target: float | None
    usl: float | None
    alarm_max: float | None


@lru_cache(maxsize=1024)
def _draw_limits(scale: Scale, limits: Limits) -> SafeString | str:
    """Draw all but the marker, once for what the values of a spec have in common; empty without limits."""
    bands = [("bar-alarm", limits.alarm_min, limits.alarm_max)]
    if limits.lsl is not None or limits.usl is not None:
        bands.append(("bar-good", limits.lsl, limits.usl))
    elif limits.alarm_min is not None or limits.alarm_max is not None:
        bands = [("bar-good", limits.alarm_min, limits.alarm_max)]
    else:
        return ""  # a bar shows limits; there are none
    return format_html(
        '<svg class="bar" width="100%" height="18" aria-hidden="true" focusable="false">'
        '<rect class="bar-ground" y="5" width="100%" height="8" rx="2"/>{}{}',
        format_html_join("", '<rect class="{}" x="{}%" y="5" width="{}%" height="8"/>', _bands(scale, bands)),
        format_html_join("", '<rect class="{}" x="{}%" y="{}" width="1.5" height="{}"/>', _ticks(scale, limits)),
    )


def _bands(scale: Scale, bands: list[tuple[str, float | None, float | None]]) -> list[tuple[str, str, str]]:
    drawn = []
    for name, lower, upper in bands:
        if name == "bar-alarm" and lower is None and upper is None:
            continue
        start, end = scale.clamp(lower, default=0.0), scale.clamp(upper, default=100.0)
        drawn.append((name, f"{start:.2f}", f"{max(0.6, end - start):.2f}"))
    return drawn


def _ticks(scale: Scale, limits: Limits) -> list[tuple[str, str, int, int]]:
    ticks = [("bar-limit", limit, 2, 14) for limit in (limits.lsl, limits.usl) if limit is not None]
    if limits.target is not None:
        ticks.append(("bar-target", limits.target, 5, 8))
    return [(name, f"{scale.clamp(limit, default=0):.2f}", top, height) for name, limit, top, height in ticks]


def _marker(scale: Scale, value: DataValue | ValueRow) -> SafeString:
    assert value.value_number is not None  # there is a scale only for numbers
    place = scale.place(value.value_number)
    is_bad = value.judge == Judge.FAIL or value.alarmed
    shape = "below" if place < 0 else "above" if place > 100 else "out" if is_bad else "in"
    return format_html(
        '<svg x="{}%" y="9" overflow="visible"><path class="bar-mark{}" d="{}"/></svg>',
        f"{min(98.0, max(2.0, place)):.2f}",
        " is-bad" if is_bad else "",
        MARKERS[shape],
    )
