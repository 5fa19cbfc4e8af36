"""Data collection specs in the admin site."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from mes.plant.admin import MasterDataAdmin
from mes.sections import SPECS_AND_ROUTES
from mes.specs.display import describe_alarm, describe_limits
from mes.specs.models import DataCollectionSpec

SPECS_AND_ROUTES.add(DataCollectionSpec)


@admin.register(DataCollectionSpec)
class DataCollectionSpecAdmin(MasterDataAdmin):
    """What to collect and how to judge it. Compile the routes afterwards to publish a change."""

    fixed = ("operation",)
    insists_on_reason = (
        "lsl", "target", "usl", "alarm_min", "alarm_max", "alarm_action", "item_type", "is_required", "is_active",
    )  # fmt: skip
    list_display = (
        "name",
        "operation_code",
        "limits",
        "alarm",
        "kind",
        "is_required",
        "is_active",
    )
    list_filter = ("item_type", "data_type", "method", "is_required", "is_active", "operation")
    list_select_related = ("operation",)
    search_fields = ("name", "operation__code", "operation__name")
    ordering = ("operation__code", "name")
    fieldsets = (
        (None, {"fields": ("operation", "name", "item_type", "is_required", "is_active")}),
        (_("Value"), {"fields": ("data_type", "unit", "method", "trigger_type", "trigger_rule")}),
        (_("Limits (included)"), {"fields": (("lsl", "target", "usl"),)}),
        (_("Alarm"), {"fields": (("alarm_min", "alarm_max"), "alarm_action")}),
    )

    @admin.display(description=_("operation"), ordering="operation__code")
    def operation_code(self, spec: DataCollectionSpec) -> str:
        """The operation at which it is collected."""
        return spec.operation.code

    @admin.display(description=_("kind"), ordering="item_type")
    def kind(self, spec: DataCollectionSpec) -> str:
        """Key or observation, type of value, by a device or by hand: in the words of the interface."""
        return f"{spec.item_type} {spec.data_type} {spec.method}"

    @admin.display(description=_("limits"))
    def limits(self, spec: DataCollectionSpec) -> str:
        """Lower limit, target, upper limit and unit in one line."""
        return format_html('<span style="white-space: nowrap">{}</span>', describe_limits(spec))

    @admin.display(description=_("alarm"))
    def alarm(self, spec: DataCollectionSpec) -> str:
        """The alarm band and what happens outside of it."""
        return format_html('<span style="white-space: nowrap">{}</span>', describe_alarm(spec))
