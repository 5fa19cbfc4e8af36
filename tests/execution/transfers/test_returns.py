"""Finished units return into a run: for rework, as a part of what that makes, for engineering."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from execution import dispositions
from mes.plant.models import BomItem, Material
from mes.platform.outbox.models import MesEvent
from mes.production.decision_models import UnitMove
from mes.production.models import Run, RunStatus, Unit, WorkOrder
from mes.production.queries import count_units
from tests.execution.transfers.support import (
    asking,
    bring_back,
    faults,
    make_done,
    make_two_runs,
    make_version,
    move,
    moved,
    nothing_changes,
    refused,
    split,
)
from tests.factories import Plant, hold_units, make_run, put_runs
from trace.runs import Filter, get_run_page


def make_ended(kind: str, **fields: str) -> tuple[Plant, Run]:
    """Make RUN-1, which ended with SN-1 and SN-2 done and SN-3 scrapped, and RUN-2 of a kind."""
    plant, target = make_two_runs(plan_qty=2)
    make_done("SN-1", "SN-2")
    Unit.objects.filter(sn="SN-3").update(status="SCRAPPED")
    put_runs(RunStatus.COMPLETED, run_no="RUN-1")
    Run.objects.filter(pk=target.pk).update(kind=kind)
    for name, value in fields.items():
        setattr(target.work_order, name, value)
        target.work_order.save()
    return plant, target


def register(sn: str, run_no: str) -> Any:
    return asking.client.post(f"/api/runs/{run_no}/units", {"sns": [sn]})


def test_a_finished_unit_returns_for_rework_and_counts_where_it_was_made(db: None) -> None:
    plant, target = make_ended("REWORK")
    assert moved(bring_back(["SN-2", "SN-1"], "RUN-2")) == {"SN-2": 10, "SN-1": 10}
    unit = Unit.objects.get(sn="SN-1")
    assert (unit.run_id, unit.work_order_id, unit.status, unit.current_step_no) == (
        target.pk,
        target.work_order_id,
        "QUEUED",
        10,
    )
    kept = UnitMove.objects.get(unit=unit)
    assert (kept.act, kept.status, kept.step_no, kept.counted_as) == ("RETURN", "DONE", 30, "DONE")
    assert kept.ended_at is not None and kept.ended_at < timezone.now() - timedelta(minutes=20)
    counts = count_units([plant.run, target])
    assert {status: count for status, count in counts[plant.run.pk].items() if count} == {"DONE": 2, "SCRAPPED": 1}
    assert {status: count for status, count in counts[target.pk].items() if count} == {"QUEUED": 2}
    page = get_run_page(run_no="RUN-1", chosen=Filter())
    tally = page.state.tally
    assert (tally.done, tally.scrapped, tally.total, page.matching, len(page.units)) == (2, 1, 3, 1, 1)


def test_a_hold_goes_along(db: None) -> None:
    make_ended("REWORK")
    hold_units("SN-1", held_from="DONE", reason="complaint")
    assert moved(bring_back("SN-1", "RUN-2")) == {"SN-1": 10}
    unit = Unit.objects.get(sn="SN-1")
    assert (unit.status, unit.held_from, unit.hold_reason) == ("ON_HOLD", "QUEUED", "complaint")
    kept = UnitMove.objects.get()
    assert (kept.status, kept.counted_as) == ("ON_HOLD", "DONE")
    assert MesEvent.objects.get(event_type="RUN_COUNTS_CHANGED").entity_id == "RUN-1"


def test_each_unit_that_cannot_return_is_named_and_none_does(db: None) -> None:
    plant, _target = make_ended("REWORK")
    make_run(plant.version, plant.line, run_no="RUN-3", sns=["SN-7", "SN-8"])
    make_done("SN-7")
    Unit.objects.filter(sn="SN-8").update(run=None)
    make_run(make_version((10, "PRINT"), product_code="BOARD-2"), plant.line, run_no="RUN-4", sns=["SN-9"])
    Unit.objects.filter(sn="SN-9").update(status="DONE")
    put_runs(RunStatus.COMPLETED, run_no="RUN-4")
    with nothing_changes():
        answer = bring_back(["SN-1", "SN-3", "SN-7", "SN-8", "SN-9", "SN-404"], "RUN-2")
    assert faults(answer) == {
        "SN-3": "UNIT_SCRAPPED",
        "SN-7": "UNIT_IN_OPEN_RUN",
        "SN-8": "UNIT_RUN_NOT_FOUND",
        "SN-9": "PRODUCT_MISMATCH",
        "SN-404": "UNIT_NOT_FOUND",
    }


def test_production_takes_what_is_a_part_of_its_product_alone(db: None) -> None:
    make_ended("PRODUCTION")
    with nothing_changes():
        assert faults(bring_back("SN-1", "RUN-2")) == {"SN-1": "PRODUCT_MISMATCH"}  # its own product
    board, device = (Material.objects.create(code=code, name=code) for code in ("BOARD-1", "DEVICE-1"))
    WorkOrder.objects.filter(wo_no="WO-RUN-2").update(product_code="DEVICE-1")
    with nothing_changes():
        assert faults(bring_back("SN-1", "RUN-2")) == {"SN-1": "PRODUCT_MISMATCH"}
    BomItem.objects.create(parent=device, child=board, quantity=1)
    assert moved(bring_back("SN-1", "RUN-2")) == {"SN-1": 10}


@pytest.mark.parametrize(("kind", "code"), [("ENGINEERING", ""), ("REWORK", "PRODUCT_MISMATCH")])
def test_engineering_takes_any_product(db: None, kind: str, code: str) -> None:
    make_ended(kind, product_code="DEVICE-1")
    answer = bring_back("SN-1", "RUN-2")
    assert faults(answer) == {"SN-1": code} if code else moved(answer) == {"SN-1": 10}


def test_it_begins_where_it_is_told_as_far_as_it_is_passed(db: None) -> None:
    plant, _target = make_ended("REWORK")
    version = make_version((10, "PRINT"), (20, "TEST"), (25, "REPAIR"), (30, "REFLOW"))
    run = make_run(version, plant.line, run_no="RUN-3")
    Run.objects.filter(pk=run.pk).update(kind="REWORK")
    with nothing_changes():
        assert faults(bring_back("SN-1", "RUN-3", toStepNo=30)) == {"SN-1": "STEP_MISMATCH"}
        assert faults(bring_back("SN-1", "RUN-3", toStepNo=11)) == {"SN-1": "STEP_MISMATCH"}
    assert moved(bring_back("SN-1", "RUN-3", toStepNo=25)) == {"SN-1": 25}


def test_the_run_must_be_open_and_have_room(db: None) -> None:
    _plant, target = make_ended("REWORK")
    Run.objects.filter(pk=target.pk).update(plan_qty=1)
    with nothing_changes():
        assert refused(bring_back(["SN-1", "SN-2"], "RUN-2")) == (409, "RUN_QTY_EXCEEDED")
        assert refused(bring_back("SN-1", "RUN-9")) == (404, "RUN_NOT_FOUND")
    put_runs(RunStatus.COMPLETED)
    with nothing_changes():
        assert refused(bring_back("SN-1", "RUN-2")) == (409, "RUN_CLOSED")


def test_what_was_made_uses_up_the_plan_of_a_run_that_is_opened_again(db: None) -> None:
    make_ended("REWORK")
    Run.objects.filter(run_no="RUN-1").update(plan_qty=2, started_at=timezone.now())
    bring_back("SN-1", "RUN-2")
    body = {"reason": "One more"}
    with nothing_changes():
        assert refused(asking.client.post("/api/runs/RUN-1/reopen", {**body, "planQty": 1})) == (409, "RUN_QTY_TOO_LOW")
    assert asking.client.post("/api/runs/RUN-1/reopen", body).status_code == 200
    with nothing_changes():
        assert refused(register("SN-9", "RUN-1")) == (409, "RUN_QTY_EXCEEDED")
        assert refused(asking.client.patch("/api/runs/RUN-1", {**body, "planQty": 1})) == (409, "RUN_QTY_TOO_LOW")
        assert refused(split(1)) == (409, "RUN_QTY_TOO_LOW")
    assert asking.client.patch("/api/runs/RUN-1", {**body, "planQty": 3}).status_code == 200
    assert register("SN-9", "RUN-1").status_code == 201


def test_a_unit_that_was_made_is_made_by_no_other_run_of_production(db: None) -> None:
    plant, _target = make_ended("REWORK")
    make_run(plant.version, plant.line, run_no="RUN-3")
    assert moved(bring_back(["SN-1", "SN-2"], "RUN-2")) == {"SN-1": 10, "SN-2": 10}
    with nothing_changes():
        assert faults(move("SN-1", "RUN-3", run_no="RUN-2")) == {"SN-1": "PRODUCT_MISMATCH"}
    assert move("SN-1", None, run_no="RUN-2").status_code == 200
    with nothing_changes():
        assert refused(register("SN-1", "RUN-3")) == (409, "PRODUCT_MISMATCH")
    assert register("SN-1", "RUN-2").status_code == 201
    Run.objects.filter(run_no="RUN-3").update(kind="REWORK")
    assert moved(move("SN-2", "RUN-3", run_no="RUN-2")) == {"SN-2": 10}


def test_a_run_keeps_its_kind_with_units_that_came_back(db: None) -> None:
    make_ended("REWORK")
    bring_back("SN-1", "RUN-2")
    body = {"kind": "PRODUCTION", "reason": "Typed wrong"}
    with nothing_changes():
        assert refused(asking.client.patch("/api/runs/RUN-2", body)) == (409, "RUN_STARTED")
    assert move("SN-1", None, run_no="RUN-2").status_code == 200
    assert asking.client.patch("/api/runs/RUN-2", body).status_code == 200


def test_a_unit_of_another_product_does_not_come_into_production_by_an_engineers_run(db: None) -> None:
    plant, _target = make_ended("ENGINEERING", product_code="DEVICE-1")
    make_run(plant.version, plant.line, run_no="RUN-3")
    WorkOrder.objects.filter(wo_no="WO-RUN-3").update(product_code="DEVICE-1")
    bring_back("SN-1", "RUN-2")
    with nothing_changes():
        assert faults(move("SN-1", "RUN-3", run_no="RUN-2")) == {"SN-1": "PRODUCT_MISMATCH"}
    board, device = (Material.objects.create(code=code, name=code) for code in ("BOARD-1", "DEVICE-1"))
    BomItem.objects.create(parent=device, child=board, quantity=1)
    assert moved(move("SN-1", "RUN-3", run_no="RUN-2")) == {"SN-1": 10}


def test_nor_is_it_when_its_scrap_is_undone(db: None) -> None:
    plant, _target = make_ended("REWORK")
    make_run(plant.version, plant.line, run_no="RUN-3")
    bring_back("SN-1", "RUN-2")
    dispositions.scrap_unit(sn="SN-1", reason="Burnt", by="sue")
    put_runs(RunStatus.COMPLETED, run_no="RUN-2")
    body = {"reason": "The wrong board", "toRunNo": "RUN-3"}
    with nothing_changes():
        assert refused(asking.client.post("/api/units/SN-1/unscrap", body)) == (409, "PRODUCT_MISMATCH")
    Run.objects.filter(run_no="RUN-3").update(kind="REWORK")
    assert asking.client.post("/api/units/SN-1/unscrap", body).status_code == 202


def test_a_unit_counts_in_every_run_that_made_it(db: None) -> None:
    plant, target = make_ended("REWORK")
    bring_back("SN-1", "RUN-2")
    make_done("SN-1")
    put_runs(RunStatus.COMPLETED, run_no="RUN-2")
    third = make_run(plant.version, plant.line, run_no="RUN-3")
    Run.objects.filter(pk=third.pk).update(kind="ENGINEERING")
    assert moved(bring_back("SN-1", "RUN-3")) == {"SN-1": 10}
    counts = count_units([plant.run, target, third])
    assert [counts[run.pk]["DONE"] for run in (plant.run, target, third)] == [2, 1, 0]
