"""What a number is made of: the hours it adds up, and the reports that machines sent for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from integration.models import DeviceDataRecord
from mes.plant.models import Line
from mes.production_counts.models import CountReport, CountStream, HourlyCount
from mes.production_counts.stretches import load_reports
from mes.production_counts.windows import (
    COUNTERS,
    Counts,
    Doubt,
    build_windows,
)

MOST_MACHINES = 40
MOST_REPORTS = 500  # shown of one machine


@dataclass(frozen=True)
class ReportRow:
    """A report as it came, and what it counts as: the differences of counters, for readings."""

    report: CountReport
    event_id: str
    counts: Counts

    @property
    def pairs(self) -> list[tuple[int | None, int | None]]:
        """What it says of each counter, and what that counts as."""
        return [(getattr(self.report, name), n) for name, n in zip(COUNTERS, self.counts, strict=True)]


@dataclass(frozen=True)
class MachineDetail:
    """A machine of a run: its hours of the period, and its reports when there are few machines."""

    stream: CountStream
    hours: Sequence[HourlyCount]
    reports: Sequence[ReportRow]
    has_more: bool

    @property
    def own(self) -> tuple[int]:
        """The ids by which its address names it."""
        return (self.stream.pk,)

    @property
    def sums(self) -> list[int | None]:
        """The sums of the hours."""
        columns = [[getattr(hour, name) for hour in self.hours] for name in COUNTERS]
        reported = [[number for number in column if number is not None] for column in columns]
        return [sum(column) if column else None for column in reported]

    @property
    def doubts(self) -> Doubt:
        """Everything that is doubtful about the hours."""
        doubts = Doubt(0)
        for hour in self.hours:
            doubts |= Doubt(hour.doubts)
            if hour.doubt_at_start or hour.doubt_at_end:
                doubts |= Doubt.DIVIDED
        return doubts


def get_details(line: Line, since: datetime, until: datetime, streams: Collection[int]) -> list[MachineDetail]:
    """Load the machines of a line that counted between two instants; with one or two, their reports too."""
    hours = HourlyCount.objects.filter(line=line, ended_at__gt=since, started_at__lt=until).order_by("started_at")
    if streams:
        hours = hours.filter(stream__in=streams)
    by_stream: dict[int, list[HourlyCount]] = {}
    for hour in hours[:20_000]:
        by_stream.setdefault(hour.stream_id, []).append(hour)
    machines = CountStream.objects.select_related("station", "run__work_order").in_bulk(list(by_stream)[:MOST_MACHINES])
    ordered = sorted(machines.values(), key=lambda stream: (stream.run_id, stream.step_no, stream.equipment_id))
    return [
        MachineDetail(
            stream, by_stream[stream.pk], *(_list_reports(stream, since, until) if len(machines) < 3 else ([], False))
        )
        for stream in ordered
    ]


def _list_reports(stream: CountStream, since: datetime, until: datetime) -> tuple[list[ReportRow], bool]:
    reports, known_until = load_reports(stream, since, until)
    windows = build_windows(reports, known_until=known_until).of
    counts: dict[int, list[int | None]] = {}
    for index, of_counter in enumerate(windows):
        for window in of_counter:
            counts.setdefault(window.id, [None] * len(COUNTERS))[index] = window.count
    report_ids = [report.id for report in reports if report.end > since and report.start < until]
    rows = CountReport.objects.filter(stream=stream, pk__in=report_ids).order_by("window_end", "id")
    shown = list(rows[: MOST_REPORTS + 1])
    records = DeviceDataRecord.objects.filter(
        pk__in=[row.pk for row in shown], received_at__in={row.received_at for row in shown}
    )
    event_ids = dict(records.values_list("pk", "event_id"))
    nothing = (None,) * len(COUNTERS)
    return [
        ReportRow(row, event_ids.get(row.pk, ""), tuple(counts.get(row.pk, nothing))) for row in shown[:MOST_REPORTS]
    ], len(shown) > MOST_REPORTS
