"""States, times and values in words, each with a symbol: colour never tells alone."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from django import template
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from execution.models import DataValue, DispositionAction, ResultOverride, Track, TrackResult
from execution.quality.defects import UNSPECIFIED
from execution.quality.models import NOT_A_DEFECT, DefectSource, DefectStatus
from execution.quality.oqc.models import OqcStatus
from execution.quality.repair.models import RepairResult
from mes.line_setup.models import LotStatus
from mes.production.decision_models import ApprovalStatus
from mes.production.hold_models import HeldUnitEnd, Hold, HoldStatus
from mes.production.models import RunStatus, Unit, UnitStatus, WorkOrderStatus
from mes.routing.models import RouteVersion
from trace.unit_rows import DefectRow, DispositionRow, TrackRow, ValueRow
from trace.units import StepState, UnitTrace
from trace.values import value_of

register = template.Library()

LOOKS = {  # state → (tone, symbol); the tones are colours in app.css, the symbols are in _symbols.html
    UnitStatus.QUEUED: ("wait", "wait"),
    UnitStatus.IN_STATION: ("work", "work"),
    UnitStatus.DONE: ("good", "pass"),
    UnitStatus.OUT_FAILED: ("bad", "fail"),
    UnitStatus.ON_HOLD: ("hold", "hold"),
    UnitStatus.SCRAPPED: ("scrap", "scrap"),
    RunStatus.PREP: ("wait", "wait"),
    RunStatus.AUTHORIZED: ("wait", "next"),
    RunStatus.IN_PROGRESS: ("work", "work"),
    RunStatus.COMPLETED: ("good", "pass"),
    RunStatus.CLOSED_REWORK: ("wait", "rework"),
    RunStatus.CANCELLED: ("scrap", "scrap"),  # an order's, too
    WorkOrderStatus.RECEIVED: ("wait", "ahead"),
    WorkOrderStatus.RELEASED: ("wait", "next"),
    OqcStatus.INSPECTING: ("work", "work"),  # a first article's, too, and so are these
    OqcStatus.PASSED: ("good", "pass"),
    OqcStatus.FAILED: ("bad", "fail"),
    TrackResult.PASS: ("good", "pass"),
    TrackResult.FAIL: ("bad", "fail"),
    DispositionAction.HOLD: ("hold", "hold"),
    DispositionAction.RELEASE: ("good", "next"),
    DispositionAction.REWORK: ("work", "rework"),
    DispositionAction.SCRAP: ("scrap", "scrap"),
    DispositionAction.SKIP: ("wait", "next"),
    DefectStatus.OPEN: ("bad", "fail"),
    DefectStatus.REPAIRED: ("good", "pass"),
    DefectStatus.NO_FAULT_FOUND: ("good", "pass"),
    DefectStatus.ACCEPTED: ("good", "next"),
    RepairResult.FIXED: ("good", "pass"),
    RepairResult.NOT_FIXED: ("bad", "fail"),
    ApprovalStatus.REQUESTED: ("hold", "wait"),
    ApprovalStatus.APPROVED: ("good", "pass"),
    ApprovalStatus.REFUSED: ("bad", "fail"),
    ApprovalStatus.WITHDRAWN: ("wait", "rework"),
    ApprovalStatus.EXPIRED: ("wait", "ahead"),
    LotStatus.AVAILABLE: ("good", "pass"),
    LotStatus.USED_UP: ("wait", "ahead"),
    LotStatus.BLOCKED: ("hold", "hold"),
    LotStatus.SCRAPPED: ("scrap", "scrap"),
}
NO_LOOK = ("wait", "ahead")
_OF_HOLD = {
    HeldUnitEnd.RELEASED: ("good", "next"),
    HeldUnitEnd.REWORK: ("work", "rework"),
    HeldUnitEnd.SCRAP: ("scrap", "scrap"),
}


# --- symbols ------------------------------------------------------------------------------------------------


@register.simple_tag
def symbol(name: str, label: str = "") -> SafeString:
    """Draw a symbol; a label is read aloud where no text stands beside it."""
    if label:
        return format_html(
            '<svg class="sym" role="img" aria-label="{}"><title>{}</title><use href="#s-{}"/></svg>', label, label, name
        )
    return _plain_symbol(name)


@lru_cache(maxsize=128)
def _plain_symbol(name: str) -> SafeString:
    return format_html('<svg class="sym" aria-hidden="true" focusable="false"><use href="#s-{}"/></svg>', name)


@register.simple_tag
def state(status: str, label: str = "") -> SafeString:
    """Show a status as symbol and text in its colour."""
    tone, name = LOOKS.get(status, NO_LOOK)  # type: ignore[call-overload]
    return format_html('<span class="state tone-{}">{}{}</span>', tone, symbol(name), label or status)


@register.simple_tag
def unit_state(status: str) -> SafeString:
    """Show the status of a unit that is known by its value."""
    return state(status, str(dict(UnitStatus.choices).get(status, status)))


@register.simple_tag
def hold_state(hold: Hold) -> SafeString:
    """Show whether a hold is open."""
    look = ("hold", "hold") if hold.status == HoldStatus.OPEN else ("good", "pass")
    return format_html('<span class="state tone-{}">{}{}</span>', look[0], symbol(look[1]), hold.get_status_display())


@register.simple_tag
def hold_event(act: str) -> SafeString:
    """Show what was decided about a hold."""
    end = HeldUnitEnd(act) if act in HeldUnitEnd.values else None
    tone, name = ("hold", "hold") if end is None else _OF_HOLD[end]
    label = _("Held") if end is None else end.label
    return format_html('<span class="state tone-{}">{}{}</span>', tone, symbol(name), label)


@register.filter
def tone(status: str) -> str:
    """Return the tone of a status."""
    return LOOKS.get(status, NO_LOOK)[0]  # type: ignore[call-overload]


@register.filter
def symbol_of(status: str) -> str:
    """Return the name of a status's symbol."""
    return LOOKS.get(status, NO_LOOK)[1]  # type: ignore[call-overload]


