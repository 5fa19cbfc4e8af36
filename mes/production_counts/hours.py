"""Taking reports of machines, and working out anew what was counted around each, under the lock of their machine.

A report changes what was counted in its own time and next to it: a late reading changes the difference to the one
after it, a window may overlap others. The hours that it may change are worked out anew from the reports around them
(`resolving`), so that the order of arrival makes no difference, and a repeat of the work none either.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from mes.plant import calendar
from mes.plant.calendar import Cut, Period
from mes.platform.sweeps import Sweep
from mes.production_counts.models import CountReport, CountStream, HourlyCount
from mes.production_counts.windows import (
    COUNTERS,
    MICROSECOND,
    TOLERANCE,
    Counts,
    Doubt,
    Report,
    build_windows,
    resolve,
)

LONGEST_DELTA = timedelta(days=1)  # of one report; longer ones are refused
MOST_WIDENINGS = 6  # steps in which windows that overlap are followed to both sides
READINGS_LOOKED_BACK = 100  # for the last one with each counter
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, order=True)
class Machine:
    """Whose counters they are: a machine at a step of a run."""

    run_id: int
    station_id: int
    step_no: int
    equipment_id: str
    line_id: int
    operation_code: str

    @property
    def key(self) -> tuple[int, int, int, str]:
        return self.run_id, self.station_id, self.step_no, self.equipment_id


@dataclass(frozen=True, slots=True)
class NewReport:
    """An accepted report. `id` and `received_at` are those of its device data record."""

    id: int
    received_at: datetime
    machine: Machine
    window_start: datetime
    window_end: datetime
    is_cumulative: bool
    counts: Counts


@transaction.atomic
def record(reports: Sequence[NewReport]) -> None:
    """Keep reports and bring the counts of their hours up to date. Locks the machines' rows in one order.

    To be called in the transaction that claims the reports' keys.
    """
    streams = _lock_streams(sorted({report.machine for report in reports}), at=min(r.received_at for r in reports))
    by_stream: dict[int, list[NewReport]] = {}
    for report in reports:
        by_stream.setdefault(streams[report.machine.key].pk, []).append(report)
    CountReport.objects.bulk_create(
        CountReport(
            id=report.id,
            received_at=report.received_at,
            stream_id=pk,
            window_start=report.window_start,
            window_end=report.window_end,
            is_cumulative=report.is_cumulative,
            **dict(zip(COUNTERS, report.counts, strict=True)),
        )
        for pk, of_stream in by_stream.items()
        for report in of_stream
    )
    for stream in streams.values():
        added = by_stream[stream.pk]
        _note_counters(stream, added)
        _recount(stream, added)


def recount(*, line_code: str | None = None, since: datetime | None = None) -> int:
    """Work out all hours anew, of a line or of all, of machines with reports since a time; return how many machines.

    By the shifts and the time zone of now. Each machine in a transaction of its own; may be broken off and run again.
    Machines of which reports may have gone by retention keep their hours as they are. Raises SweepIncomplete when all
    others are done, where machines failed.
    """
    streams = CountStream.objects.order_by("pk")
    if settings.MES_COUNT_REPORT_RETENTION is not None:
        streams = streams.filter(created_at__gte=timezone.now() - settings.MES_COUNT_REPORT_RETENTION)
    if line_code is not None:
        streams = streams.filter(line__code=line_code)
    if since is not None:
        streams = streams.filter(hours__last_at__gte=since).distinct()
    pks = list(streams.values_list("pk", flat=True))
    with Sweep("machines") as sweep:
        for pk in pks:
            with sweep.row(f"machine {pk}"):
                recount_one(pk)
    return len(pks)


# --- machines -----------------------------------------------------------------------------------------------


def _lock_streams(machines: Sequence[Machine], *, at: datetime) -> dict[tuple[int, int, int, str], CountStream]:
    """Return the rows of machines, made where missing, locked in the order of their ids."""
    wanted = Q()
    for machine in machines:
        run_id, station_id, step_no, equipment_id = machine.key
        wanted |= Q(run=run_id, station=station_id, step_no=step_no, equipment_id=equipment_id)
    locked = {_key(stream): stream for stream in _locked(CountStream.objects.filter(wanted))}
    missing = [machine for machine in machines if machine.key not in locked]
    if not missing:
        return locked
    CountStream.objects.bulk_create(
        (
            CountStream(
                run_id=machine.run_id,
                line_id=machine.line_id,
                station_id=machine.station_id,
                step_no=machine.step_no,
                operation_code=machine.operation_code,
                equipment_id=machine.equipment_id,
                created_at=at,
            )
            for machine in missing
        ),
        ignore_conflicts=True,  # another made it at the same moment
    )
    return {_key(stream): stream for stream in _locked(CountStream.objects.filter(wanted))}


def _locked(streams: QuerySet[CountStream]) -> Iterable[CountStream]:
    return streams.select_related("line").select_for_update(no_key=True, of=("self",)).order_by("pk")


def _key(stream: CountStream) -> tuple[int, int, int, str]:
    return stream.run_id, stream.station_id, stream.step_no, stream.equipment_id


def _note_counters(stream: CountStream, added: Iterable[NewReport]) -> None:
    """Note which boards a machine counts: the first and the last that do are a run's in and out."""
    counted = {name for report in added for name, n in zip(COUNTERS, report.counts, strict=True) if n is not None}
    changed = [f"counts_{name}" for name in ("boards_in", "boards_out") if name in counted]
    changed = [name for name in changed if not getattr(stream, name)]
    if changed:
        for name in changed:
            setattr(stream, name, True)
        stream.save(update_fields=changed)


