"""Imports of spreadsheets in the admin site: for looking."""

from django.contrib import admin

from mes.platform.http.admin import ReadOnlyAdmin
from mes.sections import SYSTEM
from mes.spreadsheets.models import SheetImport

SYSTEM.add(SheetImport)


@admin.register(SheetImport)
class SheetImportAdmin(ReadOnlyAdmin):
    """Who sent which sheet, and what became of it."""

    list_display = (
        "id",
        "collection",
        "file_name",
        "status",
        "created",
        "changed",
        "deleted",
        "error_count",
        "created_by",
        "created_at",
        "applied_by",
        "applied_at",
        "reason",
    )
    list_filter = ("status", "collection")
    exclude = ("document", "states", "report")
