"""A run that has not begun takes a newer version of its route."""

from functools import partial

from django.utils.translation import gettext as _

from mes.errors import RouteVersionNotFound, RouteVersionNotReady, RunStarted, ValidationFailed
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.production import hooks, locking, runs
from mes.production.models import Run, RunStatus, Unit, UnitStatus
from mes.routing import snapshots
from mes.routing.models import RouteVersion, VersionStatus

NOT_BEGUN = (RunStatus.PREP, RunStatus.AUTHORIZED)


@locking.atomically
def take_version(*, run_no: str, version_no: int, by: str, reason: str) -> Run:
    """Bind a run to a newer version of its route; its own version again changes nothing.

    An authorized run falls back to PREP, because it was authorized by what the older version asks for. Registered units
    are put to the first step of the newer one. The run is locked as entries of units and first articles lock it: of
    two at once, one comes second and is refused.

    Raises RunNotFound, RunStarted, RouteVersionNotFound, RouteVersionNotReady, ValidationFailed.
    """
    run = runs.lock(run_no=run_no)
    routing = run.route_version.routing
    not_found = partial(RouteVersionNotFound, route=routing.code)
    version = get_or_raise(routing.versions.defer("snapshot", "errors"), not_found, version_no=version_no)
    if version.pk == run.route_version_id:
        return run
    if has_begun(run):
        raise RunStarted(run=run.run_no)
    if version.status != VersionStatus.READY:
        refused = _("version %(number)d cannot be used.") % {"number": version_no}
        raise RouteVersionNotReady(reason=refused, route=routing.code)
    if version.version_no < run.route_version.version_no:
        raise ValidationFailed({"routeVersionNo": _("The run has a newer version already.")})
    _bind(run, version, by=by, reason=reason)
    _place_units(run)
    return run


def has_begun(run: Run) -> bool:
    """Whether a run has had a track, or a first article that was begun. It keeps its version from then on."""
    if run.status not in NOT_BEGUN:
        return True
    begun = Run.objects.filter(pk=run.pk)
    return any(
        begun.filter(**condition).exists()
        for condition in (
            {"tracks__isnull": False},
            {"carrier_tracks__isnull": False},
            {"first_articles__started_at__isnull": False},
        )
    )


def _bind(run: Run, version: RouteVersion, *, by: str, reason: str) -> None:
    run.route_version = version
    run.status = RunStatus.PREP
    run.authorized_at, run.authorized_by = None, ""
    run.status_by, run.status_reason = by, reason
    give_reason(reason)
    run.save(update_fields=["route_version", "status", "authorized_at", "authorized_by", "status_by", "status_reason"])


def _place_units(run: Run) -> None:
    """Put the units of a run that has not begun to the first step of its version."""
    first = snapshots.load(version_id=run.route_version_id, digest=run.route_version.digest).first_step_no
    units = Unit.objects.filter(run=run).exclude(status=UnitStatus.SCRAPPED)
    ids = [unit.pk for unit in locking.lock_units(units)]
    Unit.objects.filter(pk__in=ids).exclude(current_step_no=first).update(current_step_no=first)
    for listener in hooks.units_placed:
        listener(ids)
