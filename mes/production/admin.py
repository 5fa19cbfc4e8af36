"""Work orders, runs and units in the admin site: for looking."""

from django.contrib import admin

from mes.platform.http.admin import ReadOnlyAdmin, ScanSearch
from mes.production.models import Run, Unit, WorkOrder
from mes.sections import ORDERS_AND_RUNS

ORDERS_AND_RUNS.add(WorkOrder, Run, Unit)


@admin.register(WorkOrder)
class WorkOrderAdmin(ReadOnlyAdmin):
    """Orders as they were received and what became of them."""

    list_display = (
        "wo_no",
        "product_code",
        "planned_qty",
        "overrun_percent",
        "status",
        "line",
        "routing",
        "due_date",
        "received_at",
    )
    list_filter = ("status", "line")
    list_select_related = ("line", "routing")
    search_fields = ("wo_no__startswith", "product_code__startswith")


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """Batches and the frozen route each is bound to."""

    list_display = ("run_no", "work_order", "line", "route_version", "plan_qty", "status", "started_at", "ended_at")
    list_filter = ("status", "line")
    list_select_related = ("work_order", "line", "route_version__routing")
    search_fields = ("run_no__startswith", "work_order__wo_no__exact")


@admin.register(Unit)
class UnitAdmin(ScanSearch, ReadOnlyAdmin):
    """Boards and where they stand."""

    list_display = ("sn", "run", "work_order", "status", "current_step_no", "hold_reason", "updated_at")
    list_filter = ("status", "run__line")
    list_select_related = ("run", "work_order")
    search_fields = ("sn__startswith", "run__run_no__exact")
