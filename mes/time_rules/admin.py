"""Time rules in the admin site; their clocks for looking."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from mes.plant.admin import MasterDataAdmin
from mes.platform.http.admin import ReadOnlyAdmin, choice_filter
from mes.sections import READINESS_AND_TIME
from mes.time_rules.models import (
    InstanceStatus,
    TimeRuleDefinition,
    TimeRuleInstance,
    TimeRuleMark,
)

READINESS_AND_TIME.add(TimeRuleDefinition, TimeRuleInstance, TimeRuleMark)


@admin.register(TimeRuleDefinition)
class TimeRuleDefinitionAdmin(MasterDataAdmin):
    """What must happen within which time. Clocks that run keep the durations they were started with."""

    insists_on_reason = (
        "duration_minutes", "warning_minutes", "is_waivable", "is_active", "scope", "scope_value",
        "route_operation_kinds", "start_event", "start_condition", "restarts", "end_event", "end_condition",
    )  # fmt: skip
    list_display = (
        "code",
        "name",
        "scope",
        "scope_value",
        "duration_minutes",
        "warning_minutes",
        "is_waivable",
        "is_active",
        "priority",
    )
    list_filter = ("is_active", "scope", "start_event")
    search_fields = ("code", "name", "scope_value")
    fieldsets = (
        (None, {"fields": ("code", "name", ("duration_minutes", "warning_minutes"), "is_active")}),
        (_("Start"), {"fields": ("start_event", "start_condition", "restarts")}),
        (_("End"), {"fields": ("end_event", "end_condition")}),
        (_("Where"), {"fields": (("scope", "scope_value"), "route_operation_kinds", "priority")}),
        (_("People"), {"fields": ("is_waivable", "notified_roles")}),
    )

    def insists_on_deletion(self, thing: TimeRuleDefinition) -> bool:
        """Its duration and conditions go with it."""
        return True


@admin.register(TimeRuleInstance)
class TimeRuleInstanceAdmin(ReadOnlyAdmin):
    """The clocks. Waiving is done on the page of the clocks, where one sees what it means."""

    list_display = (
        "id",
        "definition_code",
        "entity_type",
        "entity_id",
        "status",
        "started_at",
        "expires_at",
        "ended_at",
    )
    list_display_links = ("id", "definition_code")
    list_filter = (choice_filter("status", _("status"), InstanceStatus.choices),)
    list_select_related = ("run", "line")
    search_fields = ("entity_id__exact", "definition_code__exact")


@admin.register(TimeRuleMark)
class TimeRuleMarkAdmin(ReadOnlyAdmin):
    """What the clocks are read from."""

    list_display = ("id", "event_type", "entity_type", "entity_id", "at", "starts", "ends")
    search_fields = ("entity_id__exact", "event_key__exact")
