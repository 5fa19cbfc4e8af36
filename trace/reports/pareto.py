"""The Pareto of defects: how many of each kind, the most frequent first, and what share they are together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from execution.quality.defect_codes.models import DefectCategory
from execution.quality.models import Defect
from mes import errors
from trace.reports.found import KEYS, NAMES, By, Question

MOST_BARS = 50  # what is rarer is told together
MOST_DAYS = 366


@dataclass(frozen=True)
class Bar:
    """What is counted together: a quantity of defects, on so many units. `key` is None of the others, which have no bar
    of their own.
    """

    key: str | None
    name: str
    defects: int
    units: int
    share: float
    cumulative_share: float

    @property
    def label(self) -> str:
        """What people read."""
        if self.key is None:
            return _("Others")
        return self.key or _("Not told")


@dataclass(frozen=True)
class Pareto:
    """The bars; by day in the order of days, all others the most frequent first, with the others last."""

    question: Question
    bars: Sequence[Bar]
    defects: int
    units: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return self.defects == 0


def get_pareto(question: Question) -> Pareto:
    """Load it in one statement: what is recorded meanwhile is in the bars and in the total, or in neither."""
    source, values = question.source()
    most = MOST_DAYS if question.by == By.DAY else MOST_BARS
    columns = f"""{KEYS[question.by]} COLLATE "C" AS key, {NAMES.get(question.by, "''")} AS name"""
    sql = f"""
    WITH found AS MATERIALIZED (SELECT {columns}, d.quantity, d.unit_id {source}),
    sums AS MATERIALIZED (
        SELECT key, sum(quantity) AS defects, count(DISTINCT unit_id) AS units,
               coalesce(string_agg(DISTINCT name, ' / ') FILTER (WHERE name <> ''), '') AS name
          FROM found GROUP BY key ORDER BY 2 DESC, 1 LIMIT %(most)s)
    SELECT 0, key, name, defects, units FROM sums
     UNION ALL
    SELECT 1, NULL, '', sum(quantity), count(DISTINCT unit_id) FROM found
     WHERE NOT EXISTS (SELECT FROM sums WHERE sums.key = found.key) HAVING count(*) > 0
     UNION ALL
    SELECT 2, NULL, '', coalesce(sum(quantity), 0), count(DISTINCT unit_id) FROM found
     ORDER BY 1, 4 DESC, 2
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, {**values, "most": most})
        *rows, (_place, _key, _name, defects, units) = cursor.fetchall()
    counted = [(key, _named(question, key, name), int(sum_), of) for _place, key, name, sum_, of in rows]
    if question.by == By.DAY and question.key is None and counted:
        counted = list(_each_day(question, counted))
    return Pareto(question, list(_bars(counted, int(defects))), int(defects), units)


Counted = tuple[str | None, str, int, int]


def _bars(counted: Sequence[Counted], total: int) -> Iterator[Bar]:
    sum_ = 0
    for key, name, defects, units in counted:
        sum_ += defects
        yield Bar(key, name, defects, units, round(defects / total, 4), round(sum_ / total, 4))


def label_of(question: Question, key: str) -> str:
    """Return what people read of one bar."""
    return " ".join(filter(None, [key or _("Not told"), _named(question, key, "")]))


def _named(question: Question, key: str | None, name: str) -> str:
    if question.by == By.CATEGORY and key:
        return str(DefectCategory(key).label) if key in DefectCategory.values else ""
    return name


def _each_day(question: Question, counted: Sequence[Counted]) -> Iterator[Counted]:
    """Yield the days of the period up to now, those on which nothing was found too."""
    by_day = {row[0]: row for row in counted}
    known = sorted(filter(None, by_day))
    first, last = question.days or (date.fromisoformat(known[0]), date.fromisoformat(known[-1]))
    last = max(min(last, timezone.localdate()), date.fromisoformat(known[-1]))
    if (last - first).days > MOST_DAYS:  # of a run that took longer
        yield from (by_day[day] for day in known)
        return
    for number in range((last - first).days + 1):
        day = (first + timedelta(days=number)).isoformat()
        yield by_day.get(day, (day, "", 0, 0))


# --- what a bar is made of ----------------------------------------------------------------------------------

ON_PAGE = 50
MOST_IN_FILE = 100_000
_AT_ONCE = 2000


def of_others(question: Question) -> Question:
    """Return the question about what is told together."""
    bars = get_pareto(question).bars
    return replace(question, not_keys=tuple(bar.key for bar in bars if bar.key is not None))


def list_defects(question: Question, *, before: int | None = None, most: int = ON_PAGE) -> list[Defect]:
    """Return defects that a question is about, newest first, below the id `before`: two queries."""
    return _load(_list_ids(question, before=before, most=most))


def walk_defects(question: Question) -> Iterator[Defect]:
    """Return all of them, newest first, to be loaded some thousands at a time. Raises TooManyRows."""
    ids = _list_ids(question, most=MOST_IN_FILE + 1)
    if len(ids) > MOST_IN_FILE:
        raise errors.TooManyRows(most=MOST_IN_FILE)
    return (row for start in range(0, len(ids), _AT_ONCE) for row in _load(ids[start : start + _AT_ONCE]))


def _list_ids(question: Question, *, before: int | None = None, most: int) -> list[int]:
    source, values = question.source()
    older = "" if before is None else "AND d.id < %(before)s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.id {source} {older} ORDER BY d.id DESC LIMIT %(most)s",
            {**values, "before": before, "most": most},
        )
        return [row[0] for row in cursor.fetchall()]


def _load(ids: Sequence[int]) -> list[Defect]:
    rows = Defect.objects.filter(pk__in=ids).select_related("unit", "run__work_order", "station")
    return list(rows.order_by("-id"))


def count_defects(question: Question) -> tuple[int, int]:
    """Return how many defects a question is about, and on how many units."""
    source, values = question.source()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(sum(d.quantity), 0)::bigint, count(DISTINCT d.unit_id) {source}", values)
        return cursor.fetchone()


def as_json(pareto: Pareto) -> dict[str, Any]:
    """Return it as the interface sends it."""
    return {
        "by": pareto.question.by.value,
        "items": [
            {
                "key": bar.key,
                "name": bar.name or None,
                "defects": bar.defects,
                "units": bar.units,
                "share": bar.share,
                "cumulativeShare": bar.cumulative_share,
            }
            for bar in pareto.bars
        ],
        "total": {"defects": pareto.defects, "units": pareto.units},
    }
