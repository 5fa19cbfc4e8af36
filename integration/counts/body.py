"""The `production` of a device data event: what a machine counted in a window of time."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mes.platform.http.envelope import camel_case
from mes.platform.inbound.times import check_bounds
from mes.platform.validators import validate_moment
from mes.production_counts.stretches import LONGEST_DELTA
from mes.production_counts.windows import COUNTERS, NO_COUNTS, Counts

LARGEST_COUNT = 10**15
Count = Annotated[float, msgspec.Meta(ge=0, le=LARGEST_COUNT, multiple_of=1)]  # 5 may be written as 5.0
Modulus = Annotated[float, msgspec.Meta(ge=2, le=LARGEST_COUNT, multiple_of=1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Moduli(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """At which number a counter begins again from zero: 65536 in 16 bits. A name that is wrong would go unseen."""

    boards_in: Modulus | None = None
    boards_out: Modulus | None = None
    scrapped: Modulus | None = None
    picked: Modulus | None = None
    placed: Modulus | None = None


class Production(msgspec.Struct, rename="camel", kw_only=True):
    """Counts of a window: DELTA says what was counted in it, CUMULATIVE what the counters show at its end."""

    window_start: Moment
    window_end: Moment
    mode: Literal["DELTA", "CUMULATIVE"]
    boards_in: Count | None = None
    boards_out: Count | None = None
    scrapped: Count | None = None
    picked: Count | None = None
    placed: Count | None = None
    moduli: Moduli | None = None

    @property
    def counts(self) -> Counts:
        """What is counted, in the order of COUNTERS."""
        return _in_order(self)

    @property
    def counted_at(self) -> datetime:
        """When it was counted, for what must lie at one time: the last moment that belongs to the window."""
        return self.window_end if self.window_end == self.window_start else self.window_end - timedelta(microseconds=1)

    @property
    def counter_moduli(self) -> Counts:
        """At which numbers the counters begin again, in the order of COUNTERS."""
        return NO_COUNTS if self.moduli is None else _in_order(self.moduli)


def _in_order(numbers: Production | Moduli) -> Counts:
    by_counter = (getattr(numbers, name) for name in COUNTERS)
    return tuple(None if number is None else int(number) for number in by_counter)


def find_problems(production: Production) -> Iterator[tuple[str, str]]:
    """Yield (field, message) of what the decoder cannot tell."""
    length = production.window_end - production.window_start
    for name, at in (("windowStart", production.window_start), ("windowEnd", production.window_end)):
        try:
            validate_moment(at)
        except ValidationError as error:
            yield name, " ".join(error.messages)
    if production.mode == "DELTA" and not length:
        yield "windowEnd", _("Must lie after the start: nothing can be counted in no time.")
    elif length.total_seconds() < 0:
        yield "windowEnd", _("Must not lie before the start.")
    elif production.mode == "DELTA" and length > LONGEST_DELTA:
        yield "windowEnd", _("A window may last a day at most; report more often.")
    if all(count is None for count in production.counts):
        yield "boardsIn", _("Give at least one of boardsIn, boardsOut, scrapped, picked and placed.")
    yield from _find_modulus_problems(production)


def _find_modulus_problems(production: Production) -> Iterator[tuple[str, str]]:
    """A reading lies below its modulus; what was counted in a window has none."""
    if production.mode == "DELTA" and production.moduli is not None:
        yield "moduli", _("Only with mode CUMULATIVE: a count of a window does not begin again from zero.")
        return
    for name, count, modulus in zip(COUNTERS, production.counts, production.counter_moduli, strict=True):
        if count is not None and modulus is not None and count >= modulus:
            message = _(
                "Must lie below its modulus {modulus}: the counter shows less before it begins again from zero."
            )
            yield camel_case(name), message.format(modulus=modulus)


def check_times(production: Production, *, now: datetime) -> None:
    """Raise EventTimeInFuture, EventTooOld."""
    check_bounds(production.window_start, production.window_end, now=now)