# --- times --------------------------------------------------------------------------------------------------


@register.filter
def ago(at: datetime | None) -> str:
    """Say how long ago something was, roughly."""
    if not at:
        return ""
    seconds = (timezone.now() - at).total_seconds()
    if seconds < -60:
        return _("in the future")
    if seconds < 60:
        return _("just now")
    return _("%(span)s ago") % {"span": span(seconds)}


def span(seconds: float) -> str:
    """Say how long something lasts, in its two largest units at most."""
    if seconds < 1:
        return _("under 1 s")
    if seconds < 60:
        return _("%d s") % seconds
    if seconds < 3600:
        return _("%d min") % (seconds // 60)
    if seconds < 86400:
        hours, minutes = int(seconds // 3600), int(seconds % 3600 // 60)
        return (_("%(hours)d h %(minutes)d min") if minutes else _("%(hours)d h")) % {
            "hours": hours,
            "minutes": minutes,
        }
    days = int(seconds // 86400)
    return ngettext("%d day", "%d days", days) % days


@register.filter
def duration(track: TrackRow) -> str:
    """Say how long a pass took, or takes by now."""
    seconds = ((track.out_at or timezone.now()) - track.in_at).total_seconds()
    if 60 <= seconds < 3600:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": seconds // 60, "seconds": seconds % 60}
    return span(max(0, seconds))


@register.filter
def when(at: datetime | None) -> SafeString | str:
    """Show a time of the plant: the time today, else with its day; all of it as the title. No time is blank."""
    if not at:
        return ""
    local, today = timezone.localtime(at), timezone.localdate()
    shown = "H:i:s" if local.date() == today else "j M H:i" if local.year == today.year else "j M Y"
    return _titled(local, _write(local, shown))


@register.filter
def ago_titled(at: datetime | None) -> SafeString | str:
    """Say how long ago something was, with the time as the title."""
    return _titled(timezone.localtime(at), ago(at)) if at else ""


def _titled(local: datetime, text: str) -> SafeString:
    title = _write(local, "D j M Y H:i:s")
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(timespec="seconds"), title, text)


def _write(local: datetime, form: str) -> str:
    """Write a time of the plant; `form` names neither its zone nor a part of a second."""
    return _written(local.replace(tzinfo=None, microsecond=0), form, get_language())


@lru_cache(maxsize=8192)
def _written(local: datetime, form: str, language: str | None) -> str:
    """Live pages show the same times every few seconds, and writing one takes 30 µs. `language` is the active one."""
    return date_format(local, form)


# --- values -------------------------------------------------------------------------------------------------


@register.filter
def number(value: float | None) -> str:
    """Write a number without noise: 245 for 245.0."""
    return "" if value is None else f"{value:.10g}"


@register.filter
def pretty(value: Any) -> str:
    """Write JSON for people. Indenting is msgspec's: json does it in Python, at three times the cost."""
    return msgspec.json.format(json.dumps(value, ensure_ascii=False), indent=2)


@register.filter
def compact(value: Any) -> str:
    """Write JSON in one line."""
    return json.dumps(value, ensure_ascii=False)


@register.filter
def shown(value: DataValue | ValueRow) -> str:
    """Write a value as text, whatever its type."""
    content = value_of(value)
    if isinstance(content, bool) and value.value_boolean is not None:
        return _("Yes") if content else _("No")
    if value.value_number is not None:
        return number(value.value_number)
    return content if isinstance(content, str) and value.value_text is not None else compact(content)


@register.filter
def limits_in_words(value: DataValue | ValueRow) -> str:
    """Say which limits a value was judged by; empty without any."""
    parts = []
    if value.lsl is not None or value.usl is not None:
        parts.append(_band(value.lsl, value.usl))
    if value.target is not None:
        parts.append(_("target %(number)s") % {"number": number(value.target)})
    if value.alarm_min is not None or value.alarm_max is not None:
        parts.append(_("alarm outside %(band)s") % {"band": _band(value.alarm_min, value.alarm_max)})
    return " · ".join(parts)


@register.filter
def failing_in_words(value: DataValue | ValueRow) -> str:
    """Say which value failed, and by which limits: “Supply Voltage 3.05 V (3.2 – 3.4)”."""
    measured = f"{value.name} {shown(value)} {value.measure}".rstrip()
    limits = limits_in_words(value)
    return f"{measured} ({limits})" if limits else measured


def _band(low: float | None, high: float | None) -> str:
    if low is None:
        return f"≤ {number(high)}"
    if high is None:
        return f"≥ {number(low)}"
    return f"{number(low)} – {number(high)}"


@register.filter
def contradicted(value: DataValue | ValueRow) -> str:
    """Say what the device judged, where the system judged otherwise."""
    if not value.reported_judge or value.reported_judge == value.judge:
        return ""
    return _("device said %(judge)s") % {"judge": value.reported_judge}


@register.filter
def override_in_words(track: Track | TrackRow) -> str:
    """Say why a track's result is not the one that was claimed."""
    claimed = track.get_claimed_result_display() or _("nothing")
    if track.inspection_override and track.out_at is None:
        return _("failed by an inspection: it leaves as Fail, unless a review says Pass before")
    if track.result_override == ResultOverride.REPORT and track.out_at is None:
        return _("failed by a report: it leaves as Fail, whatever the machine says then")
    if track.inspection_override and not track.result_override:
        return _("claimed %(claimed)s, failed by an inspection") % {"claimed": claimed}
    return {
        ResultOverride.DATA: _("claimed %(claimed)s, forced to Fail by a key value") % {"claimed": claimed},
        ResultOverride.REWORK: _("closed as Fail when the unit was sent to rework"),
        ResultOverride.SCRAP: _("closed as Fail when the unit was scrapped"),
        ResultOverride.SKIP: _("not processed by the machine, though it was in the station"),
        ResultOverride.REPORT: _("claimed %(claimed)s, failed by a report") % {"claimed": claimed},
        ResultOverride.REVIEW: _("left as Fail by an inspection, which a review said to be Pass afterwards"),
    }.get(track.result_override, "")  # type: ignore[call-overload]


@register.filter
def defect_in_words(defect: DefectRow) -> str:
    """Return what was found wrong, in one line."""
    quantity = f"{defect.quantity} ×" if defect.quantity > 1 else ""
    code = f"{quantity} {defect.code}".strip()
    said = f"({defect.reported_code})" if defect.reported_code not in ("", defect.code) else ""
    return " · ".join(part for part in (f"{code} {said}".strip(), defect.location, defect.remark) if part)


# --- a unit -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """The place and state of a unit: a headline and a line below it."""

    tone: str
    symbol: str
    headline: str
    detail: str = ""
    since: datetime | None = None


@register.simple_tag
def verdict(trace: UnitTrace) -> Verdict:
    """Return the verdict on a unit."""
    tone, name = LOOKS[UnitStatus(trace.unit.status)]
    headline, detail, since = _VERDICTS[UnitStatus(trace.unit.status)](trace)
    return Verdict(tone, name, headline, detail, since)


Sentence = tuple[str, str, datetime | None]  # headline, detail, since when


def step_name(trace: UnitTrace) -> str:
    """Return the name of the unit's current step."""
    current = trace.snapshot.step(trace.unit.current_step_no) if trace.snapshot else None
    return (
        _("step %(number)d %(name)s") % {"number": current.step_no, "name": current.operation_name} if current else ""
    )


def _queued(trace: UnitTrace) -> Sentence:
    step, last = trace.current_step, trace.tracks[-1] if trace.tracks else None
    if step is None:
        return _("In no run"), _("It waits to be registered in a run"), None
    decided = trace.dispositions[-1] if trace.dispositions else None
    if decided and decided.action == DispositionAction.REWORK and not (last and last.rework_no == trace.unit.rework_no):
        headline = _("Waits for rework at %(step)s") % {"step": step_name(trace)}
        return headline, decided.reason, decided.decided_at
    if last is None:
        return _("Not started – waits for %(step)s") % {"step": step_name(trace)}, "", None
    left = _("Left station %(station)s") % {"station": last.station.code}
    if last.result == TrackResult.FAIL and last.step_no == trace.unit.current_step_no:
        return _("Failed, waits for a retest at %(step)s") % {"step": step_name(trace)}, left, last.out_at
    return _("Waits for %(step)s") % {"step": step_name(trace)}, left, last.out_at


def _in_station(trace: UnitTrace) -> Sentence:
    track = trace.open_track
    if track is None:
        return _("In work at %(step)s") % {"step": step_name(trace)}, "", None
    headline = _("In work at %(step)s, station %(station)s")
    return headline % {"step": step_name(trace), "station": track.station.code}, "", track.in_at


def _done(trace: UnitTrace) -> Sentence:
    last = trace.tracks[-1] if trace.tracks else None
    return _("Done – all steps passed"), "", last.out_at if last else None


def _out_failed(trace: UnitTrace) -> Sentence:
    last = next((track for track in reversed(trace.tracks) if track.result == TrackResult.FAIL), None)
    headline = _("Failed at %(step)s – waits for a decision") % {"step": step_name(trace)}
    if last is None:
        return headline, "", None
    found = [defect for defect in trace.defects if defect.track_id == last.pk and _says_why(defect)]
    return headline, " | ".join(map(defect_in_words, found)) or override_in_words(last), last.out_at


def _says_why(defect: DefectRow) -> bool:
    """Whether a defect says why its pass failed: not by values or inspections, which are shown by themselves, nor that
    nobody said.
    """
    if defect.status in NOT_A_DEFECT or defect.inspection_id is not None or defect.source == DefectSource.VALUE:
        return False
    return defect.code != UNSPECIFIED or bool(defect.location or defect.remark)


def _on_hold(trace: UnitTrace) -> Sentence:
    decided = _last_decision(trace, DispositionAction.HOLD)
    if trace.unit.held_from == UnitStatus.DONE:
        where = _("It had passed all steps")
    elif trace.open_track:
        place = {"step": step_name(trace), "station": trace.open_track.station.code}
        where = _("It is still in station %(station)s, %(step)s") % place
    else:
        where = _("It stands at %(step)s") % {"step": step_name(trace)} if step_name(trace) else ""
    headline = _("On hold – %(reason)s") % {"reason": trace.unit.hold_reason}
    return headline, where, decided.decided_at if decided else None


def _scrapped(trace: UnitTrace) -> Sentence:
    decided = _last_decision(trace, DispositionAction.SCRAP)
    detail = _("Decided by %(person)s") % {"person": decided.decided_by} if decided else ""
    headline = _("Scrapped – %(reason)s") % {"reason": trace.unit.scrap_reason}
    return headline, detail, decided.decided_at if decided else None


def _last_decision(trace: UnitTrace, action: DispositionAction) -> DispositionRow | None:
    return next((item for item in reversed(trace.dispositions) if item.action == action), None)


_VERDICTS = {
    UnitStatus.QUEUED: _queued,
    UnitStatus.IN_STATION: _in_station,
    UnitStatus.DONE: _done,
    UnitStatus.OUT_FAILED: _out_failed,
    UnitStatus.ON_HOLD: _on_hold,
    UnitStatus.SCRAPPED: _scrapped,
}


@dataclass(frozen=True)
class StepLook:
    """How a step of the route is drawn."""

    tone: str
    symbol: str
    label: str


@register.simple_tag
def step_look(unit: Unit, step: StepState) -> StepLook:
    """Return how a step of the unit's route is drawn."""
    if step.is_current and unit.status == UnitStatus.ON_HOLD:
        return StepLook("hold", "hold", _("Held here"))
    if step.is_current and unit.status == UnitStatus.SCRAPPED:
        return StepLook("scrap", "scrap", _("Scrapped here"))
    if step.state == "ahead" and step.tracks:
        return StepLook("wait", "rework", _("Again"))
    return {
        "passed": StepLook("good", "pass", _("Passed")),
        "failed": StepLook("bad", "fail", _("Failed")),
        "here": StepLook("work", "work", _("In work")),
        "next": StepLook("next", "next", _("Next")),
        "ahead": StepLook("wait", "ahead", _("Ahead")),
        "skipped": StepLook("wait", "next", _("Left out")),
    }[step.state]


# --- addresses ----------------------------------------------------------------------------------------------


@register.simple_tag
def admin_url(version: RouteVersion) -> str:
    """Return the address of a route version in the admin site; empty where it is not registered."""
    try:
        return reverse("admin:mes_routeversion_change", args=[version.pk])
    except NoReverseMatch:
        return ""
