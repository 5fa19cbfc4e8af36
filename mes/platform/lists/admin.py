"""Saved views in the admin site."""

from django.contrib import admin

from mes.platform.lists.models import SavedView
from mes.sections import SYSTEM

SYSTEM.add(SavedView)


@admin.register(SavedView)
class SavedViewAdmin(admin.ModelAdmin):
    """Views that people keep, to be renamed, shared or tidied away; a new one is kept on its list."""

    list_display = ("name", "list", "owner", "shared", "is_default", "updated_at")
    list_select_related = ("owner",)
    list_filter = ("list", "shared")
    search_fields = ("name", "owner__username")
    readonly_fields = ("owner", "list", "query", "is_default", "created_at", "updated_at")

    def has_add_permission(self, request: object) -> bool:
        """Never: a view is kept where it is seen."""
        return False
