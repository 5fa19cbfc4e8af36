"""Reads of work orders, runs and units."""

from collections.abc import Iterable

from django.db.models import Count, Max, QuerySet

from mes.production.decision_models import UnitMove
from mes.production.models import Run, RunStatus, Unit, UnitStatus
from mes.routing.models import RouteVersion, VersionStatus


def units_with_tracks(units: QuerySet[Unit]) -> QuerySet[Unit]:
    """Return the units that entered a station at least once."""
    return units.filter(tracks__isnull=False).distinct()


def has_track(run: Run) -> bool:
    """Whether a unit or a carrier was ever tracked in a run."""
    same = Run.objects.filter(pk=run.pk)
    return same.filter(tracks__isnull=False).exists() or same.filter(carrier_tracks__isnull=False).exists()


def count_units(runs: Iterable[Run]) -> dict[int, dict[str, int]]:
    """Return the number of units by status for each run, in one query; every status is there.

    A unit counts where it was made: those that a run finished or scrapped and that left it later count there still.
    """
    counts: dict[int, dict[str, int]] = {run.pk: dict.fromkeys(UnitStatus.values, 0) for run in runs}
    here = Unit.objects.filter(run__in=counts).order_by().values_list("run", "status").annotate(Count("id"))
    left = UnitMove.objects.filter(from_run__in=counts).exclude(counted_as="").order_by()
    there = left.values_list("from_run", "counted_as").annotate(Count("id"))
    for run_id, status, count in here.union(there, all=True):
        counts[run_id][status] += count
    return counts


def find_newer_version(run: Run) -> int | None:
    """Return the number of the latest version that a route has got since its run was created; one query.

    None for a run that has begun: it keeps its version.
    """
    if run.status not in (RunStatus.PREP, RunStatus.AUTHORIZED):
        return None
    bound = run.route_version
    newer = RouteVersion.objects.filter(routing=bound.routing_id, status=VersionStatus.READY)
    newest = newer.filter(version_no__gt=bound.version_no).aggregate(newest=Max("version_no"))["newest"]
    return None if newest is None else int(newest)
