"""Once the stop of a line or a station is answered, nothing enters there.

Who enters holds its run shared, and reads what is stopped after that. So the stop is written and committed first, then
whoever is under way is waited for: who reads from then on sees it, and who read before holds a run that was there. One
that is made and authorized meanwhile is of no account, as its units see the stop.
"""

from collections.abc import Collection
from functools import partial

from django.db import transaction
from django.db.models import Q

from mes.plant.models import Line, Station
from mes.production import runs
from mes.production.models import OPEN_RUN_STATUSES, Run


def wait_for_entries(place: Line | Station) -> None:
    """Have the present transaction, once it is committed, wait for units that are entering a place."""
    transaction.on_commit(partial(_wait, place))


@transaction.atomic
def _wait(place: Line | Station) -> None:
    """Lock the runs whose units may be entering a place, for a moment."""
    list(Run.objects.filter(pk__in=list_touched(place)).select_for_update(no_key=True).order_by("pk").only("pk"))


def list_touched(place: Line | Station) -> list[int]:
    """Return the open runs that a stop concerns: those of its line, and those whose routes name one of its stations, or
    whose deviations may. Of a station that is shared by all lines, all.
    """
    open_runs = Run.objects.filter(status__in=OPEN_RUN_STATUSES)
    if isinstance(place, Station) and place.line_id is None:
        return list(open_runs.values_list("pk", flat=True))
    line_id = place.pk if isinstance(place, Line) else place.line_id
    codes = set(place.stations.values_list("code", flat=True)) if isinstance(place, Line) else {place.code}
    surely = Q(line_id=line_id) | Q(has_deviations=True)
    others = open_runs.exclude(surely).select_related("route_version")
    named = [run.pk for run in others.defer("route_version__snapshot", "route_version__errors") if _names(run, codes)]
    return [*open_runs.filter(surely).values_list("pk", flat=True), *named]


def _names(run: Run, codes: Collection[str]) -> bool:
    """Whether a step of a run's route names one of these stations."""
    return any(code in (step.allowed_stations or ()) for step in runs.snapshot_of(run).steps for code in codes)
