"""What a report is asked for: a line, a period, and how the figures are put together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes import errors
from mes.plant import calendar
from mes.plant.calendar import Cut
from mes.plant.models import Line
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.query_params import read_moment
from mes.production.models import Run, RunKind

LONGEST = timedelta(days=366)
MOST_ROWS = 100_000  # of one report, a row for each machine


class Group(models.TextChoices):
    """What makes a row of a report."""

    HOUR = "hour", gettext_lazy("hour")
    SHIFT = "shift", gettext_lazy("shift")
    DAY = "day", gettext_lazy("day")
    WEEK = "week", gettext_lazy("week")
    PRODUCT = "product", gettext_lazy("product")
    RUN = "run", gettext_lazy("run")


# From which cut on a window that is divided makes the sum of a group doubtful; runs and products are only cut where
# the period is.
CUT_OF = {Group.HOUR: Cut.HOUR, Group.SHIFT: Cut.SHIFT, Group.DAY: Cut.DAY, Group.WEEK: Cut.WEEK}
UNCUT = 99


@dataclass(frozen=True)
class Question:
    """A report is about one line or all, from a day to a day (both included), or between two instants, and about runs
    of one kind: what is made again, and what engineers try, is in no sum of production.

    Days are those of production: a night shift belongs to the day it began.
    """

    group: Group
    line: Line | None = None
    first: date | None = None
    last: date | None = None
    since: datetime | None = None
    until: datetime | None = None
    shift: str | None = None
    run_no: str | None = None
    product_code: str | None = None
    kind: str = RunKind.PRODUCTION
    all_lines: tuple[Line, ...] = field(default=(), compare=False)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines asked for."""
        return (self.line,) if self.line is not None else self.all_lines

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last day that may be concerned."""
        first = self.first or (self.since and timezone.localtime(self.since).date() - timedelta(days=1))
        last = self.last or (self.until and timezone.localtime(self.until).date())
        assert first and last
        return first, last

    def condition(self) -> tuple[str, dict[str, Any]]:
        """Return the SQL condition on hours `h`, machines `s` and runs `r`, with its parameters."""
        first, last = self.days
        conditions = ["h.line_id = ANY(%(lines)s)", "h.date BETWEEN %(first)s AND %(last)s"]
        values: dict[str, Any] = {"lines": [line.pk for line in self.lines], "first": first, "last": last}
        for name, sql in (
            ("since", "h.started_at >= %(since)s"),
            ("until", "h.started_at < %(until)s"),
            ("shift", "h.shift = %(shift)s"),
            ("run_no", "r.run_no = %(run_no)s"),
            ("product_code", "w.product_code = %(product_code)s"),
            ("kind", "r.kind = %(kind)s"),
        ):
            if (value := getattr(self, name)) is not None:
                conditions.append(sql)
                values[name] = value
        return " AND ".join(conditions), values

    def doubt(self, cut: int | None = None) -> str:
        """Return the SQL expression that says whether an hour `h` makes the sum of its group doubtful."""
        cut = CUT_OF.get(self.group, UNCUT) if cut is None else cut
        parts = [f"h.doubts <> 0 OR h.doubt_at_start >= {cut} OR h.doubt_at_end >= {cut}"]
        if self.shift is not None:
            parts.append(f"h.doubt_at_start >= {Cut.SHIFT} OR h.doubt_at_end >= {Cut.SHIFT}")
        if self.since is not None:
            parts.append("(h.doubt_at_start > 0 AND h.started_at < %(since)s + interval '1 hour')")
        else:
            parts.append(f"(h.doubt_at_start >= {Cut.DAY} AND h.date = %(first)s)")
        if self.until is not None:
            parts.append("(h.doubt_at_end > 0 AND h.ended_at >= %(until)s)")
        else:
            parts.append(f"(h.doubt_at_end >= {Cut.DAY} AND h.date = %(last)s)")
        return f"({' OR '.join(parts)})"

    def bounds(self, line: Line) -> tuple[datetime, datetime]:
        """Return the instants between which the period lies for a line."""
        zone = timezone.get_default_timezone()
        first, last = self.days
        since = self.since or calendar.day_bounds(line.shifts, zone, first)[0]
        return since, self.until or calendar.day_bounds(line.shifts, zone, last)[1]


def read_question(parameters: Mapping[str, str], *, groups: tuple[Group, ...], default: Group) -> Question:
    """Read a question from an address. Raises LineNotFound, ValidationFailed.

    `lineCode` (else all lines), `from` and `to` (dates, `to` included, or times with an offset; else today), `groupBy`,
    `shift`, `runNo`, `productCode`, `runKind` (else that of the run, or production).
    """
    group = parameters.get("groupBy") or default
    if group not in groups:
        message = _("Must be one of %(names)s.") % {"names": ", ".join(groups)}
        raise errors.ValidationFailed({"groupBy": message})
    moments = {name: _read(parameters, name) for name in ("from", "to")}
    line = find_line(parameters.get("lineCode"))
    shifts = line.shifts if line is not None else []
    today = calendar.date_of(shifts, timezone.get_default_timezone(), timezone.now())
    start, end = moments["from"] or moments["to"] or today, moments["to"] or max(_day(moments["from"] or today), today)
    question = Question(
        group=Group(group),
        line=line,
        first=None if isinstance(start, datetime) else start,
        last=None if isinstance(end, datetime) else end,
        since=start if isinstance(start, datetime) else None,
        until=end if isinstance(end, datetime) else None,
        shift=parameters.get("shift") or None,
        run_no=parameters.get("runNo") or None,
        product_code=parameters.get("productCode") or None,
        kind=read_kind(parameters),
        all_lines=tuple(Line.objects.order_by("code")),
    )
    first, last = question.days
    if _day(start) > _day(end) or (isinstance(start, datetime) and isinstance(end, datetime) and start >= end):
        raise errors.ValidationFailed({"to": _("Must not lie before the beginning.")})
    if last - first > LONGEST + timedelta(days=1):
        raise errors.ValidationFailed({"to": _("A report covers a year at most; ask for a shorter period.")})
    return question


def _read(parameters: Mapping[str, str], name: str) -> date | datetime | None:
    moment = read_moment(parameters, name)
    if moment is not None and len(parameters[name]) == len("2026-01-24"):
        return timezone.localtime(moment).date()
    return moment


def read_kind(parameters: Mapping[str, str]) -> str:
    """Return the kind of run that is asked for; who asks for a run alone sees it whatever it is made for."""
    kind = parameters.get("runKind")
    if not kind:
        run_no = parameters.get("runNo")
        found = Run.objects.filter(run_no=run_no).values_list("kind", flat=True).first() if run_no else None
        return found or RunKind.PRODUCTION
    if kind not in RunKind.values:
        message = _("Must be one of %(names)s.") % {"names": ", ".join(RunKind.values)}
        raise errors.ValidationFailed({"runKind": message})
    return kind


def _day(moment: date | datetime) -> date:
    return timezone.localtime(moment).date() if isinstance(moment, datetime) else moment


def find_line(code: str | None) -> Line | None:
    if not code:
        return None
    return get_or_raise(Line.objects, errors.LineNotFound, code=code)
