"""The Pareto of defects as a picture, drawn as SVG on the server. Every number stands beneath it as text too."""

from collections.abc import Iterator, Sequence

from django import template
from django.urls import reverse
from django.utils import formats
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from trace.reports.found import By
from trace.reports.pareto import Bar, Pareto
from trace.templatetags.report_charts import GRID, round_up

register = template.Library()

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 320, 44, 44, 12, 96
FEWEST_PLACES = 10  # few bars stay narrow: all are seen on a phone, where the picture is scrolled
MOST_LABELS = 40  # beside each other; of more bars each second, third … is told
LONGEST_LABEL = 16
CHART = (
    '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}{}'
    '<polyline class="chart-share-halo" points="{}"/><polyline class="chart-share" points="{}"/>{}</svg>'
)
BAR = '<rect class="chart-bar{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
LINK = '<a href="{}" tabindex="-1">{}</a>'
LABEL = '<text class="chart-axis" transform="translate({} {}) rotate(-40)">{}</text>'
PERCENT = '<text class="chart-percent" x="{}" y="{}">{} %</text>'
DOT = '<circle class="chart-share-dot" cx="{}" cy="{}" r="2.5"/>'
Bars = Sequence[tuple[Bar, str]]


@register.simple_tag
def pareto_chart(report: Pareto, bars: Bars) -> SafeString:
    """Draw how many defects each bar has, and as a line what share those up to it are together."""
    most = round_up(max(bar.defects for bar in report.bars))
    step = (WIDTH - LEFT - RIGHT) / max(len(bars), FEWEST_PLACES)
    points = [
        (f"{LEFT + step * (n + 0.5):.1f}", f"{_up(bar.cumulative_share):.1f}") for n, (bar, _query) in enumerate(bars)
    ]
    line = " ".join(",".join(point) for point in points)
    grid = (
        (LEFT, f"{_up(n / most):.1f}", WIDTH - RIGHT, LEFT - 6, f"{_up(n / most) + 4:.1f}", f"{n:g}")
        for n in (0, most / 2, most)
    )
    shares = ((WIDTH - RIGHT + 6, f"{_up(share) + 4:.1f}", f"{100 * share:g}") for share in (0, 0.5, 1))
    return format_html(
        CHART,
        WIDTH,
        HEIGHT,
        _("Defects by frequency, with the share of all up to each; the numbers are in the table below"),
        format_html_join("", GRID, grid),
        format_html_join("", PERCENT, shares),
        format_html_join("", "{}", ((_bar(bar, query, n, step, most),) for n, (bar, query) in enumerate(bars))),
        format_html_join("", LABEL, _labels(report, step)),
        line,
        line,
        format_html_join("", DOT, points if len(points) <= MOST_LABELS else ()),
    )


def _up(part: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * part


def _bar(bar: Bar, query: str, number: int, step: float, most: float) -> SafeString:
    gap = min(4.0, step / 6)
    drawn = format_html(
        BAR,
        " is-others" if bar.key is None else "",
        f"{LEFT + step * number + gap:.1f}",
        f"{_up(bar.defects / most):.1f}",
        f"{max(1.0, step - 2 * gap):.1f}",
        f"{_up(0) - _up(bar.defects / most):.1f}",
        f"{bar.label}: {bar.defects}",
    )
    return format_html(LINK, f"{reverse('report-defects-list')}?{query}", drawn) if query else drawn


def _labels(report: Pareto, step: float) -> Iterator[tuple[str, int, str]]:
    every = -(-len(report.bars) // MOST_LABELS)
    for number, bar in enumerate(report.bars):
        if number % every == 0:
            text = bar.label[5:] if report.question.by == By.DAY else bar.label
            cut = text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
            yield f"{LEFT + step * (number + 0.5) + 4:.1f}", HEIGHT - BOTTOM + 14, cut


@register.simple_tag
def percent_of(share: float) -> str:
    """Return a share in per cent, with one place."""
    return f"{formats.number_format(round(100 * share, 1), decimal_pos=1)} %"
