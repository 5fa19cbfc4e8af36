"""Which defects a report is about: found in a period, on a line, of a product … and how they are put together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from execution.quality.defect_codes.catalogue import load
from execution.quality.defect_codes.models import DefectSeverity
from execution.quality.models import NOT_A_DEFECT, DefectSource
from mes import errors
from mes.plant.models import Line, Station
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.query_params import read_moment
from mes.platform.http.whole_numbers import whole_number
from mes.production.models import RunKind
from trace.reports.query import LONGEST, find_line, read_kind

USUAL_DAYS = 7  # of a period, when none is asked for


class By(models.TextChoices):
    """What makes a bar."""

    CODE = "code", gettext_lazy("code")
    CATEGORY = "category", gettext_lazy("category")
    LOCATION = "location", gettext_lazy("designator")
    PRODUCT = "product", gettext_lazy("product")
    STEP = "step", gettext_lazy("step")
    DAY = "day", gettext_lazy("day")


# What a defect `d` of a run `r`, an order `w`, a track `t` and a code `c` counts under, as a text. The category is that
# of its code or of the nearest above it, of which a tree has three.
KEYS = {
    By.CODE: "d.code::text",
    By.CATEGORY: "coalesce(nullif(c.category, ''), nullif(c2.category, ''), nullif(c3.category, ''), c4.category, '')",
    By.LOCATION: "d.location::text",
    By.PRODUCT: "w.product_code::text",
    By.STEP: "d.step_no::text",
    By.DAY: "(d.found_at AT TIME ZONE %(zone)s)::date::text",
}
NAMES = {By.CODE: "coalesce(c.name, '')", By.STEP: "coalesce(t.operation_code, '')"}
ABOVE = "".join(
    f" LEFT JOIN execution_defectcode {above} ON {above}.id = {below}.parent_id"
    for below, above in (("c", "c2"), ("c2", "c3"), ("c3", "c4"))
)


@dataclass(frozen=True)
class Question:
    """The defects found between two instants (None: of a run, all of it), by what makes a bar. `key`
    is one bar; `not_keys` are the bars that are left out, for what is told together.
    """

    by: By
    since: datetime | None = None
    until: datetime | None = None
    line: Line | None = None
    kind: str = RunKind.PRODUCTION
    product_code: str = ""
    run_no: str = ""
    step_no: int | None = None
    station: Station | None = None
    code: str = ""
    key: str | None = None
    not_keys: tuple[str, ...] | None = None
    with_indicators: bool = False
    all_lines: tuple[Line, ...] = field(default=(), compare=False)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines asked for."""
        return (self.line,) if self.line is not None else self.all_lines

    @property
    def days(self) -> tuple[date, date] | None:
        """The first and the last day that are concerned, in the plant's zone; None where the run says it."""
        if self.since is None or self.until is None:
            return None
        last = self.until - timedelta(microseconds=1)
        return timezone.localtime(self.since).date(), timezone.localtime(last).date()

    def source(self) -> tuple[str, dict[str, Any]]:
        """Return the SQL of what is counted, from FROM on, with its parameters.

        Withdrawn ones and false calls are no defects of a board, and samples of a first article, which try whether the
        run can begin, no production.
        """
        conditions = ["d.status <> ALL(%(not_defects)s)", "r.kind = %(kind)s", "d.source <> %(trial)s"]
        values: dict[str, Any] = {
            "not_defects": [str(status) for status in NOT_A_DEFECT],
            "kind": str(self.kind),
            "trial": str(DefectSource.FAI),
            "zone": timezone.get_default_timezone_name(),
        }
        for name, sql, value in self._parts():
            if value is not None:
                conditions.append(sql)
                values[name] = value
        is_by_category = self.by == By.CATEGORY
        sql = f"""
          FROM execution_defect d
          JOIN mes_run r ON r.id = d.run_id
          JOIN mes_workorder w ON w.id = r.work_order_id
          LEFT JOIN execution_track t ON t.id = d.track_id
          LEFT JOIN execution_defectcode c ON c.code = d.code {ABOVE if is_by_category else ""}
         WHERE t.is_trial IS NOT TRUE AND {" AND ".join(conditions)}
        """
        return sql, values

    def _parts(self) -> list[tuple[str, str, Any]]:
        """Return the conditions that may be asked for, each with its parameter; None is not asked for."""
        return [
            ("since", "d.found_at >= %(since)s", self.since),
            ("until", "d.found_at < %(until)s", self.until),
            ("line", "r.line_id = %(line)s", self.line and self.line.pk),
            ("product", "w.product_code = %(product)s", self.product_code or None),
            ("run", "r.run_no = %(run)s", self.run_no or None),
            ("step", "d.step_no = %(step)s", self.step_no),
            ("station", "d.station_id = %(station)s", self.station and self.station.pk),
            ("codes", "d.code = ANY(%(codes)s)", load().list_below(self.code) if self.code else None),
            ("key", f"{KEYS[self.by]} = %(key)s", self.key),
            ("bars", f"{KEYS[self.by]} <> ALL(%(bars)s)", None if self.not_keys is None else list(self.not_keys)),
            (
                "indicator",
                "c.severity IS DISTINCT FROM %(indicator)s",
                None if self.with_indicators else str(DefectSeverity.PROCESS_INDICATOR),
            ),
        ]


