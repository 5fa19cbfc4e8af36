"""How many units the runs of an order may be for, and how far an order may be lowered."""

from typing import Any

import pytest

from mes.production.models import Run, Unit, WorkOrder
from tests.execution.support import assert_done, assert_refused, nothing_written, put_at, track_in
from tests.factories import api_client, hold_units, make_plant


@pytest.fixture
def admin(db: None) -> Any:
    return api_client()


@pytest.fixture
def plant(db: None) -> Any:
    """An order for 100, one run of it for 60 with two units."""
    return make_plant(units=2, plan_qty=60, order_qty=100)


def plan(client: Any, quantity: int, run_no: str | None = None) -> Any:
    body = {"lineCode": "SMT-A", "planQty": quantity, "runNo": run_no}
    return client.post("/api/work-orders/WO-RUN-1/runs", body)


def change(client: Any, **fields: Any) -> Any:
    body = {"woNo": "WO-RUN-1", "productCode": "BOARD-1", "plannedQty": 100, **fields}
    return client.post("/api/integration/work-orders", body)


def end_run(*, done: int) -> None:
    """Have the run ended with so many units done."""
    order, run = WorkOrder.objects.get(), Run.objects.get(run_no="RUN-1")
    Unit.objects.filter(run=run).delete()
    Unit.objects.bulk_create(Unit(sn=f"D-{n}", run=run, work_order=order, status="DONE") for n in range(done))
    Run.objects.filter(pk=run.pk).update(status="COMPLETED")


def test_a_run_within_what_is_left_is_made(admin, plant):
    assert_done(plan(admin, 40), 201)


def test_a_run_above_what_is_left_is_refused(admin, plant):
    with nothing_written():
        details = assert_refused(plan(admin, 41), "ORDER_QTY_EXCEEDED")
    assert details == {"order": "WO-RUN-1", "allowed": 100, "committed": 60, "count": 41}


@pytest.mark.parametrize(("percent", "fits"), [(5, 45), (7, 47), (100, 140)])
def test_the_overrun_of_the_order_counts(admin, plant, percent, fits):
    assert assert_done(change(admin, overrunPercent=percent))["allowedQty"] == fits + 60
    assert_refused(plan(admin, fits + 1), "ORDER_QTY_EXCEEDED")
    assert_done(plan(admin, fits), 201)


def test_a_part_of_a_unit_is_no_unit(admin, plant):
    assert assert_done(change(admin, plannedQty=99, overrunPercent=5))["allowedQty"] == 103


def test_the_overrun_stays_where_it_is_not_named(admin, plant):
    change(admin, overrunPercent=5)
    assert assert_done(change(admin, plannedQty=200))["overrunPercent"] == 5


def test_an_ended_run_counts_with_what_it_made(admin, plant):
    end_run(done=10)
    assert_refused(plan(admin, 91), "ORDER_QTY_EXCEEDED")
    assert_done(plan(admin, 90), 201)


def test_a_unit_that_was_made_and_is_held_is_made(admin, plant):
    end_run(done=10)
    hold_units("D-1", held_from="DONE")
    Unit.objects.filter(sn="D-2").update(status="SCRAPPED")
    assert_refused(plan(admin, 92), "ORDER_QTY_EXCEEDED")
    assert_done(plan(admin, 91), 201)


def start_unit(client: Any, sn: str) -> None:
    put_at(10, sn)
    assert_done(track_in(client, "SMT-01", sn=sn), 201)


def test_an_order_is_not_lowered_below_what_is_under_way(admin, plant):
    start_unit(admin, "SN-1")
    start_unit(admin, "SN-2")
    with nothing_written():
        details = assert_refused(change(admin, plannedQty=1), "ORDER_QTY_TOO_LOW")
    assert details == {"order": "WO-RUN-1", "allowed": 1, "count": 2}
    assert assert_done(change(admin, plannedQty=2))["plannedQty"] == 2


def test_what_was_made_before_counts_too(admin, plant):
    assert_done(plan(admin, 40, "RUN-2"), 201)
    end_run(done=3)
    order, run = WorkOrder.objects.get(), Run.objects.get(run_no="RUN-2")
    Unit.objects.create(sn="NEVER-STARTED", run=run, work_order=order, current_step_no=10)
    assert_refused(change(admin, plannedQty=2), "ORDER_QTY_TOO_LOW")
    assert_done(change(admin, plannedQty=3))


def test_scrapped_units_do_not_keep_an_order_up(admin, plant):
    start_unit(admin, "SN-1")
    start_unit(admin, "SN-2")
    Unit.objects.filter(sn="SN-1").update(status="SCRAPPED")
    assert_done(change(admin, plannedQty=1))


def test_the_overrun_is_not_lowered_below_what_is_under_way_either(admin, plant):
    start_unit(admin, "SN-1")
    start_unit(admin, "SN-2")
    assert_done(change(admin, plannedQty=2, overrunPercent=50))
    WorkOrder.objects.update(planned_qty=1, overrun_percent=100)
    assert_refused(change(admin, plannedQty=1, overrunPercent=0), "ORDER_QTY_TOO_LOW")


def test_an_order_that_is_too_low_already_may_be_sent_again(admin, plant):
    start_unit(admin, "SN-1")
    start_unit(admin, "SN-2")
    WorkOrder.objects.update(planned_qty=1)
    assert_done(change(admin, plannedQty=1, dueDate="2027-01-01"))
    assert_refused(plan(admin, 1), "ORDER_QTY_EXCEEDED")


def test_an_order_lowered_below_the_plans_of_its_runs_is_taken(admin, plant):
    assert assert_done(change(admin, plannedQty=10))["plannedQty"] == 10
