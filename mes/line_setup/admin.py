"""Line set-up in the admin site: engineers keep the limits of stencils; the rest is reported or scanned."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from mes import errors
from mes.line_setup.checks.models import CheckForm, CheckRecord
from mes.line_setup.checks.services import settle
from mes.line_setup.loads.models import Load, LoadMark
from mes.line_setup.models import (
    LotEvent,
    MaintenanceTask,
    MaterialLot,
    SolderPasteUsage,
    Tool,
)
from mes.line_setup.tools import services
from mes.plant.admin import MasterDataAdmin
from mes.platform.http.admin import ReadOnlyAdmin, ScanSearch
from mes.platform.scans import LOT, TOOL
from mes.sections import MACHINES

MACHINES.add(CheckForm, CheckRecord, Tool, MaterialLot, LotEvent, SolderPasteUsage, Load, LoadMark, MaintenanceTask)


class ToolForm(forms.ModelForm):
    """A service lies behind it, as everywhere."""

    def clean_serviced_at(self) -> Any:
        """Refuse one that has yet to be."""
        serviced_at = self.cleaned_data["serviced_at"]
        try:
            services.check({"serviced_at": serviced_at})
        except errors.EventTimeInFuture as refusal:
            raise ValidationError(str(refusal)) from None
        return serviced_at


@admin.register(Tool)
class ToolAdmin(ScanSearch, MasterDataAdmin):
    """Tools and their limits. Their state comes from reports."""

    form = ToolForm
    scan_part = TOOL

    fixed = ("tool_id",)
    list_display = (
        "tool_id",
        "kind",
        "version",
        "status",
        "status_at",
        "tension_value",
        "serviced_at",
        "uses_since_service",
    )
    list_filter = ("kind", "status")
    search_fields = ("tool_id",)
    readonly_fields = (
        "status_at",
        "tension_value",
        "uses_since_service",
        "uses",
        "created_at",
    )
    fields = (
        ("tool_id", "kind", "version"),
        ("tension_min", "max_uses", "max_hours_since_service", "life_uses"),
        ("status", "status_at"),
        ("tension_value", "serviced_at", "uses_since_service", "uses"),
        "created_at",
    )

    def save_model(self, request: HttpRequest, obj: Tool, form: Any, change: bool) -> None:
        """Only what was typed is saved: reports come in meanwhile."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        services.change(obj.tool_id, {name: form.cleaned_data[name] for name in form.changed_data})


@admin.register(CheckForm)
class CheckFormAdmin(MasterDataAdmin):
    """What is looked at, of what, and how often."""

    fixed = ("code", "subject_type")
    list_display = ("code", "name", "subject_type", "tool_kind", "on_fail", "is_active")
    list_filter = ("subject_type", "is_active")
    search_fields = ("code", "name")
    fieldsets = (
        (None, {"fields": ("code", "name", "is_active")}),
        (_("Of what"), {"fields": (("subject_type", "tool_kind"), "subject_codes")}),
        (_("What is looked at"), {"fields": ("fields",)}),
        (_("How often"), {"fields": (("every_hours", "every_shift", "every_uses"),)}),
        (_("What follows"), {"fields": (("on_pass", "on_fail"), "needs_verifier")}),
    )

    def save_model(self, request: HttpRequest, obj: CheckForm, form: Any, change: bool) -> None:
        """What it blocks follows."""
        super().save_model(request, obj, form, change)
        if change:
            settle(obj)


@admin.register(CheckRecord)
class CheckRecordAdmin(ReadOnlyAdmin):
    """Checks that were made."""

    list_display = ("form", "subject_type", "subject_code", "verdict", "at", "operator", "verified_by")
    list_filter = ("verdict", "subject_type")
    list_select_related = ("form",)
    search_fields = ("subject_code__exact", "form__code__exact")


@admin.register(MaterialLot)
class MaterialLotAdmin(ScanSearch, ReadOnlyAdmin):
    """Packages of parts and paste."""

    scan_part = LOT

    list_display = (
        "lot_id",
        "material",
        "status",
        "quantity",
        "supplier_lot",
        "date_code",
        "paste_status",
        "status_at",
        "expires_at",
        "thawed_at",
        "stirred_at",
    )
    list_filter = ("status", "paste_status")
    list_select_related = ("material",)
    search_fields = ("lot_id", "supplier_lot__exact")


@admin.register(LotEvent)
class LotEventAdmin(ReadOnlyAdmin):
    """What happened to lots."""

    list_display = ("lot", "kind", "at", "quantity", "temperature_c", "other", "reason", "operator", "recorded_by")
    list_filter = ("kind",)
    list_select_related = ("lot", "other")
    search_fields = ("lot__lot_id__exact",)


@admin.register(SolderPasteUsage)
class SolderPasteUsageAdmin(ReadOnlyAdmin):
    """When lots were in use."""

    list_display = ("lot", "line", "run", "issued_at", "returned_at")
    list_select_related = ("lot", "line", "run")
    search_fields = ("lot__lot_id__exact",)


@admin.register(Load)
class LoadAdmin(ReadOnlyAdmin):
    """What was in which slot, from when to when."""

    list_display = ("station", "line", "slot", "lot", "tool", "program", "state", "loaded_at", "ended_at", "verify")
    list_select_related = ("station", "line", "lot", "tool")
    search_fields = ("station__code__exact", "line__code__exact", "lot__lot_id__exact", "tool__tool_id__exact")


@admin.register(LoadMark)
class LoadMarkAdmin(ReadOnlyAdmin):
    """What was done to slots, and by whom."""

    list_display = ("at", "kind", "station", "line", "slot", "lot", "tool", "program", "operator", "voided_at")
    list_select_related = ("station", "line", "lot", "tool")
    search_fields = ("station__code__exact", "line__code__exact", "lot__lot_id__exact", "tool__tool_id__exact")


@admin.register(MaintenanceTask)
class MaintenanceTaskAdmin(ReadOnlyAdmin):
    """What the maintenance system has open for machines."""

    list_display = ("number", "equipment", "title", "is_open", "is_blocking", "due_at", "status_at")
    list_filter = ("is_open", "is_blocking")
    list_select_related = ("equipment",)
    search_fields = ("number__exact", "equipment__code__exact")
