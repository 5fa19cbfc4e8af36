"""The row of a value in a table, written by Python: a page has hundreds of them, and as a template each took 0.3 ms."""

from typing import Any

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from execution.models import DataValue
from trace.templatetags.trace_bars import limit_bar
from trace.templatetags.trace_display import (
    compact,
    contradicted,
    limits_in_words,
    pretty,
    shown,
    state,
    symbol,
    when,
)
from trace.unit_rows import ValueRow

register = template.Library()

Value = DataValue | ValueRow
SHORT = 60  # letters of JSON that stand in the cell


@register.simple_tag
def value_row(
    value: Value, *, superseded: bool = False, finding: bool = False, on_carrier: bool = False, out_by: str = ""
) -> SafeString:
    """Write the row of a value: what it is, what was measured, how it was judged, and when.

    `superseded` where a later value decides in its place; `finding` in the list of those out of limits, which links to
    the pass; `on_carrier` below a pass of the unit; `out_by` is who recorded the pass, who need not be named again.
    """
    identity = "" if finding or on_carrier else f' id="value-{value.pk}"'
    old = ' class="is-old"' if superseded else ""
    return mark_safe(
        f'<tr role="row"{identity}{old}>\n'
        f'  <th scope="row" role="rowheader">{_name(value, finding=finding)}{_tag(value)}'
        f"{_quiet(_('measured again')) if superseded else ''}</th>\n"
        f'  <td role="cell">{_measured(value, finding=finding, on_carrier=on_carrier)}{limit_bar(value)}'
        f"{_below(limits_in_words(value))}</td>\n"
        f'  <td role="cell">{_judged(value)}{_below(contradicted(value))}</td>\n'
        f'  <td role="cell" class="quiet nowrap">{when(value.collected_at)}{_below(value.operator)}'
        f"{_recorded_by(value, out_by)}</td>\n"
        "</tr>\n"
    )


def _name(value: Value, *, finding: bool) -> str:
    name = escape(value.name)
    if not finding:
        return name
    passed = f"#pass-{value.track_id}" if value.track_id else "#carriers" if value.carrier_track_id else "#loose"
    return f'<a href="{passed}">{name}</a>' + _quiet(_("step %(number)s") % {"number": value.step_no})


def _tag(value: Value) -> str:
    if value.item_type == "KEY":
        return f' <span class="tag">{symbol("key")}{escape(_("key"))}</span>'
    return f' <span class="tag">{escape(_("observation"))}</span>'


def _measured(value: Value, *, finding: bool, on_carrier: bool) -> str:
    if value.value_json is not None:
        return _json(value, "f" if finding else "c" if on_carrier else "")
    kind = " is-text" if value.value_number is None else ""
    unit = f' <span class="unit">{escape(value.measure)}</span>' if value.measure else ""
    return f'<span class="measured{kind}">{escape(shown(value))}{unit}</span>'


def _json(value: Value, place: str) -> str:
    text = compact(value.value_json)
    if len(text) <= SHORT:
        return f"<code>{escape(text)}</code>"
    whole = escape(pretty(value.value_json))
    summary = f"<summary>{escape(_('Show'))}</summary>"
    return f'<details id="json-{place}{value.pk}">{summary}<pre tabindex="0">{whole}</pre></details>'


def _judged(value: Value) -> str:
    judged: Any = ""
    if value.judge:
        judged = state(value.judge, value.get_judge_display())
    elif not value.alarmed:
        judged = '<span class="quiet">–</span>'
    alarm = f' <span class="state tone-hold">{symbol("alarm")}{escape(_("Alarm"))}</span>' if value.alarmed else ""
    return f"{judged}{alarm}"


def _recorded_by(value: Value, out_by: str) -> str:
    if not value.recorded_by or value.recorded_by == out_by:
        return ""
    return _below(_("recorded by %(name)s") % {"name": value.recorded_by})


def _below(text: str) -> str:
    return f'<span class="limits">{escape(text)}</span>' if text else ""


def _quiet(text: str) -> str:
    return f' <span class="quiet">{escape(text)}</span>'
