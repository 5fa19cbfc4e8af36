"""Work orders: received once, what may change when, released to a line, completed."""

from typing import Any

import pytest

from mes.production import orders
from mes.production.models import WorkOrder
from tests.execution.support import assert_done, assert_refused, nothing_written
from tests.factories import api_client, make_line, make_plant, make_route


@pytest.fixture
def admin(db: None) -> Any:
    return api_client()


def receive(client: Any, **fields: Any) -> Any:
    body = {"woNo": "WO-1", "productCode": "BOARD-1", "plannedQty": 10}
    return client.post("/api/integration/work-orders", {**body, **fields})


def release(client: Any, wo_no: str = "WO-1", line: str = "SMT-A") -> Any:
    return client.post(f"/api/work-orders/{wo_no}/release", {"lineCode": line})


def test_an_order_is_received(admin):
    make_route("R-1", product_code="BOARD-1")
    data = assert_done(receive(admin, routingCode="R-1", dueDate="2026-12-01"), 201)
    assert data.pop("receivedAt").endswith("Z")
    assert data == {
        "woNo": "WO-1",
        "productCode": "BOARD-1",
        "plannedQty": 10,
        "overrunPercent": 0,
        "allowedQty": 10,
        "routingCode": "R-1",
        "lineCode": None,
        "dueDate": "2026-12-01",
        "status": "RECEIVED",
        "kind": "PRODUCTION",
    }


def test_an_order_received_again_changes_nothing(admin):
    first = assert_done(receive(admin), 201)
    with nothing_written():
        assert assert_done(receive(admin), 200) == first


def test_an_order_received_again_updates_what_may_change(admin):
    receive(admin)
    make_route("R-2")
    changed = {"plannedQty": 12, "dueDate": "2026-12-24", "productCode": "BOARD-2", "routingCode": "R-2"}
    data = assert_done(receive(admin, **changed), 200)
    assert {name: data[name] for name in changed} == changed
    assert WorkOrder.objects.count() == 1


@pytest.mark.parametrize("change", [{"productCode": "BOARD-2"}, {"routingCode": "R-2"}])
def test_product_and_route_stay_once_there_is_a_run(admin, change):
    make_plant()
    make_route("R-2")
    same = {"woNo": "WO-RUN-1", "plannedQty": 100}
    with nothing_written():
        assert_refused(receive(admin, **{**same, **change}), "INVALID_TRANSITION")
    data = assert_done(receive(admin, **{**same, "plannedQty": 120, "dueDate": "2027-01-01"}), 200)
    assert (data["plannedQty"], data["dueDate"]) == (120, "2027-01-01")


@pytest.mark.parametrize("change", [{"plannedQty": 9}, {"dueDate": "2026-12-24"}, {"productCode": "BOARD-2"}])
def test_a_completed_order_no_longer_changes(admin, change):
    receive(admin)
    WorkOrder.objects.update(status="COMPLETED")
    with nothing_written():
        assert_refused(receive(admin, **change), "INVALID_TRANSITION")
        assert_done(receive(admin), 200)


def test_an_unknown_route_is_refused(admin):
    with nothing_written():
        assert_refused(receive(admin, routingCode="R-X"), "ROUTE_NOT_FOUND", 404)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"plannedQty": 0}, "plannedQty"),
        ({"plannedQty": -1}, "plannedQty"),
        ({"plannedQty": 1.5}, "plannedQty"),
        ({"plannedQty": "10"}, "plannedQty"),
        ({"plannedQty": 10**9}, "plannedQty"),
        ({"woNo": ""}, "woNo"),
        ({"woNo": "a//b"}, "woNo"),
        ({"woNo": None}, "woNo"),
        ({"productCode": " P"}, "productCode"),
        ({"dueDate": "tomorrow"}, "dueDate"),
        ({"overrunPercent": -1}, "overrunPercent"),
        ({"overrunPercent": 101}, "overrunPercent"),
        ({"overrunPercent": 2.5}, "overrunPercent"),
        ({"overrunPercent": None}, "overrunPercent"),
        ({"unheard": 1}, "unheard"),
    ],
)
def test_malformed_orders_are_refused(admin, fields, path):
    with nothing_written():
        assert path in assert_refused(receive(admin, **fields), "VALIDATION_ERROR", 400)


def test_an_order_is_released_to_a_line(admin):
    make_line("SMT-A")
    receive(admin)
    data = assert_done(release(admin))
    assert (data["status"], data["lineCode"]) == ("RELEASED", "SMT-A")


def test_an_order_may_move_to_another_line_until_it_is_in_progress(admin):
    make_line("SMT-A")
    make_line("SMT-B")
    receive(admin)
    release(admin)
    assert assert_done(release(admin, line="SMT-B"))["lineCode"] == "SMT-B"


@pytest.mark.parametrize("status", ["IN_PROGRESS", "COMPLETED"])
def test_an_order_in_work_is_not_released_again(admin, status):
    make_line("SMT-A")
    receive(admin)
    WorkOrder.objects.update(status=status)
    with nothing_written():
        details = assert_refused(release(admin), "INVALID_TRANSITION")
    assert details == {"action": "release", "entity": "work order", "state": status}


def test_an_order_or_line_that_does_not_exist_is_refused(admin):
    make_line("SMT-A")
    receive(admin)
    with nothing_written():
        assert_refused(release(admin, wo_no="WO-X"), "WORK_ORDER_NOT_FOUND", 404)
        assert_refused(release(admin, line="X"), "LINE_NOT_FOUND", 404)
        assert_refused(admin.get("/api/work-orders/WO-X"), "WORK_ORDER_NOT_FOUND", 404)


def test_an_order_number_may_hold_any_letter(admin):
    orders.receive(wo_no="WO.1+a:b#c ü", product_code="P", planned_qty=1)
    assert assert_done(admin.get("/api/work-orders/WO.1%2Ba%3Ab%23c%20%C3%BC"))["woNo"] == "WO.1+a:b#c ü"
