"""What a time rule may name: scopes, and events with what they tell of."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mes.platform.outbox.models import EventType


class TimeRuleScope(models.TextChoices):
    GLOBAL = "GLOBAL", _("Everywhere")
    LINE = "LINE", _("One line")
    ROUTING = "ROUTING", _("One route")
    PRODUCT = "PRODUCT", _("One product")


class TimeRuleAction(models.TextChoices):
    """What is done about a unit that is too early, or whose time is over, beside telling people."""

    NOTIFY = "NOTIFY", _("Tell people")
    BLOCK = "BLOCK", _("Refuse to enter too early")
    HOLD = "HOLD", _("Hold the unit")


class EntityType(models.TextChoices):
    UNIT = "UNIT", _("Unit")
    SOLDER_PASTE_LOT = "SOLDER_PASTE_LOT", _("Solder paste lot")


# The events that may start or end a clock, and of what they tell.
ENTITY_OF_EVENT: dict[str, EntityType] = {
    EventType.TRACK_IN: EntityType.UNIT,
    EventType.TRACK_OUT: EntityType.UNIT,
    EventType.SOLDER_PASTE_THAW: EntityType.SOLDER_PASTE_LOT,
    EventType.SOLDER_PASTE_USAGE_CREATE: EntityType.SOLDER_PASTE_LOT,
    EventType.SOLDER_PASTE_USAGE_UNBIND: EntityType.SOLDER_PASTE_LOT,
}
EVENT_CHOICES = [(EventType(event).value, EventType(event).label) for event in ENTITY_OF_EVENT]
