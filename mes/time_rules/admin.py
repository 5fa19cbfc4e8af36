"""Time rules in the admin site; their clocks for looking."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from mes.plant.admin import MasterDataAdmin
from mes.platform.http.admin import ReadOnlyAdmin, choice_filter, find_edited, list_problems
from mes.sections import READINESS_AND_TIME
from mes.time_rules import dry_run
from mes.time_rules.models import (
    InstanceStatus,
    TimeRuleDefinition,
    TimeRuleInstance,
    TimeRuleMark,
)
from mes.time_rules.rule_form import TimeRuleForm, list_scope_values
from mes.time_rules.sentences import describe_rule

READINESS_AND_TIME.add(TimeRuleDefinition, TimeRuleInstance, TimeRuleMark)


_TIMES = ("min_minutes", "duration_minutes", "warning_minutes")


@admin.register(TimeRuleDefinition)
class TimeRuleDefinitionAdmin(MasterDataAdmin):
    """What must happen within which time. Clocks that run keep the durations they were started with."""

    insists_on_reason = (
        "duration_minutes", "min_minutes", "action", "warning_minutes", "is_waivable", "is_active", "scope",
        "scope_value", "route_operation_kinds", "start_event", "start_condition", "restarts",
        "end_event", "end_condition",
    )  # fmt: skip
    form = TimeRuleForm
    change_form_template = "admin/mes/timeruledefinition/change_form.html"
    list_display = ("code", "sentence", "scope", "scope_value", "is_active", "priority")
    list_filter = ("is_active", "scope", "start_event")
    search_fields = ("code", "name", "scope_value")
    fieldsets = (
        (
            None,
            {"fields": ("code", "name", ("min_minutes", "duration_minutes", "warning_minutes"), "action", "is_active")},
        ),
        (_("Start"), {"fields": ("start_event", "start_condition", "restarts")}),
        (_("End"), {"fields": ("end_event", "end_condition")}),
        (_("Where"), {"fields": (("scope", "scope_value"), "route_operation_kinds", "priority")}),
        (_("People"), {"fields": ("is_waivable", "notified_roles")}),
    )

    def insists_on_deletion(self, thing: TimeRuleDefinition) -> bool:
        """Its duration and conditions go with it."""
        return True

    @admin.display(description=_("what it says"))
    def sentence(self, rule: TimeRuleDefinition) -> str:
        """The rule in words."""
        return describe_rule(rule)

    def get_urls(self) -> list[URLPattern]:
        """Add the address at which a rule is tried as it stands in the form."""
        view = self.admin_site.admin_view(require_POST(self.try_typed))
        return [
            path("try/", view, name="mes_timeruledefinition_try"),
            path("<path:object_id>/try/", view, name="mes_timeruledefinition_try_changed"),
            *super().get_urls(),
        ]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Give the template what it offers, and where it asks."""
        rule = context.get("original")
        may_try = self.has_add_permission(request) if rule is None else self.has_change_permission(request, rule)
        context |= {
            "may_try": may_try,
            "scope_values": list_scope_values(),
            "sentence": "" if rule is None else describe_rule(rule),
            "trial_address": _trial_address(rule) if may_try else "",
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def try_typed(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Say what the rule of a form says and what is wrong with it; with `_try`, what it would have done."""
        rule = find_edited(self, request, object_id)
        form = TimeRuleForm(request.POST, instance=rule)
        for name in self.fixed if rule is not None else ():
            del form.fields[name]
        context = _tried(form, is_whole="_try" in request.POST)
        return render(request, "time_rules/_trial.html", context)


def _trial_address(rule: TimeRuleDefinition | None) -> str:
    if rule is None:
        return reverse("admin:mes_timeruledefinition_try")
    return reverse("admin:mes_timeruledefinition_try_changed", args=[rule.pk])


def _tried(form: Any, *, is_whole: bool) -> dict[str, Any]:
    if not form.is_valid():
        return {"errors": list_problems(form)}
    rule = form.instance
    context: dict[str, Any] = {"sentence": describe_rule(rule)}
    if not is_whole:
        return context
    since, until = dry_run.read_period(None, None)
    found = dry_run.try_rule(rule, since=since, until=until)
    return context | {"found": found}


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
        "earliest_at",
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
