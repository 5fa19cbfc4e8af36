"""What needs an engineer of routes: those that differ from their latest version, and those it cannot be used of."""

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from mes.platform.monitoring.engineer_work import MOST_ENTRIES, EngineerWork, Entry, Found
from mes.routing.models import RouteVersion, Routing, VersionStatus


def find_drifted() -> Found:
    """Return the active routes that differ from their latest version, for longest first. One query."""
    rows = list(
        Routing.objects.filter(is_active=True)
        .filter(drift__count__gt=0, drift__version_no=Subquery(_versions().values("version_no")[:1]))
        .order_by("drift__drifted_at", "code")
        .values_list("code", "drift__version_no", "drift__count", "drift__drifted_at", "drift__differences")
    )
    entries = [
        Entry(
            code,
            why=_say(count, differences),
            since=since,
            link=reverse("route-version", args=[code, number]) + "?with=live",
        )
        for code, number, count, since, differences in rows[:MOST_ENTRIES]
    ]
    return Found(len(rows), rows[0][3] if rows else None, entries)


def _say(count: int, differences: list[str]) -> str:
    told = ngettext("%(count)d difference", "%(count)d differences", count) % {"count": count}
    return f"{told}. {differences[0]}" if differences else told


def find_invalid() -> Found:
    """Return the active routes whose latest version cannot be used, for longest first. One query."""
    rows = list(
        Routing.objects.filter(is_active=True)
        .annotate(
            latest_status=Subquery(_versions().values("status")[:1]),
            latest_no=Subquery(_versions().values("version_no")[:1]),
            compiled_at=Subquery(_versions().values("compiled_at")[:1]),
            errors=Subquery(_versions().values("errors")[:1]),
        )
        .filter(latest_status=VersionStatus.INVALID)
        .order_by("compiled_at", "code")
        .values_list("code", "latest_no", "compiled_at", "errors")
    )
    entries = [
        Entry(
            code,
            why=errors[0]["message"] if errors else _("It cannot be used."),
            since=since,
            link=reverse("route-version", args=[code, number]),
        )
        for code, number, since, errors in rows[:MOST_ENTRIES]
    ]
    return Found(len(rows), rows[0][2] if rows else None, entries)


def _versions() -> QuerySet[RouteVersion]:
    return RouteVersion.objects.filter(routing=OuterRef("pk")).order_by("-version_no")


WORK = (
    EngineerWork(
        "drifted routes",
        gettext_lazy("Routes that differ from their latest version"),
        find_drifted,
        link=lambda: reverse("admin:mes_routing_changelist"),
    ),
    EngineerWork(
        "invalid routes",
        gettext_lazy("Routes whose latest version cannot be used"),
        find_invalid,
        link=lambda: reverse("admin:mes_routeversion_changelist") + "?status__exact=INVALID",
    ),
)
