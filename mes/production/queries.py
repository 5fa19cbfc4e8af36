"""Reads of work orders, runs and units."""

from collections.abc import Iterable

from django.db.models import Count, QuerySet

from mes.production.models import Run, Unit, UnitStatus


def units_with_tracks(units: QuerySet[Unit]) -> QuerySet[Unit]:
    """Return the units that entered a station at least once."""
    return units.filter(tracks__isnull=False).distinct()


def count_units(runs: Iterable[Run]) -> dict[int, dict[str, int]]:
    """Return the number of units by status for each run, in one query; every status is there."""
    counts: dict[int, dict[str, int]] = {run.pk: dict.fromkeys(UnitStatus.values, 0) for run in runs}
    rows = Unit.objects.filter(run__in=counts).values_list("run", "status").annotate(Count("id")).order_by()
    for run_id, status, count in rows:
        counts[run_id][status] = count
    return counts
