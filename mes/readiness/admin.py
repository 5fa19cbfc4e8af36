"""Readiness in the admin site: engineers keep the policies; checks, waivers and confirmations are for looking."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from mes.platform.http.admin import ReadOnlyAdmin, find_edited, list_problems, pretty_json
from mes.readiness.models import Gate, PrepConfirmation, PrepPolicy, ReadinessCheck, ReadinessItem, ReadinessWaiver
from mes.readiness.policy_form import PrepPolicyForm
from mes.readiness.sentences import describe_policy
from mes.sections import READINESS_AND_TIME

READINESS_AND_TIME.add(PrepPolicy, PrepConfirmation, ReadinessCheck, ReadinessWaiver)


@admin.register(PrepPolicy)
class PrepPolicyAdmin(admin.ModelAdmin):
    """What runs of a line or of a route need, and how it is confirmed."""

    form = PrepPolicyForm
    change_form_template = "admin/mes/preppolicy/change_form.html"
    list_display = ("code", "name", "sentence", "gate", "is_active")
    list_filter = ("is_active", "gate", "data_source", "line")
    list_select_related = ("line", "routing", "spec__operation")
    search_fields = ("code", "name")
    fieldsets = (
        (None, {"fields": ("code", "name", "instruction", "is_active")}),
        (_("For"), {"fields": (("line", "routing"),)}),
        (
            _("How it is confirmed"),
            {"fields": ("gate", "data_source", "confirm_mode", "spec", "expected_text", "form", "max_age_minutes")},
        ),
    )

    def insists(self, before: PrepPolicy, after: PrepPolicy, changed: frozenset[str]) -> bool:
        """Of one that is HARD, or was."""
        return Gate.HARD in (before.gate, after.gate)

    def insists_on_deletion(self, thing: PrepPolicy) -> bool:
        """Likewise."""
        return thing.gate == Gate.HARD

    @admin.display(description=_("what it says"))
    def sentence(self, policy: PrepPolicy) -> str:
        """The policy in words."""
        return describe_policy(policy)

    def get_urls(self) -> list[URLPattern]:
        """Add the address that says in words what stands in the form."""
        view = self.admin_site.admin_view(require_POST(self.say_typed))
        return [
            path("say/", view, name="mes_preppolicy_say"),
            path("<path:object_id>/say/", view, name="mes_preppolicy_say_changed"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Give the template the sentence, and where it asks for it."""
        policy = context.get("original")
        name = "mes_preppolicy_say" if policy is None else "mes_preppolicy_say_changed"
        context["sentence"] = "" if policy is None else describe_policy(policy)
        context["trial_address"] = reverse(f"admin:{name}", args=() if policy is None else (policy.pk,))
        return super().render_change_form(request, context, *args, **kwargs)

    def say_typed(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Say what the policy of a form says, or what is wrong with it."""
        policy = find_edited(self, request, object_id)
        form = PrepPolicyForm(request.POST, instance=policy)
        errors = list_problems(form)  # asks for them, which fills the policy
        sentence = "" if errors else describe_policy(form.instance)
        return render(request, "time_rules/_trial.html", {"errors": errors, "sentence": sentence})


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
