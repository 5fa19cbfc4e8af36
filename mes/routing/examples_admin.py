"""Examples of mappings in the admin site: to be looked at. They are kept and changed beside their mapping."""

from django.contrib import admin

from mes.platform.http.admin import ReadOnlyAdmin
from mes.routing.models import MappingExample
from mes.sections import SPECS_AND_ROUTES

SPECS_AND_ROUTES.add(MappingExample)


@admin.register(MappingExample)
class MappingExampleAdmin(ReadOnlyAdmin):
    """Events that mappings must go on reading as they do."""

    list_display = ("name", "config", "updated_at")
    list_select_related = ("config__routing", "config__operation")
    search_fields = ("config__routing__code__exact", "name__exact")
    ordering = ("-id",)
    fields = ("config", "name", "event", "expected", "updated_at")
