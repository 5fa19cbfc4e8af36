"""Events that start and end clocks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from mes.plant.models import Line
from mes.platform.outbox.emit import SetHandler, handlers
from mes.platform.outbox.models import EventType, MesEvent
from mes.production import locking
from mes.production.models import Run, Unit
from mes.production.names import named
from mes.production.runs import snapshot_of
from mes.time_rules import services
from mes.time_rules.models import (
    ENTITY_OF_EVENT,
    EntityType,
    TimeRuleAction,
    TimeRuleDefinition,
    TimeRuleMark,
)
from mes.time_rules.rules import (
    Context,
    Terms,
    choose,
    matches,
)


def fits(condition: str) -> str:
    """Return in SQL what `rules.matches` asks of the payload of an event `e`. A condition that is no object fits, so
    that whoever handles the event finds it.
    """
    return f"""
        CASE WHEN jsonb_typeof({condition}) = 'object' THEN NOT EXISTS (
            SELECT FROM jsonb_each({condition}) AS c(name, allowed)
             WHERE NOT CASE jsonb_typeof(allowed) WHEN 'array' THEN allowed ELSE jsonb_build_array(allowed) END
                       @> jsonb_build_array(e.payload -> name)
        ) ELSE true END"""


# An end is wanted of a rule that is switched off too, for its clocks run on; an event that takes the place of another
# takes back what only that one started or ended. Scopes are left to the handler. The definitions are a few rows.
INTEREST = f"""
    coalesce(e.payload->>'supersedes', '') <> '' OR EXISTS (
        SELECT FROM mes_timeruledefinition d
         WHERE d.start_event = e.event_type AND d.is_active AND {fits("d.start_condition")}
            OR d.end_event = e.event_type AND {fits("d.end_condition")}
    )"""


def register() -> None:
    """Have the events that clocks know handled. What holds a unit locks it before: `register_locks`."""
    for event_type in ENTITY_OF_EVENT:
        handlers[event_type].register(HANDLER)


def register_locks() -> None:
    """Have the units locked that a rule may hold, before all that is locked after units."""
    for event_type, entity_type in ENTITY_OF_EVENT.items():
        if entity_type == EntityType.UNIT:
            handlers[event_type].register(LOCKS)


def lock_units(events: Sequence[MesEvent]) -> None:
    """Lock the units of events by which a rule may hold them."""
    holding = TimeRuleDefinition.objects.filter(action=TimeRuleAction.HOLD)
    named_by = {
        event.entity_id
        for event in events
        for rule in holding
        if _starts(rule, event) or _ends(rule, event) or event.payload.get("supersedes")
    }
    if named_by:
        locking.lock_units(Unit.objects.filter(named(sorted(named_by))))


LOCKS = SetHandler(lock_units, interest="false")  # what no clock wants holds nothing


def handle(events: Sequence[MesEvent]) -> None:
    """Record what events start and end, and update the clocks. Twice has the effect of once.

    One that takes the place of another is kept whatever it starts: what only that one started or ended counts no more.
    """
    definitions = list(TimeRuleDefinition.objects.all())
    services.record(read_marks(events, definitions), definitions=definitions)


def read_marks(events: Sequence[MesEvent], definitions: Sequence[TimeRuleDefinition]) -> list[TimeRuleMark]:
    """Return what events start and end by these definitions, not saved; nothing of those that say nothing."""
    meanings = [_Meaning.of(event, definitions) for event in events]
    places = _Places([meaning.event for meaning in meanings if meaning.starting])
    marks = [_mark(meaning, places, definitions) for meaning in meanings]
    return [mark for mark in marks if mark.starts or mark.ends or mark.supersedes]


HANDLER = SetHandler(handle, interest=INTEREST)


@dataclass(frozen=True)
class _Meaning:
    """The definitions of which an event may start a clock, and of which it may end one."""

    event: MesEvent
    starting: Sequence[TimeRuleDefinition]
    ending: Sequence[TimeRuleDefinition]

    @classmethod
    def of(cls, event: MesEvent, definitions: Iterable[TimeRuleDefinition]) -> "_Meaning":
        return cls(
            event,
            [definition for definition in definitions if definition.is_active and _starts(definition, event)],
            [definition for definition in definitions if _ends(definition, event)],
        )


def _starts(definition: TimeRuleDefinition, event: MesEvent) -> bool:
    return definition.start_event == event.event_type and matches(definition.start_condition, event.payload)


def _ends(definition: TimeRuleDefinition, event: MesEvent) -> bool:
    return definition.end_event == event.event_type and matches(definition.end_condition, event.payload)


class _Places:
    """The runs and lines that events name, read together."""

    def __init__(self, events: Sequence[MesEvent]) -> None:
        self.events = events
        self.contexts: dict[tuple[int, str | None], Context] = {}

    @cached_property
    def _runs(self) -> dict[int | str, Run]:
        """By id, and by number where an event names no id."""
        runs = Run.objects.select_related("line", "work_order", "route_version__routing")
        runs = runs.defer("route_version__snapshot")
        ids = {event.run_id for event in self.events if event.run_id is not None}
        run_nos = {_run_no(event) for event in self.events if event.run_id is None} - {None}
        found: dict[int | str, Run] = dict(runs.in_bulk(ids)) if ids else {}
        return found | ({run.run_no: run for run in runs.filter(run_no__in=run_nos)} if run_nos else {})

    @cached_property
    def _line_ids(self) -> set[int]:
        named = {event.payload.get("lineId") for event in self.events}
        lines = Line.objects.filter(pk__in=[line_id for line_id in named if isinstance(line_id, int)])
        return set(lines.values_list("pk", flat=True))

    def run(self, event: MesEvent) -> Run | None:
        """Return the run that an event happened in."""
        key = _run_no(event) if event.run_id is None else event.run_id
        return None if key is None else self._runs.get(key)

    def line_id(self, event: MesEvent) -> int | None:
        """Return the line that an event happened on."""
        run, line_id = self.run(event), event.payload.get("lineId")
        if run is not None and line_id in (None, run.line_id):
            return run.line_id
        return line_id if isinstance(line_id, int) and line_id in self._line_ids else None

    def context(self, event: MesEvent) -> Context:
        """Return what scopes and route conditions are compared with."""
        run, line_code = self.run(event), _line_code(event)
        if run is None:
            return Context(line_code=line_code)
        if (run.pk, line_code) not in self.contexts:
            self.contexts[run.pk, line_code] = Context(
                line_code=line_code or run.line.code,
                routing_code=run.route_version.routing.code,
                product_code=run.work_order.product_code,
                route_kinds=frozenset(step.operation_kind for step in snapshot_of(run).steps),
            )
        return self.contexts[run.pk, line_code]


def _run_no(event: MesEvent) -> str | None:
    run_no = event.payload.get("runNo")
    return str(run_no) if run_no else None


def _line_code(event: MesEvent) -> str | None:
    """The line a lot is used on; that of a unit is its run's."""
    code = event.payload.get("lineCode")
    return str(code) if code else None


