"""Readiness in the admin site: engineers keep the policies; checks, waivers and confirmations are for looking."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from mes.platform.http.admin import ReadOnlyAdmin, pretty_json
from mes.readiness.models import Gate, PrepConfirmation, PrepPolicy, ReadinessCheck, ReadinessItem, ReadinessWaiver
from mes.sections import READINESS_AND_TIME

READINESS_AND_TIME.add(PrepPolicy, PrepConfirmation, ReadinessCheck, ReadinessWaiver)


@admin.register(PrepPolicy)
class PrepPolicyAdmin(admin.ModelAdmin):
    """What runs of a line or of a route need, and how it is confirmed."""

    list_display = (
        "code",
        "name",
        "line",
        "routing",
        "gate",
        "confirm_mode",
        "data_source",
        "max_age_minutes",
        "is_active",
    )
    list_filter = ("is_active", "gate", "data_source", "line")
    list_select_related = ("line", "routing")
    search_fields = ("code", "name")
    raw_id_fields = ("spec",)
    fieldsets = (
        (None, {"fields": ("code", "name", "instruction", "is_active")}),
        (_("For"), {"fields": (("line", "routing"),)}),
        (_("How it is confirmed"), {"fields": ("gate", "confirm_mode", "data_source", "max_age_minutes")}),
        (_("The device value"), {"fields": ("spec", "expected_text")}),
    )

    def insists(self, before: PrepPolicy, after: PrepPolicy, changed: frozenset[str]) -> bool:
        """Of one that is HARD, or was."""
        return Gate.HARD in (before.gate, after.gate)

    def insists_on_deletion(self, thing: PrepPolicy) -> bool:
        """Likewise."""
        return thing.gate == Gate.HARD


class ItemInline(admin.TabularInline):
    """What was looked at."""

    model = ReadinessItem
    extra = 0
    can_delete = False
    fields = ("item_type", "item_key", "status", "code", "reason", "action", "evidence_shown", "waiver")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReadinessItem]:
        """Load the waivers with the items."""
        return super().get_queryset(request).select_related("waiver")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    @admin.display(description=_("evidence"))
    def evidence_shown(self, item: ReadinessItem) -> str:
        """What was seen."""
        return pretty_json(item.evidence)


@admin.register(ReadinessCheck)
class ReadinessCheckAdmin(ReadOnlyAdmin):
    """Every check, with what it found."""

    list_display = ("id", "run", "kind", "status", "is_authorization", "checked_at", "checked_by")
    list_filter = ("kind", "status", "is_authorization", "run__line")
    list_select_related = ("run",)
    search_fields = ("run__run_no__exact",)
    inlines = (ItemInline,)


@admin.register(ReadinessWaiver)
class ReadinessWaiverAdmin(ReadOnlyAdmin):
    """Who answers for which failure of a run, and why."""

    list_display = ("run", "item_type", "item_key", "code", "reason", "waived_by", "waived_at")
    list_filter = ("run__line",)
    list_select_related = ("run",)
    search_fields = ("run__run_no__exact", "waived_by__exact")


@admin.register(PrepConfirmation)
class PrepConfirmationAdmin(ReadOnlyAdmin):
    """Who confirmed what."""

    list_display = ("run", "code", "source", "is_done", "confirmed_by", "confirmed_at", "remark")
    list_filter = ("source",)
    list_select_related = ("run",)
    search_fields = ("run__run_no__exact", "code__exact")
