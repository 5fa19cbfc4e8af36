"""Whose units are: what a token that is limited to stations may move, and what it may read."""

from collections.abc import Iterable
from typing import Any, Protocol

from execution.models import Track
from mes.plant.models import Line
from mes.plant.reach import check_serves_line
from mes.platform.inbound.sender import Sender
from mes.production.models import Unit


class Keyed(Protocol):
    """A unit, or what was read of one."""

    @property
    def pk(self) -> Any: ...


def check_speaks_for(sender: Sender, units: Iterable[Keyed]) -> None:
    """Raise StationNotAllowed where one of these units is in another station than the sender's, or of another line."""
    if not sender.is_limited:
        return
    ids = {unit.pk for unit in units}
    codes = Track.objects.filter(unit__in=ids, out_at=None).values_list("station__code", flat=True)
    for code in sorted(codes):
        sender.check_station(code)
    check_reads(sender, units)


def check_reads(sender: Sender, units: Iterable[Keyed]) -> None:
    """Raise LineNotAllowed where one of these units is of a line that no station of the sender serves, or of none."""
    if not sender.is_limited:
        return
    ids = {unit.pk for unit in units}
    lines = Line.objects.filter(runs__units__in=ids).distinct().order_by("code")
    for line in lines:
        check_serves_line(sender, line)
    if Unit.objects.filter(pk__in=ids, run=None).exists():
        check_serves_line(sender, None)
