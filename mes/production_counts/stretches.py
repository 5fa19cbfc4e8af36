"""Stretches of time of machines, and the reports that say what was counted in them; each query for many machines."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from mes.production_counts.models import CountStream
from mes.production_counts.reports import NewReport
from mes.production_counts.windows import COUNTERS, MICROSECOND, NO_COUNTS, TOLERANCE, Counts, Report, build_windows

LONGEST_DELTA = timedelta(days=1)  # of one report; longer ones are refused
MOST_WIDENINGS = 6  # steps in which windows that overlap are followed to both sides
READINGS_LOOKED_BACK = 100  # for the last one with each counter
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time of a machine."""

    stream: CountStream
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class LoadedStretch:
    """A stretch of time beyond which no window reaches, and the reports that touch it.

    Readings up to `known_until` only say where the counters stood.
    """

    stretch: Stretch
    reports: list[Report]
    known_until: datetime | None


# None of a machine's reports was received before its row was made, so earlier months are not looked at.
_STRETCHES = """
    SELECT * FROM unnest(%(streams)s::bigint[], %(since)s::timestamptz[], %(starts)s::timestamptz[],
                         %(ends)s::timestamptz[]) AS s(stream_id, received_since, start_at, end_at)
"""
_OF_STREAM = "r.stream_id = s.stream_id AND r.received_at >= s.received_since"


def _query(statement: str, stretches: Sequence[Stretch], **more: Any) -> list[tuple[Any, ...]]:
    """Run a statement over stretches; each row begins with the id of a machine."""
    values: dict[str, Any] = {
        "streams": [stretch.stream.pk for stretch in stretches],
        "since": [stretch.stream.created_at - timedelta(days=1) for stretch in stretches],
        "starts": [stretch.start for stretch in stretches],
        "ends": [stretch.end for stretch in stretches],
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, {**values, **more})
        return cursor.fetchall()


# --- what reports may change --------------------------------------------------------------------------------

READINGS_AROUND = f"""
    SELECT s.stream_id,
           (SELECT max(r.window_end) FROM mes_countreport r
             WHERE {_OF_STREAM} AND r.is_cumulative AND r.window_end < s.start_at),
           following.window_start, following.window_end
      FROM ({_STRETCHES}) AS s
      LEFT JOIN LATERAL (SELECT r.window_start, r.window_end FROM mes_countreport r
                          WHERE {_OF_STREAM} AND r.is_cumulative AND r.window_end > s.end_at
                          ORDER BY r.window_end LIMIT 1) AS following ON true
"""
GAPS_AROUND = f"""
    SELECT s.stream_id,
           (SELECT max(r.window_end) FROM mes_countreport r WHERE {_OF_STREAM} AND r.window_end <= s.start_at),
           (SELECT r.window_start FROM mes_countreport r
             WHERE {_OF_STREAM} AND r.window_end > s.end_at AND NOT r.is_cumulative
               AND r.window_start >= s.end_at - %(tolerance)s
             ORDER BY r.window_end LIMIT 1)
      FROM ({_STRETCHES}) AS s
"""


def find_affected(added: Mapping[CountStream, Sequence[NewReport]]) -> list[Stretch]:
    """Return the time of each machine in which reports may change what was counted, as far as windows do not show it.

    They may end or part a gap between the reports around them, and part the difference of two readings.
    """
    affected = _parted_readings(added)
    around = {pk: (ended, begun) for pk, ended, begun in _query(GAPS_AROUND, affected, tolerance=TOLERANCE)}
    return [_stretch_to(stretch, around[stretch.stream.pk]) for stretch in affected]


def _parted_readings(added: Mapping[CountStream, Sequence[NewReport]]) -> list[Stretch]:
    """Return the time of reports, and of the differences between the readings before and after them."""
    read = {
        stream: [report.window_end for report in reports if report.is_cumulative] for stream, reports in added.items()
    }
    reading = [Stretch(stream, min(ends), max(ends)) for stream, ends in read.items() if ends]
    around = {pk: readings for pk, *readings in _query(READINGS_AROUND, reading)} if reading else {}
    return [_part(stream, reports, *around.get(stream.pk, ())) for stream, reports in added.items()]


def _part(
    stream: CountStream,
    reports: Sequence[NewReport],
    last_read_at: datetime | None = None,
    next_start: datetime | None = None,
    next_end: datetime | None = None,
) -> Stretch:
    starts = [report.window_end if report.is_cumulative else report.window_start for report in reports]
    ends = [report.window_end + MICROSECOND for report in reports]
    if last_read_at is not None:
        starts.append(last_read_at)
    elif any(report.is_cumulative for report in reports):
        # Without a reading before, the next one was the first until now, and its window may be longer.
        starts += [report.window_start for report in reports]
        starts += [] if next_start is None else [next_start]
    ends += [] if next_end is None else [next_end]
    return Stretch(stream, min(starts), max(ends))


def _stretch_to(stretch: Stretch, around: tuple[datetime | None, datetime | None]) -> Stretch:
    """Return a stretch that begins where the window before it ends, and ends where the window after it begins."""
    ended, begun = around
    start = stretch.start if ended is None else min(stretch.start, ended)
    return replace(stretch, start=start, end=stretch.end if begun is None else max(stretch.end, begun))


# --- reports around a stretch -------------------------------------------------------------------------------


def load_reports(stream: CountStream, start: datetime, end: datetime) -> tuple[list[Report], datetime | None]:
    """Return the reports that say what was counted in a stretch of time, and until when readings are only a base."""
    [loaded] = load([Stretch(stream, start, end)])
    return loaded.reports, loaded.known_until


