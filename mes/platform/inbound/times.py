"""Which times are taken of what happened: one rule for every way in."""

from datetime import datetime

from django.conf import settings

from mes.errors import EventTimeInFuture, EventTooOld


def check_bounds(*times: datetime, now: datetime) -> None:
    """Refuse times that lie ahead by more than clocks may differ, or so far back that keys no longer tell repeats.

    Raises EventTimeInFuture for the latest, EventTooOld for the earliest.
    """
    check_not_ahead(*times, now=now)
    earliest = min(times)
    if earliest < now - settings.MES_KEY_LIFETIME:
        raise EventTooOld(at=earliest.isoformat(), days=settings.MES_KEY_LIFETIME.days)


def check_not_ahead(*times: datetime, now: datetime) -> None:
    """Raise EventTimeInFuture for the latest of times, if there are any, that lies ahead by more than clocks may
    differ.
    """
    latest = max(times, default=now)
    if latest > now + settings.MES_CLOCK_SKEW:
        raise EventTimeInFuture(at=latest.isoformat())
