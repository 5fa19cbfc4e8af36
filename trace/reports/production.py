"""The production data record: what each machine counted for each job, by shift, day, week, product or run.

The database adds the hours up; rows and totals are two sums over the same hours, in one statement, so they agree.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from mes import errors
from mes.platform.database.prepared import fetch_all
from mes.production.models import Run, RunKind
from mes.production_counts.models import RecordSignature
from mes.production_counts.windows import COUNTERS, Doubt
from trace.reports import board_tracks
from trace.reports.query import (
    MOST_ROWS,
    UNCUT,
    Group,
    Question,
)
from trace.reports.remarks import Entries, Remark, load_entries

GROUPS = (Group.SHIFT, Group.DAY, Group.WEEK, Group.PRODUCT, Group.RUN)
# Of a row: day (or the Monday of its week), shift, run, product; the line always.
KEYS = {
    Group.SHIFT: ("h.date", "h.shift", "s.run_id", "w.product_code"),
    Group.DAY: ("h.date", "NULL::text", "s.run_id", "w.product_code"),
    Group.WEEK: ("date_trunc('week', h.date)::date", "NULL::text", "s.run_id", "w.product_code"),
    Group.PRODUCT: ("NULL::date", "NULL::text", "NULL::bigint", "w.product_code"),
    Group.RUN: ("NULL::date", "NULL::text", "s.run_id", "w.product_code"),
}
NO_DOUBT = Doubt(0)
TOTAL = ("NULL::date", "NULL::text", "NULL::bigint", "NULL::text")


@dataclass(frozen=True)
class Counted:
    """Sums of a machine, or of several. A counter is None that no machine reports."""

    boards_in: int | None = None
    boards_out: int | None = None
    scrapped: int | None = None
    picked: int | None = None
    placed: int | None = None
    doubtful: bool = False
    doubts: Doubt = NO_DOUBT

    @property
    def loss(self) -> int | None:
        """Parts that were picked and not placed."""
        return None if self.picked is None or self.placed is None else self.picked - self.placed

    @property
    def loss_ppm(self) -> int | None:
        """The loss in parts per million of those picked."""
        return None if self.loss is None or not self.picked else round(1_000_000 * self.loss / self.picked)


@dataclass(frozen=True)
class MachineRow(Counted):
    """What a machine counted for a row of a report."""

    station_code: str = ""
    step_no: int = 0
    equipment_id: str = ""
    made: int | None = None  # boards out, where this is the last station of its run that counts them
    started_at: datetime | None = None
    ended_at: datetime | None = None
    stream_ids: tuple[int, ...] = ()
    run_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Difference:
    """Boards that left a station at a step, by tracks and by its machines."""

    station_code: str
    step_no: int
    tracked: int
    counted: int

    @property
    def difference(self) -> int:
        """How many more the machines counted."""
        return self.counted - self.tracked


@dataclass(frozen=True)
class Row:
    """A row of the record: a job, on a day, in a shift, or whatever it is put together by."""

    date: date | None
    line_code: str
    line_id: int
    shift: str | None
    product_code: str
    run: Run | None
    runs: Sequence[Run]
    machines: Sequence[MachineRow]
    remarks: Sequence[Remark] = ()
    checked: RecordSignature | None = None
    tracked: board_tracks.Tracked = field(default_factory=board_tracks.Tracked)
    kind: str = RunKind.PRODUCTION

    @property
    def planned(self) -> int:
        """How many boards its runs are to make."""
        return sum(run.plan_qty for run in self.runs)

    @property
    def made(self) -> int | None:
        """Boards that left the last machine that counts them."""
        return _sum(machine.made for machine in self.machines)

    @property
    def good(self) -> int | None:
        """Good boards: units that passed the last step, where tracks say something; else what machines counted."""
        return self.tracked.made if self.tracked.ended else self.made

    @property
    def sums(self) -> Counted:
        """All machines together."""
        return add_up(self.machines)

    @property
    def started_at(self) -> datetime | None:
        """From when on something was reported."""
        return min((m.started_at for m in self.machines if m.started_at), default=None)

    @property
    def ended_at(self) -> datetime | None:
        """Until when something was reported."""
        return max((m.ended_at for m in self.machines if m.ended_at), default=None)

    @property
    def differences(self) -> list[Difference]:
        """What tracks and machines say about boards that left each station, where both say something."""
        counted: dict[tuple[str, int], int] = {}
        for machine in self.machines:
            if machine.boards_out is not None:
                place = (machine.station_code, machine.step_no)
                counted[place] = counted.get(place, 0) + machine.boards_out
        ended = self.tracked.ended
        return [Difference(*place, ended[place], number) for place, number in counted.items() if place in ended]


@dataclass(frozen=True)
class Report:
    """Rows and their totals, and the remarks on days as a whole."""

    question: Question
    rows: Sequence[Row]
    totals: Sequence[MachineRow]
    remarks: Sequence[Remark] = ()

    @property
    def sums(self) -> Counted:
        """All machines together."""
        return add_up(self.totals)

    @property
    def made(self) -> int | None:
        """Boards that left the last machines of their runs."""
        return _sum(machine.made for machine in self.totals)

    @property
    def good(self) -> int | None:
        """Good boards of all rows."""
        return _sum(row.good for row in self.rows)

    @property
    def failed(self) -> int | None:
        """Boards that failed the last step and have not passed it, by tracks."""
        return _sum(row.tracked.failed for row in self.rows)


def _sum(numbers: Iterable[int | None]) -> int | None:
    counted = [number for number in numbers if number is not None]
    return sum(counted) if counted else None


def add_up(machines: Sequence[Counted]) -> Counted:
    """Return the sums over machines. Loss is that of the machines that count both picked and placed."""
    sums = {name: _sum(getattr(machine, name) for machine in machines) for name in COUNTERS}
    doubts = NO_DOUBT
    for machine in machines:
        doubts |= machine.doubts
    return Counted(**sums, doubtful=any(machine.doubtful for machine in machines), doubts=doubts)


def get_report(question: Question, *, with_tracks: bool = True) -> Report:
    """Load a report in five queries, however many rows it has. Raises ValidationFailed when they are too many."""
    table, totals = _query(question)
    runs = _load_runs(table)
    entries = load_entries(question)
    tracked = board_tracks.count(question, list(runs.values())) if with_tracks else board_tracks.NOT_COUNTED
    rows = list(_rows(question, table, runs, entries, tracked))
    return Report(question, rows, [_machine(row) for row in totals], entries.on_days())


# Of a run, the machines at the first and at the last step that count boards are its way in and out.
HOURS = """
      FROM mes_hourlycount h
      JOIN mes_countstream s ON s.id = h.stream_id
      JOIN mes_run r ON r.id = s.run_id
      JOIN mes_workorder w ON w.id = r.work_order_id
      JOIN mes_line l ON l.id = h.line_id
      JOIN mes_station t ON t.id = s.station_id
      JOIN LATERAL (SELECT min(step_no) FILTER (WHERE counts_boards_in) AS first_step,
                           max(step_no) FILTER (WHERE counts_boards_out) AS last_step
                      FROM mes_countstream WHERE run_id = r.id) AS ends ON true
