"""The pages of reports: the record of a line and day, its in/out record, its picture, and what numbers are made of."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from mes.errors import DomainError
from mes.plant import calendar
from mes.plant.models import Line
from mes.platform.accounts.roles import Capability
from mes.platform.http.pages import needs, show_live, signed_in
from mes.platform.http.query_params import read_moment
from mes.platform.http.whole_numbers import whole_number
from mes.production.models import RunKind
from mes.production_counts import records
from trace.reports import day_chart, in_out, production
from trace.reports.drilldown import MOST_MACHINES, get_details
from trace.reports.query import Group, Question


@dataclass(frozen=True)
class Chosen:
    """The line, day and shift that a page shows."""

    line: Line
    lines: tuple[Line, ...]
    day: date
    shift: str
    kind: str = RunKind.PRODUCTION

    def query(self, **changes: Any) -> str:
        """Return the query string with these changes."""
        kind = "" if self.is_of_production else self.kind
        parameters = {
            "line": self.line.code,
            "date": self.day.isoformat(),
            "shift": self.shift,
            "kind": kind,
            **changes,
        }
        return urlencode({name: value for name, value in parameters.items() if value})

    def question(self, group: Group) -> Question:
        """Return the question that the page answers."""
        return Question(group, line=self.line, first=self.day, last=self.day, shift=self.shift or None, kind=self.kind)

    @property
    def is_of_production(self) -> bool:
        """Whether it is the record itself, to which people put their names."""
        return self.kind == RunKind.PRODUCTION

    @property
    def today(self) -> date:
        """The day of production that it is now."""
        return calendar.date_of(self.line.shifts, timezone.get_default_timezone(), timezone.now())

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """When the day begins and ends."""
        return calendar.day_bounds(self.line.shifts, timezone.get_default_timezone(), self.day)


@signed_in
@require_GET
def record(request: HttpRequest) -> HttpResponse:
    """The production data record, as the form that it replaces."""
    chosen = _read(request)
    if chosen is None:
        return render(request, "trace/reports/no_line.html")
    report = production.get_report(chosen.question(Group.DAY))
    figures = _day_figures(report)
    context = _frame(chosen) | {
        "report": report,
        "figures": figures,
        "mark": _mark(figures),
        "checked": report.rows[0].checked if report.rows else None,
        "export": _export(request, "production", chosen, groupBy="day"),
    }
    is_over = chosen.day != chosen.today
    return show_live(request, "trace/reports/record.html", "trace/reports/_record_live.html", context, is_over=is_over)


@signed_in
@require_GET
def in_and_out(request: HttpRequest) -> HttpResponse:
    """The in/out record of a day, by hour."""
    chosen = _read(request)
    if chosen is None:
        return render(request, "trace/reports/no_line.html")
    report = in_out.get_in_out(chosen.question(Group.HOUR))
    rows = [(row, _hour_figures(row), _mark(_hour_figures(row))) for row in report.rows]
    context = _frame(chosen) | {"report": report, "rows": rows, "export": _export(request, "in-out", chosen)}
    is_over = chosen.day != chosen.today
    return show_live(request, "trace/reports/in_out.html", "trace/reports/_in_out_live.html", context, is_over=is_over)


@signed_in
@require_GET
def day_picture(request: HttpRequest) -> HttpResponse:
    """What came out each hour against the plan, and what each machine lost."""
    chosen = _read(request)
    if chosen is None:
        return render(request, "trace/reports/no_line.html")
    picture = day_chart.get_picture(chosen.line, chosen.day)
    rates = [machine.loss_ppm or 0 for machine in picture.losses]
    context = _frame(chosen) | {"picture": picture, "most_ppm": max([1, *rates])}
    is_over = chosen.day != chosen.today
    page, part = "trace/reports/picture.html", "trace/reports/_picture_live.html"
    return show_live(request, page, part, context, is_over=is_over)


@signed_in
@require_GET
def made_of(request: HttpRequest) -> HttpResponse:
    """What a number is made of: hours, and the reports as they came."""
    line = Line.objects.filter(code=request.GET.get("line", "")).first()
    since, until = _moment(request, "from"), _moment(request, "to")
    if line is None or since is None or until is None or not since < until <= since + timedelta(days=400):
        raise Http404(_("Nothing is asked for that can be shown."))
    machines = {id for text in request.GET.getlist("machine")[:MOST_MACHINES] if (id := whole_number(text)) is not None}
    details = get_details(line, since, until, machines)
    context = {"line": line, "since": since, "until": until, "details": details, "most": MOST_MACHINES}
    return render(request, "trace/reports/made_of.html", context)


# --- writing into the record --------------------------------------------------------------------------------


@needs(Capability.REMARK)
@require_POST
def remark(request: HttpRequest) -> HttpResponse:
    """Write a remark, or correct one."""
    form = request.POST
    try:
        if (remark_id := whole_number(form.get("replaces", ""))) is not None:
            records.correct_remark(remark_id=remark_id, text=form.get("text", ""), by=_name(request))
        else:
            records.add_remark(
                line_code=form.get("line", ""),
                day=_day(form.get("date", "")) or timezone.localdate(),
                text=form.get("text", ""),
                by=_name(request),
                run_no=form.get("run") or None,
                station_code=form.get("station") or None,
                hour=read_moment(form, "hour"),
            )
    except DomainError as refusal:
        messages.error(request, " ".join(map(str, refusal.details.values())) if refusal.status == 400 else str(refusal))
    else:
        messages.success(request, _("The remark is written."))
    return _back(request)


@needs(Capability.REMARK)
@require_POST
def sign(request: HttpRequest) -> HttpResponse:
    """Put one's name to the record of a day or of an hour, if its figures still are those that were shown."""
    chosen = _read(request)
    try:
        hour = read_moment(request.POST, "hour")
    except DomainError:
        hour, chosen = None, None
    if chosen is None:
        raise Http404
    figures = _find_figures(chosen, hour)
    if figures is None or _mark(figures) != request.POST.get("mark"):
        messages.error(request, _("The figures changed while you looked at them. Look again, then sign."))
        return _back(request)
    records.sign(line_code=chosen.line.code, day=chosen.day, by=_name(request), figures=figures, hour=hour)
    messages.success(request, _("Your name is under it."))
    return _back(request)


