"""Whatever people, machines and the ERP do, in whatever order: nothing is lost or counted twice, and all can be ended.

After each act the product's own check finds nothing, and what is kept, and by turns what the interface says of a run
and of an order, is what a second bookkeeping says; boards are held exactly while its cases hold them, each pass that
failed says of what, and none goes beyond its limit of re-entries unsigned. From the state that was reached, public acts
alone end every run and order; then the ERP, by the highest number of what it was told in any order, has the counts that
the interface answers.

`script/long` plays 100,000 acts.
"""

import os
from collections import Counter
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import TestCase

from execution.quality.oqc import drawing
from ingest import candidates
from integration.outbound import completion
from mes.platform.hooks import Hook
from mes.platform.monitoring.integrity import check_integrity
from mes.platform.outbox import emit
from mes.platform.outbox.emit import SetHandler
from mes.platform.outbox.models import EventType, MesEvent
from mes.production.hold_models import HeldUnit
from mes.production.models import OPEN_RUN_STATUSES, Unit, WorkOrder
from mes.production.models import Run as RunRow
from tests.life import plant
from tests.life.acts import OFTEN, act, begin, end_all, wait
from tests.life.ledger import OPEN
from tests.life.quality_acts import work_off
from tests.life.world import World, data_of
from tests.thoroughness import examples

SEEDS, ACTS = 25, 80
CHECK_EVERY = examples(2, 1)  # acts: a check takes as long as one
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
    check_cases(world, statuses)
    check_quality(world)
    run_no = world.pick(ledger.runs)
    if run_no is not None and of_run:
        told = data_of(world.people.supervisor.get(f"/api/runs/{run_no}"))["unitCounts"]
        assert +Counter(told) == ledger.counts(run_no, statuses), run_no
    wo_no = world.pick(ledger.orders)
    if wo_no is not None and of_order:
        check_order(world, wo_no)


def check_order(world: World, wo_no: str) -> None:
    """Compare what is said of an order's quantities."""
    order, ledger = world.ledger.orders[wo_no], world.ledger
    told = data_of(world.people.supervisor.get(f"/api/work-orders/{wo_no}"))
    finished = world.standings()
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


def check_cases(world: World, statuses: dict[str, str]) -> None:
    """A board is held exactly while a case holds it, and by those cases that follow from what was done. What a report
    that was refused holds, what a hold catches, and what the system holds that is done with an open defect is learnt
    from what is there, but not how it ends.
    """
    columns = ("unit__sn", "hold__source", "hold_id", "hold__opened_by", "unit__held_from")
    open_ones = list(HeldUnit.objects.filter(ended_at=None).values_list(*columns))
    for sn, source, hold_id, *_rest in open_ones:
        if f"H-{hold_id}" in world.ledger.catching:
            world.ledger.hold([sn], source, f"H-{hold_id}")
    told, present = world.ledger.open_cases(), Counter((sn, source) for sn, source, *_rest in open_ones)
    by_system = {
        (sn, source)
        for sn, source, _hold_id, by, held_from in open_ones
        if source == "REPORT" or (source, by, held_from) == ("DEFECT", "system", "DONE")
    }
    assert told <= present, told - present
    for (sn, source), count in (present - told).items():
        assert (sn, source) in by_system
        world.ledger.hold([sn] * count, source)
    assert {sn for sn, status in statuses.items() if status == "ON_HOLD"} == {sn for sn, *_case in open_ones}


# Failed passes without a defect; then steps that a board entered again more often than its limit says, by how often.
UNEXPLAINED = """
    SELECT u.sn FROM execution_track t JOIN mes_unit u ON u.id = t.unit_id
     WHERE t.result = 'FAIL' AND t.result_override NOT IN ('REWORK', 'SCRAP')
       AND NOT EXISTS (SELECT FROM execution_defect d WHERE d.track_id = t.id)
"""
ENTERED_AGAIN = """
    SELECT u.sn, count(DISTINCT t.rework_no) - 1
      FROM execution_track t JOIN mes_unit u ON u.id = t.unit_id
     GROUP BY u.sn, t.run_id, t.step_no HAVING count(DISTINCT t.rework_no) - 1 > %s
"""


def check_quality(world: World) -> None:
    """Every pass that failed says of what, and no board went beyond its limit of re-entries unsigned."""
    with connection.cursor() as cursor:
        cursor.execute(UNEXPLAINED)
        assert cursor.fetchall() == []
        cursor.execute(ENTERED_AGAIN, [plant.REENTRY_LIMIT])
        ledger = world.ledger
        unsigned = [sn for sn, times in cursor.fetchall() if times > plant.REENTRY_LIMIT + ledger.signed[sn]]
        assert set(unsigned) <= ledger.moved, unsigned


def check_told(world: World) -> None:
    """What the ERP was told last of a run that ended is what the interface answers; it got all of it in any order."""
    work_off(world)
    assert check_integrity() == []
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
    """Do so many things, look after every other (in `script/long` after each), and end all."""
    for act_no in range(acts):
        before = world.succeeded
        with TestCase.captureOnCommitCallbacks(execute=True):
            name = act(world)
        reached[name] += world.succeeded > before
        turn, is_between = divmod(act_no, CHECK_EVERY)
        if not is_between:
            check(world, of_run=turn % 2 == 0, of_order=turn % 2 == 1)  # by turns: it takes as long as all the rest
    reached.update(world.reached)
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
    monkeypatch.setattr(drawing, "secrets", SimpleNamespace(token_hex=lambda size: "0" * size))  # lives can be repeated
    corrections: Hook[SetHandler] = Hook()
    corrections.register(SetHandler(completion.correct))  # the one of the product wants none without an ERP
    monkeypatch.setitem(emit.handlers, EventType.RUN_COUNTS_CHANGED, corrections)
    return plant.make()


def test_whatever_happens_nothing_is_lost_and_all_can_be_ended(people: plant.People) -> None:
    reached: Counter[str] = Counter()
    for seed in range(SEEDS):
        play(people, seed, ACTS, reached)
    in_vain = [act.__name__ for act in OFTEN if act not in (wait, work_off) and not reached[act.__name__]]
    assert len(in_vain) <= 2, "acts that never succeeded"  # some succeed once or twice in all lives
    assert any(name.startswith("MRB ") for name in reached)
    assert {
        "rework beyond the limit",
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