"""


PLACE, NO_PLACE = "l.code, l.id", "NULL::text, NULL::bigint"
Rows = list[tuple[Any, ...]]


def _query(question: Question) -> tuple[Rows, Rows]:
    """Return rows and totals, by one statement: what is reported meanwhile is in both or in neither."""
    condition, values = question.condition()
    rows = _select(KEYS[question.group], PLACE, question.doubt(), condition)
    totals = _select(TOTAL, NO_PLACE, question.doubt(UNCUT), condition)
    sql = f"""
    SELECT * FROM (SELECT false AS is_total, row_number() OVER () AS place, * FROM ({rows}) AS rows
                   UNION ALL
                   SELECT true, row_number() OVER (), * FROM ({totals}) AS totals) AS report
     ORDER BY is_total, place
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        report_rows = cursor.fetchall()
    of_rows, of_totals = ([row[2:] for row in report_rows if row[0] is is_total] for is_total in (False, True))
    if len(of_rows) > MOST_ROWS:
        raise errors.ValidationFailed({"to": _("This report has too many rows; ask for a shorter period, or by week.")})
    return of_rows, of_totals


def _select(keys: Sequence[str], place: str, doubt: str, condition: str) -> str:
    """Return the statement that adds up each machine by these keys, one row more than a report may have at most."""
    names = ("day", "shift", "run_id", "product", "line", "line_id")
    key = ", ".join(
        f"{expression} AS {name}" for expression, name in zip([*keys, *place.split(", ")], names, strict=True)
    )
    sums = ", ".join(f"sum(h.{name})::bigint AS {name}" for name in COUNTERS)
    divided = f"CASE WHEN {doubt} AND h.doubts = 0 THEN {Doubt.DIVIDED.value} ELSE h.doubts END"
    return f"""
    SELECT {key}, t.code AS station, s.step_no, s.equipment_id, {sums},
           sum(h.boards_out) FILTER (WHERE s.step_no = ends.last_step)::bigint AS made,
           bool_or({doubt}) AS doubtful, bit_or({divided}) AS doubts, min(h.first_at) AS first_at,
           max(h.last_at) AS last_at, array_agg(DISTINCT s.id) AS stream_ids, array_agg(DISTINCT s.run_id) AS run_ids
     {HOURS}
     WHERE {condition}
     GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
     ORDER BY 5, 1 NULLS FIRST, min(min(h.first_at)) OVER (PARTITION BY {", ".join(keys)}, {place}), 3, 4, 2, 8, 7, 9
     LIMIT {MOST_ROWS + 1}
    """


