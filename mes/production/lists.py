"""Lists of work orders, runs and units."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from mes.plant.models import Line
from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing, Period, Row
from mes.production.models import Run, RunKind, RunStatus, Unit, UnitStatus, WorkOrder, WorkOrderStatus


def _line_codes() -> list[str]:
    return list(Line.objects.order_by("code").values_list("code", flat=True)[:500])


def _to_order(row: Row) -> str:
    return reverse("order", args=[row["wo_no"]])


def _to_order_of_run(row: Row) -> str:
    return reverse("order", args=[row["work_order__wo_no"]])


ORDERS = Listing(
    name="orders",
    title=_("Work orders"),
    about=_("What is to be made, and by when."),
    empty=_("No work order has come. The ERP sends them, or a supervisor makes them on the page “Orders”."),
    rows=lambda user: WorkOrder.objects.all(),
    columns=(
        Column(
            "order",
            _("Work order"),
            "wo_no",
            Kind.CODE,
            sort="wo_no",
            link=_to_order,
        ),
        Column("product", _("Product"), "product_code", Kind.CODE),
        Column("quantity", _("Planned"), "planned_qty", Kind.NUMBER),
        Column("status", _("Status"), "status", Kind.STATE, choices=WorkOrderStatus.choices),
        Column("kind", _("Kind"), "kind", choices=RunKind.choices, is_shown=False),
        Column("due", _("Due"), "due_date"),
        Column("route", _("Route"), "routing__code", Kind.CODE),
        Column("line", _("Line"), "line__code", Kind.CODE),
        Column("received", _("Received"), "received_at", Kind.TIME, sort="id"),
        Column("overrun", _("Overrun %"), "overrun_percent", Kind.NUMBER, is_shown=False),
        Column("updated", _("Updated"), "updated_at", Kind.TIME, is_shown=False),
    ),
    filters=(
        Filter("q", _("Work order begins with"), FilterKind.PREFIX, "wo_no"),
        Filter("product", _("Product"), lookup="product_code", is_indexed=False),
        Filter("status", _("Status"), FilterKind.CHOICE, "status", choices=WorkOrderStatus.choices, is_indexed=False),
        Filter("line", _("Line"), lookup="line__code", suggest=_line_codes),
        Filter("route", _("Route"), lookup="routing__code"),
    ),
    sort="-received",
    period=Period(_("Received"), "received_at", preset="all"),
    more=((_("Late ones first"), lambda: reverse("orders")),),
)

RUNS = Listing(
    name="runs",
    title=_("Runs"),
    about=_("Batches of orders on lines, from preparation to their end."),
    empty=_("There is no run. A supervisor makes one on the page of a released order."),
    rows=lambda user: Run.objects.all(),
    columns=(
        Column(
            "run",
            _("Run"),
            "run_no",
            Kind.CODE,
            sort="run_no",
            link=lambda row: reverse("run", args=[row["run_no"]]),
        ),
        Column("status", _("Status"), "status", Kind.STATE, choices=RunStatus.choices),
        Column("kind", _("Kind"), "kind", choices=RunKind.choices, is_shown=False),
        Column("order", _("Work order"), "work_order__wo_no", Kind.CODE, link=_to_order_of_run),
        Column("product", _("Product"), "work_order__product_code", Kind.CODE),
        Column("line", _("Line"), "line__code", Kind.CODE),
        Column("quantity", _("Planned"), "plan_qty", Kind.NUMBER),
        Column("route", _("Route"), "route_version__routing__code", Kind.CODE),
        Column("version", _("Version"), "route_version__version_no", Kind.NUMBER),
        Column("created", _("Created"), "created_at", Kind.TIME, sort="id"),
        Column("started", _("Started"), "started_at", Kind.TIME),
        Column("ended", _("Ended"), "ended_at", Kind.TIME),
        Column("authorized", _("Authorized"), "authorized_at", Kind.TIME, is_shown=False),
        Column("authorized-by", _("Authorized by"), "authorized_by", is_shown=False),
        Column("shift", _("Shift"), "shift_code", Kind.CODE, is_shown=False),
        Column("decided-by", _("Last decided by"), "status_by", is_shown=False),
        Column("reason", _("Reason"), "status_reason", is_shown=False),
    ),
    filters=(
        Filter("q", _("Run begins with"), FilterKind.PREFIX, "run_no"),
        Filter("order", _("Work order"), lookup="work_order__wo_no"),
        Filter("status", _("Status"), FilterKind.CHOICE, "status", choices=RunStatus.choices, is_indexed=False),
        Filter("line", _("Line"), lookup="line__code", suggest=_line_codes),
    ),
    sort="-created",
    period=Period(_("Created"), "created_at", preset="all"),
)

UNITS = Listing(
    name="units",
    title=_("Units"),
    about=_("Serialised boards: where each stands, and why it is held or scrapped."),
    empty=_("There is no unit. They are registered in a run, or made as their first station sees them."),
    rows=lambda user: Unit.objects.all(),
    columns=(
        Column(
            "sn", _("Serial number"), "sn", Kind.CODE, sort="sn", link=lambda row: reverse("unit", args=[row["sn"]])
        ),
        Column("status", _("Status"), "status", Kind.STATE, choices=UnitStatus.choices),
        Column("step", _("Step"), "current_step_no", Kind.NUMBER),
        Column("run", _("Run"), "run__run_no", Kind.CODE, link=lambda row: reverse("run", args=[row["run__run_no"]])),
        Column("order", _("Work order"), "work_order__wo_no", Kind.CODE, link=_to_order_of_run),
        Column("product", _("Product"), "work_order__product_code", Kind.CODE),
        Column("rework", _("Times reworked"), "rework_no", Kind.NUMBER),
        Column("hold", _("Reason of hold"), "hold_reason"),
        Column("created", _("Created"), "created_at", Kind.TIME, sort="id"),
        Column("updated", _("Updated"), "updated_at", Kind.TIME, is_shown=False),
        Column("held-from", _("Held from"), "held_from", Kind.STATE, choices=UnitStatus.choices, is_shown=False),
        Column("scrap", _("Reason of scrap"), "scrap_reason", is_shown=False),
    ),
    filters=(
        Filter("q", _("Serial number begins with"), FilterKind.PREFIX, "sn"),
        Filter("run", _("Run"), lookup="run__run_no"),
        Filter("order", _("Work order"), lookup="work_order__wo_no"),
        Filter("status", _("Status"), FilterKind.CHOICE, "status", choices=UnitStatus.choices, is_indexed=False),
        Filter("step", _("Step"), FilterKind.NUMBER, "current_step_no", is_indexed=False),
    ),
    sort="-created",
    period=Period(_("Created"), "created_at", preset="30d"),
)

LISTS = (UNITS, RUNS, ORDERS)
