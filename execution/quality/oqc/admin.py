"""Outgoing inspection in the admin site: rules are kept, all else is for looking."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from execution.quality.oqc.models import OqcInspection, OqcItem, OqcSample, SamplingRule, SamplingState
from execution.quality.oqc.plan import aqls
from mes.plant.admin import MasterDataAdmin
from mes.platform.http.admin import ReadOnlyAdmin
from mes.sections import ORDERS_AND_RUNS, READINESS_AND_TIME

READINESS_AND_TIME.add(SamplingRule)
ORDERS_AND_RUNS.add(OqcInspection, SamplingState)


class SamplingRuleForm(forms.ModelForm):
    """The AQLs that the tables have, to choose from."""

    aql = forms.ChoiceField(
        label=SamplingRule._meta.get_field("aql").verbose_name,
        choices=[("", "—"), *((aql, aql) for aql in aqls())],
        required=False,
    )


@admin.register(SamplingRule)
class SamplingRuleAdmin(MasterDataAdmin):
    """How lots are sampled before they leave."""

    form = SamplingRuleForm
    list_display = ("code", "name", "product_code", "routing", "line", "scheme", "level", "aql", "is_active")
    list_filter = ("is_active", "scheme", "line")
    list_select_related = ("line", "routing")
    search_fields = ("code", "name", "product_code")


class _Inline(admin.TabularInline):
    extra = 0
    can_delete = False
    raw_id_fields = ("unit",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        """Load the units along."""
        return super().get_queryset(request).select_related("unit")


class SampleInline(_Inline):
    """The sample."""

    model = OqcSample


class ItemInline(_Inline):
    """What was seen."""

    model = OqcItem


@admin.register(OqcInspection)
class OqcInspectionAdmin(ReadOnlyAdmin):
    """Inspections of lots, with what was seen on which units."""

    list_display = (
        "id",
        "run",
        "status",
        "rule",
        "lot_size",
        "sample_qty",
        "ac",
        "re",
        "nonconforming",
        "completed_by",
    )
    list_filter = ("status", "scheme")
    list_select_related = ("run", "rule")
    search_fields = ("run__run_no__exact",)
    exclude = ("lot_unit_ids",)
    inlines = (SampleInline, ItemInline)


@admin.register(SamplingState)
class SamplingStateAdmin(ReadOnlyAdmin):
    """Where sampling stands."""

    list_display = ("id", "rule", "product_code", "state", "score", "changed_at")
    list_filter = ("state",)
    list_select_related = ("rule",)
    search_fields = ("product_code__exact", "rule__code__exact")