COUNTED_FOR_RUN = _select(TOTAL, NO_PLACE, "h.doubts <> 0", "s.run_id = %(run)s")


def count_run(run: Run) -> list[MachineRow]:
    """Return what each machine counted for a run, in one query, prepared: planning it takes longer than running it."""
    return [_machine(row) for row in fetch_all(COUNTED_FOR_RUN, {"run": run.pk})]


def _machine(row: tuple[Any, ...]) -> MachineRow:
    station, step_no, equipment, *counts, made, doubtful, doubts, started_at, ended_at, streams, runs = row[6:]
    return MachineRow(
        **dict(zip(COUNTERS, counts, strict=True)),
        doubtful=doubtful,
        doubts=Doubt(doubts),
        station_code=station,
        step_no=step_no,
        equipment_id=equipment,
        made=made,
        started_at=started_at,
        ended_at=ended_at,
        stream_ids=tuple(streams),
        run_ids=tuple(runs),
    )


def _load_runs(table: Iterable[tuple[Any, ...]]) -> dict[int, Run]:
    pks = {pk for row in table for pk in row[-1]}
    runs = Run.objects.select_related("work_order", "line", "route_version").defer("route_version__snapshot")
    return runs.in_bulk(pks)


def _rows(
    question: Question,
    table: Iterable[tuple[Any, ...]],
    runs: dict[int, Run],
    entries: Entries,
    tracked: board_tracks.Counts,
) -> Iterator[Row]:
    is_of_day = question.group in (Group.SHIFT, Group.DAY)
    for key, group in groupby(table, key=lambda row: row[:6]):
        day, shift, run_id, product, line_code, line_id = key
        machines = [_machine(row) for row in group]
        concerned = sorted({pk for machine in machines for pk in machine.run_ids})
        yield Row(
            date=day,
            line_code=line_code,
            line_id=line_id,
            shift=shift,
            product_code=product,
            run=runs.get(run_id),
            runs=[runs[pk] for pk in concerned],
            machines=machines,
            remarks=entries.on_runs(line_id, day if is_of_day else None, concerned),
            checked=entries.checked(line_id, day) if is_of_day else None,
            tracked=tracked.of(concerned, day, shift),
            kind=question.kind,
        )
