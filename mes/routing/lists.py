"""The list of routes."""

from django.db.models import Count, Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing
from mes.routing.models import RouteSource, RouteVersion, Routing, RoutingStep, VersionStatus


def _rows(user: object) -> QuerySet[Routing]:
    """Return routes with the number of their steps, and their latest version."""
    steps = RoutingStep.objects.filter(routing=OuterRef("pk")).order_by().values("routing").annotate(n=Count("pk"))
    versions = RouteVersion.objects.filter(routing=OuterRef("pk")).order_by("-version_no")
    ready = RouteVersion.objects.filter(routing=OuterRef("pk"), status=VersionStatus.READY).order_by().values("routing")
    return Routing.objects.annotate(
        steps_count=Coalesce(Subquery(steps.values("n")), 0),
        latest_status=Subquery(versions.values("status")[:1]),
        latest_at=Subquery(versions.values("compiled_at")[:1]),
        ready_no=Subquery(ready.annotate(no=Max("version_no")).values("no")),
    )


ROUTES = Listing(
    name="routes",
    title=_("Routes"),
    about=_("The ways products take, and the version that new runs get."),
    empty=_("There is no route. Engineers make them in the administration, or the ERP sends them."),
    rows=_rows,
    is_small=True,
    columns=(
        Column(
            "route",
            _("Route"),
            "code",
            Kind.CODE,
            sort="code",
            reads=("id",),
            link=lambda row: reverse("admin:mes_routing_change", args=[row["id"]]),
            is_link_for_administration=True,
        ),
        Column("name", _("Name"), "name", sort="name"),
        Column("product", _("Product"), "product_code", Kind.CODE, sort="product_code"),
        Column("steps", _("Steps"), "steps_count", Kind.NUMBER, sort="steps_count"),
        Column("version", _("Version for new runs"), "ready_no", Kind.NUMBER, sort="ready_no"),
        Column("latest", _("Latest compilation"), "latest_status", sort="latest_status", choices=VersionStatus.choices),
        Column("compiled", _("Compiled"), "latest_at", Kind.TIME, sort="latest_at"),
        Column("active", _("Active"), "is_active", Kind.YES_NO, sort="is_active"),
        Column("source", _("Source"), "source_system", sort="source_system", choices=RouteSource.choices),
        Column("from", _("In effect from"), "effective_from", Kind.TIME, sort="effective_from", is_shown=False),
        Column("until", _("In effect until"), "effective_to", Kind.TIME, sort="effective_to", is_shown=False),
        Column("updated", _("Updated"), "updated_at", Kind.TIME, sort="updated_at", is_shown=False),
    ),
    filters=(
        Filter("q", _("Route begins with"), FilterKind.PREFIX, "code"),
        Filter("product", _("Product"), lookup="product_code"),
        Filter("source", _("Source"), FilterKind.CHOICE, "source_system", choices=RouteSource.choices),
        Filter("active", _("Active"), FilterKind.YES_NO, "is_active"),
    ),
    sort="route",
)