def _choose(
    starting: Sequence[TimeRuleDefinition], definitions: Sequence[TimeRuleDefinition], context: Context
) -> list[TimeRuleDefinition]:
    """Return the definitions that start a clock: those that apply where the event happened, one of each code."""
    codes = {definition.code for definition in starting}
    applying = choose([definition for definition in definitions if definition.code in codes], context)
    return [definition for definition in applying if definition in starting]


def _mark(meaning: _Meaning, places: _Places, definitions: Sequence[TimeRuleDefinition]) -> TimeRuleMark:
    event, starting = meaning.event, meaning.starting
    chosen = _choose(starting, definitions, places.context(event)) if starting else []
    run = places.run(event) if starting else None
    terms = {rule.pk: Terms.of(rule) for rule in chosen}
    return TimeRuleMark(
        event_key=event.idempotency_key,
        event_type=event.event_type,
        entity_type=ENTITY_OF_EVENT[event.event_type],
        entity_id=event.entity_id,
        at=event.occurred_at,
        sequence=_sequence(event),
        belongs_at=_use_started_at(event) or event.occurred_at,
        starts={str(pk): rule_terms.as_document() for pk, rule_terms in terms.items()},
        ends=[definition.pk for definition in meaning.ending],
        run_id=run.pk if run else None,
        line_id=places.line_id(event) if chosen else None,
        supersedes=str(event.payload.get("supersedes") or ""),
    )


def _use_started_at(event: MesEvent) -> datetime | None:
    """When the use of the lot began, according to the event."""
    try:
        begun = datetime.fromisoformat(str(event.payload.get("issuedAt")))
    except ValueError:
        return None
    return begun if begun.tzinfo else None


def _sequence(event: MesEvent) -> int | None:
    """The place of a move among the moves of its unit: tracks are made one after the other, in before out."""
    track_id: Any = event.payload.get("trackId")
    if ENTITY_OF_EVENT[event.event_type] != EntityType.UNIT or not str(track_id).isdecimal():
        return None
    return 2 * int(track_id) + (event.event_type == EventType.TRACK_OUT)
