"""Reports of other systems in the admin site: for looking."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from mes.platform.http.admin import ReadOnlyAdmin, pretty_json
from mes.sections import MACHINES
from mes.status_reports.models import StatusReport

MACHINES.add(StatusReport)


@admin.register(StatusReport)
class StatusReportAdmin(ReadOnlyAdmin):
    """Every status that was reported."""

    list_display = ("id", "kind", "subject", "event_time", "source", "operator_id", "recorded_by", "received_at")
    list_filter = ("kind",)
    search_fields = ("subject__exact", "event_id__exact")
    fields = (
        ("kind", "subject"),
        ("event_id", "event_time", "received_at"),
        ("source", "operator_id", "recorded_by"),
        "content_shown",
        "meta_shown",
    )
    readonly_fields = ("content_shown", "meta_shown")

    @admin.display(description=_("content"))
    def content_shown(self, report: StatusReport) -> str:
        """The content of the report."""
        return pretty_json(report.content)

    @admin.display(description=_("meta"))
    def meta_shown(self, report: StatusReport) -> str:
        """What came beside it."""
        return pretty_json(report.meta)
