"""Inspections and defects in the admin site: for looking."""

from django.contrib import admin

from execution.quality.models import Defect, InspectionResult
from mes.platform.http.admin import ReadOnlyAdmin
from mes.sections import ORDERS_AND_RUNS

ORDERS_AND_RUNS.add(InspectionResult, Defect)


@admin.register(InspectionResult)
class InspectionResultAdmin(ReadOnlyAdmin):
    """What counts for each track and kind of inspection."""

    list_display = ("id", "track", "inspection_type", "result", "status_at", "source", "operator_id", "recorded_by")
    list_filter = ("inspection_type", "result")
    list_select_related = ("track",)


@admin.register(Defect)
class DefectAdmin(ReadOnlyAdmin):
    """What was found wrong."""

    list_display = ("id", "unit", "run", "step_no", "code", "location", "status", "found_at")
    list_filter = ("status",)
    list_select_related = ("unit", "run")
    search_fields = ("unit__sn__exact", "code__exact")
