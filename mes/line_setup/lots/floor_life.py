"""How long moisture-sensitive parts may lie open (J-STD-020, J-STD-033): read from the events of a lot. Pure.

The time open since the last sufficient bake counts. Dry storage pauses it and restores nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from mes.line_setup.lots.models import LotEventKind, MaterialLot
from mes.plant.models import MoistureSensitivity as Level

# --- the tables ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FloorLifeTable:
    """Hours that parts of a level may lie open at no more than 30 °C and 60 % relative humidity; None: no limit."""

    revision: str
    hours: Mapping[Level, int | None]


@dataclass(frozen=True)
class BakeCell:
    """What restores the floor life of bodies that are as thick at most: hours at `BakeTable.temperature_c`, where the
    floor life was exceeded by more than 72 h, or by no more.
    """

    thickness_mm: Decimal
    level: Level
    hours_beyond: int
    hours_within: int


@dataclass(frozen=True)
class BakeTable:
    """Bakes that restore the floor life. Where no cell fits, a bake restores nothing."""

    revision: str
    temperature_c: int
    far_beyond: timedelta
    cells: tuple[BakeCell, ...]


FLOOR_LIFE = FloorLifeTable(
    "J-STD-020, levels at ≤ 30 °C/60 % RH",
    {
        Level.MSL_1: None,
        Level.MSL_2: 365 * 24,
        Level.MSL_2A: 4 * 7 * 24,
        Level.MSL_3: 168,
        Level.MSL_4: 72,
        Level.MSL_5: 48,
        Level.MSL_5A: 24,
        Level.MSL_6: 0,  # until it is baked; then as its label says
    },
)

_THIN, _THICK = Decimal("1.4"), Decimal("2.0")
BAKES = BakeTable(
    "J-STD-033 at 125 °C, as eesemi.com/baketables.htm",
    125,
    timedelta(hours=72),
    (
        BakeCell(_THIN, Level.MSL_3, 9, 7),
        BakeCell(_THIN, Level.MSL_4, 11, 7),
        BakeCell(_THIN, Level.MSL_5, 12, 7),
        BakeCell(_THIN, Level.MSL_5A, 16, 10),
        BakeCell(_THICK, Level.MSL_3, 27, 17),
        BakeCell(_THICK, Level.MSL_4, 34, 20),
        BakeCell(_THICK, Level.MSL_5, 40, 25),
    ),
)

# --- what is asked ------------------------------------------------------------------------------------------


class ClockState(TextChoices):
    SEALED = "SEALED", _("Sealed")
    EXPOSED = "EXPOSED", _("Open")
    DRY = "DRY", _("In dry storage")
    BAKING = "BAKING", _("Baking")
    EXPIRED = "EXPIRED", _("Floor life used up")


@dataclass(frozen=True)
class Clock:
    """The floor life of a lot at an instant. `left_minutes` is None without a limit; 0 left is expired.

    `good_until` is when it ends if the lot stays open, or when it ended; None where it is not running and was not used
    up. `began_at` is the end of the bake that it counts from; None: it counts from the start.
    """

    state: ClockState
    exposed_minutes: int
    left_minutes: int | None
    good_until: datetime | None
    began_at: datetime | None = None
    place: ClockState = field(default=ClockState.SEALED, compare=False)  # where it lies, used up or not

    @property
    def is_expired(self) -> bool:
        """Whether nothing is left."""
        return self.left_minutes == 0


@dataclass(frozen=True)
class Told:
    """What the clock reads of an event."""

    kind: str
    at: datetime
    temperature_c: Decimal | None = None


def level_of(lot: MaterialLot) -> str:
    """Return the level of a lot: its own, else that of its material; "" where nobody gave one."""
    return lot.msl or (lot.material.msl if lot.material else "")


def thickness_of(lot: MaterialLot) -> Decimal | None:
    """Return the body thickness of its parts in mm: its own, else that of its material."""
    return lot.body_thickness_mm or (lot.material.body_thickness_mm if lot.material else None)


def hours_of(lot: MaterialLot, *, is_baked: bool = False) -> int | None:
    """Return how many hours a lot may lie open, None without a limit. Parts of level 6 must be baked before."""
    level = level_of(lot)
    if level == Level.MSL_6 and is_baked:
        return lot.floor_life_hours or 0
    return FLOOR_LIFE.hours[Level(level)] if level else None


def hours_to_bake(level: str, thickness_mm: Decimal | None, exceeded: timedelta) -> int | None:
    """Return the least hours of a bake that restores the floor life; None where no cell fits."""
    if thickness_mm is None:
        return None
    fitting = (each for each in BAKES.cells if each.level == level and thickness_mm <= each.thickness_mm)
    cell = min(fitting, key=lambda each: each.thickness_mm, default=None)
    if cell is None:
        return None
    return cell.hours_beyond if exceeded > BAKES.far_beyond else cell.hours_within


OPENS = (LotEventKind.OPENED, LotEventKind.DRY_OUT, LotEventKind.BAKE_END)
STOPS = {
    LotEventKind.DRY_IN: ClockState.DRY,
    LotEventKind.SEALED: ClockState.SEALED,
    LotEventKind.BAKE_START: ClockState.BAKING,
}
KINDS = (*OPENS, *STOPS)


def read_clock(lot: MaterialLot, events: Iterable[Told], first_loaded_at: datetime | None, at: datetime) -> Clock:
    """Return the floor life of a lot at an instant.

    `events` are those of the lot, and of the lots that it was split from until it was, in the order in which they were
    recorded; what is later than `at` says nothing yet.
    """
    told = [event for event in events if event.kind in KINDS and event.at <= at]
    if first_loaded_at is not None and first_loaded_at <= at:
        told.append(Told(LotEventKind.OPENED, first_loaded_at))  # the first load opens it as well
    reading = _Reading(lot)
    for event in sorted(told, key=lambda event: event.at):  # of one instant, as they were recorded
        reading.add(event)
    return reading.read(at)


class _Reading:
    """The clock as event after event is told."""

    def __init__(self, lot: MaterialLot) -> None:
        self.lot = lot
        self.state = ClockState.SEALED
        self.exposed = timedelta()
        self.since: datetime | None = None  # open since then
        self.ended_at: datetime | None = None
        self.bake: Told | None = None
        self.began_at: datetime | None = None
        self.limit = self._limit()

    def _limit(self, *, is_baked: bool = False) -> timedelta | None:
        hours = hours_of(self.lot, is_baked=is_baked)
        return None if hours is None else timedelta(hours=hours)

    def add(self, event: Told) -> None:
        """Go on to an event."""
        if event.kind in OPENS:
            if event.kind == LotEventKind.BAKE_END and self.bake is not None:
                self._end_bake(self.bake, event)
            self.bake = None
            if self.since is None:
                self.since, self.state = event.at, ClockState.EXPOSED
            return
        if self.since is not None:
            end = self._end()
            if end is not None and end <= event.at:
                self.ended_at = self.ended_at or end
            self.exposed += event.at - self.since
        self.since, self.state = None, STOPS[LotEventKind(event.kind)]
        self.bake = event if event.kind == LotEventKind.BAKE_START else None

    def _end(self) -> datetime | None:
        """Return when the floor life ends if the lot stays open."""
        if self.limit is None or self.since is None:
            return None
        return self.since + max(self.limit - self.exposed, timedelta())

    def _end_bake(self, start: Told, end: Told) -> None:
        if not self._is_sufficient(start, end):
            return
        self.exposed, self.since, self.ended_at, self.began_at = timedelta(), None, None, end.at
        self.limit = self._limit(is_baked=True)

    def _is_sufficient(self, start: Told, end: Told) -> bool:
        level = level_of(self.lot)
        if level == Level.MSL_6:
            return True  # how long it is baked, its label says
        told = [each.temperature_c for each in (start, end) if each.temperature_c is not None]
        if not told or min(told) < BAKES.temperature_c or self.limit is None:
            return False
        hours = hours_to_bake(level, thickness_of(self.lot), self.exposed - self.limit)
        return hours is not None and end.at - start.at >= timedelta(hours=hours)

    def read(self, at: datetime) -> Clock:
        """Return the clock at an instant that is no earlier than what was told."""
        exposed = self.exposed + (at - self.since if self.since is not None else timedelta())
        minutes = exposed // timedelta(minutes=1)
        if self.limit is None:
            return Clock(self.state, minutes, None, None, self.began_at, self.state)
        left = max(0, ceil((self.limit - exposed) / timedelta(minutes=1)))
        is_expired = left == 0 and self.state != ClockState.BAKING
        state = ClockState.EXPIRED if is_expired else self.state
        return Clock(state, minutes, left, self.ended_at or self._end(), self.began_at, self.state)