def read_question(parameters: Mapping[str, str]) -> Question:
    """Read a question from an address. Raises LineNotFound, StationNotFound, ValidationFailed.

    `by` (else code); `from` and `to` (days of the plant, `to` included, or times with an offset), without both the last
    seven days, or of `runNo` everything; `lineCode`, `productCode`, `runNo`, `runKind` (else that of the run, or
    production), `stepNo`, `stationCode`, `code` (and those below it), `processIndicators`, and `key`, one bar.
    """
    by = parameters.get("by") or By.CODE
    if by not in By.values:
        raise errors.ValidationFailed({"by": _("Must be one of %(names)s.") % {"names": ", ".join(By.values)}})
    run_no = parameters.get("runNo") or ""
    since, until = _read_period(parameters, is_of_run=bool(run_no))
    station_code = parameters.get("stationCode")
    return Question(
        by=By(by),
        since=since,
        until=until,
        line=find_line(parameters.get("lineCode")),
        kind=read_kind(parameters),
        product_code=parameters.get("productCode") or "",
        run_no=run_no,
        step_no=_read_step(parameters.get("stepNo")),
        station=get_or_raise(Station.objects, errors.StationNotFound, code=station_code) if station_code else None,
        code=parameters.get("code") or "",
        key=parameters.get("key"),
        with_indicators=_read_flag(parameters, "processIndicators"),
        all_lines=tuple(Line.objects.order_by("code")),
    )


def _read_period(parameters: Mapping[str, str], *, is_of_run: bool) -> tuple[datetime | None, datetime | None]:
    since, until = read_moment(parameters, "from"), read_moment(parameters, "to", end=True)
    if since is None and until is None and is_of_run:
        return None, None
    today = timezone.localdate()
    if until is None:
        until = max(_midnight(today + timedelta(days=1)), since + timedelta(days=1) if since else _midnight(today))
    if since is None:
        since = _midnight(timezone.localtime(until - timedelta(microseconds=1)).date() - timedelta(days=USUAL_DAYS - 1))
    if since >= until:
        raise errors.ValidationFailed({"to": _("Must not lie before the beginning.")})
    if until - since > LONGEST + timedelta(days=1):
        raise errors.ValidationFailed({"to": _("A report covers a year at most; ask for a shorter period.")})
    return since, until


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _read_step(text: str | None) -> int | None:
    if not text:
        return None
    step_no = whole_number(text)
    if step_no is None or not 0 <= step_no < 2**31:
        raise errors.ValidationFailed({"stepNo": _("Must be the number of a step.")})
    return step_no


def _read_flag(parameters: Mapping[str, str], name: str) -> bool:
    text = parameters.get(name) or "false"
    if text not in ("true", "false"):
        raise errors.ValidationFailed({name: _("Must be true or false.")})
    return text == "true"