def load(stretches: Sequence[Stretch]) -> list[LoadedStretch]:
    """Widen stretches, each of another machine, until no window reaches beyond them; return them with their reports."""
    loaded: dict[int, LoadedStretch] = {}
    narrow = list(stretches)  # those that may have to be wider
    for _widening in range(MOST_WIDENINGS):
        widened = {pk: _widen(stretch) for pk, stretch in _load(narrow).items()}
        loaded |= widened
        wider = [(stretch, widened[stretch.stream.pk].stretch) for stretch in narrow]
        narrow = [after for before, after in wider if after != before]
        if not narrow:
            break
    return [loaded[stretch.stream.pk] for stretch in stretches]


def _widen(loaded: LoadedStretch) -> LoadedStretch:
    spans = build_windows(loaded.reports, known_until=loaded.known_until).spans()
    start, end = _enclose(spans, loaded.stretch.start, loaded.stretch.end)
    return replace(loaded, stretch=replace(loaded.stretch, start=start, end=end))


def _enclose(spans: Iterable[Span], start: datetime, end: datetime) -> Span:
    """Return a stretch of time widened by windows that overlap it, and by those that overlap these."""
    every = sorted(spans)
    for begin, finish in every:
        if begin < end and finish > start:
            end = max(end, finish)
    for begin, finish in sorted(every, key=lambda span: span[1], reverse=True):
        if begin < end and finish > start:
            start = min(start, begin)
    return start, end


# Deltas that touch the stretch, and the next on both sides, up to which there may be a gap; readings from the last
# before it, which says where the counters stood, to the first after it, whose difference may reach into it. Each by
# the index over (machine, end of the window).
_DELTA = """r.id, r.window_start, r.window_end, r.is_cumulative,
               r.boards_in, r.boards_out, r.scrapped, r.picked, r.placed, NULL::jsonb AS moduli,
               NULL::timestamptz AS known_until"""
LOAD = f"""
    SELECT s.stream_id, touching.*
      FROM ({_STRETCHES}) AS s
     CROSS JOIN LATERAL (
        SELECT (SELECT min(window_end) FROM (
                    SELECT DISTINCT ON (c.name) latest.window_end
                      FROM (SELECT * FROM mes_countreport r
                             WHERE {_OF_STREAM} AND r.is_cumulative AND r.window_end <= s.start_at
                             ORDER BY r.window_end DESC LIMIT %(looked_back)s) AS latest
                     CROSS JOIN LATERAL (VALUES (1, boards_in), (2, boards_out), (3, scrapped), (4, picked),
                                                (5, placed)) AS c(name, n)
                     WHERE c.n IS NOT NULL
                     ORDER BY c.name, latest.window_end DESC) AS of_each_counter) AS first,
               (SELECT max(r.window_end) FROM mes_countreport r
                 WHERE {_OF_STREAM} AND r.is_cumulative AND r.window_end <= s.start_at) AS known,
               (SELECT min(r.window_end) FROM mes_countreport r
                 WHERE {_OF_STREAM} AND r.is_cumulative AND r.window_end >= s.end_at) AS last
     ) AS b
     CROSS JOIN LATERAL (
        SELECT r.id, r.window_start, r.window_end, r.is_cumulative,
               r.boards_in, r.boards_out, r.scrapped, r.picked, r.placed, r.moduli, b.known
          FROM mes_countreport r
         WHERE {_OF_STREAM} AND r.is_cumulative
           AND r.window_end >= coalesce(b.first, '-infinity') AND r.window_end <= coalesce(b.last, 'infinity')
        UNION ALL
        SELECT {_DELTA} FROM mes_countreport r
         WHERE {_OF_STREAM} AND NOT r.is_cumulative
           AND r.window_end > s.start_at AND r.window_end <= s.end_at + %(longest)s AND r.window_start < s.end_at
        UNION ALL
        (SELECT {_DELTA} FROM mes_countreport r
          WHERE {_OF_STREAM} AND NOT r.is_cumulative AND r.window_end <= s.start_at ORDER BY r.window_end DESC LIMIT 1)
        UNION ALL
        (SELECT {_DELTA} FROM mes_countreport r
          WHERE {_OF_STREAM} AND NOT r.is_cumulative AND r.window_end > s.end_at AND r.window_start >= s.end_at
          ORDER BY r.window_end LIMIT 1)
     ) AS touching
"""


def _load(stretches: Sequence[Stretch]) -> dict[int, LoadedStretch]:
    """Return the reports that touch each stretch, by machine."""
    rows = _query(LOAD, stretches, longest=LONGEST_DELTA + TOLERANCE, looked_back=READINGS_LOOKED_BACK)
    loaded = {stretch.stream.pk: LoadedStretch(stretch, [], None) for stretch in stretches}
    for pk, id, start, end, is_cumulative, *counts, moduli, known_until in rows:
        of_machine = loaded[pk]
        of_machine.reports.append(Report(id, start, end, is_cumulative, tuple(counts), _read_moduli(moduli)))
        if known_until is not None and of_machine.known_until is None:
            loaded[pk] = replace(of_machine, known_until=known_until)
    return loaded


def _read_moduli(moduli: str | None) -> Counts:
    if moduli is None:
        return NO_COUNTS
    by_name = json.loads(moduli)
    return tuple(by_name.get(name) for name in COUNTERS)
