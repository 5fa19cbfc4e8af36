"""First article inspections in the admin site: for looking."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from execution.quality.first_article.models import FirstArticle, FirstArticleItem, FirstArticleSample
from mes.platform.http.admin import ReadOnlyAdmin
from mes.sections import ORDERS_AND_RUNS

ORDERS_AND_RUNS.add(FirstArticle)


class _Inline(admin.TabularInline):
    extra = 0
    can_delete = False
    raw_id_fields = ("unit",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        """Load the units along."""
        return super().get_queryset(request).select_related("unit")


class SampleInline(_Inline):
    """The sample units."""

    model = FirstArticleSample


class ItemInline(_Inline):
    """What was seen."""

    model = FirstArticleItem


@admin.register(FirstArticle)
class FirstArticleAdmin(ReadOnlyAdmin):
    """Inspections, with what was seen on which units."""

    list_display = ("id", "run", "status", "sample_qty", "started_by", "completed_by", "completed_at", "signed_by")
    list_filter = ("status", "run__line")
    list_select_related = ("run",)
    search_fields = ("run__run_no__exact",)
    inlines = (SampleInline, ItemInline)
