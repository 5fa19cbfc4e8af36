"""What needs an engineer of runs: those in preparation whose route has a newer version."""

from django.db.models import F, OuterRef, Subquery
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mes.platform.monitoring.engineer_work import MOST_ENTRIES, EngineerWork, Entry, Found
from mes.production.models import Run, RunStatus
from mes.routing.models import RouteVersion, VersionStatus


def find_older() -> Found:
    """Return the runs in preparation of an older version than the latest that is ready, oldest first. One query."""
    ready = RouteVersion.objects.filter(routing=OuterRef("route_version__routing"), status=VersionStatus.READY)
    newest = ready.order_by("-version_no").values("version_no")[:1]
    rows = list(
        Run.objects.filter(status=RunStatus.PREP)
        .annotate(newest=Subquery(newest))
        .filter(newest__gt=F("route_version__version_no"))
        .order_by("created_at", "id")
        .values_list("run_no", "route_version__version_no", "newest", "created_at")
    )
    entries = [
        Entry(
            run_no,
            why=_("Version %(newest)d is newer than its version %(number)d.") % {"newest": newest_no, "number": number},
            since=created_at,
            link=reverse("readiness", args=[run_no]),
        )
        for run_no, number, newest_no, created_at in rows[:MOST_ENTRIES]
    ]
    return Found(len(rows), rows[0][3] if rows else None, entries)


WORK = EngineerWork(
    "runs of older versions",
    gettext_lazy("Runs in preparation on an older version"),
    find_older,
    link=lambda: reverse("readiness-next"),
)
