"""Saved views in the admin site."""

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError

from mes.errors import DomainError
from mes.platform.http.pages import in_words
from mes.platform.lists import views
from mes.platform.lists.models import SavedView
from mes.sections import SYSTEM

SYSTEM.add(SavedView)


class ViewForm(forms.ModelForm):
    """A view. Its name is one that its owner, who is not asked for here, has not used for the list."""

    def clean_name(self) -> str:
        """Hold it to what holds on the list."""
        try:
            return views.take_name(self.instance, self.cleaned_data["name"])
        except DomainError as refusal:
            raise ValidationError(in_words(refusal)) from None


@admin.register(SavedView)
class SavedViewAdmin(admin.ModelAdmin):
    """Views that people keep, to be renamed, shared or tidied away; a new one is kept on its list. For administrators:
    what is not shared is for nobody else.
    """

    form = ViewForm
    list_display = ("name", "list", "owner", "shared", "is_default", "updated_at")
    list_select_related = ("owner",)
    list_filter = ("list", "shared")
    search_fields = ("name", "owner__username")
    readonly_fields = ("owner", "list", "query", "is_default", "created_at", "updated_at")

    def has_add_permission(self, request: object) -> bool:
        """Never: a view is kept where it is seen."""
        return False