# --- hours --------------------------------------------------------------------------------------------------


def _recount(stream: CountStream, added: Sequence[NewReport]) -> None:
    """Work out anew the hours that reports may change."""
    (start, end), _reports, _known_until = _widen(stream, *_neighbours(stream, added))
    _write_hours(stream, start, end)


@transaction.atomic
def recount_one(pk: int) -> None:
    """Work out all hours of a machine anew."""
    [stream] = _locked(CountStream.objects.filter(pk=pk))
    reports = _reports_of(stream)
    first = reports.order_by("window_start").values_list("window_start", flat=True).first()
    last = reports.order_by("-window_end").values_list("window_end", flat=True).first()
    HourlyCount.objects.filter(stream=stream).delete()
    while first is not None and last is not None and first < last:
        upto = min(last, first + timedelta(days=2))
        first = _write_hours(stream, first, upto)


def _write_hours(stream: CountStream, start: datetime, end: datetime) -> datetime:
    """Replace the hours that a stretch of time touches; return the end of the last."""
    periods = calendar.find_periods(stream.line.shifts, timezone.get_default_timezone(), start, end)
    begin, finish = periods[0].started_at, periods[-1].ended_at
    _span, reports, known_until = _widen(stream, begin, finish)
    resolved = resolve(reports, known_until=known_until)
    rows = []
    for period in periods:
        tally = resolved.tally(period.started_at, period.ended_at)
        if tally is not None:
            at_start = Cut.NONE if tally.is_sure_at_start else period.starts_with
            at_end = Cut.NONE if tally.is_sure_at_end else period.ends_with
            fields = dict(zip(COUNTERS, tally.counts, strict=True))
            rows.append(_hour(stream, period, tally.doubts, at_start, at_end, tally.first_at, tally.last_at, fields))
    HourlyCount.objects.filter(stream=stream, started_at__gte=begin, started_at__lt=finish).delete()
    HourlyCount.objects.bulk_create(rows)
    return finish


def _hour(
    stream: CountStream,
    period: Period,
    doubts: Doubt,
    at_start: Cut,
    at_end: Cut,
    first_at: datetime | None,
    last_at: datetime | None,
    counts: Mapping[str, int | None],
) -> HourlyCount:
    return HourlyCount(
        stream=stream,
        line_id=stream.line_id,
        date=period.date,
        shift=period.shift,
        started_at=period.started_at,
        ended_at=period.ended_at,
        first_at=first_at,
        last_at=last_at,
        doubts=doubts,
        doubt_at_start=at_start,
        doubt_at_end=at_end,
        **counts,
    )


# --- reports around a stretch of time -----------------------------------------------------------------------


def load_reports(stream: CountStream, start: datetime, end: datetime) -> tuple[list[Report], datetime | None]:
    """Return the reports that say what was counted in a stretch of time, and until when readings are only a base."""
    _span, reports, known_until = _widen(stream, start, end)
    return reports, known_until


def _reports_of(stream: CountStream) -> QuerySet[CountReport]:
    """All reports of a machine. None was received before its row was made, so earlier months are not looked at."""
    return CountReport.objects.filter(stream=stream, received_at__gte=stream.created_at - timedelta(days=1))


