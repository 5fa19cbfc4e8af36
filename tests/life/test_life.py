"""Whatever people, machines and the ERP do, in whatever order: nothing is lost or counted twice, and all can be ended.

After each act the product's own check finds nothing, and what is kept, and by turns what the interface says of a run
and of an order, is what a second bookkeeping says. From the state that was reached, public acts alone end every run and
order; then the ERP, by the highest number of what it was told in any order, has the counts that the interface answers.

`script/long` plays 100,000 acts.
"""

import os
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from django.db import transaction
from django.test import TestCase

from ingest import candidates
from mes.platform.hooks import Hook
from mes.platform.monitoring.integrity import check_integrity
from mes.platform.outbox import emit, processor
from mes.platform.outbox.models import EventType, MesEvent
from mes.production.models import OPEN_RUN_STATUSES, Unit, WorkOrder
from mes.production.models import Run as RunRow
from tests.life import plant
from tests.life.acts import OFTEN, World, act, begin, data_of, end_all, wait
from tests.life.ledger import OPEN

SEEDS, ACTS = 25, 80
LAST = 12  # requests that a failure tells
LONG = int(os.environ.get("LINEKEEPER_LIFE_ACTS", "100000"))


def check(world: World, *, of_run: bool = True, of_order: bool = True) -> None:
    """Compare what is with the second bookkeeping, and what is said of a run and of an order, if so asked."""
    assert check_integrity() == []
    ledger = world.ledger
    runs_now = dict(Unit.objects.values_list("sn", "run__run_no"))
    for sn in runs_now.keys() - ledger.run_of.keys():  # made by an event that was tried again
        assert ledger.runs[runs_now[sn]].state == OPEN
        ledger.run_of[sn] = runs_now[sn]
    assert runs_now == ledger.run_of
    statuses = world.statuses()
    for run in RunRow.objects.select_related("work_order"):
        noted = ledger.runs[run.run_no]
        assert (run.status in OPEN_RUN_STATUSES) == (noted.state == OPEN), run.run_no
        assert (run.plan_qty, run.line.code, run.kind) == (noted.plan, noted.line, noted.kind), run.run_no
    run_no = world.pick(ledger.runs)
    if run_no is not None and of_run:
        told = data_of(world.people.supervisor.get(f"/api/runs/{run_no}"))["unitCounts"]
        assert +Counter(told) == ledger.counts(run_no, statuses), run_no
    wo_no = world.pick(ledger.orders)
    if wo_no is not None and of_order:
        check_order(world, wo_no, statuses)


def check_order(world: World, wo_no: str, statuses: dict[str, str]) -> None:
    """Compare what is said of an order's quantities."""
    order, ledger = world.ledger.orders[wo_no], world.ledger
    told = data_of(world.people.supervisor.get(f"/api/work-orders/{wo_no}"))
    held_done = {sn: "DONE" for sn in Unit.objects.filter(held_from="DONE").values_list("sn", flat=True)}
    finished = statuses | held_done
    committed = ledger.committed(wo_no, finished)
    expected = {
        "plannedQty": order.planned,
        "kind": order.kind,
        "made": ledger.made(wo_no, finished),
        "committed": committed,
        "allowed": order.allowed,
        "overPlanned": max(0, committed - order.allowed),
    }
    assert {name: told[name] for name in expected} == expected, wo_no


def check_told(world: World) -> None:
    """What the ERP was told last of a run that ended is what the interface answers; it got all of it in any order."""
    while processor.process_due():
        pass
    messages = [event.payload for event in MesEvent.objects.filter(event_type=EventType.OUTBOUND_FEEDBACK)]
    arrived = [*messages, *messages[::2]]
    world.random.shuffle(arrived)
    known: dict[str, dict[str, int]] = {}
    numbers: dict[str, int] = {}
    for message in arrived:
        run_no, number = message["businessKey"]["runNo"], message.get("correctionNo", 0)
        if number >= numbers.get(run_no, -1):
            numbers[run_no], known[run_no] = number, message["unitCounts"]
    for run in RunRow.objects.all():
        answer = data_of(world.people.supervisor.get(f"/api/runs/{run.run_no}"))
        if answer["status"] == "COMPLETED" and run.kind != "ENGINEERING":
            assert {name: known[run.run_no][name] for name in answer["unitCounts"]} == answer["unitCounts"], run.run_no
        else:
            assert run.status == "CANCELLED" or run.kind == "ENGINEERING" or run.run_no in known


def live(world: World, acts: int, reached: Counter[str]) -> None:
    """Do so many things, look after each, and end all."""
    for act_no in range(acts):
        before = world.succeeded
        with TestCase.captureOnCommitCallbacks(execute=True):
            name = act(world)
        reached[name] += world.succeeded > before
        check(world, of_run=act_no % 2 == 0, of_order=act_no % 2 == 1)  # by turns: it takes as long as all the rest
    reached.update(f"unit {status}" for status in Unit.objects.values_list("status", flat=True))
    reached.update(f"run {status}" for status in RunRow.objects.values_list("status", flat=True))
    reached.update(f"order {status}" for status in WorkOrder.objects.values_list("status", flat=True))
    with TestCase.captureOnCommitCallbacks(execute=True):
        end_all(world)
    check(world)
    assert not RunRow.objects.filter(status__in=OPEN_RUN_STATUSES).exists()
    assert set(WorkOrder.objects.values_list("status", flat=True)) <= {"COMPLETED", "CANCELLED"}
    with TestCase.captureOnCommitCallbacks(execute=True):
        check_told(world)


def play(people: plant.People, seed: int, acts: int, reached: Counter[str]) -> None:
    """Live through one life, and take it back."""
    candidates.forget()
    world = World(people, Random(seed))
    with transaction.atomic():
        try:
            begin(world)
            live(world, acts, reached)
        except Exception as error:
            error.add_note("\n".join([f"seed {seed}, the last that was asked:", *world.asked[-LAST:]]))
            raise
        transaction.set_rollback(True)


@pytest.fixture
def people(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> plant.People:
    """The plant, whose ERP takes what it is told."""
    settings.MES_ERP_URL = "https://erp.invalid/"
    delivered: Hook[Callable[[MesEvent], None]] = Hook()
    delivered.register(lambda _event: None)
    monkeypatch.setitem(emit.handlers, EventType.OUTBOUND_FEEDBACK, delivered)
    return plant.make()


def test_whatever_happens_nothing_is_lost_and_all_can_be_ended(people: plant.People) -> None:
    reached: Counter[str] = Counter()
    for seed in range(SEEDS):
        play(people, seed, ACTS, reached)
    in_vain = [act.__name__ for act in OFTEN if act is not wait and not reached[act.__name__]]
    assert not in_vain, "acts that never succeeded"
    assert {
        "run CANCELLED",
        "run COMPLETED",
        "run ON_HOLD",
        "unit DONE",
        "unit SCRAPPED",
        "unit ON_HOLD",
        "order CANCELLED",
        "order COMPLETED",
    } <= reached.keys(), reached


@pytest.mark.long
def test_a_hundred_thousand_acts(people: plant.People) -> None:
    reached: Counter[str] = Counter()
    for seed in range(1000, 1000 + LONG // 200):
        play(people, seed, 200, reached)
