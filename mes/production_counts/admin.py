"""Production counts in the admin site, for looking."""

from django.contrib import admin

from mes.platform.http.admin import ReadOnlyAdmin
from mes.production_counts.models import (
    CountStream,
    HourlyCount,
    RecordRemark,
    RecordSignature,
)
from mes.sections import MACHINES, ORDERS_AND_RUNS

MACHINES.add(HourlyCount, CountStream)
ORDERS_AND_RUNS.add(RecordRemark, RecordSignature)


@admin.register(CountStream)
class CountStreamAdmin(ReadOnlyAdmin):
    """Which machines count for which runs."""

    list_display = ("id", "run", "station", "step_no", "equipment_id", "created_at")
    list_select_related = ("run", "station")
    search_fields = ("run__run_no__exact", "station__code__exact", "equipment_id__exact")


@admin.register(HourlyCount)
class HourlyCountAdmin(ReadOnlyAdmin):
    """What was counted in each hour."""

    list_display = ("started_at", "date", "shift", "stream_id", "boards_in", "boards_out", "picked", "placed", "doubts")
    search_fields = ("stream__run__run_no__exact", "stream__station__code__exact")
    ordering = ("-id",)


@admin.register(RecordRemark)
class RecordRemarkAdmin(ReadOnlyAdmin):
    """What was remarked, corrected texts too."""

    list_display = ("id", "line", "date", "run", "station", "text", "written_by", "written_at")
    list_select_related = ("line", "run", "station")
    search_fields = ("line__code__exact", "run__run_no__exact")


@admin.register(RecordSignature)
class RecordSignatureAdmin(ReadOnlyAdmin):
    """Who checked or signed what, and which figures they saw."""

    list_display = ("id", "line", "date", "hour", "written_by", "written_at", "figures")
    list_select_related = ("line",)
    search_fields = ("line__code__exact", "written_by__exact")
