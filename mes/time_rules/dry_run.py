"""What a time rule would have done: its clocks as the events that are kept would have made them. Writes nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from mes.errors import ValidationFailed
from mes.platform.database.instances import Columns
from mes.platform.database.prepared import as_json
from mes.platform.outbox.models import MesEvent
from mes.time_rules import hooks
from mes.time_rules.handlers import fits, read_marks
from mes.time_rules.models import EntityType, InstanceStatus, TimeRuleDefinition, TimeRuleMark
from mes.time_rules.rules import Clock
from mes.time_rules.services import read_clocks_of

USUAL = timedelta(days=7)
LONGEST = timedelta(days=30)
MOST_EVENTS = 200_000
PART = 2_000  # of them are read at once
MOST_EXAMPLES = 50
UNSAVED = 0  # stands for the id of the rule that is tried

_READ = ("id", "event_type", "idempotency_key", "entity_type", "entity_id", "run_id", "payload", "occurred_at")

# Those of the newest events that the rule looks at. What takes the place of another takes back what that one said.
_EVENT = Columns(
    MesEvent, "e", without=[field.attname for field in MesEvent._meta.concrete_fields if field.attname not in _READ]
)
EVENTS = f"""
    SELECT {_EVENT} FROM mes_mesevent e
     WHERE e.event_type = ANY(%(types)s) AND e.occurred_at BETWEEN %(since)s AND %(until)s
       AND (e.event_type = %(start_event)s AND {fits("%(start)s::jsonb")}
            OR e.event_type = %(end_event)s AND {fits("%(end)s::jsonb")}
            OR coalesce(e.payload->>'supersedes', '') <> '')
     ORDER BY e.occurred_at DESC, e.id DESC
     LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A clock as it would stand; `minutes` from its start to its end, or else to the end of the period."""

    entity_type: str
    entity_id: str
    status: str
    started_at: datetime
    earliest_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None
    minutes: float

    @property
    def status_label(self) -> str:
        """The status in words."""
        return str(InstanceStatus(self.status).label)


@dataclass(frozen=True)
class DryRun:
    """The clocks of a period that a rule would have started. `examples` are those that took longest."""

    since: datetime
    until: datetime
    outcomes: Sequence[Outcome]
    is_truncated: bool

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many clocks have each status, by its name in small letters."""
        found = Counter(outcome.status for outcome in self.outcomes)
        return {status.name.lower(): found[status] for status in InstanceStatus}

    @property
    def longest_minutes(self) -> float | None:
        """The longest that it took from a start to its end; None where nothing ended."""
        ended = [outcome.minutes for outcome in self.outcomes if outcome.ended_at is not None]
        return round(max(ended), 1) if ended else None

    @property
    def examples(self) -> list[Outcome]:
        """Those that ran out, longest first, then the others that took longest."""

        def place(outcome: Outcome) -> tuple[bool, float]:
            return outcome.status not in (InstanceStatus.EXPIRED, InstanceStatus.EARLY), -outcome.minutes

        return sorted(self.outcomes, key=place)[:MOST_EXAMPLES]


