"""Data collection specs in the admin site."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mes.plant.admin import MasterDataAdmin
from mes.platform.audit import entries, words
from mes.platform.database.tracking import tracked_as
from mes.sections import SPECS_AND_ROUTES
from mes.specs import hooks
from mes.specs.display import describe_alarm, describe_limits
from mes.specs.forms import CopyForm, SpecForm
from mes.specs.models import DataCollectionSpec, DataType
from mes.specs.rules import FITTING, LIMIT_FIELDS
from mes.specs.usage import BoundVersion, Usage, is_judged_alike

SPECS_AND_ROUTES.add(DataCollectionSpec)

LAST_CHANGES = 5
MOST_SHOWN = 20  # versions and runs that the form names; the interface has all


@dataclass(frozen=True)
class ShownVersion:
    """A version on the form. `is_behind`: runs of its route will go by other limits than the spec has now."""

    version: BoundVersion
    limits: str
    alarm: str
    is_behind: bool


def show_versions(spec: DataCollectionSpec, usage: Usage) -> list[ShownVersion]:
    """Return versions in words: first the latest of their routes that are behind, then the other latest ones."""
    shown = [
        ShownVersion(
            version,
            describe_limits(version.frozen),
            describe_alarm(version.frozen),
            version.is_latest and not is_judged_alike(version.frozen, spec),
        )
        for version in usage.versions
    ]
    return sorted(shown, key=lambda one: (not one.is_behind, not one.version.is_latest))


def tell_last_changes(request: HttpRequest, spec: DataCollectionSpec) -> Sequence[str]:
    """Return the last changes of a spec in words, the newest first."""
    thing = tracked_as(type(spec))
    if thing is None:
        return ()
    seen = entries.visible_to(request.user).filter(entity=thing.entity, row_id=spec.pk).order_by("-id")
    changes = entries.read_changes(list(seen[:LAST_CHANGES]))
    return [words.tell(change, fields, is_whole=True) for change, fields in words.describe(changes)]


@admin.register(DataCollectionSpec)
class DataCollectionSpecAdmin(MasterDataAdmin):
    """What to collect and how to judge it. Compile the routes afterwards to publish a change."""

    form = SpecForm
    change_form_template = "admin/mes/datacollectionspec/change_form.html"
    add_form_template = "admin/mes/datacollectionspec/change_form.html"
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

    def insists_on_deletion(self, thing: DataCollectionSpec) -> bool:
        """Its limits and its alarm go with it."""
        return True

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

    # --- the form

    def get_urls(self) -> list[URLPattern]:
        """Add the copy, and how values lie."""
        own = [
            path("<path:object_id>/copy/", self.admin_site.admin_view(self.copy_view), name="mes_spec_copy"),
            path("<path:object_id>/values/", self.admin_site.admin_view(self.values_view), name="mes_spec_values"),
        ]
        return [*own, *super().get_urls()]

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> Any:
        """Tell the template what fits, what changed last, and where the spec is used."""
        fitting = {decides: [fitting, names] for decides, fitting, names, _why in FITTING}
        context["fitting"] = json.dumps(fitting)
        if obj is not None:
            context |= self._describe(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _describe(self, request: HttpRequest, spec: DataCollectionSpec) -> dict[str, Any]:
        stored = DataCollectionSpec.objects.get(pk=spec.pk)  # a form that is refused has what was typed
        usage = hooks.find_usage(stored)
        versions = show_versions(stored, usage)
        return {
            "is_number": stored.data_type == DataType.NUMBER,
            "limits_now": json.dumps({name: getattr(stored, name) for name in LIMIT_FIELDS}),
            "unit_now": stored.unit,
            "may_ask": self.has_change_permission(request, stored),
            "may_copy": self.has_add_permission(request),
            "last_changes": tell_last_changes(request, stored),
            "usage": usage,
            "versions": versions[:MOST_SHOWN],
            "more_versions": len(versions[MOST_SHOWN:]),
            "runs": usage.runs[:MOST_SHOWN],
            "more_runs": len(usage.runs[MOST_SHOWN:]),
            "routes_behind": sorted({one.version.route_code for one in versions if one.is_behind}),
        }

    def values_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer how the kept values of a spec lie, for the drawing on its form."""
        spec = self._find(request, object_id)
        if not self.has_view_permission(request, spec):
            raise PermissionDenied
        if spec.data_type != DataType.NUMBER:
            raise Http404
        return JsonResponse(hooks.draw_values(spec))

    def copy_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for an operation and a name, and make a spec like this one there."""
        spec = self._find(request, object_id)
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = CopyForm(request.POST or None, initial={"name": spec.name})
        if request.method == "POST" and form.is_valid() and (made := form.copy(spec)):
            text = gettext("Copied: %(spec)s. Routes with its operation bind it once they are compiled again.")
            messages.success(request, text % {"spec": made})
            return HttpResponseRedirect(reverse("admin:mes_datacollectionspec_change", args=[made.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Copy to another operation"),
            "subtitle": str(spec),
            "opts": self.opts,
            "original": spec,
            "form": form,
            "limits": describe_limits(spec),
            "alarm": describe_alarm(spec),
        }
        return TemplateResponse(request, "admin/mes/datacollectionspec/copy.html", context)

    def _find(self, request: HttpRequest, object_id: str) -> DataCollectionSpec:
        spec = self.get_object(request, unquote(object_id))
        if spec is None:
            raise Http404
        return spec
