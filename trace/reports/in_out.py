"""The in/out record: boards that went into the first and came out of the last counting machine of their runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from mes import errors
from mes.production_counts.models import RecordSignature
from trace.reports.production import HOURS
from trace.reports.query import (
    MOST_ROWS,
    UNCUT,
    Group,
    Question,
)
from trace.reports.remarks import Remark, load_entries

GROUPS = tuple(Group)
# Of a row: day, shift, from when on, run, product; the line always.
KEYS = {
    Group.HOUR: ("h.date", "h.shift", "h.started_at", "NULL", "NULL"),
    Group.SHIFT: ("h.date", "h.shift", "NULL::timestamptz", "NULL", "NULL"),
    Group.DAY: ("h.date", "NULL", "NULL::timestamptz", "NULL", "NULL"),
    Group.WEEK: ("date_trunc('week', h.date)::date", "NULL", "NULL::timestamptz", "NULL", "NULL"),
    Group.PRODUCT: ("NULL::date", "NULL", "NULL::timestamptz", "NULL", "w.product_code"),
    Group.RUN: ("NULL::date", "NULL", "NULL::timestamptz", "r.run_no", "w.product_code"),
}
OF_A_DAY = (Group.HOUR, Group.SHIFT)  # these add up from the start of the day, others from that of the period


@dataclass(frozen=True)
class InOutRow:
    """Boards in and out, in a stretch of time and since the day (or the period) began."""

    date: date | None
    shift: str | None
    hour: datetime | None
    run_no: str | None
    product_code: str | None
    line_code: str
    line_id: int
    started_at: datetime
    ended_at: datetime
    boards_in: int
    boards_out: int
    doubtful: bool
    cumulative_in: int
    cumulative_out: int
    signed: RecordSignature | None = None
    remarks: Sequence[Remark] = ()

    @property
    def time(self) -> datetime:
        """The beginning of its hour, or when counting began."""
        return self.hour or self.started_at


@dataclass(frozen=True)
class InOutReport:
    """Rows and their totals."""

    question: Question
    rows: Sequence[InOutRow]
    boards_in: int
    boards_out: int
    doubtful: bool


def get_in_out(question: Question) -> InOutReport:
    """Load a report in four queries. Raises ValidationFailed when it has too many rows."""
    entries = load_entries(question)
    rows = []
    for row in _query(question):
        line_id, day, hour = row[6], row[0], row[2]
        of_hour = question.group == Group.HOUR
        signed = entries.signed(line_id, day, hour) if of_hour else None
        remarks = entries.on_hour(line_id, day, hour) if of_hour else ()
        rows.append(InOutRow(*row, signed=signed, remarks=remarks))  # type: ignore[misc]
    boards_in, boards_out = sum(row.boards_in for row in rows), sum(row.boards_out for row in rows)
    return InOutReport(question, rows, boards_in, boards_out, _is_doubtful(question))


SUMS = """
           coalesce(sum(h.boards_in) FILTER (WHERE s.step_no = ends.first_step), 0)::bigint AS boards_in,
           coalesce(sum(h.boards_out) FILTER (WHERE s.step_no = ends.last_step), 0)::bigint AS boards_out"""
OF_BOARDS = "(s.step_no = ends.first_step AND s.counts_boards_in OR s.step_no = ends.last_step AND s.counts_boards_out)"


def _query(question: Question) -> list[tuple[Any, ...]]:
    condition, values = question.condition()
    since_when = "line_id, date" if question.group in OF_A_DAY else "line_id"
    order = "date NULLS FIRST, started_at, run_no, product_code, shift"
    sql = f"""
    SELECT *, (sum(boards_in) OVER added_up)::bigint, (sum(boards_out) OVER added_up)::bigint
      FROM (SELECT {", ".join(f"{key} AS {name}" for key, name in zip(KEYS[question.group], NAMES, strict=True))},
                   l.code AS line_code, l.id AS line_id, min(h.started_at) AS started_at, max(h.ended_at) AS ended_at,
                   {SUMS}, bool_or({question.doubt()} AND {OF_BOARDS}) AS doubtful
             {HOURS}
             WHERE {condition} AND {OF_BOARDS}
             GROUP BY 1, 2, 3, 4, 5, 6, 7) AS found
    WINDOW added_up AS (PARTITION BY {since_when} ORDER BY {order})
     ORDER BY line_code, {order}
     LIMIT {MOST_ROWS + 1}
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = cursor.fetchall()
    if len(rows) > MOST_ROWS:
        raise errors.ValidationFailed({"to": _("This report has too many rows; ask for a shorter period, or by week.")})
    return rows


NAMES = ("date", "shift", "hour", "run_no", "product_code")


def _is_doubtful(question: Question) -> bool:
    """Whether the totals are, which may not be so though an hour is."""
    condition, values = question.condition()
    sql = f"SELECT coalesce(bool_or({question.doubt(UNCUT)}), false) {HOURS} WHERE {condition} AND {OF_BOARDS}"
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return bool(cursor.fetchone()[0])