def _find_figures(chosen: Chosen, hour: datetime | None) -> dict[str, Any] | None:
    if hour is None:
        report = production.get_report(chosen.question(Group.DAY))
        return _day_figures(report) if report.rows else None
    rows = in_out.get_in_out(chosen.question(Group.HOUR)).rows
    return next((_hour_figures(row) for row in rows if row.hour == hour), None)


def _day_figures(report: production.Report) -> dict[str, Any]:
    sums = report.sums
    return {"made": report.made, "scrapped": sums.scrapped, "picked": sums.picked, "placed": sums.placed}


def _hour_figures(row: in_out.InOutRow) -> dict[str, Any]:
    return {"in": row.boards_in, "out": row.boards_out}


def _mark(figures: dict[str, Any]) -> str:
    return "-".join(str(number) for number in figures.values())


# --- reading addresses --------------------------------------------------------------------------------------


def _read(request: HttpRequest) -> Chosen | None:
    """Read what to show, by default the first line now; None without any line."""
    parameters = request.POST if request.method == "POST" else request.GET
    lines = tuple(Line.objects.order_by("code"))
    if not lines:
        return None
    code = parameters.get("line", "")
    line = next((choice for choice in lines if choice.code == code), None)
    if line is None and code:
        raise Http404(_("There is no line “%(code)s”.") % {"code": code})
    line = line or lines[0]
    zone = timezone.get_default_timezone()
    day = _day(parameters.get("date", "")) or calendar.date_of(line.shifts, zone, timezone.now())
    kind = parameters.get("kind", "")
    return Chosen(
        line, lines, day, parameters.get("shift", "")[:100], kind if kind in RunKind.values else RunKind.PRODUCTION
    )


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text[:10])
    except ValueError:
        return None
    return day if date(1900, 1, 2) <= day <= date(2199, 12, 30) else None


def _moment(request: HttpRequest, name: str) -> datetime | None:
    try:
        return read_moment(request.GET, name)
    except DomainError:
        return None


def _name(request: HttpRequest) -> str:
    return str(request.user.get_username())


def _back(request: HttpRequest) -> HttpResponse:
    """Return to the page somebody came from."""
    address = request.POST.get("back", "")
    if not address.startswith("/") or not url_has_allowed_host_and_scheme(address, allowed_hosts=None):
        address = reverse("report-record")
    return HttpResponseRedirect(address)


def _frame(chosen: Chosen) -> dict[str, Any]:
    """Return what the head of every page needs."""
    since, until = chosen.bounds
    return {
        "chosen": chosen,
        "line": chosen.line,
        "day": chosen.day,
        "since": since,
        "until": until,
        "query": chosen.query(),
        "is_today": chosen.day == chosen.today,
        "today": chosen.query(date=chosen.today.isoformat()),
        "previous": chosen.query(date=(chosen.day - timedelta(days=1)).isoformat()),
        "next": chosen.query(date=(chosen.day + timedelta(days=1)).isoformat()),
        "lines": [(choice.code, chosen.query(line=choice.code, shift="")) for choice in chosen.lines],
        "shifts": [(code, chosen.query(shift=code)) for code in dict.fromkeys(s["code"] for s in chosen.line.shifts)],
        "all_shifts": chosen.query(shift=""),
        "kinds": [(kind, label, chosen.query(kind=kind)) for kind, label in RunKind.choices],
    }


def _export(request: HttpRequest, report: str, chosen: Chosen, **asked: str) -> dict[str, str]:
    """Return the addresses of the same figures as files."""
    day = chosen.day.isoformat()
    kind = "" if chosen.is_of_production else chosen.kind
    query = {"lineCode": chosen.line.code, "from": day, "to": day, "shift": chosen.shift, "runKind": kind, **asked}
    parameters = {name: value for name, value in query.items() if value}
    return {kind: f"/api/reports/{report}?{urlencode(parameters | {'format': kind})}" for kind in ("csv", "xlsx")}
