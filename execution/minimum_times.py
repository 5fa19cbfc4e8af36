"""Least times of time rules that refuse units: may a unit enter a step already? Read from its own tracks.

Not from the clocks: those start as the outbox comes to the event, and a unit may be quicker.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from mes import errors
from mes.platform.outbox.models import EventType
from mes.production.models import Run
from mes.production.runs import snapshot_of
from mes.routing.snapshots import RouteSnapshot, StepSnapshot
from mes.time_rules.choices import TimeRuleAction
from mes.time_rules.rules import Clock, Context, Mark, Terms, choose, matches, read_clocks

REVIEWED = ":review"  # ends the key of what a review put in place of a TRACK_OUT


class Rule(msgspec.Struct, array_like=True, frozen=True):
    """A time rule that is active: `mes.time_rules.models.TimeRuleDefinition`."""

    id: int
    code: str
    name: str
    scope: str
    scope_value: str
    priority: int
    duration_minutes: int | None
    min_minutes: int | None
    action: str
    restarts: bool
    start_event: str
    start_condition: dict[str, Any]
    end_event: str
    end_condition: dict[str, Any]
    route_operation_kinds: list[str]

    warning_minutes = 0
    is_active = True

    def is_start(self, event_type: str, facts: Mapping[str, Any]) -> bool:
        """Whether an event starts a clock of it."""
        return self.start_event == event_type and matches(self.start_condition, facts)

    def is_end(self, event_type: str, facts: Mapping[str, Any]) -> bool:
        """Whether an event ends one."""
        return self.end_event == event_type and matches(self.end_condition, facts)


class Past(msgspec.Struct, array_like=True, frozen=True):
    """A track of the unit; `kind` is that of its operation today."""

    id: int
    run_id: int
    step_no: int
    operation_code: str
    kind: str | None
    source: str
    attempt: int
    result: str
    in_at: datetime
    out_at: datetime | None


class Waits(msgspec.Struct, array_like=True, frozen=True):
    """What least times are read from; `waived` are the rules and keys of starts whose clocks people waived, with
    when.
    """

    routing_code: str | None
    product_code: str | None
    rules: list[Rule]
    past: list[Past] | None
    waived: list[tuple[int, str, datetime]] | None


_RULES = "mes_timeruledefinition WHERE is_active AND action = 'BLOCK'"

# Of a unit `u` with its run `r`, where a rule refuses at all: the rules of those codes, for the most specific counts.
WAITS = f"""
    CASE WHEN EXISTS (SELECT FROM {_RULES}) THEN (
        SELECT json_build_array(
            (SELECT o.code FROM mes_routeversion v JOIN mes_routing o ON o.id = v.routing_id
              WHERE v.id = r.route_version_id),
            (SELECT product_code FROM mes_workorder WHERE id = r.work_order_id),
            (SELECT json_agg(json_build_array(
                        d.id, d.code, d.name, d.scope, d.scope_value, d.priority, d.duration_minutes, d.min_minutes,
                        d.action, d.restarts, d.start_event, d.start_condition, d.end_event, d.end_condition,
                        d.route_operation_kinds))
               FROM mes_timeruledefinition d WHERE d.is_active AND d.code IN (SELECT code FROM {_RULES})),
            (SELECT json_agg(json_build_array(
                        p.id, p.run_id, p.step_no, p.operation_code, o.kind, p.source, p.attempt, p.result, p.in_at,
                        p.out_at) ORDER BY p.id)
               FROM execution_track p LEFT JOIN mes_operation o ON o.code = p.operation_code WHERE p.unit_id = u.id),
            (SELECT json_agg(json_build_array(i.definition_id, i.start_key, i.decided_at))
               FROM mes_timeruleinstance i
              WHERE i.entity_type = 'UNIT' AND i.entity_id = u.sn AND i.status = 'WAIVED')
        )::text
    ) END
"""
decode = msgspec.json.Decoder(Waits).decode


def list_refusals(
    waits: Waits, *, sn: str, run: Run, step: StepSnapshot, source: str, attempt: int, at: datetime
) -> Iterator[errors.DomainError]:
    """Yield a refusal for each rule whose least time is not over as a unit enters a step (`source`: how)."""
    entry = {
        "operationKind": step.operation_kind,
        "operationCode": step.operation_code,
        "source": source,
        "attempt": attempt,
    }
    route = snapshot_of(run)
    context = Context(
        line_code=run.line.code,
        routing_code=waits.routing_code,
        product_code=waits.product_code,
        route_kinds=frozenset(each.operation_kind for each in route.steps),
    )
    for rule in choose(waits.rules, context):
        if rule.action != TimeRuleAction.BLOCK or not rule.is_end(EventType.TRACK_IN, entry):
            continue
        earliest = find_earliest(waits, rule, run, route)
        if earliest is not None and at < earliest:
            yield errors.TimeTooEarly(sn=sn, rule=rule.name, earliestAt=earliest.isoformat())


def find_earliest(waits: Waits, rule: Rule, run: Run, route: RouteSnapshot) -> datetime | None:
    """Return when the clocks of a rule that still run let the unit enter; None where none runs."""
    waived = {key.removesuffix(REVIEWED): at for rule_id, key, at in waits.waived or () if rule_id == rule.id}
    marks = [mark for past in waits.past or () for mark in _marks(past, rule, run, route)]
    running = (clock for clock in read_clocks(marks, waived=waived) if clock.end is None and not clock.has_lapsed)
    moments = [_earliest(clock) for clock in running if waived.keys().isdisjoint(clock.start_keys)]
    return max(moments, default=None)


def _earliest(clock: Clock) -> datetime:
    return clock.earliest_at or clock.start.at


def _marks(past: Past, rule: Rule, run: Run, route: RouteSnapshot) -> Sequence[Mark]:
    """Return what a track says to a rule: as it was entered, and as it was left."""
    frozen = route.step(past.step_no) if past.run_id == run.pk else None
    facts = {
        "operationKind": past.kind if frozen is None else frozen.operation_kind,
        "operationCode": past.operation_code,
        "source": past.source,
        "attempt": past.attempt,
    }
    entered = _mark(f"track-in:{past.id}", EventType.TRACK_IN, facts, past.in_at, rule, 2 * past.id)
    if past.out_at is None:
        return [entered]
    left = facts | {"result": past.result}
    return [entered, _mark(f"track-out:{past.id}", EventType.TRACK_OUT, left, past.out_at, rule, 2 * past.id + 1)]


def _mark(key: str, event_type: str, facts: Mapping[str, Any], at: datetime, rule: Rule, sequence: int) -> Mark:
    terms = Terms.of(rule) if rule.is_start(event_type, facts) else None
    return Mark(key=key, at=at, sequence=sequence, terms=terms, is_end=rule.is_end(event_type, facts))
