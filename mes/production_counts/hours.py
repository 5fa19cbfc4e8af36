"""Recording reports of machines, and recomputing what was counted around each, under the lock of their machine.

A report changes what was counted in its own time and next to it: a late reading changes the difference to the one
after it, a window may overlap others. The hours that it may change are recomputed from the reports around them
(`windows`), so that the order of arrival makes no difference, and a repeat of the work none either.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from mes.plant import calendar
from mes.plant.calendar import Cut, Period
from mes.platform.sweeps import Sweep
from mes.production_counts import stretches
from mes.production_counts.models import CountReport, CountStream, HourlyCount
from mes.production_counts.reports import Machine, NewReport
from mes.production_counts.stretches import LoadedStretch, Stretch
from mes.production_counts.windows import COUNTERS, Counts, Tally, resolve


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
            moduli=_by_name(report.moduli),
            **dict(zip(COUNTERS, report.counts, strict=True)),
        )
        for pk, of_stream in by_stream.items()
        for report in of_stream
    )
    added = {stream: by_stream[stream.pk] for stream in streams.values()}
    _note_counters(added)
    _write_hours([loaded.stretch for loaded in stretches.load(stretches.find_affected(added))])


def _by_name(moduli: Counts) -> dict[str, int] | None:
    return {name: modulus for name, modulus in zip(COUNTERS, moduli, strict=True) if modulus is not None} or None


def recount(*, line_code: str | None = None, since: datetime | None = None) -> int:
    """Recompute all hours, of a line or of all, of machines with reports since a time; return how many machines.

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
    """Return the rows of machines, which are sorted: those that are known locked in the order of their ids, then those
    that are made here.
    """
    locked = {_key(stream): stream for stream in _locked(_find_streams(machines))}
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
    return locked | {_key(stream): stream for stream in _locked(_find_streams(missing))}


def _find_streams(machines: Iterable[Machine]) -> QuerySet[CountStream]:
    streams = Q()
    for machine in machines:
        run_id, station_id, step_no, equipment_id = machine.key
        streams |= Q(run=run_id, station=station_id, step_no=step_no, equipment_id=equipment_id)
    return CountStream.objects.filter(streams)


def _locked(streams: QuerySet[CountStream]) -> Iterable[CountStream]:
    return streams.select_related("line").select_for_update(no_key=True, of=("self",)).order_by("pk")


def _key(stream: CountStream) -> tuple[int, int, int, str]:
    return stream.run_id, stream.station_id, stream.step_no, stream.equipment_id


def _note_counters(added: Mapping[CountStream, Iterable[NewReport]]) -> None:
    """Note which boards machines count: the first and the last that do are a run's in and out."""
    changed = []
    for stream, reports in added.items():
        counted = {name for report in reports for name, n in zip(COUNTERS, report.counts, strict=True) if n is not None}
        fields = [f"counts_{name}" for name in ("boards_in", "boards_out") if name in counted]
        if not all(getattr(stream, field) for field in fields):
            for field in fields:
                setattr(stream, field, True)
            changed.append(stream)
    CountStream.objects.bulk_update(changed, ["counts_boards_in", "counts_boards_out"])


# --- hours --------------------------------------------------------------------------------------------------

DELETE_HOURS = """
    DELETE FROM mes_hourlycount h
     USING unnest(%(streams)s::bigint[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        AS s(stream_id, start_at, end_at)
     WHERE h.stream_id = s.stream_id AND h.started_at >= s.start_at AND h.started_at < s.end_at
"""


@transaction.atomic
def recount_one(pk: int) -> None:
    """Recompute all hours of a machine."""
    [stream] = _locked(CountStream.objects.filter(pk=pk))
    # None was received before the machine's row was made, so earlier months are not looked at.
    reports = CountReport.objects.filter(stream=stream, received_at__gte=stream.created_at - timedelta(days=1))
    first = reports.order_by("window_start").values_list("window_start", flat=True).first()
    last = reports.order_by("-window_end").values_list("window_end", flat=True).first()
    HourlyCount.objects.filter(stream=stream).delete()
    while first is not None and last is not None and first < last:
        upto = min(last, first + timedelta(days=2))
        [first] = _write_hours([Stretch(stream, first, upto)])


def _write_hours(affected: Sequence[Stretch]) -> list[datetime]:
    """Replace the hours that stretches of time touch, each of another machine; return the end of the last of each."""
    periods = [_find_periods(stretch) for stretch in affected]
    whole = [
        Stretch(stretch.stream, of_stretch[0].started_at, of_stretch[-1].ended_at)
        for stretch, of_stretch in zip(affected, periods, strict=True)
    ]
    rows = [
        hour
        for loaded, of_stretch in zip(stretches.load(whole), periods, strict=True)
        for hour in _work_out(loaded, of_stretch)
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            DELETE_HOURS,
            {
                "streams": [stretch.stream.pk for stretch in whole],
                "starts": [stretch.start for stretch in whole],
                "ends": [stretch.end for stretch in whole],
            },
        )
    HourlyCount.objects.bulk_create(rows)
    return [stretch.end for stretch in whole]


def _find_periods(stretch: Stretch) -> Sequence[Period]:
    """Return the hours that a stretch touches, cut at the shifts of its line."""
    shifts = stretch.stream.line.shifts
    return calendar.find_periods(shifts, timezone.get_default_timezone(), stretch.start, stretch.end)


def _work_out(loaded: LoadedStretch, periods: Iterable[Period]) -> Iterator[HourlyCount]:
    """Yield what was counted in each hour of which there are reports."""
    resolved = resolve(loaded.reports, known_until=loaded.known_until)
    for period in periods:
        tally = resolved.tally(period.started_at, period.ended_at)
        if tally is not None:
            yield _hour(loaded.stretch.stream, period, tally)


def _hour(stream: CountStream, period: Period, tally: Tally) -> HourlyCount:
    return HourlyCount(
        stream=stream,
        line_id=stream.line_id,
        date=period.date,
        shift=period.shift,
        started_at=period.started_at,
        ended_at=period.ended_at,
        first_at=tally.first_at,
        last_at=tally.last_at,
        doubts=tally.doubts,
        doubt_at_start=Cut.NONE if tally.is_sure_at_start else period.starts_with,
        doubt_at_end=Cut.NONE if tally.is_sure_at_end else period.ends_with,
        **dict(zip(COUNTERS, tally.counts, strict=True)),
    )
