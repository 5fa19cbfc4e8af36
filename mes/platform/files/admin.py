"""Files that people sent, for looking: what they are, who sent them, and how much room they take."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy

from mes.platform.files.models import StoredFile
from mes.platform.files.queries import address_of
from mes.platform.http.admin import ReadOnlyAdmin
from mes.sections import SYSTEM

SYSTEM.add(StoredFile)


@admin.register(StoredFile)
class StoredFileAdmin(ReadOnlyAdmin):
    """Files by when they were sent."""

    list_display = ("name", "media_type", "size", "uploaded_by", "uploaded_at", "wanted_at")
    list_filter = ("media_type",)
    search_fields = ("sha256__exact",)
    fields = ("name", "content_page", "media_type", "size", "width", "height", "sha256", "uploaded_by", "uploaded_at")
    readonly_fields = ("content_page",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[StoredFile]:
        """Leave the small pictures out."""
        return super().get_queryset(request).defer("thumbnail")

    @admin.display(description=gettext_lazy("content"))
    def content_page(self, file: StoredFile) -> str:
        """Where it is shown."""
        return format_html('<a href="{0}">{0}</a>', address_of(file.pk))
