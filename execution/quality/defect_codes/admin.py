"""Defect codes and their aliases in the admin site."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from execution.quality.defect_codes import services
from execution.quality.defect_codes.models import DefectAlias, DefectCode
from mes.plant.admin import MasterDataAdmin
from mes.sections import SPECS_AND_ROUTES

SPECS_AND_ROUTES.add(DefectCode, DefectAlias)


def list_path(code: DefectCode) -> list[str]:
    """Return the codes from the root down to this one."""
    path: list[str] = []
    above: DefectCode | None = code
    while above is not None and above.code not in path:
        path.insert(0, above.code)
        above = above.parent
    return path


class DefectCodeForm(forms.ModelForm):
    """Checks the place in the tree."""

    class Meta:
        model = DefectCode
        fields = ("code", "name", "parent", "category", "severity", "is_active")

    def clean_parent(self) -> DefectCode | None:
        """Refuse a circle and a tree that is too deep, in words."""
        parent: DefectCode | None = self.cleaned_data["parent"]
        problem = services.find_problem_of_place(
            services.lock_catalogue(), self.instance.code or None, parent.code if parent else None
        )
        if problem is not None:
            raise ValidationError(problem)
        return parent


@admin.register(DefectCode)
class DefectCodeAdmin(MasterDataAdmin):
    """The tree of what can be wrong with a board."""

    form = DefectCodeForm
    list_display = ("code", "name", "path", "level", "category", "severity", "is_active")
    list_filter = ("category", "severity", "is_active")
    list_select_related = ("parent__parent__parent",)
    search_fields = ("code", "name")

    @admin.display(description=_("in the tree"))
    def path(self, code: DefectCode) -> str:
        """Where it stands."""
        return " › ".join(list_path(code))

    @admin.display(description=_("level"))
    def level(self, code: DefectCode) -> int:
        """How deep it stands, 1 of a root."""
        return len(list_path(code))


@admin.register(DefectAlias)
class DefectAliasAdmin(MasterDataAdmin):
    """What machines call the codes."""

    fixed = ("source_system", "reported")
    list_display = ("reported", "source_system", "code")
    list_filter = ("source_system",)
    list_select_related = ("code",)
    search_fields = ("reported", "code__code")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save it, and relabel what was reported so."""
        super().save_model(request, obj, form, change)
        services.relabel_soon(obj)
