"""A run that has not begun takes a newer version of its route."""

from functools import partial

from django.db.models import Q
from django.utils.translation import gettext as _

from mes.errors import RouteVersionNotFound, RouteVersionNotReady, RunStarted, ValidationFailed
from mes.platform.database.lookup import get_or_raise
from mes.production import hooks, locking
from mes.production.models import Run, RunStatus, Unit, UnitStatus
from mes.production.queries import has_track
from mes.routing import snapshots
from mes.routing.models import VersionStatus

NOT_BEGUN = (RunStatus.PREP, RunStatus.AUTHORIZED)


def take(run: Run, version_no: int) -> bool:
    """Bind a locked run to a newer version of its route, unsaved; return whether that is another than it has.

    An authorized run falls back to PREP, because it was authorized by what the older version asks for. Registered units
    are put to the first step of the newer one. The run is locked as entries of units and first articles lock it: of
    two at once, one comes second and is refused. Units that came under way from other runs stand where the older
    version says: with them, it is kept.

    Raises RunStarted, RouteVersionNotFound, RouteVersionNotReady, ValidationFailed.
    """
    routing = run.route_version.routing
    not_found = partial(RouteVersionNotFound, route=routing.code)
    version = get_or_raise(routing.versions.defer("snapshot", "errors"), not_found, version_no=version_no)
    if version.pk == run.route_version_id:
        return False
    if has_begun(run) or _has_units_under_way(run):
        raise RunStarted(run=run.run_no)
    if version.status != VersionStatus.READY:
        refused = _("version %(number)d cannot be used.") % {"number": version_no}
        raise RouteVersionNotReady(reason=refused, route=routing.code)
    if version.version_no < run.route_version.version_no:
        raise ValidationFailed({"routeVersionNo": _("The run has a newer version already.")})
    run.route_version = version
    fall_back(run)
    _place_units(run)
    return True


def has_begun(run: Run) -> bool:
    """Whether a run has had a track, or a first article that was begun. It keeps line and version from then on."""
    if (run.held_from or run.status) not in NOT_BEGUN:
        return True
    return has_track(run) or Run.objects.filter(pk=run.pk, first_articles__started_at__isnull=False).exists()


def _has_units_under_way(run: Run) -> bool:
    """Whether units of a run that has not begun stand anywhere but at its beginning: they were moved into it."""
    first = snapshots.load(version_id=run.route_version_id, digest=run.route_version.digest).first_step_no
    waiting = Q(current_step_no=first) & (Q(status=UnitStatus.QUEUED) | Q(held_from=UnitStatus.QUEUED))
    return Unit.objects.filter(run=run).exclude(status=UnitStatus.SCRAPPED).exclude(waiting).exists()


def fall_back(run: Run) -> None:
    """Take a locked run that has not begun back to PREP, unsaved; a held one goes on there."""
    if run.status == RunStatus.ON_HOLD:
        run.held_from = RunStatus.PREP
    else:
        run.status = RunStatus.PREP
    run.authorized_at, run.authorized_by = None, ""


def _place_units(run: Run) -> None:
    """Put the units of a run that has not begun to the first step of its version."""
    first = snapshots.load(version_id=run.route_version_id, digest=run.route_version.digest).first_step_no
    units = Unit.objects.filter(run=run).exclude(status=UnitStatus.SCRAPPED)
    ids = [unit.pk for unit in locking.lock_units(units)]
    Unit.objects.filter(pk__in=ids).exclude(current_step_no=first).update(current_step_no=first)
    for listener in hooks.units_placed:
        listener(ids)
