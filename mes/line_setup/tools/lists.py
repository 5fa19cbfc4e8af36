"""The list of tools."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from mes.line_setup.models import Tool, ToolKind, ToolStatus
from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing

TOOLS = Listing(
    name="tools",
    title=_("Tools"),
    about=_("Stencils, squeegees, fixtures: what each was used for, and its limits."),
    empty=_("There is no tool. One exists from its first scan or report; engineers keep its limits."),
    rows=lambda user: Tool.objects.all(),
    is_small=True,
    columns=(
        Column(
            "tool",
            _("Tool"),
            "tool_id",
            Kind.CODE,
            sort="tool_id",
            reads=("id",),
            link=lambda row: reverse("admin:mes_tool_change", args=[row["id"]]),
            is_link_for_administration=True,
        ),
        Column("kind", _("Kind"), "kind", sort="kind", choices=ToolKind.choices),
        Column("status", _("Status"), "status", Kind.STATE, sort="status", choices=ToolStatus.choices),
        Column("uses", _("Uses since service"), "uses_since_service", Kind.NUMBER, sort="uses_since_service"),
        Column("max-uses", _("Most uses"), "max_uses", Kind.NUMBER),
        Column("serviced", _("Last serviced"), "serviced_at", Kind.TIME),
        Column("max-hours", _("Most hours since service"), "max_hours_since_service", Kind.NUMBER, is_shown=False),
        Column("life", _("Uses of its life"), "uses", Kind.NUMBER, sort="uses"),
        Column("life-uses", _("Most uses of its life"), "life_uses", Kind.NUMBER, is_shown=False),
        Column("tension", _("Tension"), "tension_value", Kind.NUMBER, is_shown=False),
        Column("version", _("Version"), "version", is_shown=False),
    ),
    filters=(
        Filter("q", _("Tool begins with"), FilterKind.PREFIX, "tool_id"),
        Filter("kind", _("Kind"), FilterKind.CHOICE, "kind", choices=ToolKind.choices),
        Filter("status", _("Status"), FilterKind.CHOICE, "status", choices=ToolStatus.choices),
    ),
    sort="tool",
)
