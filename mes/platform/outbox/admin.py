"""The outbox and the workers in the admin site: for looking."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from django_q.models import Failure, OrmQ, Schedule, Success

from mes.platform.http.admin import ReadOnlyAdmin, pretty_json
from mes.platform.outbox.models import MesEvent, WorkerHeartbeat
from mes.sections import SYSTEM

SYSTEM.add(MesEvent, WorkerHeartbeat, Schedule, OrmQ, Success, Failure)


@admin.register(MesEvent)
class MesEventAdmin(ReadOnlyAdmin):
    """What happened, and whether those who must act on it did."""

    list_display = (
        "id",
        "event_type",
        "status",
        "entity_type",
        "entity_id",
        "attempts",
        "occurred_at",
        "request_id",
        "error",
    )
    list_display_links = ("id", "event_type")
    list_filter = ("status", "event_type")
    search_fields = ("entity_id__exact", "idempotency_key__exact", "request_id__exact")
    fields = (
        "event_type",
        "status",
        "idempotency_key",
        ("entity_type", "entity_id", "run_id"),
        "request_id",
        ("occurred_at", "created_at", "completed_at"),
        ("attempts", "max_attempts", "next_attempt_at", "retried_at"),
        "error",
        "payload_shown",
        "retention_until",
    )
    readonly_fields = ("payload_shown",)

    @admin.display(description=_("payload"))
    def payload_shown(self, event: MesEvent) -> str:
        """The payload over several lines."""
        return pretty_json(event.shown_payload)


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    """Which workers tick."""

    list_display = ("name", "started_at", "beat_at", "ticked_at", "processed")
