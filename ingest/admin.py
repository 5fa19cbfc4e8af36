"""Machine events and carrier loads in the admin site: for looking, and for replaying what is open."""

from functools import partial

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from execution.models import CarrierLoad
from ingest import processing
from ingest.models import EventType, IngestEvent, IngestStatus
from mes.plant.admin import MasterDataAdmin
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http.admin import (
    AmongNewest,
    ReadOnlyAdmin,
    attempt,
    choice_filter,
    pretty_json,
)
from mes.platform.inbound.models import Source
from mes.platform.inbound.sender import Sender
from mes.sections import INTEGRATION, MACHINES

MACHINES.add(Source)
INTEGRATION.add(IngestEvent)


@admin.register(Source)
class SourceAdmin(MasterDataAdmin):
    """The clocks of the systems that report. A change holds everywhere within seconds."""

    list_display = ("code", "time_zone", "clock_correction_seconds")
    search_fields = ("code",)
    fieldsets = ((None, {"fields": ("code", "time_zone", "clock_correction_seconds")}),)


@admin.register(IngestEvent)
class IngestEventAdmin(ReadOnlyAdmin):
    """What machines reported and what became of it."""

    list_display = (
        "id",
        "status",
        "event_type",
        "source_system",
        "dedupe_key",
        "run",
        "station",
        "step_no",
        "result",
        "error_code",
        "occurred_at",
        "received_at",
        "request_id",
    )
    list_display_links = ("id", "status")
    list_filter = (
        choice_filter("status", gettext_lazy("status"), IngestStatus.choices),
        choice_filter("event_type", gettext_lazy("type"), EventType.choices),
        AmongNewest,
    )
    list_select_related = ("run", "station")
    search_fields = (
        "dedupe_key__exact",
        "run__run_no__exact",
        "station__code__exact",
        "error_code__exact",
        "request_id__exact",
    )
    actions = ("replay",)
    fields = (
        ("status", "event_type", "source_system", "dedupe_key"),
        ("occurred_at", "received_at", "last_at", "count"),
        ("recorded_by", "request_id"),
        ("run", "station", "step_no", "carrier_no"),
        ("sns", "result", "test_result_id", "transaction_id"),
        ("track_ids", "carrier_track_id", "unmapped_count"),
        "error_shown",
        "payload_shown",
        "normalized_shown",
        "skipped_shown",
        "attempts_shown",
        "note_shown",
    )
    readonly_fields = (
        "error_shown",
        "payload_shown",
        "normalized_shown",
        "skipped_shown",
        "attempts_shown",
        "note_shown",
    )

    @admin.display(description=gettext_lazy("error"))
    def error_shown(self, event: IngestEvent) -> str:
        """Why it waits or was rejected."""
        return pretty_json(event.error)

    @admin.display(description=gettext_lazy("event as sent"))
    def payload_shown(self, event: IngestEvent) -> str:
        """The body."""
        return pretty_json(event.payload)

    @admin.display(description=gettext_lazy("what the mapping extracted"))
    def normalized_shown(self, event: IngestEvent) -> str:
        """Once it is applied."""
        return pretty_json(event.normalized)

    @admin.display(description=gettext_lazy("units left out"))
    def skipped_shown(self, event: IngestEvent) -> str:
        """By a partial batch."""
        return pretty_json(event.skipped)

    @admin.display(description=gettext_lazy("earlier attempts"))
    def attempts_shown(self, event: IngestEvent) -> str:
        """What was sent under this key before."""
        return pretty_json(event.attempts)

    @admin.display(description=gettext_lazy("note"))
    def note_shown(self, event: IngestEvent) -> str:
        """Who had it replayed or dismissed, and why."""
        return pretty_json(event.note)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Needed by the action."""
        return Capability.REPLAY in role_capabilities(request.user)

    @admin.action(description=gettext_lazy("Replay"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[IngestEvent]) -> None:
        """Try the chosen events now, in order of occurrence; each by itself."""
        sender = Sender(request.user.get_username())
        done = 0
        for pk in queryset.order_by("occurred_at", "pk").values_list("pk", flat=True):
            outcome = attempt(request, _("Event %(id)s") % {"id": pk}, partial(processing.replay, pk, sender=sender))
            done += outcome is not None and outcome.status != IngestStatus.WAITING
        if done:
            messages.success(request, _("%(count)d event(s) applied.") % {"count": done})


@admin.register(CarrierLoad)
class CarrierLoadAdmin(ReadOnlyAdmin):
    """Which units are or were on which carriers."""

    list_display = ("id", "carrier", "unit", "position", "loaded_at", "unloaded_at")
    list_select_related = ("carrier", "unit")
    list_filter = (("unloaded_at", admin.EmptyFieldListFilter),)
    search_fields = ("carrier__carrier_no__exact", "unit__sn__exact")
