"""The list of messages."""

from urllib.parse import urlencode

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from integration.models import Direction, IntegrationMessage, MessageStatus
from mes.platform.accounts.roles import Capability
from mes.platform.lists.listing import Column, Filter, FilterKind, Kind, Listing, Period, Row


def with_key(key: str) -> Q:
    """Return the condition of the messages of a key: what came in is found by the key that it was sent with, a conflict
    too, and one of a source system.
    """
    other = IntegrationMessage.with_business_key(key)
    return Q(dedupe_key=key) | Q(direction=Direction.INBOUND) & other


def _to_message(row: Row) -> str:
    return f"{reverse('integration-messages')}?{urlencode({'message': row['id']})}"


MESSAGES = Listing(
    name="messages",
    title=_("Messages"),
    about=_("What other systems and devices sent or were sent, and what became of it."),
    empty=_("No message has come. Give a system or device a token: it then sends to the interface."),
    rows=lambda user: IntegrationMessage.objects.all(),
    capabilities=(Capability.REPLAY,),
    columns=(
        Column("received", _("Received"), "received_at", Kind.TIME, sort="id"),
        Column("key", _("Key"), "business_key", Kind.CODE, reads=("id",), link=_to_message),
        Column("kind", _("Kind"), "entity_type"),
        Column("system", _("System"), "system", Kind.CODE),
        Column("direction", _("Direction"), "direction", choices=Direction.choices),
        Column("status", _("Status"), "status", Kind.STATE, choices=MessageStatus.choices),
        Column("code", _("Error code"), "error_code"),
        Column("times", _("Times"), "count", Kind.NUMBER),
        Column("last", _("Last time"), "last_at", Kind.TIME, is_shown=False),
        Column("dedupe-key", _("Key as kept"), "dedupe_key", Kind.CODE, is_shown=False),
        Column("request", _("Request"), "request_id", Kind.CODE, is_shown=False),
    ),
    filters=(
        Filter("key", _("Key"), find=with_key),
        Filter("status", _("Status"), FilterKind.CHOICE, "status", choices=MessageStatus.choices),
        Filter("code", _("Error code"), lookup="error_code"),
        Filter("kind", _("Kind"), lookup="entity_type", is_indexed=False),
        Filter("request", _("Request"), lookup="request_id"),
        Filter("system", _("System"), lookup="system", is_indexed=False),
        Filter(
            "direction", _("Direction"), FilterKind.CHOICE, "direction", choices=Direction.choices, is_indexed=False
        ),
    ),
    sort="-received",
    period=Period(_("Received"), "received_at"),
    more=((_("Refused messages by cause"), lambda: reverse("integration-messages")),),
)
