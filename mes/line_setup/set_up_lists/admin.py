"""Set-up lists in the admin site: drafts are edited with their items, released lists are for looking."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from mes.line_setup.set_up_lists import services
from mes.line_setup.set_up_lists.models import RunSetUpList, RunStationSetUp, SetUpItem, SetUpList, SetUpListStatus
from mes.line_setup.set_up_lists.rules import ItemInput
from mes.plant.admin import MasterDataAdmin
from mes.platform.http.admin import ReadOnlyAdmin, attempt
from mes.platform.http.envelope import snake_case
from mes.sections import MACHINES

MACHINES.add(SetUpList, RunSetUpList, RunStationSetUp)
_FIELDS = {"station_code": "station", "material_code": "material", "tool_ids": "tools"}


class ItemFormSet(BaseInlineFormSet):
    """The items of a list; what is wrong with one is told at its fields."""

    def clean(self) -> None:
        """Ask the rules of lists about what is typed."""
        super().clean()
        line = getattr(self.instance, "line", None) if self.instance.line_id else None
        if line is None or any(self.errors):
            return
        forms = [form for form in self.forms if self._is_item(form)]
        items = [_as_input(form.cleaned_data) for form in forms]
        for form, problems in zip(forms, services.find_problems(items, line, *services.look_up(items)), strict=True):
            for field, message in problems:
                name = _FIELDS.get(snake_case(field), snake_case(field))
                form.add_error(name, ValidationError(message))

    def _is_item(self, form: Any) -> bool:
        """Whether a row of the form says anything, and stays."""
        return bool(form.cleaned_data) and not form.cleaned_data.get("DELETE")


def _as_input(told: dict[str, Any]) -> ItemInput:
    material = told.get("material")
    return ItemInput(
        station_code=told["station"].code,
        slot=told["slot"],
        kind=told["kind"],
        material_code=material.code if material else None,
        alternates=[each.code for each in told.get("alternates", ())],
        quantity_per_unit=told["quantity_per_unit"],
        ref_des=told.get("ref_des") or (),
        tool_ids=[each.tool_id for each in told.get("tools", ())],
        program=told.get("program") or "",
    )


class ItemInline(admin.TabularInline):
    """What slots must hold."""

    model = SetUpItem
    formset = ItemFormSet
    extra = 1
    raw_id_fields = ("station", "material", "alternates", "tools")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """To drafts."""
        return super().has_add_permission(request, obj) and _is_draft(obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Of drafts."""
        return super().has_change_permission(request, obj) and _is_draft(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Of drafts."""
        return super().has_delete_permission(request, obj) and _is_draft(obj)


def _is_draft(found: SetUpList | None) -> bool:
    return found is None or found.status == SetUpListStatus.DRAFT


@admin.register(SetUpList)
class SetUpListAdmin(MasterDataAdmin):
    """Set-up lists with their items. A new one is the next revision of its route and line."""

    fixed = ("route", "line")
    fields = ("route", "line", "revision", "status", "created_by", "created_at", "released_by", "released_at")
    readonly_fields = ("revision", "status", "created_by", "created_at", "released_by", "released_at")
    list_display = ("route", "line", "revision", "status", "created_by", "released_by", "released_at")
    list_filter = ("status", "line")
    list_select_related = ("route", "line")
    search_fields = ("route__code", "line__code")
    raw_id_fields = ("route", "line")
    inlines = (ItemInline,)
    actions = ("release",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Of drafts: a released list never changes."""
        return super().has_change_permission(request, obj) and _is_draft(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Of drafts."""
        return super().has_delete_permission(request, obj) and _is_draft(obj)

    def save_model(self, request: HttpRequest, obj: SetUpList, form: Any, change: bool) -> None:
        """Have a new one made by the service, which counts revisions; of one that is there, only items change."""
        if not change:
            made = services.create(
                route_code=obj.route.code, line_code=obj.line.code, by=str(request.user.get_username())
            )
            obj.__dict__.update(made.__dict__)

    @admin.action(description=gettext_lazy("Release"), permissions=["change"])
    def release(self, request: HttpRequest, queryset: QuerySet[SetUpList]) -> None:
        """Release the chosen lists, each by itself."""
        for found in queryset.select_related("route", "line").order_by("pk"):
            label = f"{found.route.code} / {found.line.code} / {found.revision}"
            attempt(request, label, partial(services.release, found.pk, by=str(request.user.get_username())))


@admin.register(RunSetUpList)
class RunSetUpListAdmin(ReadOnlyAdmin):
    """Which list a run went by, from when on."""

    list_display = ("run", "set_up_list", "bound_at", "bound_by", "reason")
    list_select_related = ("run", "set_up_list")
    search_fields = ("run__run_no__exact",)


@admin.register(RunStationSetUp)
class RunStationSetUpAdmin(ReadOnlyAdmin):
    """Whether stations are set up for the runs that are on."""

    list_display = ("run", "station", "set_up_list", "faults", "good_until", "looked_at")
    list_select_related = ("run", "station", "set_up_list")
    search_fields = ("run__run_no__exact", "station__code__exact")
