"""How far a token that is limited to stations reaches: its stations, and of their lines what a station must know.

A station without a line serves all lines, so such a token reads of all of them. What concerns a line as a whole (its
set-up, the readiness of its runs) is the business of those that stand on it.
"""

from typing import Any

from django.db.models import Model, Q, QuerySet

from mes.errors import LineNotAllowed
from mes.plant.models import Line, Station
from mes.platform.inbound.sender import Sender, sender_of

NO_LINE = "–"


def check_serves_line(sender: Sender, line: Line | None) -> None:
    """Raise LineNotAllowed for a line that no station of the sender serves; None is served by none."""
    if sender.is_limited and not _serving(sender, None if line is None else line.pk).exists():
        raise _refusal(sender, line)


def check_stands_on_line(sender: Sender, line: Line) -> None:
    """Raise LineNotAllowed for a line on which no station of the sender stands."""
    if sender.is_limited and not _stations_of(sender).filter(line=line).exists():
        raise _refusal(sender, line)


def _refusal(sender: Sender, line: Line | None) -> LineNotAllowed:
    return LineNotAllowed(line=line.code if line else NO_LINE, stations=sorted(sender.stations or ()))


def _stations_of(sender: Sender) -> QuerySet[Station]:
    return Station.objects.filter(code__in=sender.stations or ())


def _serving(sender: Sender, line_id: int | None) -> QuerySet[Station]:
    return _stations_of(sender).filter(Q(line=None) | Q(line=line_id))


def narrow_to_lines(rows: QuerySet[Any], sender: Sender, lookup: str) -> QuerySet[Any]:
    """Return of these rows those whose line, found by `lookup`, a station of the sender serves."""
    if not sender.is_limited:
        return rows
    lines = list(_stations_of(sender).values_list("line", flat=True))
    return rows if None in lines else rows.filter(**{f"{lookup}__in": lines})


def narrow_to_stations(rows: QuerySet[Any], sender: Sender, lookup: str) -> QuerySet[Any]:
    """Return of these rows those whose station, found by `lookup`, is one of the sender's. One query more, where it is
    limited: joined by their codes, a large table would be walked from its newest row on.
    """
    if sender.stations is None:
        return rows
    return rows.filter(**{f"{lookup}__in": list(_stations_of(sender).values_list("pk", flat=True))})


class OfServedLines:
    """A viewset's rows belong to lines: a token that is limited to stations lists and reads those of lines they serve.

    `line_lookup` leads from a row to its line.
    """

    line_lookup = "line"
    request: Any

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow a list."""
        rows: QuerySet[Any] = super().filter_queryset(queryset)  # type: ignore[misc]
        return narrow_to_lines(rows, sender_of(self.request), self.line_lookup)

    def check_object_permissions(self, request: Any, obj: Model) -> None:
        """Raise LineNotAllowed for a row of another line."""
        super().check_object_permissions(request, obj)  # type: ignore[misc]
        check_serves_line(sender_of(request), line_of(obj, self.line_lookup))


def line_of(row: Any, lookup: str) -> Line | None:
    """Return the line of a row."""
    if lookup == "pk":
        return row
    for name in lookup.split("__"):
        row = getattr(row, name, None)
    return row