def read_period(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Return the period of a dry run: the last seven days unless said otherwise, at most thirty.

    Raises ValidationFailed.
    """
    last = until or timezone.now()
    first = since or last - USUAL
    if first >= last:
        raise ValidationFailed({"from": _("Must be before “to”.")})
    if last - first > LONGEST:
        raise ValidationFailed({"from": _("At most %(days)s days can be looked at.") % {"days": LONGEST.days}})
    return first, last


def try_rule(rule: TimeRuleDefinition, *, since: datetime, until: datetime) -> DryRun:
    """Return the clocks that a rule would have started within a period, had it been active throughout.

    Of other rules of its code, those that are more specific go before it, as they would; one of the same scope and
    priority is taken for the rule as it was before. Events that are no longer kept (`MES_EVENT_RETENTION_DAYS`) are
    not seen, nor waivers.
    """
    until = min(until, timezone.now())
    rivals = _rivals(rule)
    rule.pk, rule.is_active = UNSAVED, True
    marks, oldest = _read_marks([rule, *rivals], _asked(rule, since, until))
    outcomes = list(_outcomes(rule, marks, until))
    return DryRun(oldest or since, until, outcomes, oldest is not None)


def _read_marks(
    rules: Sequence[TimeRuleDefinition], asked: Mapping[str, Any]
) -> tuple[list[TimeRuleMark], datetime | None]:
    """Return the marks of the events, and the time of the oldest where there are more than may be looked at.

    The events come in parts: all of them at once would take hundreds of megabytes.
    """
    marks: list[TimeRuleMark] = []
    left, oldest = MOST_EVENTS, None
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(EVENTS, asked)
        while rows := cursor.fetchmany(PART):
            events = [event for event in map(_EVENT.make, rows[:left]) if event is not None]
            marks += read_marks(events, rules)
            if len(rows) > left:
                return marks, oldest if not events else events[-1].occurred_at
            left -= len(rows)
            oldest = events[-1].occurred_at
    return marks, None


def _asked(rule: TimeRuleDefinition, since: datetime, until: datetime) -> dict[str, Any]:
    return {
        "types": list({rule.start_event, rule.end_event}),
        "start_event": rule.start_event,
        "end_event": rule.end_event,
        "start": as_json(rule.start_condition),
        "end": as_json(rule.end_condition),
        "since": since,
        "until": until,
        "most": MOST_EVENTS + 1,
    }


def _rivals(rule: TimeRuleDefinition) -> list[TimeRuleDefinition]:
    """Return the other rules of the same code, without the one in whose place the rule would stand, and without itself
    as it is saved: it may stand elsewhere then.
    """
    same_place = {"scope": rule.scope, "scope_value": rule.scope_value, "priority": rule.priority}
    others = TimeRuleDefinition.objects.filter(code=rule.code, is_active=True).exclude(**same_place)
    return [other for other in others if other.pk != rule.pk]


def _outcomes(rule: TimeRuleDefinition, marks: Iterable[TimeRuleMark], until: datetime) -> Iterable[Outcome]:
    of_entity: dict[tuple[str, str], list[TimeRuleMark]] = {}
    for mark in marks:
        of_entity.setdefault((mark.entity_type, mark.entity_id), []).append(mark)
    clocks = {entity: read_clocks_of(rule, theirs) for entity, theirs in of_entity.items()}
    scrapped = _scrap_times([sn for kind, sn in clocks if kind == EntityType.UNIT])
    for entity, theirs in clocks.items():
        for clock in theirs:
            yield _outcome(entity, clock, scrapped.get(entity[1]), until)


def _scrap_times(sns: Sequence[str]) -> Mapping[str, datetime]:
    found: dict[str, datetime] = {}
    for find in hooks.scrap_finders:
        found |= find(sns)
    return found


def _outcome(entity: tuple[str, str], clock: Clock, scrapped_at: datetime | None, until: datetime) -> Outcome:
    status, ended_at = _state(clock, scrapped_at if scrapped_at and scrapped_at <= until else None, until)
    return Outcome(
        entity_type=entity[0],
        entity_id=entity[1],
        status=status,
        started_at=clock.start.at,
        earliest_at=clock.earliest_at,
        expires_at=clock.expires_at,
        ended_at=ended_at,
        minutes=((ended_at or until) - clock.start.at).total_seconds() / 60,
    )


def _is_over(clock: Clock, at: datetime) -> bool:
    return clock.expires_at is not None and clock.expires_at < at


def _state(clock: Clock, scrapped_at: datetime | None, until: datetime) -> tuple[str, datetime | None]:
    """Return status and end of a clock at the end of the period, as `services` and the sweep would have written it."""
    ended_at = clock.end.at if clock.end is not None else None
    if scrapped_at is not None and (ended_at is None or ended_at >= scrapped_at):
        is_late = clock.has_lapsed or _is_over(clock, scrapped_at)
        return (InstanceStatus.EXPIRED if is_late else InstanceStatus.CANCELLED), scrapped_at
    if ended_at is not None and clock.is_early:
        return InstanceStatus.EARLY, ended_at
    if ended_at is not None:
        return (InstanceStatus.COMPLETED if clock.is_in_time else InstanceStatus.EXPIRED), ended_at
    is_late = clock.has_lapsed or _is_over(clock, until)
    return (InstanceStatus.EXPIRED if is_late else InstanceStatus.ACTIVE), None
