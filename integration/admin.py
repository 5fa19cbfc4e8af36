"""Messages and device records in the admin site: for looking, and for replaying what failed."""

from functools import partial, reduce
from operator import or_

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integration.dismissing import dismiss
from integration.models import DeviceDataRecord, IntegrationMessage
from integration.replay import replay_message
from mes.platform.accounts.roles import Capability, role_capabilities
from mes.platform.http.admin import (
    AmongNewest,
    ReadOnlyAdmin,
    attempt,
    choice_filter,
    pretty_json,
)
from mes.platform.inbound.sender import Sender
from mes.sections import INTEGRATION
from mes.specs.models import Method

INTEGRATION.add(IntegrationMessage, DeviceDataRecord)


class ReasonForm(ActionForm):
    """Beside the choice of the action: why."""

    reason = forms.CharField(label=gettext_lazy("Reason (to dismiss)"), max_length=500, required=False)


@admin.register(IntegrationMessage)
class IntegrationMessageAdmin(ReadOnlyAdmin):
    """What other systems and devices sent and what became of it."""

    list_display = (
        "id",
        "status",
        "received_at",
        "entity_type",
        "keys_shown",
        "error_code",
        "count",
        "request_id",
    )
    list_display_links = ("id", "status")
    list_filter = ("status", "direction")
    search_fields = (
        "entity_type__exact",
        "dedupe_key__exact",
        "business_key__exact",
        "error_code__exact",
        "request_id__exact",
    )
    actions = ("replay", "dismiss")
    action_form = ReasonForm
    fields = (
        ("status", "direction", "system"),
        ("entity_type", "business_key", "dedupe_key"),
        ("received_at", "last_at", "count"),
        "request_id",
        "error_code",
        "error_shown",
        "payload_shown",
        "note_shown",
        "record_id",
    )
    readonly_fields = ("error_shown", "payload_shown", "note_shown")

    def match(self, word: str) -> Q:
        """Of the keys, the other one where there are two has an index of its own."""
        own = [Q(**{path: word}) for path in self.search_fields if path != "business_key__exact"]
        return reduce(or_, own, IntegrationMessage.with_business_key(word))

    @admin.display(description=gettext_lazy("key"))
    def keys_shown(self, message: IntegrationMessage) -> str:
        """The business key, and the key by which repeats are recognised where it is another."""
        return " · ".join(dict.fromkeys(filter(None, (message.business_key, message.dedupe_key))))

    @admin.display(description=gettext_lazy("error"))
    def error_shown(self, message: IntegrationMessage) -> str:
        """Why it could not be applied."""
        return pretty_json(message.error)

    @admin.display(description=gettext_lazy("payload"))
    def payload_shown(self, message: IntegrationMessage) -> str:
        """The body as it was sent."""
        return pretty_json(message.payload)

    @admin.display(description=gettext_lazy("note"))
    def note_shown(self, message: IntegrationMessage) -> str:
        """What was meant, where a replay corrected it."""
        return pretty_json(message.note)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Needed by the action."""
        return Capability.REPLAY in role_capabilities(request.user)

    @admin.action(description=gettext_lazy("Replay"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[IntegrationMessage]) -> None:
        """Apply the chosen messages as if they were sent now, oldest first; each by itself."""
        sender = Sender(request.user.get_username())
        done = 0
        for pk in sorted(queryset.values_list("pk", flat=True)):
            label = _("Message %(id)s") % {"id": pk}
            done += attempt(request, label, partial(replay_message, message_id=pk, sender=sender)) is not None
        if done:
            messages.success(request, _("%(count)d message(s) replayed.") % {"count": done})

    @admin.action(description=gettext_lazy("Dismiss"), permissions=["replay"])
    def dismiss(self, request: HttpRequest, queryset: QuerySet[IntegrationMessage]) -> None:
        """Settle the chosen messages without applying them, for the reason typed beside the action."""
        reason = request.POST.get("reason", "").strip()[:500]
        if not reason:
            messages.error(request, _("Say beside the action why these messages need no replay."))
            return
        sender = Sender(request.user.get_username())
        done = 0
        for pk in sorted(queryset.values_list("pk", flat=True)):
            label = _("Message %(id)s") % {"id": pk}
            done += attempt(request, label, partial(dismiss, message_id=pk, reason=reason, sender=sender)) is not None
        if done:
            messages.success(request, _("%(count)d message(s) dismissed.") % {"count": done})


@admin.register(DeviceDataRecord)
class DeviceDataRecordAdmin(ReadOnlyAdmin):
    """Accepted device data events."""

    list_display = (
        "id",
        "event_id",
        "unit",
        "run",
        "station",
        "step_no",
        "source",
        "values_count",
        "judge",
        "event_time",
    )
    list_display_links = ("id", "event_id")
    list_filter = (
        choice_filter("source", gettext_lazy("source"), Method.choices),
        choice_filter("judge", gettext_lazy("judge"), (("PASS", gettext_lazy("Pass")), ("FAIL", gettext_lazy("Fail")))),
        AmongNewest,
    )
    list_select_related = ("unit", "run", "station")
    search_fields = ("event_id__exact", "unit__sn__exact", "run__run_no__exact")
    fields = (
        ("event_id", "event_time", "received_at"),
        ("source", "equipment_id", "operator_id", "system"),
        ("run", "unit", "station", "step_no"),
        ("track_id", "carrier_track_id"),
        ("values_count", "judge"),
        "data_shown",
        "meta_shown",
    )
    readonly_fields = ("data_shown", "meta_shown")

    @admin.display(description=gettext_lazy("values or counts"))
    def data_shown(self, record: DeviceDataRecord) -> str:
        """What was sent."""
        return pretty_json(record.production or record.data)

    @admin.display(description=gettext_lazy("meta"))
    def meta_shown(self, record: DeviceDataRecord) -> str:
        """What else the device sent."""
        return pretty_json(record.meta)
