"""Acts on orders and runs beside what lines do at the same moment, each with a control that lacks the lock."""

from typing import Any

import pytest

from execution import moves
from execution.models import Track
from mes.production import order_acts, orders, run_acts
from mes.production.models import Run, WorkOrder
from tests.factories import make_plant
from tests.integration.helpers import another, at_once

WHY = {"reason": "because"}


def call(person: Any, address: str, body: dict[str, Any]) -> Any:
    return lambda: another(person).post(address, body).status_code


def hold_and_enter(person: Any) -> tuple[int, list[bool]]:
    """Hold a run while a unit enters it; return the answer of the hold, and of each unit whether it entered after."""
    make_plant(units=1)
    Run.objects.update(status="IN_PROGRESS")
    held_at: list[Any] = []

    def hold() -> int:
        status = another(person).post("/api/runs/RUN-1/hold", WHY).status_code
        held_at.append(Track.objects.count())
        return int(status)

    enter = call(person, "/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "SN-1"})
    answers = at_once(hold, enter)
    return answers[0], [Track.objects.count() > count for count in held_at]


def test_once_a_hold_is_answered_nothing_enters(person: Any, slow: Any) -> None:
    slow(moves, "check_may_enter", after=0.4)
    assert hold_and_enter(person) == (200, [False])


@pytest.mark.usefixtures("without_locks")
def test_control_without_locks_a_unit_enters_after_the_hold_is_answered(person: Any, slow: Any) -> None:
    slow(moves, "check_may_enter", after=3)  # longer than the other request takes on a busy machine
    assert hold_and_enter(person) == (200, [True])


def raise_two(person: Any) -> list[int]:
    """Raise two runs of one order, of which one has room."""
    plant = make_plant(units=0, plan_qty=40, order_qty=100)
    Run.objects.create(
        run_no="RUN-2", work_order=plant.order, line=plant.line, route_version=plant.version, plan_qty=40
    )

    def raise_run(run_no: str) -> Any:
        return lambda: another(person).patch(f"/api/runs/{run_no}", {**WHY, "planQty": 55}).status_code

    return sorted(at_once(raise_run("RUN-1"), raise_run("RUN-2")))


def test_of_two_runs_raised_for_the_last_of_an_order_one_is(person: Any, slow: Any) -> None:
    slow(orders, "quantities_of_order", after=0.2)
    assert raise_two(person) == [200, 409]


@pytest.mark.usefixtures("without_locks")
def test_control_without_locks_both_are_raised(person: Any, slow: Any) -> None:
    slow(orders, "quantities_of_order", after=0.4)
    assert raise_two(person) == [200, 200]


def cancel_and_plan(person: Any) -> tuple[list[int], bool]:
    """Cancel an order while it gets a run; return the answers, and whether a cancelled order has an open run."""
    make_plant(units=0, order_qty=500)
    body = {"lineCode": "SMT-A", "planQty": 5, "runNo": "NEW"}
    answers = at_once(
        call(person, "/api/work-orders/WO-RUN-1/cancel", WHY), call(person, "/api/work-orders/WO-RUN-1/runs", body)
    )
    is_torn = WorkOrder.objects.get().status == "CANCELLED" and Run.objects.filter(status="PREP").exists()
    return list(answers), is_torn


def test_a_cancelled_order_has_no_run_that_came_meanwhile(person: Any, slow: Any) -> None:
    slow(order_acts, "_end_untouched", after=0.4)  # the run comes after the runs were locked, before the order is
    answers, is_torn = cancel_and_plan(person)
    assert (answers, is_torn) == ([200, 201], False)
    assert set(Run.objects.values_list("status", flat=True)) == {"CANCELLED"}


@pytest.mark.usefixtures("without_locks")
def test_control_where_the_runs_are_not_read_again_it_has_one(
    person: Any, slow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "lock_after_runs", lambda *, wo_no, runs: orders.lock(wo_no=wo_no))
    slow(order_acts, "_end_untouched", after=1.5)
    _answers, is_torn = cancel_and_plan(person)
    assert is_torn


def close_twice(person: Any) -> set[str]:
    """Two who close one run at once; return what became of both."""
    make_plant(units=0)
    outcomes = at_once(*[call(person, "/api/runs/RUN-1/close", WHY)] * 2)
    return {str(status) for status in outcomes}


def test_of_two_who_close_a_run_one_does(person: Any, slow: Any) -> None:
    slow(run_acts.run_closing, "examine", after=0.2)
    assert close_twice(person) == {"200", "409"}


@pytest.mark.usefixtures("without_locks")
def test_control_without_locks_both_close_it(person: Any, slow: Any) -> None:
    slow(run_acts.run_closing, "examine", after=1)
    assert close_twice(person) == {"200"}
