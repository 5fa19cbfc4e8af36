"""Clocks in words, each with a tone and a symbol: colour never tells alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.utils.translation import gettext as _

from mes.time_rules.models import Ending, InstanceStatus, TimeRuleInstance

DAY, HOUR, MINUTE = 24 * 3600, 3600, 60


@dataclass(frozen=True)
class Look:
    """How a clock is shown: `tone` and `symbol` are names of the style sheet, `detail` says how long left or over."""

    tone: str
    symbol: str
    label: str
    detail: str = ""


class Shown(Protocol):
    """What is asked of a clock to show it: a `TimeRuleInstance`, or what was read of one."""

    @property
    def status(self) -> str: ...
    @property
    def warning_at(self) -> datetime | None: ...
    @property
    def earliest_at(self) -> datetime | None: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def ending(self) -> str: ...
    @property
    def decided_at(self) -> datetime | None: ...


def look_at(instance: Shown, *, now: datetime) -> Look:
    """Return how a clock is shown now."""
    if instance.status == InstanceStatus.ACTIVE:
        return _running(instance, now)
    if instance.status == InstanceStatus.EXPIRED:
        return _expired(instance, now)
    if instance.status == InstanceStatus.EARLY:
        by = instance.earliest_at - instance.ended_at if instance.earliest_at and instance.ended_at else timedelta(0)
        tone = "wait" if instance.decided_at else "bad"
        return Look(tone, "fail", _("Too early"), _("%(time)s too early") % {"time": in_words(by)})
    if instance.status == InstanceStatus.COMPLETED:
        label = _("Started anew in time") if instance.ending == Ending.RESTART else _("In time")
        return Look("good", "pass", label)
    if instance.status == InstanceStatus.WAIVED:
        return Look("wait", "next", _("Waived"))
    return Look("scrap", "scrap", _("Cancelled"))


def _running(instance: Shown, now: datetime) -> Look:
    if instance.earliest_at is not None and now < instance.earliest_at:
        return Look("wait", "wait", _("Must wait"), _("%(time)s left") % {"time": in_words(instance.earliest_at - now)})
    if instance.expires_at is None:
        return Look("good", "next", _("May go on"))
    left = instance.expires_at - now
    if left < timedelta(0):
        return Look("bad", "alarm", _("Time is over"), _over(-left))
    detail = _("%(time)s left") % {"time": in_words(left)}
    if instance.warning_at is not None and instance.warning_at <= now:
        return Look("hold", "alarm", _("Runs out soon"), detail)
    return Look("work", "wait", _("Running"), detail)


def _expired(instance: Shown, now: datetime) -> Look:
    tone = "wait" if instance.decided_at else "bad"
    if instance.expires_at is None:
        return Look(tone, "fail", _("Expired"))
    if instance.ended_at is not None and instance.ending != Ending.SCRAP:
        late = _("%(time)s too late") % {"time": in_words(instance.ended_at - instance.expires_at)}
        return Look(tone, "fail", _("Ended too late"), late)
    return Look(tone, "fail", _("Expired"), _over((instance.ended_at or now) - instance.expires_at))


def _over(span: timedelta) -> str:
    return _("%(time)s over") % {"time": in_words(span)}


def in_words(span: timedelta) -> str:
    """Write a span of time in its two largest units, rounded down: 2 d 3 h, 3 h 05 min, 12 min."""
    seconds = int(span.total_seconds())
    values: dict[str, Any] = {
        "days": seconds // DAY,
        "hours": seconds % DAY // HOUR,
        "minutes": f"{seconds % HOUR // MINUTE:02}",
    }
    if seconds >= DAY:
        return _("%(days)d d %(hours)d h") % values
    if seconds >= HOUR:
        return _("%(hours)d h %(minutes)s min") % values
    return _("%(minutes)d min") % {"minutes": seconds // MINUTE} if seconds >= MINUTE else _("less than a minute")


def share_left(instance: TimeRuleInstance, *, now: datetime) -> float:
    """Return how much of a running clock's time is left, from 0 to 100 percent."""
    until = counted_to(instance, now=now) or instance.started_at
    duration = (until - instance.started_at).total_seconds()
    return max(0.0, min(100.0, 100 * (until - now).total_seconds() / duration)) if duration else 0.0


def counted_to(instance: Shown, *, now: datetime) -> datetime | None:
    """Return the moment to which a running clock is counted: its earliest, then its last; None where there is none."""
    if instance.earliest_at is not None and now < instance.earliest_at:
        return instance.earliest_at
    return instance.expires_at