def _neighbours(stream: CountStream, added: Sequence[NewReport]) -> Span:
    """Return the time in which reports may change what was counted, as far as windows do not show it.

    They may end or part a gap between the reports around them, and part the difference of two readings.
    """
    reports = _reports_of(stream)
    starts = [r.window_end if r.is_cumulative else r.window_start for r in added]
    ends = [r.window_end + MICROSECOND for r in added]
    if read_at := [r.window_end for r in added if r.is_cumulative]:
        readings = reports.filter(is_cumulative=True)
        latest = readings.filter(window_end__lt=min(read_at)).order_by("-window_end").first()
        following = readings.filter(window_end__gt=max(read_at)).order_by("window_end").first()
        ends += [following.window_end] if following else []
        # Without a reading before, the next one was the first until now, and its window may be longer.
        starts += [latest.window_end] if latest else [r.window_start for r in [*added, following] if r]
    start, end = min(starts), max(ends)
    ended = reports.filter(window_end__lte=start).order_by("-window_end").values_list("window_end", flat=True)
    begun = reports.filter(window_end__gt=end, is_cumulative=False, window_start__gte=end - TOLERANCE)
    begins = begun.order_by("window_end").values_list("window_start", flat=True)
    return min([start, *ended[:1]]), max([end, *begins[:1]])


def _widen(stream: CountStream, start: datetime, end: datetime) -> tuple[Span, list[Report], datetime | None]:
    """Widen a stretch of time until no window reaches beyond it; return it with the reports that touch it."""
    for _widening in range(MOST_WIDENINGS):
        reports, known_until = _load(stream, start, end)
        wider = _enclose(build_windows(reports, known_until=known_until).spans(), start, end)
        if wider == (start, end):
            break
        start, end = wider
    return (start, end), reports, known_until


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
_OF_STREAM = "r.stream_id = %(stream)s AND r.received_at >= %(since)s"
_DELTA = """r.id, r.window_start, r.window_end, r.is_cumulative,
           r.boards_in, r.boards_out, r.scrapped, r.picked, r.placed, NULL::timestamptz"""
LOAD = f"""
    WITH bounds AS (
        SELECT (SELECT min(window_end) FROM (
                    SELECT DISTINCT ON (c.name) latest.window_end
                      FROM (SELECT * FROM mes_countreport r
                             WHERE {_OF_STREAM} AND r.is_cumulative AND r.window_end <= %(start)s
                             ORDER BY r.window_end DESC LIMIT %(looked_back)s) AS latest
                     CROSS JOIN LATERAL (VALUES (1, boards_in), (2, boards_out), (3, scrapped), (4, picked),
                                                (5, placed)) AS c(name, n)
                     WHERE c.n IS NOT NULL
                     ORDER BY c.name, latest.window_end DESC) AS of_each_counter) AS first,
               (SELECT max(r.window_end) FROM mes_countreport r
                 WHERE {_OF_STREAM} AND r.is_cumulative AND r.window_end <= %(start)s) AS known,
               (SELECT min(r.window_end) FROM mes_countreport r
                 WHERE {_OF_STREAM} AND r.is_cumulative AND r.window_end >= %(end)s) AS last
    )
    SELECT r.id, r.window_start, r.window_end, r.is_cumulative,
           r.boards_in, r.boards_out, r.scrapped, r.picked, r.placed, b.known
      FROM bounds b JOIN mes_countreport r ON r.is_cumulative
       AND r.window_end >= coalesce(b.first, '-infinity') AND r.window_end <= coalesce(b.last, 'infinity')
     WHERE {_OF_STREAM}
    UNION ALL
    SELECT {_DELTA} FROM mes_countreport r
     WHERE {_OF_STREAM} AND NOT r.is_cumulative
       AND r.window_end > %(start)s AND r.window_end <= %(end)s + %(longest)s AND r.window_start < %(end)s
    UNION ALL
    (SELECT {_DELTA} FROM mes_countreport r
      WHERE {_OF_STREAM} AND NOT r.is_cumulative AND r.window_end <= %(start)s ORDER BY r.window_end DESC LIMIT 1)
    UNION ALL
    (SELECT {_DELTA} FROM mes_countreport r
      WHERE {_OF_STREAM} AND NOT r.is_cumulative AND r.window_end > %(end)s AND r.window_start >= %(end)s
      ORDER BY r.window_end LIMIT 1)
"""


def _load(stream: CountStream, start: datetime, end: datetime) -> tuple[list[Report], datetime | None]:
    values: dict[str, Any] = {
        "stream": stream.pk,
        "since": stream.created_at - timedelta(days=1),
        "start": start,
        "end": end,
        "longest": LONGEST_DELTA + TOLERANCE,
        "looked_back": READINGS_LOOKED_BACK,
    }
    with connection.cursor() as cursor:
        cursor.execute(LOAD, values)
        rows = cursor.fetchall()
    known_until = next((row[9] for row in rows if row[9] is not None), None)
    reports = [Report(row[0], row[1], row[2], row[3], tuple(row[4:9])) for row in rows]
    return reports, known_until
