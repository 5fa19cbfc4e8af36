"""Events and rules for the tests of the clocks."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from mes.platform.outbox.models import EventType, MesEvent
from mes.production.models import Run
from mes.time_rules import handlers
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance

START = datetime(2026, 3, 10, 6, 0, tzinfo=UTC)
_numbers = count(1)


def make_rule(code: str = "RULE", **fields: Any) -> TimeRuleDefinition:
    """Make a rule: REFLOW passed → WASH entered, 240 minutes, warning 30, everywhere."""
    defaults: dict[str, Any] = {
        "name": f"Rule {code}",
        "duration_minutes": 240,
        "warning_minutes": 30,
        "start_event": EventType.TRACK_OUT,
        "start_condition": {"operationKind": ["REFLOW"], "result": ["PASS"]},
        "end_event": EventType.TRACK_IN,
        "end_condition": {"operationKind": ["WASH"]},
    }
    return TimeRuleDefinition.objects.create(code=code, **{**defaults, **fields})


def at(minutes: float) -> datetime:
    """So many minutes after the beginning."""
    return START + timedelta(minutes=minutes)


def track_event(
    event_type: str,
    kind: str,
    when: datetime,
    *,
    sn: str = "SN-1",
    track: int | None = None,
    run: Run | None = None,
    **payload: Any,
) -> MesEvent:
    """Write the event of a move, as execution does."""
    number = next(_numbers)
    result = "PASS" if event_type == EventType.TRACK_OUT else None
    return MesEvent.objects.create(
        event_type=event_type,
        idempotency_key=f"{event_type}:{number}",
        entity_type="UNIT",
        entity_id=sn,
        occurred_at=when,
        run_id=run.pk if run else None,
        payload={
            "trackId": None if track is None else str(track),
            "sn": sn,
            "runNo": run.run_no if run else None,
            "lineId": run.line_id if run else None,
            "operationCode": kind,
            "operationKind": kind,
            "attempt": 1,
            "source": "MANUAL",
            "result": result,
            **payload,
        },
    )


def start(when: datetime, **fields: Any) -> MesEvent:
    """REFLOW passed."""
    return track_event(EventType.TRACK_OUT, "REFLOW", when, **fields)


def end(when: datetime, **fields: Any) -> MesEvent:
    """WASH entered."""
    return track_event(EventType.TRACK_IN, "WASH", when, **fields)


def usage_event(event_type: str, when: datetime, *, lot: str = "LOT-1", usage: int = 1, **payload: Any) -> MesEvent:
    """Write the event of a use of solder paste."""
    what = "create" if event_type == EventType.SOLDER_PASTE_USAGE_CREATE else "unbind"
    return MesEvent.objects.create(
        event_type=event_type,
        idempotency_key=f"solder-paste-usage-{what}:{usage}",
        entity_type="SOLDER_PASTE_LOT",
        entity_id=lot,
        occurred_at=when,
        payload={"lotId": lot, "usageId": str(usage), "lineId": None, "lineCode": None, "runNo": None, **payload},
    )


def handle(*events: MesEvent) -> None:
    """Have events handled in this order."""
    for event in events:
        handlers.HANDLER(event)


def clocks(entity: str = "SN-1") -> list[TimeRuleInstance]:
    """Return the clocks of a unit or lot in the order they started."""
    return list(TimeRuleInstance.objects.filter(entity_id=entity).order_by("started_at", "pk"))


def statuses(entity: str = "SN-1") -> list[str]:
    """Return the statuses of its clocks."""
    return [one.status for one in clocks(entity)]


def the_clock(entity: str = "SN-1") -> TimeRuleInstance:
    """Return the only clock."""
    [one] = clocks(entity)
    return one
