"""Two runs of one order at once, against its quantity: it never has more than it allows."""

from typing import Any

import pytest
from django.db.models import Sum

from mes.production import orders
from mes.production.models import Run
from tests.factories import make_plant
from tests.integration.helpers import another, at_once


def plan_two_at_once(person: Any) -> list[int]:
    """Create two runs that fit one by one and not together; return the answers' status."""
    make_plant(units=0, plan_qty=40, order_qty=100)
    body = {"lineCode": "SMT-A", "planQty": 35}

    def create(run_no: str) -> Any:
        return lambda: another(person).post("/api/work-orders/WO-RUN-1/runs", {**body, "runNo": run_no}).status_code

    return list(at_once(create("RUN-2"), create("RUN-3")))


def committed() -> int:
    return Run.objects.aggregate(plan=Sum("plan_qty"))["plan"]


def test_of_two_runs_that_exceed_an_order_together_one_is_made(person, slow):
    slow(orders, "quantities_of_order", after=0.2)
    assert sorted(plan_two_at_once(person)) == [201, 409]
    assert committed() == 75


@pytest.mark.usefixtures("without_locks")
def test_control_without_the_orders_lock_both_are_made(person, slow):
    slow(orders, "quantities_of_order", after=0.2)
    assert sorted(plan_two_at_once(person)) == [201, 201]
    assert committed() == 110
