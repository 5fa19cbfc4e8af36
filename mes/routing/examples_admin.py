"""Examples of mappings in the admin site: to be looked at. They are kept and changed beside their mapping."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

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
    fields = ("config", "name", "event", "expected", "updated_at", "mapping_page")
    readonly_fields = ("mapping_page",)

    @admin.display(description=gettext_lazy("change it"))
    def mapping_page(self, example: MappingExample) -> str:
        """Where examples are changed."""
        address = reverse("ingest-mapping", args=[example.config_id])
        return format_html('<a href="{}?example={}">{}</a>', address, example.pk, _("Open the mapping with this event"))
