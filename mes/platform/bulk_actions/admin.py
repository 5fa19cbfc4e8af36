"""Bulk actions in the admin site: for looking."""

from django.contrib import admin

from mes.platform.bulk_actions.models import BulkAction
from mes.platform.http.admin import ReadOnlyAdmin
from mes.sections import INTEGRATION

INTEGRATION.add(BulkAction)


@admin.register(BulkAction)
class BulkActionAdmin(ReadOnlyAdmin):
    """Who had what tried again or dismissed, and what became of it."""

    list_display = (
        "id",
        "verb",
        "kind",
        "status",
        "matched",
        "applied",
        "waiting",
        "refused",
        "dismissed",
        "by",
        "reason",
        "created_at",
        "ended_at",
    )
    list_display_links = ("id", "verb")
    list_filter = ("status", "verb", "kind")
    exclude = ("item_ids",)
