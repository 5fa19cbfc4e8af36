"""Boards by their tracks, to stand beside what machines counted."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from mes.plant import calendar
from mes.production.models import Run
from mes.production.runs import snapshot_of
from trace.reports.query import Group, Question

LONGEST = timedelta(days=32)  # of a period; over a longer one there are too many tracks to count


@dataclass(frozen=True)
class Tracked:
    """Tracks that ended, by station and step; units that passed the last step, and those that only failed it. None: not
    counted.
    """

    ended: dict[tuple[str, int], int] = field(default_factory=dict)
    made: int | None = None
    failed: int | None = None


NOTHING = Tracked(made=0, failed=0)


@dataclass(frozen=True)
class Counts:
    """Tracks by run, line, day and shift, as far as the question tells them apart."""

    tracked: dict[tuple[int, date | None, str | None], Tracked] = field(default_factory=dict)
    are_counted: bool = True

    def of(self, runs: Collection[int], day: date | None, shift: str | None) -> Tracked:
        """Return the tracks of runs, on a day and in a shift where the question is by these."""
        if not self.are_counted:
            return Tracked()
        ended: dict[tuple[str, int], int] = {}
        made = failed = 0
        for run in runs:
            part = self.tracked.get((run, day, shift), NOTHING)
            made += part.made or 0
            failed += part.failed or 0
            for place, count in part.ended.items():
                ended[place] = ended.get(place, 0) + count
        return Tracked(ended, made, failed)


NOT_COUNTED = Counts(are_counted=False)
Slot = tuple[datetime, date | None, str | None]  # from when on; day and shift

COUNT = """
    SELECT t.run_id, t.step_no, s.code, width_bucket(t.out_at, %(edges)s::timestamptz[]) AS slot, count(*),
           count(DISTINCT t.unit_id) FILTER (WHERE t.result = 'PASS'), count(DISTINCT t.unit_id)
      FROM execution_track t JOIN mes_station s ON s.id = t.station_id
     WHERE t.run_id = ANY(%(runs)s) AND t.out_at >= %(since)s AND t.out_at < %(until)s
     GROUP BY 1, 2, 3, 4
"""


def count(question: Question, runs: Sequence[Run]) -> Counts:
    """Count the tracks of runs that ended in the period: one query for each line."""
    if question.days[1] - question.days[0] > LONGEST:
        return NOT_COUNTED
    tracks: dict[tuple[int, date | None, str | None], Tracked] = {}
    for line in question.lines:
        since, until = question.bounds(line)
        of_line = [run for run in runs if run.line_id == line.pk]
        if of_line and since < until:
            slots = _list_slots(question, line.shifts, since, until)
            _add(tracks, _query(of_line, slots, since, until), slots, {run.pk: run for run in of_line})
    return Counts(tracks)


def _list_slots(question: Question, shifts: calendar.Shifts, since: datetime, until: datetime) -> list[Slot]:
    """Return when days and shifts begin, as far as the question tells them apart."""
    slots: list[Slot] = []
    for period in calendar.find_periods(shifts, timezone.get_default_timezone(), since, until):
        day: date | None = period.date
        if question.group == Group.WEEK:
            day = period.date - timedelta(days=period.date.weekday())
        elif question.group in (Group.RUN, Group.PRODUCT):
            day = None
        shift = period.shift if question.group == Group.SHIFT else None
        if question.shift is not None and period.shift != question.shift:
            day, shift = date.min, "-"  # nobody asks for it
        if not slots or slots[-1][1:] != (day, shift):
            slots.append((period.started_at, day, shift))
    return slots


def _query(runs: Sequence[Run], slots: Sequence[Slot], since: datetime, until: datetime) -> list[tuple[Any, ...]]:
    values: dict[str, Any] = {
        "runs": [run.pk for run in runs],
        "edges": [start for start, _day, _shift in slots],
        "since": since,
        "until": until,
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNT, values)
        return cursor.fetchall()


def _add(
    tracks: dict[tuple[int, date | None, str | None], Tracked],
    rows: Iterable[tuple[Any, ...]],
    slots: Sequence[Slot],
    runs: dict[int, Run],
) -> None:
    for run_id, step_no, station, slot, ended, passed, units in rows:
        _start, day, shift = slots[slot - 1]
        tracked = tracks.setdefault((run_id, day, shift), Tracked(made=0, failed=0))
        place = (station, step_no)
        tracked.ended[place] = tracked.ended.get(place, 0) + ended
        if step_no == snapshot_of(runs[run_id]).steps[-1].step_no:
            made, failed = (tracked.made or 0) + passed, (tracked.failed or 0) + units - passed
            tracks[run_id, day, shift] = Tracked(tracked.ended, made, failed)
