"""Qualifications in the administration: Admins change them, others look."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from mes.platform.accounts.permissions import operator_name
from mes.qualifications.models import Qualification
from mes.sections import PLANT

PLANT.add(Qualification)


@admin.register(Qualification)
class QualificationAdmin(admin.ModelAdmin):
    """Who may do which operation, and until when."""

    list_display = ("person", "operation", "until", "given_by", "given_at")
    list_filter = ("until",)
    list_select_related = ("person", "operation")
    search_fields = ("person__username", "person__last_name", "operation__code")
    fields = ("person", "operation", "until", "note", "given_by", "given_at")
    readonly_fields = ("given_by", "given_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Who, and which, never changes, as over HTTP."""
        return self.readonly_fields if obj is None else ("person", "operation", *self.readonly_fields)

    def save_model(self, request: HttpRequest, obj: Qualification, form: Any, change: bool) -> None:
        """Keep who gave it."""
        if not change:
            obj.given_by = operator_name(request)
        super().save_model(request, obj, form, change)
