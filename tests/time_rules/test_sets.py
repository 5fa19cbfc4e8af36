"""Events handled in sets leave what they leave one by one: the same clocks, marks and notifications."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import Notification
from mes.platform.outbox import processor
from mes.platform.outbox.models import MesEvent
from mes.production.models import Unit
from mes.time_rules import handlers, services
from mes.time_rules.models import TimeRuleDefinition, TimeRuleInstance, TimeRuleMark
from mes.time_rules.sweep import sweep
from tests.factories import make_plant, make_user
from tests.time_rules.conftest import SetTime
from tests.time_rules.support import at, clocks, make_rule, start, usage_event

NOW = 1000
SCRAPPED = "SN-2"
Step = list[MesEvent] | str  # events that are due at once, or what people and the clock do between


def make_event(number: int, what: tuple[str, int, str, int]) -> MesEvent:
    """Make an event of a move; handlers need no row of it."""
    kind, minute, sn, track = what
    is_in = kind == "end"
    return MesEvent(
        event_type="TRACK_IN" if is_in else "TRACK_OUT",
        idempotency_key=f"move:{number}",
        entity_type="UNIT",
        entity_id=sn,
        occurred_at=at(minute),
        payload={
            "trackId": str(track),
            "operationKind": {"end": "WASH", "aoi": "AOI"}.get(kind, "REFLOW"),
            "result": None if is_in else "FAIL" if kind == "fail" else "PASS",
        },
    )


def review_of(event: MesEvent) -> MesEvent:
    """Make the TRACK_OUT that takes the place of one, with the other result."""
    return MesEvent(
        event_type="TRACK_OUT",
        idempotency_key=f"{event.idempotency_key}:review",
        entity_type="UNIT",
        entity_id=event.entity_id,
        occurred_at=event.occurred_at,
        payload={
            **event.payload,
            "result": "FAIL" if event.payload["result"] == "PASS" else "PASS",
            "supersedes": event.idempotency_key,
        },
    )


def one_by_one(events: Sequence[MesEvent]) -> None:
    for event in events:
        with transaction.atomic():
            handlers.HANDLER(event)


def in_a_set(events: Sequence[MesEvent]) -> None:
    with transaction.atomic():
        handlers.handle(events)


def play(steps: Sequence[Step], handle: Callable[[Sequence[MesEvent]], None]) -> dict[str, Any]:
    """Handle events, with what comes between; return everything that is left of it."""
    for model in (TimeRuleInstance, TimeRuleMark, Notification):
        model.objects.all().delete()
    for step in steps:
        if isinstance(step, list):
            handle(step)
        elif step == "sweep":
            sweep()
        elif step == "waive":
            _waive_one()
    return left()


def _waive_one() -> None:
    running = TimeRuleInstance.objects.filter(status="ACTIVE").order_by("started_at", "start_key").first()
    if running:
        services.waive(instance_id=running.pk, reason="looked at", by="quality")


def left() -> dict[str, Any]:
    rows = list(TimeRuleInstance.objects.order_by("pk"))
    names = {row.pk: row.start_key for row in rows}
    return {
        "clocks": sorted(said_of(row) for row in rows),
        "marks": sorted(said_of(mark) for mark in TimeRuleMark.objects.all()),
        "told": sorted(
            (told.severity, told.text, names[int(told.key.rpartition(":")[2])]) for told in Notification.objects.all()
        ),
    }


def said_of(row: TimeRuleInstance | TimeRuleMark) -> list[str]:
    """Return all that a row says, but which it is and when it was written."""
    fields = [field.attname for field in row._meta.fields if field.name not in ("id", "created_at")]
    return [f"{name}={getattr(row, name)}" for name in fields]


def make_steps(chance: random.Random) -> list[Step]:
    """Return events of three units, some of them reviewed, in any order, in sets, with what comes between."""
    moves = [
        make_event(
            number,
            (
                chance.choice(["start", "start", "end", "fail", "aoi"]),
                chance.randrange(NOW),
                chance.choice(["SN-1", SCRAPPED, "SN-3"]),
                chance.randint(1, 6),
            ),
        )
        for number in range(chance.randint(1, 10))
    ]
    outs = [event for event in moves if event.event_type == "TRACK_OUT"]
    events = moves + [review_of(event) for event in chance.sample(outs, len(outs) // 2)]
    arrivals = chance.sample(events, len(events))
    steps: list[Step] = []
    while arrivals:
        size = chance.randint(1, len(arrivals))
        steps += [arrivals[:size], chance.choice(["", "sweep", "waive"])]
        arrivals = arrivals[size:]
    return [*steps, "sweep", events[:: chance.randint(1, 3)]]  # some come again


@pytest.mark.django_db
def test_any_events_in_any_sets_leave_what_they_leave_one_by_one(wall: SetTime) -> None:
    make_plant(units=2)
    Unit.objects.filter(sn=SCRAPPED).update(status="SCRAPPED")
    make_user(Role.QUALITY)
    wall(at(NOW))
    several, told = 0, 0
    for seed in range(30):
        chance = random.Random(seed)
        for model in (TimeRuleInstance, TimeRuleMark, TimeRuleDefinition):
            model.objects.all().delete()
        make_rule(restarts=chance.random() < 0.5)
        make_rule("TWO", start_condition={"operationKind": ["REFLOW", "AOI"]}, warning_minutes=0, duration_minutes=100)
        make_rule("OFF", start_condition={"operationKind": ["AOI"]}, is_active=chance.random() < 0.5)
        steps = make_steps(chance)
        in_sets = play(steps, in_a_set)
        assert in_sets == play(steps, one_by_one), f"seed {seed}"
        several += len(in_sets["clocks"]) > 2
        told += bool(in_sets["told"])
    assert several > 10 and told > 10, "too little happened"


@pytest.mark.django_db
def test_a_set_takes_the_same_statements_however_many_events(wall: SetTime) -> None:
    plant = make_plant(units=2)
    make_rule()

    def count(number: int, minute: int) -> int:
        starts = [start(at(minute), sn=f"SN-{minute}-{index}", run=plant.run) for index in range(number)]
        with CaptureQueriesContext(connection) as queries:
            handlers.handle(starts)
        return len(queries)

    count(1, 0)
    assert count(2, 1) == count(40, 2) <= 10
    assert TimeRuleInstance.objects.filter(status="ACTIVE").count() == 43


@pytest.mark.django_db
def test_the_worker_handles_new_events_in_sets_and_any_bad_one_alone() -> None:
    make_rule()
    events = [start(at(number), sn=f"SN-{number}", track=number) for number in range(5)]
    bad = events[2]
    MesEvent.objects.filter(pk=bad.pk).update(payload={**bad.payload, "trackId": "9" * 30})  # no bigint
    MesEvent.objects.update(next_attempt_at=timezone.now() - timedelta(days=4000))
    assert processor.process_due() == 5
    assert dict(MesEvent.objects.values_list("pk", "status")) == {
        event.pk: "FAILED" if event == bad else "COMPLETED" for event in events
    }
    assert set(MesEvent.objects.values_list("attempts", flat=True)) == {1}
    assert [len(clocks(f"SN-{number}")) for number in range(5)] == [1, 1, 0, 1, 1]


@pytest.mark.django_db
def test_lots_in_a_set(wall: SetTime) -> None:
    """The preset SOLDER_PASTE_24H."""
    events = [
        usage_event("SOLDER_PASTE_USAGE_CREATE", at(number), lot=f"LOT-{number}", usage=number, lineCode="NO-LINE")
        for number in range(3)
    ]
    handlers.handle(events)
    handlers.handle([usage_event("SOLDER_PASTE_USAGE_UNBIND", at(60), lot="LOT-1", usage=1)])
    assert [clocks(f"LOT-{number}")[0].status for number in range(3)] == ["ACTIVE", "COMPLETED", "ACTIVE"]
