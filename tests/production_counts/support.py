"""Reports of machines, kept without the way through the HTTP interface."""

from collections.abc import Iterable
from datetime import datetime
from itertools import count

from django.utils import timezone

from mes.production.models import Run
from mes.production_counts.hours import record
from mes.production_counts.models import HourlyCount
from mes.production_counts.reports import Machine, NewReport
from mes.production_counts.windows import COUNTERS, NO_COUNTS, Counts, Report
from tests.factories import Plant

_ids = count(1)


def machine_of(plant: Plant, *, equipment: str = "", run: Run | None = None) -> Machine:
    """Return the printer of a plant."""
    run = run or plant.run
    return Machine(run.pk, plant.stations["SMT-01"].pk, 10, equipment, run.line_id, "PRINT")


def new_report(
    machine: Machine,
    start: datetime,
    end: datetime,
    counts: Counts,
    *,
    is_cumulative: bool = False,
    id: int = 0,
    moduli: Counts = NO_COUNTS,
) -> NewReport:
    return NewReport(id or next(_ids), timezone.now(), machine, start, end, is_cumulative, counts, moduli)


def keep(machine: Machine, reports: Iterable[Report]) -> None:
    """Keep reports together, as a batch does."""
    record(
        [
            new_report(machine, r.start, r.end, r.counts, is_cumulative=r.is_cumulative, id=r.id, moduli=r.moduli)
            for r in reports
        ]
    )


def hours() -> dict[datetime, tuple[object, ...]]:
    """Return what is kept of each hour, by its beginning."""
    return {
        hour.started_at: (
            tuple(getattr(hour, name) for name in COUNTERS),
            hour.doubts,
            hour.doubt_at_start > 0,
            hour.doubt_at_end > 0,
            hour.first_at,
            hour.last_at,
        )
        for hour in HourlyCount.objects.all()
    }
