"""Work orders, runs and units in the admin site, for looking, and reference units."""

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError

from mes.errors import SnTaken, SnUnreadable
from mes.plant.admin import MasterDataAdmin
from mes.platform.http.admin import ReadOnlyAdmin, ScanSearch
from mes.production.decision_models import Decision
from mes.production.hold_models import Hold, HoldRule, HoldRuleNotice
from mes.production.identity_models import ReferencePass, ReferenceUnit
from mes.production.models import Run, Unit, WorkOrder
from mes.production.names import find_names
from mes.production.serial_numbers import is_unreadable
from mes.sections import MACHINES, ORDERS_AND_RUNS, READINESS_AND_TIME

ORDERS_AND_RUNS.add(WorkOrder, Run, Unit, Decision, Hold, HoldRuleNotice)
READINESS_AND_TIME.add(HoldRule)
MACHINES.add(ReferenceUnit, ReferencePass)


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


class ReferenceUnitForm(forms.ModelForm):
    """A reference unit, whose serial number is that of no unit."""

    class Meta:
        model = ReferenceUnit
        fields = ("sn", "kind", "expected_result", "expires_at", "is_active")

    def clean_sn(self) -> str:
        """Refuse one that a unit has, or had."""
        sn: str = self.cleaned_data["sn"]
        if is_unreadable(sn):
            raise ValidationError(str(SnUnreadable(sn=sn)))
        if find_names([sn]).present or Unit.objects.filter(sn=sn).exists():
            raise ValidationError(str(SnTaken(sn=sn)))
        return sn


@admin.register(ReferenceUnit)
class ReferenceUnitAdmin(ScanSearch, MasterDataAdmin):
    """Boards by which machines are checked."""

    form = ReferenceUnitForm
    fixed = ("sn",)
    fields = ("sn", "kind", "expected_result", "expires_at", "is_active")
    list_display = ("sn", "kind", "expected_result", "expires_at", "is_active")
    list_filter = ("kind", "is_active")
    search_fields = ("sn__startswith",)


@admin.register(ReferencePass)
class ReferencePassAdmin(ReadOnlyAdmin):
    """Where reference units passed, and what machines said of them."""

    list_display = ("reference_unit", "station", "passed_at", "result", "recorded_by", "event_id")
    list_select_related = ("reference_unit", "station")
    search_fields = ("reference_unit__sn__exact",)


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    """What was decided about orders, runs and lines, by whom and why."""

    list_display = (
        "decided_at",
        "act",
        "work_order",
        "run",
        "line",
        "from_status",
        "to_status",
        "reason",
        "decided_by",
    )
    list_filter = ("line",)
    list_select_related = ("work_order", "run", "line")
    search_fields = ("work_order__wo_no__exact", "run__run_no__exact")


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    """What holds runs and lines, or held them."""

    list_display = (
        "hold_no",
        "source",
        "status",
        "run",
        "line",
        "reason",
        "opened_by",
        "opened_at",
        "ended_by",
        "ended_at",
    )
    list_filter = ("status", "source", "line")
    list_select_related = ("run", "line")
    search_fields = ("run__run_no__exact",)


@admin.register(HoldRule)
class HoldRuleAdmin(MasterDataAdmin):
    """When the system stops a station or a line by itself, or tells people."""

    list_display = ("code", "name", "line", "station", "operation", "kind", "n", "of", "percent", "action", "is_active")
    list_filter = ("is_active", "kind", "action", "line")
    list_select_related = ("line", "station", "operation")
    search_fields = ("code", "name", "product_code")


@admin.register(HoldRuleNotice)
class HoldRuleNoticeAdmin(ReadOnlyAdmin):
    """What rules told that stop nothing."""

    list_display = ("id", "rule", "station", "step_no", "reason", "noticed_at")
    list_filter = ("rule",)
    list_select_related = ("rule", "station")
