"""What other limits would have done to the values that are kept: a question that writes nothing.

*Before* is the verdict that each value was given, by the limits of that day, which are kept with it. *After* comes from
the function that judges values as they come.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _

from mes import errors
from mes.platform.database.prepared import fetch_all
from mes.production.models import Unit
from mes.routing.judging import Reading, judge
from mes.routing.snapshots import SpecSnapshot, spec_of
from mes.specs.models import DataCollectionSpec, DataType

USUAL_PERIOD = timedelta(days=30)
LONGEST_PERIOD = timedelta(days=92)
MOST_VALUES = 50_000
MOST_EXAMPLES = 50
VERDICTS = {"PASS": "pass", "FAIL": "fail", "": "none"}

# Another server may have stamped what it received: a value is collected no later than this after it came.
_LATE = timedelta(days=1)


class Kept(NamedTuple):
    """A kept number with the verdict it was given."""

    number: float
    judge: str
    reported_judge: str
    alarmed: bool
    unit_id: int | None
    collected_at: datetime


class Example(NamedTuple):
    """A kept number whose verdict would have been another."""

    kept: Kept
    after: str


@dataclass(frozen=True)
class Period:
    """From an instant to another, which is not part of it."""

    since: datetime
    until: datetime


@dataclass
class Outcome:
    """How kept values were judged, and how they would have been. Counts are by `VERDICTS`.

    A value is newly failing that would fail and did not; newly passing likewise. `units` are those with such a value.
    Examples have those that would fail first, the newest first.
    """

    count: int
    before: dict[str, int]
    after: dict[str, int]
    newly_failing: int
    newly_passing: int
    alarmed_before: int
    alarmed_after: int
    unit_ids: set[int]
    examples: list[Example]


def check_has_numbers(spec: DataCollectionSpec) -> None:
    """Raise SpecWithoutNumbers unless limits say something about values of the spec."""
    if spec.data_type != DataType.NUMBER:
        raise errors.SpecWithoutNumbers(name=spec.name)


def choose_period(since: datetime | None, until: datetime | None) -> Period:
    """Return the period asked for, by default the last 30 days. Raises ValidationFailed for one that is none."""
    until = until or timezone.now()
    since = since or until - USUAL_PERIOD
    if since > until:
        raise errors.ValidationFailed({"from": _("Must not be after “to”.")})
    if until - since > LONGEST_PERIOD:
        message = _("Must be at most %(days)d days before “to”.") % {"days": LONGEST_PERIOD.days}
        raise errors.ValidationFailed({"from": message})
    return Period(since, until)


_NEWEST = """
    SELECT {columns} FROM execution_datavalue
     WHERE spec_id = %(spec)s AND collected_at >= %(since)s AND collected_at < %(until)s AND received_at >= %(received)s
           AND value_number IS NOT NULL
     ORDER BY collected_at DESC LIMIT %(most)s
