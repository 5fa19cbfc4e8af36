"""Orders made by hand, changed, completed, cancelled, reopened; what their runs use up of them."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from execution.models import Track
from mes.plant.models import Station
from mes.platform.accounts.roles import Role
from mes.platform.notifications.models import FollowedLine, Notification
from mes.production.decision_models import Decision, UnitMove
from mes.production.models import Run, Unit, WorkOrder, WorkOrderStatus
from tests.execution.support import assert_done, assert_refused, nothing_written, track_in
from tests.factories import Plant, api_client, hold_units, make_line, make_plant, make_user, put_runs

ORDER = "/api/work-orders/WO-RUN-1"
WHY = {"reason": "The customer needs no more"}


@pytest.fixture
def admin(db: None) -> Any:
    return api_client()


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant(units=2, plan_qty=60, order_qty=100)


def act(client: Any, name: str) -> Any:
    return client.post(f"{ORDER}/{name}", WHY)


def change(client: Any, **body: Any) -> Any:
    return client.patch(ORDER, {**WHY, **body})


def from_erp(client: Any, quantity: int) -> Any:
    body = {"woNo": "WO-RUN-1", "productCode": "BOARD-1", "plannedQty": quantity}
    return client.post("/api/integration/work-orders", body)


def plan(client: Any, quantity: int, run_no: str, **fields: Any) -> Any:
    return client.post(f"{ORDER}/runs", {"lineCode": "SMT-A", "planQty": quantity, "runNo": run_no, **fields})


def put_order(status: str) -> None:
    WorkOrder.objects.update(status=status)


def last_decision() -> tuple[Any, ...]:
    row = Decision.objects.filter(work_order__wo_no="WO-RUN-1").latest("id")
    return (row.act, row.from_status, row.to_status, row.changes, row.reason)


def make_units(run_no: str, status: str, count: int, *, begun: bool = True) -> list[Unit]:
    """Have so many units in a run in a status, with a track each unless they never began."""
    run = Run.objects.get(run_no=run_no)
    start = Unit.objects.count()
    units = Unit.objects.bulk_create(
        Unit(sn=f"{run_no}-{start + n}", run=run, work_order=run.work_order, status=status) for n in range(count)
    )
    if begun:
        station, now = Station.objects.get(code="SMT-01"), timezone.now()
        passed = {"run": run, "station": station, "step_no": 10, "operation_code": "PRINT", "in_at": now}
        Track.objects.bulk_create(
            Track(unit=unit, source="MANUAL", attempt=1, out_at=now, result="PASS", **passed) for unit in units
        )
    return units


# --- quantities -----------------------------------------------------------------------------------------------


def test_the_worked_example(db: None, admin: Any) -> None:
    make_plant(units=0, plan_qty=60, order_qty=100)
    Run.objects.update(run_no="A")
    assert assert_done(change(admin, overrunPercent=2))["allowed"] == 102
    assert_refused(plan(admin, 43, "B"), "ORDER_QTY_EXCEEDED")
    assert_done(plan(admin, 42, "B"), 201)
    made = make_units("A", "DONE", 55)
    make_units("A", "SCRAPPED", 5)
    assert_done(admin.post("/api/runs/A/close", WHY))
    assert assert_done(admin.get(ORDER))["committed"] == 97
    assert_done(plan(admin, 30, "ENG", kind="ENGINEERING"), 201)
    assert assert_done(admin.get(ORDER))["committed"] == 97
    Unit.objects.filter(pk__in=[unit.pk for unit in made[:2]]).update(status="SCRAPPED")
    data = assert_done(admin.get(ORDER))
    assert (data["committed"], data["made"], data["overPlanned"]) == (95, 53, 0)
    make_units("B", "QUEUED", 20)
    with nothing_written():
        details = assert_refused(change(admin, plannedQty=70), "ORDER_QTY_TOO_LOW")
    assert details == {"order": "WO-RUN-1", "allowed": 71, "count": 73}
    data = assert_done(change(admin, plannedQty=75))
    assert (data["allowed"], data["overPlanned"], data["committed"]) == (76, 19, 95)
    assert [(run["runNo"], run["status"], run["planQty"], run["made"]) for run in data["runs"]] == [
        ("A", "COMPLETED", 60, 53),
        ("B", "PREP", 42, 0),
        ("ENG", "PREP", 30, 0),
    ]


def test_a_unit_counts_where_it_was_made(plant: Plant, admin: Any) -> None:
    unit, held = make_units("RUN-1", "DONE", 2)
    hold_units(held.sn, held_from="DONE")
    assert assert_done(admin.get(ORDER))["made"] == 2
    left = {"from_run": plant.run, "act": "RETURN", "status": "DONE", "moved_by": "x"}
    UnitMove.objects.create(unit=unit, counted_as="DONE", **left)
    Unit.objects.filter(pk=unit.pk).update(run=None, status="QUEUED")
    assert assert_done(admin.get(ORDER))["made"] == 2


def test_units_of_other_kinds_use_nothing_up(plant: Plant, admin: Any) -> None:
    assert_done(plan(admin, 1000, "REW", kind="REWORK"), 201)
    make_units("REW", "DONE", 3)
    data = assert_done(admin.get(ORDER))
    assert (data["made"], data["committed"]) == (0, 60)
    assert_done(change(admin, plannedQty=1))


def test_the_statements_of_a_list_do_not_grow(plant: Plant, admin: Any) -> None:
    counts = []
    assert_done(admin.get("/api/work-orders"))
    for number in range(2):
        with CaptureQueriesContext(connection) as queries:
            assert assert_done(admin.get("/api/work-orders"))["items"][-1]["committed"] == 60
        counts.append(len(queries))
        for index in range(3):
            wo_no = f"WO-{number}-{index}"
            WorkOrder.objects.create(wo_no=wo_no, product_code="BOARD-1", planned_qty=9, line=plant.line)
            Run.objects.create(
                run_no=wo_no,
                work_order=WorkOrder.objects.get(wo_no=wo_no),
                line=plant.line,
                route_version=plant.version,
                plan_qty=5,
            )
    assert counts[0] == counts[1]


# --- by hand --------------------------------------------------------------------------------------------------


def test_an_order_is_made_by_hand(plant: Plant) -> None:
    body = {"woNo": "HAND", "productCode": "BOARD-1", "plannedQty": 5, "kind": "ENGINEERING", "overrunPercent": 20}
    supervisor = api_client(Role.SUPERVISOR)
    data = assert_done(supervisor.post("/api/work-orders", body), 201)
    assert (data["kind"], data["allowed"], data["made"], data["runs"]) == ("ENGINEERING", 6, 0, [])
    with nothing_written():
        assert_done(supervisor.post("/api/work-orders", body), 200)
        assert_refused(supervisor.post("/api/work-orders", {**body, "kind": "HOBBY"}), "VALIDATION_ERROR", 400)
    supervisor.post("/api/work-orders/HAND/release", {"lineCode": "SMT-A"})
    run = supervisor.post("/api/work-orders/HAND/runs", {"lineCode": "SMT-A", "planQty": 6})
    assert assert_done(run, 201)["kind"] == "ENGINEERING"
    with nothing_written():
        assert_refused(supervisor.post("/api/work-orders", {**body, "kind": "REWORK"}), "INVALID_TRANSITION")


def test_what_is_changed_is_kept_with_its_reason(plant: Plant, admin: Any) -> None:
    assert_done(change(admin, plannedQty=120, dueDate="2027-01-01"))
    changes = {"plannedQty": [100, 120], "dueDate": [None, "2027-01-01"]}
    assert last_decision() == ("change", "", "", changes, WHY["reason"])
    kept = Decision.objects.count()
    with nothing_written():
        assert_done(change(admin, plannedQty=120))
        assert_refused(admin.patch(ORDER, {"plannedQty": 9}), "VALIDATION_ERROR", 400)
        assert_refused(change(admin, routingCode=None), "INVALID_TRANSITION")
        assert_refused(change(admin, routingCode="NO"), "ROUTE_NOT_FOUND", 404)
    assert Decision.objects.count() == kept


@pytest.mark.parametrize("status", ["COMPLETED", "CANCELLED"])
def test_an_ended_order_is_not_changed(plant: Plant, admin: Any, status: str) -> None:
    put_order(status)
    with nothing_written():
        assert_refused(change(admin, plannedQty=500), "INVALID_TRANSITION")
        assert_refused(plan(admin, 1, "NEW"), "INVALID_TRANSITION")


# --- complete, cancel, reopen ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(WorkOrderStatus))
def test_completing_in_every_state(plant: Plant, admin: Any, status: str) -> None:
    put_runs("COMPLETED")
    put_order(status)
    if status in ("RELEASED", "IN_PROGRESS"):
        assert assert_done(act(admin, "complete"))["status"] == "COMPLETED"
        assert last_decision() == ("complete", status, "COMPLETED", {}, WHY["reason"])
    else:
        with nothing_written():
            assert_refused(act(admin, "complete"), "INVALID_TRANSITION")


def test_an_order_with_an_open_run_is_not_completed(plant: Plant, admin: Any) -> None:
    with nothing_written():
        details = assert_refused(act(admin, "complete"), "ORDER_RUNS_OPEN")
    assert details == {"order": "WO-RUN-1", "count": 1, "runs": ["RUN-1"]}


@pytest.mark.parametrize("status", list(WorkOrderStatus))
def test_cancelling_in_every_state(plant: Plant, admin: Any, status: str) -> None:
    put_order(status)
    if status in ("RECEIVED", "RELEASED", "IN_PROGRESS"):
        assert assert_done(act(admin, "cancel"))["status"] == "CANCELLED"
        assert last_decision() == ("cancel", status, "CANCELLED", {}, WHY["reason"])
        assert (Run.objects.get().status, UnitMove.objects.count()) == ("CANCELLED", 2)
        assert Decision.objects.get(run__isnull=False).reason == WHY["reason"]
    else:
        with nothing_written():
            assert_refused(act(admin, "cancel"), "INVALID_TRANSITION")


def test_an_order_of_which_something_is_made_is_not_cancelled(plant: Plant, admin: Any) -> None:
    make_units("RUN-1", "DONE", 1)
    with nothing_written():
        assert assert_refused(act(admin, "cancel"), "ORDER_MADE") == {"order": "WO-RUN-1", "count": 1}


def test_a_run_with_a_track_keeps_its_order(plant: Plant, admin: Any) -> None:
    assert_done(plan(admin, 5, "OTHER"), 201)
    track_in(admin)
    with nothing_written():
        assert assert_refused(act(admin, "cancel"), "ORDER_RUNS_OPEN")["runs"] == ["RUN-1"]
    assert Run.objects.get(run_no="OTHER").status == "PREP"
    assert not UnitMove.objects.exists()


@pytest.mark.parametrize(
    ("line", "started", "leads_to"),
    [(False, False, "RECEIVED"), (True, False, "RELEASED"), (True, True, "IN_PROGRESS")],
)
@pytest.mark.parametrize("status", ["COMPLETED", "CANCELLED"])
def test_a_reopened_order_is_where_it_was(
    plant: Plant, admin: Any, status: str, line: bool, started: bool, leads_to: str
) -> None:
    WorkOrder.objects.update(status=status, line=plant.line if line else None)
    Run.objects.update(started_at=timezone.now() if started else None)
    assert assert_done(act(admin, "reopen"))["status"] == leads_to
    assert last_decision() == ("reopen", status, leads_to, {}, WHY["reason"])


@pytest.mark.parametrize("status", ["RECEIVED", "RELEASED", "IN_PROGRESS"])
def test_an_open_order_is_not_reopened(plant: Plant, admin: Any, status: str) -> None:
    put_order(status)
    with nothing_written():
        assert_refused(act(admin, "reopen"), "INVALID_TRANSITION")


def test_an_unknown_order_is_refused(admin: Any) -> None:
    for name in ("complete", "cancel", "reopen"):
        assert_refused(act(admin, name), "WORK_ORDER_NOT_FOUND", 404)
    assert_refused(change(admin, plannedQty=1), "WORK_ORDER_NOT_FOUND", 404)


# --- the ERP after the end ------------------------------------------------------------------------------------


def test_the_erp_reopens_a_completed_order_by_raising_it_above_what_is_made(plant: Plant, admin: Any) -> None:
    make_units("RUN-1", "DONE", 110)
    put_runs("COMPLETED")
    put_order("COMPLETED")
    with nothing_written():
        assert_done(from_erp(admin, 100))
        assert_refused(from_erp(admin, 105), "INVALID_TRANSITION")
        assert_refused(from_erp(admin, 90), "INVALID_TRANSITION")
    assert assert_done(from_erp(admin, 111))["status"] == "RELEASED"
    acts = Decision.objects.filter(work_order__isnull=False).order_by("id").values_list("act", "changes")
    assert list(acts) == [("reopen", {}), ("change", {"plannedQty": [100, 111]})]


def test_nobody_else_reopens_by_a_quantity_and_a_cancelled_order_stays(plant: Plant, admin: Any) -> None:
    put_order("COMPLETED")
    body = {"woNo": "WO-RUN-1", "productCode": "BOARD-1", "plannedQty": 500}
    with nothing_written():
        assert_refused(admin.post("/api/work-orders", body), "INVALID_TRANSITION")
    put_order("CANCELLED")
    with nothing_written():
        assert_refused(from_erp(admin, 500), "INVALID_TRANSITION")
        assert_done(from_erp(admin, 100))


def test_an_order_that_a_person_reopened_is_not_completed_by_the_same_again(plant: Plant, admin: Any) -> None:
    make_units("RUN-1", "DONE", 100)
    put_runs("COMPLETED", run_no="RUN-1")
    Run.objects.update(started_at=timezone.now())
    put_order("COMPLETED")
    act(admin, "reopen")
    assert assert_done(from_erp(admin, 100))["status"] == "IN_PROGRESS"


def test_an_order_that_a_person_reopened_is_not_completed_by_another_date(plant: Plant, admin: Any) -> None:
    make_units("RUN-1", "DONE", 110)
    put_runs("COMPLETED")
    put_order("IN_PROGRESS")
    assert assert_done(change(admin, dueDate="2030-01-01"))["status"] == "IN_PROGRESS"
    assert assert_done(change(admin, plannedQty=105))["status"] == "COMPLETED"


# --- who is told ----------------------------------------------------------------------------------------------


def test_followers_of_the_line_are_told_of_cancelling_and_planning_too_high(plant: Plant, admin: Any) -> None:
    here, elsewhere = make_user(Role.OPERATOR), make_user(Role.SUPERVISOR)
    FollowedLine.objects.create(user=here, line=plant.line)
    FollowedLine.objects.create(user=elsewhere, line=make_line("SMT-B"))
    change(admin, plannedQty=90)
    assert not Notification.objects.exists()
    change(admin, plannedQty=50)
    act(admin, "cancel")
    texts = list(Notification.objects.order_by("id").values_list("recipient", "text"))
    assert [person for person, _text in texts] == [here.pk, here.pk]
    assert "10" in texts[0][1]
    assert WHY["reason"] in texts[1][1]
    assert set(Notification.objects.values_list("address", flat=True)) == {"/orders/WO-RUN-1/"}


def test_the_history_of_an_order_is_listed(plant: Plant, admin: Any) -> None:
    change(admin, plannedQty=90)
    act(admin, "cancel")
    items = assert_done(admin.get(f"{ORDER}/history"))["items"]
    assert [(row["act"], row["toStatus"]) for row in items] == [("cancel", "CANCELLED"), ("change", "")]
    assert_refused(admin.get(f"{ORDER}/history?act=cancel"), "VALIDATION_ERROR", 400)
