"""What is, or was, in slots."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

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


def lines_of(kind: Literal["lot", "tool"], ids: Collection[int]) -> Mapping[int, int]:
    """Return the line that each of these lots or tools is on, or at a station of, by their ids."""
    there = Load.objects.filter(**{f"{kind}__in": ids}, ended_at=None)
    placed = there.annotate(of_line=Coalesce("line_id", "station__line_id")).exclude(of_line=None)
    return dict(placed.values_list(f"{kind}_id", "of_line"))