"""
READ_KEPT = _NEWEST.format(columns="value_number, judge, reported_judge, alarmed, unit_id, collected_at")
READ_NUMBERS = _NEWEST.format(columns="value_number")


def read_kept(spec: DataCollectionSpec, period: Period) -> tuple[list[Kept], bool]:
    """Return the newest numbers of a spec that were collected in a period, and whether there are more; one query."""
    rows = fetch_all(READ_KEPT, _asked(spec, period), binary=True)
    return [Kept(*row) for row in rows[:MOST_VALUES]], len(rows) > MOST_VALUES


def _asked(spec: DataCollectionSpec, period: Period) -> dict[str, Any]:
    return {
        "spec": spec.pk,
        "since": period.since,
        "until": period.until,
        "received": period.since - _LATE,  # spares the older partitions
        "most": MOST_VALUES + 1,
    }


def weigh(values: Sequence[Kept], spec: SpecSnapshot) -> Outcome:
    """Judge kept values by a spec and compare with what they were given. `values` are newest first. Pure."""
    before, after = dict.fromkeys(VERDICTS, 0), dict.fromkeys(VERDICTS, 0)
    alarmed = 0
    changed: list[Example] = []
    for kept in values:
        reading = Reading(value_number=kept.number, judge=kept.reported_judge or None)  # type: ignore[arg-type]
        judged = judge(reading, spec, kept.collected_at)
        before[kept.judge] += 1
        after[judged.judge] += 1
        alarmed += judged.alarmed
        if judged.judge != kept.judge:
            changed.append(Example(kept, judged.judge))
    failing = [example for example in changed if example.after == "FAIL"]
    others = [example for example in changed if example.after != "FAIL"]
    return Outcome(
        count=len(values),
        before=_named(before),
        after=_named(after),
        newly_failing=len(failing),
        newly_passing=sum(example.after == "PASS" for example in others),
        alarmed_before=sum(kept.alarmed for kept in values),
        alarmed_after=alarmed,
        unit_ids={example.kept.unit_id for example in changed if example.kept.unit_id is not None},
        examples=[*failing, *others][:MOST_EXAMPLES],
    )


def _named(counts: dict[str, int]) -> dict[str, int]:
    return {name: counts[verdict] for verdict, name in VERDICTS.items()}


def ask(spec: DataCollectionSpec, period: Period) -> dict[str, Any]:
    """Return what a spec's limits, saved or not, would have done to its kept values, as the interface answers it.

    Raises SpecWithoutNumbers. Three queries at most.
    """
    check_has_numbers(spec)
    values, truncated = read_kept(spec, period)
    outcome = weigh(values, spec_of(spec))
    sns = _serial_numbers(example.kept.unit_id for example in outcome.examples)
    return {
        "count": outcome.count,
        "before": outcome.before,
        "after": outcome.after,
        "newlyFailing": outcome.newly_failing,
        "newlyPassing": outcome.newly_passing,
        "alarmed": {"before": outcome.alarmed_before, "after": outcome.alarmed_after},
        "units": len(outcome.unit_ids),
        "examples": [
            {
                "sn": sns.get(kept.unit_id),
                "value": kept.number,
                "collectedAt": kept.collected_at,
                "before": kept.judge or None,
                "after": after or None,
            }
            for kept, after in outcome.examples
        ],
        "from": period.since,
        "to": period.until,
        "truncated": truncated,
    }


def _serial_numbers(unit_ids: Iterable[int | None]) -> dict[int | None, str]:
    wanted = {unit_id for unit_id in unit_ids if unit_id is not None}
    return dict(Unit.objects.filter(pk__in=wanted).values_list("pk", "sn")) if wanted else {}


# --- how values lie ---------------------------------------------------------------------------------------

BINS = 48
_OUTLIERS = 0.005  # of each end: one wild value must not press all others into one bin


def draw(spec: DataCollectionSpec) -> dict[str, Any]:
    """Return how the kept values of the last 30 days lie: `{count, low, high, bins, below, above}`; one query.

    `low` and `high` are None where nothing can be drawn.
    """
    check_has_numbers(spec)
    rows = fetch_all(READ_NUMBERS, _asked(spec, choose_period(None, None)), binary=True)
    return spread([number for (number,) in rows[:MOST_VALUES]])


def spread(numbers: Sequence[float]) -> dict[str, Any]:
    """Return numbers in bins of one width, and how many lie beyond them. Pure."""
    ordered = sorted(numbers)
    cut = int(len(ordered) * _OUTLIERS)
    low, high = (ordered[cut], ordered[-1 - cut]) if ordered else (0.0, 0.0)
    width = (high - low) / BINS
    bins = [0] * BINS
    if not ordered or not isfinite(width):
        return {"count": len(ordered), "low": None, "high": None, "bins": [], "below": 0, "above": 0}
    below = above = 0
    for number in ordered:
        if number < low:
            below += 1
        elif number > high:
            above += 1
        else:
            bins[min(int((number - low) / width), BINS - 1) if width else 0] += 1
    if not width:
        bins = [sum(bins)]
    return {"count": len(ordered), "low": low, "high": high, "bins": bins, "below": below, "above": above}
