"""Pictures of a day's production, drawn as SVG on the server. Every number stands beside them as text too."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.plant.models import Line
from mes.production_counts.windows import Doubt
from trace.reports.day_chart import HourOut, MachineLoss, Picture
from trace.reports.production import Counted

register = template.Library()

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 960, 240, 44, 24, 12
TREND_WIDTH, TREND_HEIGHT = 168, 40
GRID = '<path class="chart-grid" d="M{} {}H{}"/><text class="chart-axis" x="{}" y="{}">{}</text>'
CHART = (
    '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}<path class="chart-plan" d="M{}"/></svg>'
)
BAR = (
    '<a href="{}" tabindex="-1"><rect class="chart-bar{}" x="{}" y="{}" width="{}" height="{}">'
    "<title>{}</title></rect></a>"
)
TREND = '<svg class="trend" width="{}" height="{}" role="img" aria-label="{}"><path class="trend-line" d="{}"/>{}</svg>'
Across = Callable[[datetime], float]
Up = Callable[[float], float]
DOUBTS = {
    Doubt.GAP: gettext_lazy("For a time nothing was reported"),
    Doubt.RESET: gettext_lazy("A counter was reset; what it counted before, after its last report, is lost"),
    Doubt.BASE: gettext_lazy("A counter was set again; what it counted since its last report is not known"),
    Doubt.OVERLAP: gettext_lazy("Reports overlap in time"),
    Doubt.CONTRADICTION: gettext_lazy("Reports contradict each other; the newest counts"),
    Doubt.DIVIDED: gettext_lazy("A report reaches beyond this time and was divided"),
}


@register.filter
def doubts_in_words(doubts: Doubt) -> str:
    """Say why a sum is doubtful."""
    return ". ".join(str(text) for doubt, text in DOUBTS.items() if doubt in doubts)


@register.filter
def why_doubtful(counted: Counted) -> str:
    """Say why a sum is doubtful; empty when it is not."""
    return doubts_in_words(counted.doubts) or _("Doubtful") if counted.doubtful else ""


@register.simple_tag
def made_of(line: Line, since: datetime | None, until: datetime | None, streams: Sequence[int] = ()) -> str:
    """Return the address of what a number is made of; empty when nothing was reported."""
    if since is None or until is None:
        return ""
    parameters = [("line", line.code), ("from", since.isoformat()), ("to", until.isoformat())]
    return f"{reverse('report-made-of')}?{urlencode([*parameters, *(('machine', pk) for pk in streams)])}"


@register.simple_tag
def hour_chart(picture: Picture, line: Line) -> SafeString:
    """Draw what came out each hour as bars, and what was planned as a line of steps."""
    hours = picture.hours
    start, end = hours[0].started_at, hours[-1].ended_at
    most = round_up(max([1.0, *(hour.out or 0 for hour in hours), *(hour.planned for hour in hours)]))

    def across(at: datetime) -> float:
        return LEFT + (WIDTH - LEFT) * ((at - start) / (end - start))

    def up(number: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * number / most

    label = _("Boards out of the line each hour against the plan; the numbers are in the table below")
    grid = ((LEFT, f"{up(n):.1f}", WIDTH, LEFT - 6, f"{up(n) + 4:.1f}", f"{n:g}") for n in (0, most / 2, most))
    plan = (f"{across(h.started_at):.1f} {up(h.planned):.1f} H{across(h.ended_at):.1f}" for h in hours)
    return format_html(
        CHART,
        WIDTH,
        HEIGHT,
        label,
        format_html_join("", GRID, grid),
        format_html_join("", '<text class="chart-hour" x="{}" y="{}">{}</text>', _hour_labels(hours, across)),
        format_html_join("", BAR, (_bar(hour, line, across, up) for hour in hours if hour.out is not None)),
        " L".join(plan),
    )


def _bar(hour: HourOut, line: Line, across: Across, up: Up) -> tuple[str, ...]:
    out = hour.out or 0
    left, right = across(hour.started_at) + 2, across(hour.ended_at) - 2
    return (
        made_of(line, hour.started_at, hour.ended_at),
        " is-doubtful" if hour.doubtful else " is-low" if out < hour.planned * 0.9 else "",
        f"{left:.1f}",
        f"{up(out):.1f}",
        f"{max(1.0, right - left):.1f}",
        f"{up(0) - up(out):.1f}",
        f"{date_format(timezone.localtime(hour.started_at), 'H:i')}: {out}",
    )


def round_up(number: float) -> float:
    """Return the next number that reads well on an axis."""
    step = 10 ** (len(str(int(number))) - 1)
    return next(step * part for part in (1, 2, 4, 6, 8, 10) if step * part >= number)


def _hour_labels(hours: Sequence[HourOut], across: Across) -> Iterator[tuple[str, int, str]]:
    for number, hour in enumerate(hours):
        local = timezone.localtime(hour.started_at)
        if local.minute == 0 and (local.hour % 2 == 0 or len(hours) < 14 or number == 0):
            yield f"{across(hour.started_at):.1f}", HEIGHT - 6, date_format(local, "H")


@register.simple_tag
def loss_trend(machine: MachineLoss) -> SafeString:
    """Draw the loss rate of the last days as a line; a day on which nothing was picked leaves a hole."""
    reported = [ppm for ppm in machine.trend if ppm is not None]
    low, high = min([0, *reported]), max([1, *reported])
    step = (TREND_WIDTH - 8) / max(1, len(machine.trend) - 1)
    points = [
        None if ppm is None else (4 + number * step, 4 + (TREND_HEIGHT - 8) * (1 - (ppm - low) / (high - low)))
        for number, ppm in enumerate(machine.trend)
    ]
    path, is_open = [], False
    for point in points:
        if point is not None:
            path.append(f"{'L' if is_open else 'M'}{point[0]:.1f} {point[1]:.1f}")
        is_open = point is not None
    dots = [(f"{x:.1f}", f"{y:.1f}") for point in points if point for x, y in [point]]
    return format_html(
        TREND,
        TREND_WIDTH,
        TREND_HEIGHT,
        _("Loss in ppm on the last days: %(numbers)s")
        % {"numbers": ", ".join("–" if ppm is None else str(ppm) for ppm in machine.trend)},
        " ".join(path),
        format_html_join("", '<circle class="trend-dot" cx="{}" cy="{}" r="2.2"/>', dots),
    )


@register.simple_tag
def share_of(number: float | None, most: float) -> str:
    """Return a number in per cent of the largest, for the width of a bar."""
    return f"{min(100.0, max(0.0, 100 * (number or 0) / most)):.1f}" if most else "0"
