"""What stations do now: what is in work there, what waits, why one stands still, and what they did in their shift."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from execution import unit_state
from execution.entering import Entering
from execution.permit_reasons import Reason, explain
from execution.queries import count_waiting
from execution.station_page.figures import ShiftFigures, shift_figures
from mes.errors import DomainError
from mes.plant.models import Line, Station
from mes.platform.database.prepared import fetch_all

_STATES = unit_state.statement(takes_track_id=False)


class Doing(Enum):
    """What a station does: a word, and how it looks (tone and symbol)."""

    STOPPED = (_("Stopped"), "hold", "hold")
    WORKING = (_("In work"), "work", "work")
    WAITED_FOR = (_("Boards wait"), "wait", "wait")
    IDLE = (_("Nothing to do"), "idle", "ahead")

    @property
    def label(self) -> Any:
        """The word."""
        return self.value[0]

    @property
    def tone(self) -> str:
        """The name of its colour."""
        return self.value[1]

    @property
    def symbol(self) -> str:
        """The name of its symbol."""
        return self.value[2]


class HeardBy(Enum):
    """By what a station was heard."""

    TERMINAL = _("terminal")
    MACHINE = _("machine")
    MOVE = _("move of a board")


@dataclass(frozen=True)
class Inside:
    """What is in a station: the unit that entered first and when, how many there are, and how many of them are held."""

    sn: str
    since: datetime
    count: int
    held: int

    @property
    def more(self) -> int:
        """How many there are beside the first."""
        return self.count - 1


@dataclass(frozen=True)
class StationNow:
    """A station as it is now. `reasons` are why no unit may enter it; `heard` says when it was heard last, by what."""

    station: Station
    reasons: Sequence[Reason]
    inside: Inside | None
    waiting: int
    figures: ShiftFigures
    heard: tuple[datetime, HeardBy] | None

    @property
    def doing(self) -> Doing:
        """What it does, what stands still first."""
        if self.reasons:
            return Doing.STOPPED
        if self.inside is not None:
            return Doing.WORKING
        return Doing.WAITED_FOR if self.waiting else Doing.IDLE


INSIDE = """
    SELECT t.station_id, (array_agg(u.sn ORDER BY t.in_at, t.id))[1], min(t.in_at), count(*)::integer,
           (count(*) FILTER (WHERE u.status = 'ON_HOLD'))::integer
      FROM execution_track t JOIN mes_unit u ON u.id = t.unit_id
     WHERE t.out_at IS NULL AND t.station_id = ANY(%(station_ids)s::bigint[])
     GROUP BY t.station_id
"""
# Of reports, those of whole months: then a partition has none that does not count, which would be walked in vain.
HEARD = """
    SELECT s.id,
           (SELECT max(last_heard_at) FROM mes_terminal WHERE station_id = s.id AND revoked_at IS NULL),
           greatest((SELECT received_at FROM integration_devicedatarecord
                      WHERE station_id = s.id AND received_at >= %(since)s::timestamptz ORDER BY id DESC LIMIT 1),
                    (SELECT received_at FROM ingest_settledingestevent
                      WHERE station_id = s.id AND received_at >= %(since)s::timestamptz ORDER BY id DESC LIMIT 1)),
           (SELECT greatest(created_at, out_at) FROM execution_track WHERE station_id = s.id ORDER BY id DESC LIMIT 1)
      FROM unnest(%(station_ids)s::bigint[]) AS s(id)
"""


def list_stations(line: Line | None = None) -> list[Station]:
    """Return the stations of a line and those that all lines share, which come last; without a line, of all."""
    stations = Station.objects.select_related("line", "group")
    if line is not None:
        stations = stations.filter(Q(line=line) | Q(line=None))
    return sorted(stations, key=lambda each: (each.line is None, each.line.code if each.line else "", each.code))


def load_stations_now(stations: Sequence[Station]) -> list[StationNow]:
    """Return what stations do, in seven statements for however many, one more where a run has deviations and one more
    where a station stands still. They have their lines and groups.
    """
    now = timezone.now()
    ids = [station.pk for station in stations]
    reasons = _find_reasons(stations, now)
    inside = {pk: Inside(*columns) for pk, *columns in fetch_all(INSIDE, {"station_ids": ids})}
    waiting, figures = count_waiting(stations), shift_figures(stations, now, last_units=0)
    heard = _find_heard(ids, now)
    return [
        StationNow(
            station=station,
            reasons=reasons.get(station.code, ()),
            inside=inside.get(station.pk),
            waiting=waiting[station.pk],
            figures=figures[station.pk],
            heard=heard[station.pk],
        )
        for station in stations
    ]


def _find_reasons(stations: Iterable[Station], now: datetime) -> Mapping[str, Sequence[Reason]]:
    """Return why no unit may enter stations, by their codes, as each entry would be refused."""
    codes = [station.code for station in stations]
    places = unit_state.load_states([], stations=codes, locked=None, reading=_STATES).station_states
    refusals: list[tuple[str, DomainError]] = [
        (code, refusal)
        for code, place in places.items()
        for refusal in Entering(place, None, None, now, by_machine=False).list_refusals()
    ]
    found: dict[str, list[Reason]] = {}
    explained = explain([(refusal, None) for _code, refusal in refusals])
    for (code, _refusal), reason in zip(refusals, explained, strict=True):
        found.setdefault(code, []).append(reason)
    return found


def _find_heard(ids: Collection[int], now: datetime) -> dict[int, tuple[datetime, HeardBy] | None]:
    """Return when stations were heard last, and by what."""
    rows = fetch_all(HEARD, {"station_ids": list(ids), "since": _last_month(now.date())})
    return {pk: _latest(terminal, machine, move) for pk, terminal, machine, move in rows}


def _latest(*heard: datetime | None) -> tuple[datetime, HeardBy] | None:
    known = [(at, by) for at, by in zip(heard, HeardBy, strict=True) if at is not None]
    return max(known, key=lambda each: each[0], default=None)


def _last_month(today: date) -> date:
    """Return the first day of the month before."""
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)
