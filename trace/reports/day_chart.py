"""A day of a line as a picture: output of each hour against the plan, and what each machine lost, with its trend; of
production alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection
from django.utils import timezone

from mes.plant import calendar
from mes.plant.models import Line
from mes.production.models import RunKind
from trace.reports import in_out
from trace.reports.production import HOURS
from trace.reports.query import Group, Question

TREND_DAYS = 14


@dataclass(frozen=True)
class HourOut:
    """What came out in an hour, or the part of it in one shift. `out` is None where nothing is reported yet."""

    started_at: datetime
    ended_at: datetime
    shift: str
    out: int | None
    planned: float
    doubtful: bool


@dataclass(frozen=True)
class MachineLoss:
    """Loss of a machine: on the day, and on each day of the trend (None: nothing picked), the day itself last."""

    station_code: str
    step_no: int
    equipment_id: str
    picked: int
    placed: int
    trend: Sequence[int | None]
    stream_ids: Sequence[int]

    @property
    def loss(self) -> int:
        """Parts picked and not placed, on the day."""
        return self.picked - self.placed

    @property
    def loss_ppm(self) -> int | None:
        """The same in parts per million of those picked."""
        return self.trend[-1]


@dataclass(frozen=True)
class Picture:
    """A day of a line."""

    hours: Sequence[HourOut]
    losses: Sequence[MachineLoss]
    to_make: int  # what was left to make of the day's runs when the day began

    @property
    def out(self) -> int:
        """What came out so far."""
        return sum(hour.out or 0 for hour in self.hours)

    @property
    def planned_so_far(self) -> float:
        """What the plan asks for up to now."""
        now = timezone.now()
        return sum(
            hour.planned * min(1.0, max(0.0, (now - hour.started_at) / (hour.ended_at - hour.started_at)))
            for hour in self.hours
        )


def get_picture(line: Line, day: date) -> Picture:
    """Load the picture of a day in eight queries.

    The plan of a day is what was left to make of its runs when it began, spread evenly over the hours of its shifts,
    or over all its hours when the line has none.
    """
    to_make = _query_to_make(line, day)
    return Picture(_list_hours(line, day, to_make), _query_losses(line, day), to_make)


TO_MAKE = f"""
    SELECT coalesce(sum(greatest(left_over, 0)), 0)::bigint
      FROM (SELECT r.plan_qty - coalesce(sum(h.boards_out) FILTER (
                       WHERE h.date < %(day)s AND s.step_no = ends.last_step), 0) AS left_over
             {HOURS}
             WHERE r.kind = '{RunKind.PRODUCTION}'
               AND r.id IN (SELECT DISTINCT cs.run_id FROM mes_hourlycount hc JOIN mes_countstream cs
                                ON cs.id = hc.stream_id WHERE hc.line_id = %(line)s AND hc.date = %(day)s)
               AND h.line_id = %(line)s AND h.date <= %(day)s
             GROUP BY r.id) AS runs
"""


def _query_to_make(line: Line, day: date) -> int:
    with connection.cursor() as cursor:
        cursor.execute(TO_MAKE, {"line": line.pk, "day": day})
        return int(cursor.fetchone()[0])


def _list_hours(line: Line, day: date, to_make: int) -> list[HourOut]:
    zone = timezone.get_default_timezone()
    since, until = calendar.day_bounds(line.shifts, zone, day)
    periods = [p for p in calendar.find_periods(line.shifts, zone, since, until) if p.date == day]
    in_shift = [p for p in periods if p.shift] or periods
    minutes = sum((p.ended_at - p.started_at) / timedelta(minutes=1) for p in in_shift) or 1
    hours = in_out.get_in_out(Question(Group.HOUR, line=line, first=day, last=day)).rows
    return [
        HourOut(
            started_at=p.started_at,
            ended_at=p.ended_at,
            shift=p.shift,
            out=_sum([row.boards_out for row in hours if p.started_at <= row.started_at < p.ended_at]),
            planned=to_make * ((p.ended_at - p.started_at) / timedelta(minutes=1)) / minutes if p in in_shift else 0,
            doubtful=any(row.doubtful for row in hours if p.started_at <= row.started_at < p.ended_at),
        )
        for p in periods
    ]


def _sum(numbers: Sequence[int]) -> int | None:
    return sum(numbers) if numbers else None


LOSSES = f"""
    SELECT t.code, s.step_no, s.equipment_id, h.date, sum(h.picked)::bigint, sum(h.placed)::bigint,
           array_agg(DISTINCT s.id)
      FROM mes_hourlycount h
      JOIN mes_countstream s ON s.id = h.stream_id
      JOIN mes_run r ON r.id = s.run_id AND r.kind = '{RunKind.PRODUCTION}'
      JOIN mes_station t ON t.id = s.station_id
     WHERE h.line_id = %(line)s AND h.date BETWEEN %(first)s AND %(day)s
       AND h.picked IS NOT NULL AND h.placed IS NOT NULL
     GROUP BY 1, 2, 3, 4
     ORDER BY 2, 1, 3, 4
"""


def _query_losses(line: Line, day: date) -> list[MachineLoss]:
    days = [day - timedelta(days=TREND_DAYS - 1 - number) for number in range(TREND_DAYS)]
    with connection.cursor() as cursor:
        cursor.execute(LOSSES, {"line": line.pk, "first": days[0], "day": day})
        rows = cursor.fetchall()
    machines: dict[tuple[str, int, str], dict[date, tuple[int, int, list[int]]]] = {}
    for code, step_no, equipment, on, picked, placed, streams in rows:
        machines.setdefault((code, step_no, equipment), {})[on] = (picked, placed, streams)
    losses = []
    for (code, step_no, equipment), by_day in machines.items():
        picked, placed, streams = by_day.get(day, (0, 0, []))
        trend = [_ppm(*by_day[on][:2]) if on in by_day else None for on in days]
        losses.append(MachineLoss(code, step_no, equipment, picked, placed, trend, streams))
    return losses


def _ppm(picked: int, placed: int) -> int | None:
    return round(1_000_000 * (picked - placed) / picked) if picked else None
