"""How to read the times that a source system says: its time zone, and by how much its clock is ahead.

All sources are remembered in the process, because every report asks for one. A change holds at once in the process that
makes it, and within MES_SOURCE_CACHE in others: one statement in that time, whatever is reported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from mes.platform.inbound.models import Source


@dataclass(frozen=True, slots=True)
class SourceClock:
    """The clock of a source. `time_zone` is that of times without an offset, None where nobody said."""

    time_zone: ZoneInfo | None = None
    correction: timedelta = timedelta(0)

    def correct(self, said: datetime) -> datetime:
        """Return the instant that a time means which the source said."""
        return said - self.correction if self.correction else said


NO_CORRECTION = SourceClock()


def clock_of(code: str | None) -> SourceClock:
    """Return the clock of a source system; of one that nobody entered, and of none, one that is right."""
    return NO_CORRECTION if code is None else _known.get().get(code, NO_CORRECTION)


def forget_sources(**_signal: Any) -> None:
    """Read all sources again on their next use: now, and when what is being written is committed."""
    _known.clear()
    transaction.on_commit(_known.clear)


def _read() -> dict[str, SourceClock]:
    return {
        code: SourceClock(_find_zone(zone), timedelta(seconds=correction))
        for code, zone, correction in Source.objects.values_list("code", "time_zone", "clock_correction_seconds")
    }


def _find_zone(name: str) -> ZoneInfo | None:
    """Return a time zone; None for one that this host does not know (any more): no source may stop all reports."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        return None


class _KnownSources:
    """All sources, as they were read lately."""

    def __init__(self) -> None:
        self._reading = Lock()
        self._clocks: Mapping[str, SourceClock] | None = None
        self._read_at = 0.0
        self._generation = 0

    def get(self) -> Mapping[str, SourceClock]:
        """Return them, read anew by one of those who ask when they are stale; the others need not wait for it."""
        clocks = self._clocks
        if clocks is not None and monotonic() - self._read_at <= settings.MES_SOURCE_CACHE.total_seconds():
            return clocks
        if not self._reading.acquire(blocking=clocks is None):
            return clocks or {}
        try:
            return self._read_again()
        finally:
            self._reading.release()

    def _read_again(self) -> Mapping[str, SourceClock]:
        generation, read_at = self._generation, monotonic()
        clocks = _read()
        if generation == self._generation:  # nothing was changed since it began
            self._clocks, self._read_at = clocks, read_at
        return clocks

    def put(self, clocks: Mapping[str, SourceClock]) -> None:
        """Remember these as if they had been read now."""
        self._clocks, self._read_at = clocks, monotonic()

    def clear(self) -> None:
        """Forget everything, also what is being read just now."""
        self._generation += 1
        self._clocks = None


_known = _KnownSources()


def assume_sources(clocks: Mapping[str, SourceClock]) -> None:
    """Take these for all there are until they are stale: of tests, which begin with none."""
    _known.put(clocks)
