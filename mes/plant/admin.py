"""The plant in the admin site."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from mes.plant import hooks, rules
from mes.plant.hooks import list_choices, preset_for
from mes.plant.models import BomItem, Equipment, Line, Material, Operation, Station, StationGroup
from mes.platform.database.references import list_users
from mes.platform.http.admin import ScanSearch, StrictJSONField
from mes.platform.scans import MATERIAL
from mes.sections import MACHINES, PLANT

PLANT.add(Line, StationGroup, Station, Operation, Material, BomItem)
MACHINES.add(Equipment)


class MasterDataAdmin(admin.ModelAdmin):
    """Codes stay once they are given, and what is in use cannot be deleted."""

    fixed: tuple[str, ...] = ("code",)
    formfield_overrides = {models.JSONField: {"form_class": StrictJSONField}}
    list_per_page = 50

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Frozen routes and histories name things by these fields."""
        readonly = tuple(super().get_readonly_fields(request, obj))
        return readonly if obj is None else (*readonly, *self.fixed)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, list[Any]]:
        """Add users that no foreign key knows of to those that keep things from being deleted."""
        to_delete, counts, missing, protected = super().get_deleted_objects(objs, request)
        return to_delete, counts, missing, [*protected, *_users_of(objs)]


def _users_of(things: Any) -> list[str]:
    return [f"{thing}: {user}" for thing in things for user in list_users(thing)]


class LineForm(forms.ModelForm):
    """The checks of a line are ticked; the preparations it asks for are named. Checks what columns cannot."""

    enabled_checks = forms.MultipleChoiceField(
        label=gettext_lazy("Readiness checks"),
        required=False,
        choices=list_choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("What must be right before a run may start. Prep policies apply without being named."),
    )
    preparations = SimpleArrayField(
        forms.CharField(max_length=100),
        label=gettext_lazy("Required preparations"),
        required=False,
        help_text=gettext_lazy("PREP_ codes, separated by commas, that a run cannot do without a policy for."),
    )

    class Meta:
        model = Line
        fields = ("code", "name", "process_type", "shifts", "material_control", "low_units")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        checks = self.instance.readiness_checks
        self.fields["enabled_checks"].initial = checks
        self.fields["preparations"].initial = [check for check in checks if check.startswith("PREP_")]

    def clean_preparations(self) -> list[str]:
        """Only codes of preparations, each once."""
        preparations = self.cleaned_data["preparations"] or []
        _refuse(rules.find_readiness_problems(preparations, known=()))
        return preparations

    def clean_shifts(self) -> Any:
        """Only shifts that can be read."""
        shifts = self.cleaned_data["shifts"] or []
        _refuse(rules.find_shift_problems(shifts))
        return shifts

    def save(self, commit: bool = True) -> Line:
        """Put both lists into the one column."""
        chosen = self.cleaned_data
        self.instance.readiness_checks = [*chosen["enabled_checks"], *chosen["preparations"]]
        return super().save(commit)


def _refuse(problems: dict[str, Any]) -> None:
    if problems:
        raise ValidationError([f"{place}: {message}".removeprefix(": ") for place, message in problems.items()])


@admin.register(Line)
class LineAdmin(MasterDataAdmin):
    """Lines with their readiness checks and shifts."""

    form = LineForm
    fields = (
        *("code", "name", "process_type", "enabled_checks", "preparations", "shifts"),
        ("material_control", "low_units"),
    )
    list_display = ("code", "name", "process_type", "readiness_checks", "material_control")
    list_filter = ("process_type",)
    search_fields = ("code", "name")
    actions = ("take_preset",)

    @admin.action(description=gettext_lazy("Take the readiness checks of the process"), permissions=["change"])
    def take_preset(self, request: HttpRequest, queryset: models.QuerySet[Line]) -> None:
        """Enable the checks that suit SMT or DIP; preparations stay."""
        for line in queryset:
            named = [check for check in line.readiness_checks if check.startswith("PREP_")]
            line.readiness_checks = [*preset_for(line.process_type), *named]
            line.save(update_fields=["readiness_checks"])
            messages.success(request, f"{line.code}: {', '.join(line.readiness_checks)}")


@admin.register(StationGroup)
class StationGroupAdmin(MasterDataAdmin):
    """Stations that may stand in for one another."""

    list_display = ("code", "name", "station_count")
    search_fields = ("code", "name")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[StationGroup]:
        """Count the members in the same query."""
        return super().get_queryset(request).annotate(members=models.Count("stations"))

    @admin.display(description=StationGroup._meta.get_field("stations").related_model._meta.verbose_name_plural)
    def station_count(self, group: Any) -> int:
        """How many stations belong to the group."""
        return group.members


@admin.register(Station)
class StationAdmin(MasterDataAdmin):
    """Places where steps are done."""

    list_display = ("code", "name", "line", "group", "station_type")
    list_filter = ("station_type", "line", "group")
    list_select_related = ("line", "group")
    search_fields = ("code", "name")


@admin.register(Equipment)
class EquipmentAdmin(MasterDataAdmin):
    """Machines and their status."""

    list_display = ("code", "name", "station", "status")
    list_filter = ("status",)
    list_select_related = ("station",)
    raw_id_fields = ("station",)
    search_fields = ("code", "name", "station__code")
    readonly_fields = ("status_at",)

    def save_model(self, request: HttpRequest, obj: Equipment, form: Any, change: bool) -> None:
        """A typed status counts from now. Only what was typed is saved: reports come in meanwhile."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        typed = {name: form.cleaned_data[name] for name in form.changed_data}
        locked = Equipment.objects.select_for_update(no_key=True).get(pk=obj.pk)  # the admin's views are transactions
        for name, value in typed.items():
            setattr(locked, name, value)
        if "status" in typed:
            locked.note_typed("status")
        locked.save(update_fields=[*typed, "status_at", "field_sources"])


@admin.register(Operation)
class OperationAdmin(MasterDataAdmin):
    """Kinds of work."""

    list_display = ("code", "name", "kind", "default_station_type")
    list_filter = ("kind", "default_station_type")
    search_fields = ("code", "name")


class BomItemInline(admin.TabularInline):
    """What a material is made of."""

    model = BomItem
    fk_name = "parent"
    raw_id_fields = ("child",)
    extra = 0

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[BomItem]:
        """Load the children with them."""
        return super().get_queryset(request).select_related("child")


@admin.register(Material)
class MaterialAdmin(ScanSearch, MasterDataAdmin):
    """Parts and products, with their bill of material."""

    scan_part = MATERIAL

    list_display = ("code", "name", "unit", "msl", "trace_level")
    list_filter = ("msl",)
    search_fields = ("code", "name")
    inlines = (BomItemInline,)

    def save_model(self, request: HttpRequest, obj: Material, form: Any, change: bool) -> None:
        """What its lots have of it counts at once, also where they are loaded."""
        super().save_model(request, obj, form, change)
        if change:
            hooks.tell_changed([obj.pk], form.changed_data)


@admin.register(BomItem)
class BomItemAdmin(MasterDataAdmin):
    """Lines of bills of material."""

    fixed = ()
    list_display = ("parent", "child", "quantity")
    list_select_related = ("parent", "child")
    raw_id_fields = ("parent", "child")
    search_fields = ("parent__code", "child__code")
