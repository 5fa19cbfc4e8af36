"""The bench in the admin site: for looking."""

from django.contrib import admin

from execution.quality.repair.models import RepairRecord, ReworkTask
from mes.platform.http.admin import ReadOnlyAdmin
from mes.sections import ORDERS_AND_RUNS

ORDERS_AND_RUNS.add(ReworkTask, RepairRecord)


@admin.register(ReworkTask)
class ReworkTaskAdmin(ReadOnlyAdmin):
    """What is or was to be repaired."""

    list_display = ("id", "unit", "run", "to_step_no", "status", "created_by", "created_at", "ended_by", "ended_at")
    list_filter = ("status",)
    list_select_related = ("unit", "run")
    search_fields = ("unit__sn__exact",)


@admin.register(RepairRecord)
class RepairRecordAdmin(ReadOnlyAdmin):
    """What was done about each defect."""

    list_display = ("id", "task", "defect", "action", "result", "recorded_by", "recorded_at")
    list_filter = ("action", "result")
    list_select_related = ("task", "defect")
    search_fields = ("task__unit__sn__exact",)
