"""Events that start and end clocks."""

from datetime import datetime
from typing import Any

from mes.plant.models import Line
from mes.platform.outbox.emit import handlers
from mes.platform.outbox.models import EventType, MesEvent
from mes.production.models import Run
from mes.production.runs import snapshot_of
from mes.time_rules import services
from mes.time_rules.models import (
    ENTITY_OF_EVENT,
    EntityType,
    TimeRuleDefinition,
    TimeRuleMark,
)
from mes.time_rules.rules import (
    Context,
    Terms,
    choose,
    matches,
)


def register() -> None:
    """Have the events that clocks know handled."""
    for event_type in ENTITY_OF_EVENT:
        handlers[event_type].register(handle)


def handle(event: MesEvent) -> None:
    """Record what an event starts and ends, and update the clocks. Twice has the effect of once.

    One that takes the place of another is kept whatever it starts: what only that one started or ended counts no more.
    """
    definitions = list(TimeRuleDefinition.objects.all())
    starting = [definition for definition in definitions if definition.is_active and _starts(definition, event)]
    ending = [definition for definition in definitions if _ends(definition, event)]
    ends = [definition.pk for definition in ending if _may_have_started(definition, event)]
    run = _run(event) if starting else None
    chosen = _choose(starting, definitions, _context(event, run))
    superseded_key = str(event.payload.get("supersedes") or "")
    if chosen or ends or superseded_key:
        mark = _mark(event, run, chosen, ends)
        services.record(mark, definitions=definitions, superseded_key=superseded_key)


def _starts(definition: TimeRuleDefinition, event: MesEvent) -> bool:
    return definition.start_event == event.event_type and matches(definition.start_condition, event.payload)


def _ends(definition: TimeRuleDefinition, event: MesEvent) -> bool:
    return definition.end_event == event.event_type and matches(definition.end_condition, event.payload)


def _may_have_started(definition: TimeRuleDefinition, event: MesEvent) -> bool:
    """Whether a clock can be there or come: an end of an active rule is kept, because its start may come later."""
    if definition.is_active:
        return True
    marks = TimeRuleMark.objects.filter(entity_type=event.entity_type, entity_id=event.entity_id)
    return marks.filter(starts__has_key=str(definition.pk)).exists()


def _choose(
    starting: list[TimeRuleDefinition], definitions: list[TimeRuleDefinition], context: Context
) -> list[TimeRuleDefinition]:
    """Return the definitions that start a clock: those that apply where the event happened, one of each code."""
    codes = {definition.code for definition in starting}
    applying = choose([definition for definition in definitions if definition.code in codes], context)
    return [definition for definition in applying if definition in starting]


def _context(event: MesEvent, run: Run | None) -> Context:
    if run is None:
        return Context(line_code=_line_code(event))
    return Context(
        line_code=_line_code(event) or run.line.code,
        routing_code=run.route_version.routing.code,
        product_code=run.work_order.product_code,
        route_kinds=frozenset(step.operation_kind for step in snapshot_of(run).steps),
    )


def _run(event: MesEvent) -> Run | None:
    runs = Run.objects.select_related("line", "work_order", "route_version__routing").defer("route_version__snapshot")
    if event.run_id is not None:
        return runs.filter(pk=event.run_id).first()
    run_no = event.payload.get("runNo")
    return runs.filter(run_no=run_no).first() if run_no else None


def _line_code(event: MesEvent) -> str | None:
    """The line a lot is used on; that of a unit is its run's."""
    code = event.payload.get("lineCode")
    return str(code) if code else None


def _mark(event: MesEvent, run: Run | None, chosen: list[TimeRuleDefinition], ends: list[int]) -> TimeRuleMark:
    terms = {rule.pk: Terms(rule.duration_minutes, rule.warning_minutes, rule.restarts) for rule in chosen}
    return TimeRuleMark(
        event_key=event.idempotency_key,
        event_type=event.event_type,
        entity_type=ENTITY_OF_EVENT[event.event_type],
        entity_id=event.entity_id,
        at=event.occurred_at,
        sequence=_sequence(event),
        belongs_at=_use_started_at(event) or event.occurred_at,
        starts={str(pk): rule_terms.as_document() for pk, rule_terms in terms.items()},
        ends=ends,
        run_id=run.pk if run else None,
        line_id=_line_id(event, run) if chosen else None,
    )


def _line_id(event: MesEvent, run: Run | None) -> int | None:
    line_id = event.payload.get("lineId")
    if run is not None and line_id in (None, run.line_id):
        return run.line_id
    if isinstance(line_id, int) and Line.objects.filter(pk=line_id).exists():
        return line_id
    return None


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
