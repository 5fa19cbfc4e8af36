"""What is, or was, in slots."""

from datetime import datetime

from django.db.models import Q, QuerySet

from mes.line_setup.loads.models import Load, LoadState
from mes.plant.models import Line, Station

SHOWN = ("station", "line", "lot__material", "tool", "feeder", "opened_by", "closed_by")


def there(at: datetime | None = None) -> Q:
    """Select loads that are there, now or at a time."""
    if at is None:
        return Q(ended_at=None)
    return Q(loaded_at__lte=at) & (Q(ended_at=None) | Q(ended_at__gt=at))


def list_at_station(station: Station, at: datetime | None = None) -> QuerySet[Load]:
    """Return what is in the slots of a station, now or at a time, by slot; what is in use before what is spliced."""
    return Load.objects.select_related(*SHOWN).filter(there(at), station=station).order_by("slot", "loaded_at", "id")


def loaded_on_line(line: Line, slot: str) -> QuerySet[Load]:
    """Return what is in use in a slot of a line: none or one."""
    return Load.objects.filter(line=line, slot=slot, state=LoadState.ACTIVE, ended_at=None)
