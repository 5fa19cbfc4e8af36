"""Runs: bound to a frozen version, filled with units, authorized, closed."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mes.errors import DomainError
from mes.plant.models import Station
from mes.platform.hooks import Hook
from mes.production import hooks, orders, runs
from mes.production.models import OPEN_RUN_STATUSES, Run, RunStatus, Unit, UnitStatus, WorkOrder
from mes.routing.compilation import compile_route
from mes.routing.models import RouteVersion, Routing
from tests.execution.support import (
    assert_done,
    assert_refused,
    decide,
    make_run,
    nothing_written,
    track_in,
    track_out,
)
from tests.factories import Plant, api_client, make_config, make_group, make_line, make_plant, make_route, put_runs


@pytest.fixture
def admin(db: None) -> Any:
    return api_client()


@pytest.fixture
def plant(db: None) -> Plant:
    return make_plant()


def create(client: Any, wo_no: str = "WO-RUN-1", **fields: Any) -> Any:
    return client.post(f"/api/work-orders/{wo_no}/runs", {"lineCode": "SMT-A", "planQty": 5, **fields})


def register(client: Any, *sns: Any, run_no: str = "RUN-1") -> Any:
    return client.post(f"/api/runs/{run_no}/units", {"sns": list(sns)})


def authorize(client: Any, action: str = "AUTHORIZE", run_no: str = "RUN-1") -> Any:
    return client.post(f"/api/runs/{run_no}/authorize", {"action": action})


def close(client: Any, run_no: str = "RUN-1", **body: Any) -> Any:
    return client.post(f"/api/runs/{run_no}/close", {"reason": "No more are wanted", **body})


def make_through(client: Any, sn: str) -> None:
    """Bring a unit through all steps of the plant."""
    for station in ("SMT-01", "REF-01", "TST-01"):
        assert_done(track_in(client, station, sn=sn), 201)
        data = [{"specName": "Supply Voltage", "valueNumber": 3.3}] if station == "TST-01" else []
        assert_done(track_out(client, station, sn=sn, data=data))


# --- creating ----------------------------------------------------------------------------------------------


def test_a_run_is_bound_to_the_version_that_applies_now(plant, admin):
    data = assert_done(create(admin, runNo="RUN-9", shiftCode="EARLY"), 201)
    assert (data["runNo"], data["status"], data["woNo"], data["lineCode"]) == ("RUN-9", "PREP", "WO-RUN-1", "SMT-A")
    assert data["route"] == {"code": "ROUTE-1", "sourceSystem": "MES"}
    assert data["routeVersion"] == {"id": str(plant.version.pk), "versionNo": 1}
    assert (data["planQty"], data["shiftCode"]) == (5, "EARLY")


def test_run_numbers_are_made_from_the_order_s(plant, admin):
    numbers = [assert_done(create(admin), 201)["runNo"] for _ in range(2)]
    assert numbers == ["WO-RUN-1-02", "WO-RUN-1-03"]


def test_a_number_made_from_the_order_s_is_never_a_taken_one(plant, admin):
    assert_done(create(admin, runNo="WO-RUN-1-03"), 201)
    assert assert_done(create(admin), 201)["runNo"] not in ("WO-RUN-1-03", "RUN-1")


def test_a_taken_run_number_is_refused(plant, admin):
    with nothing_written():
        assert "runNo" in assert_refused(create(admin, runNo="RUN-1"), "VALIDATION_ERROR", 400)


def test_an_order_number_too_long_to_make_a_run_number_from(plant, admin):
    wo_no = "W" * 99
    orders.receive(wo_no=wo_no, product_code="BOARD-1", planned_qty=10)
    orders.release(wo_no=wo_no, line_code="SMT-A")
    with nothing_written():
        assert "runNo" in assert_refused(create(admin, wo_no=wo_no), "VALIDATION_ERROR", 400)
    assert_done(create(admin, wo_no=wo_no, runNo="SHORT"), 201)


@pytest.mark.parametrize("status", ["RECEIVED", "COMPLETED"])
def test_an_order_that_is_not_released_gets_no_run(plant, admin, status):
    WorkOrder.objects.update(status=status)
    with nothing_written():
        assert_refused(create(admin), "INVALID_TRANSITION")


@pytest.mark.parametrize(
    ("wo_no", "fields", "code", "status"),
    [
        ("WO-X", {}, "WORK_ORDER_NOT_FOUND", 404),
        ("WO-RUN-1", {"lineCode": "X"}, "LINE_NOT_FOUND", 404),
        ("WO-RUN-1", {"planQty": 0}, "VALIDATION_ERROR", 400),
        ("WO-RUN-1", {"planQty": True}, "VALIDATION_ERROR", 400),
        ("WO-RUN-1", {"runNo": "a//b"}, "VALIDATION_ERROR", 400),
    ],
)
def test_what_does_not_exist_or_fit_is_refused(plant, admin, wo_no, fields, code, status):
    with nothing_written():
        assert_refused(create(admin, wo_no=wo_no, **fields), code, status)


def test_a_run_keeps_its_version_when_the_route_is_compiled_anew(plant, admin):
    make_config(plant.routing, step_no=10, retest_limit=3)
    version, changed = compile_route(code=plant.routing.code)
    assert (changed, version.version_no) == (True, 2)
    assert assert_done(admin.get("/api/runs/RUN-1"))["routeVersion"]["versionNo"] == 1
    assert assert_done(create(admin), 201)["routeVersion"]["versionNo"] == 2
    # and runs by it: no retest in version 1
    track_in(admin)
    assert assert_done(track_out(admin, result="FAIL"))["status"] == "OUT_FAILED"


def test_an_invalid_version_is_never_bound(plant, admin):
    plant.routing.configs.filter(step_no=10).delete()
    version, _changed = compile_route(code=plant.routing.code)
    assert version.status == "INVALID"
    assert assert_done(create(admin), 201)["routeVersion"]["versionNo"] == 1


# --- which route -------------------------------------------------------------------------------------------


@pytest.fixture
def routes(db: None) -> Any:
    """A maker of compiled routes of product P, and an order of it."""
    make_line("SMT-A")
    make_group("PRINTERS")
    orders.receive(wo_no="WO-1", product_code="P", planned_qty=10)
    orders.release(wo_no="WO-1", line_code="SMT-A")

    def make(code: str, *, compiled: bool = True, **fields: Any) -> Routing:
        routing = make_route(code, product_code=fields.pop("product_code", "P"), steps=[(10, "PRINT")], **fields)
        make_config(routing, station_type="MANUAL", station_group=make_group("PRINTERS"))
        if compiled:
            compile_route(code=code)
        return routing

    return make


def chosen(client: Any) -> str:
    return assert_done(create(client, wo_no="WO-1"), 201)["route"]["code"]


def days(number: float) -> Any:
    return timezone.now() + timedelta(days=number)


def test_the_active_route_of_the_product_is_chosen(routes, admin):
    routes("OTHER", product_code="Q")
    routes("OLD", is_active=False)
    routes("R")
    assert chosen(admin) == "R"


def test_the_order_s_own_route_goes_before_every_other(routes, admin):
    routes("R")
    routes("MEANT", product_code="Q", source_system="ERP")
    orders.receive(wo_no="WO-1", product_code="P", planned_qty=10, optional={"routing_code": "MEANT"})
    assert chosen(admin) == "MEANT"


def test_a_route_of_the_mes_goes_before_one_of_the_erp(routes, admin):
    routes("MES", effective_from=days(-10))
    routes("ERP", source_system="ERP", effective_from=days(-1))
    assert chosen(admin) == "MES"


def test_the_route_effective_latest_is_chosen(routes, admin):
    routes("NEWER", effective_from=days(-1))
    routes("OLDER", effective_from=days(-2))
    routes("ALWAYS")
    routes("LATER", effective_from=days(1))
    routes("OVER", effective_from=days(-0.5), effective_to=days(-0.1))
    assert chosen(admin) == "NEWER"


def test_of_equally_effective_routes_the_latest_updated_is_chosen(routes, admin):
    since = days(-1)
    first = routes("FIRST", effective_from=since)
    routes("SECOND", effective_from=since)
    assert chosen(admin) == "SECOND"
    first.save()
    assert chosen(admin) == "FIRST"


def test_routes_that_are_alike_are_ambiguous(routes, admin):
    routes("A")
    routes("B")
    Routing.objects.update(updated_at=days(0))
    with nothing_written():
        details = assert_refused(create(admin, wo_no="WO-1"), "ROUTE_AMBIGUOUS")
    assert details["product"] == "P"
    assert {"A", "B"} == set(details["routes"].split(", "))


def test_without_a_route_the_refusal_names_the_product(routes, admin):
    routes("OLD", is_active=False)
    with nothing_written():
        details = assert_refused(create(admin, wo_no="WO-1"), "ROUTE_VERSION_NOT_READY")
    assert details["product"] == "P"


def test_a_route_that_was_never_compiled_is_not_ready(routes, admin):
    routes("R", compiled=False)
    with nothing_written():
        details = assert_refused(create(admin, wo_no="WO-1"), "ROUTE_VERSION_NOT_READY")
    assert details["route"] == "R"


# --- registering units -------------------------------------------------------------------------------------


def test_units_are_registered_at_the_first_step(plant, admin):
    data = assert_done(register(admin, "A", "B", "A"), 201)
    assert data == {"runNo": "RUN-1", "registered": ["A", "B"], "total": 4}
    unit = Unit.objects.get(sn="A")
    assert (unit.status, unit.current_step_no, unit.run, unit.work_order) == ("QUEUED", 10, plant.run, plant.order)
    assert Run.objects.get().units_registered


def test_registering_again_changes_nothing(plant, admin):
    register(admin, "A")
    track_in(admin, sn="A")
    with nothing_written():
        assert assert_done(register(admin, "A", "SN-1"), 200)["registered"] == []


def test_registering_more_adds_only_those(plant, admin):
    assert assert_done(register(admin, "SN-1", "A"), 201)["registered"] == ["A"]


def test_a_unit_of_another_run_is_not_taken(plant, admin):
    make_run(plant, run_no="RUN-2", sns=["X"])
    with nothing_written():
        details = assert_refused(register(admin, "A", "X"), "UNIT_RUN_MISMATCH")
    assert details["sn"] == "X"


def test_more_units_than_planned_are_refused(db, admin):
    make_plant(plan_qty=3)
    with nothing_written():
        details = assert_refused(register(admin, "A", "B"), "RUN_QTY_EXCEEDED")
    assert (details["plan"], details["count"]) == (3, 4)
    assert_done(register(admin, "A"), 201)
    assert_done(register(admin, "A", "SN-1", "SN-2"), 200)


@pytest.mark.parametrize("status", list(RunStatus))
def test_units_are_registered_in_open_runs_only(plant, admin, status):
    put_runs(status)
    if status in ("PREP", "AUTHORIZED", "IN_PROGRESS"):
        assert_done(register(admin, "A"), 201)
    else:
        with nothing_written():
            assert_refused(register(admin, "A"), "RUN_ON_HOLD" if status == "ON_HOLD" else "RUN_CLOSED")


@pytest.mark.parametrize("sns", [[], ["a//b"], [""], [7], [None], "A", None, {"A": 1}, ["A"] * 10_001])
def test_malformed_registrations_are_refused(plant, admin, sns):
    with nothing_written():
        response = admin.post("/api/runs/RUN-1/units", {"sns": sns})
        details = assert_refused(response, "VALIDATION_ERROR", 400)
    assert any(path.startswith("sns") for path in details)


def test_registering_takes_the_same_queries_for_many(db, admin):
    make_plant(units=0, plan_qty=10_000)
    register(admin, "WARM")
    counts = []
    for size in (1, 1_000):
        with CaptureQueriesContext(connection) as queries:
            assert_done(register(admin, *(f"SN-{size}-{number}" for number in range(size))), 201)
        counts.append(len(queries))
    assert counts[0] == counts[1]


# --- authorizing -------------------------------------------------------------------------------------------


def test_a_run_is_authorized_and_revoked(db, admin):
    make_plant(authorize=False)
    assert assert_done(authorize(admin)) == {"runNo": "RUN-1", "status": "AUTHORIZED"}
    run = Run.objects.get()
    assert run.authorized_at is not None
    assert run.authorized_by
    assert assert_done(authorize(admin, "REVOKE"))["status"] == "PREP"
    run = Run.objects.get()
    assert (run.authorized_at, run.authorized_by) == (None, "")


@pytest.mark.parametrize("action", ["AUTHORIZE", "REVOKE", "close"])
@pytest.mark.parametrize("status", list(RunStatus))
def test_every_state_and_change_of_a_run(plant, admin, status, action):
    put_runs(status)
    allowed = {"AUTHORIZE": ["PREP"], "REVOKE": ["AUTHORIZED"], "close": OPEN_RUN_STATUSES}[action]
    call = (lambda: close(admin)) if action == "close" else (lambda: authorize(admin, action))
    if status in allowed:
        assert_done(call())
        return
    with nothing_written():
        details = assert_refused(call(), "INVALID_TRANSITION")
    assert details == {"action": action.lower(), "entity": "run", "state": status}


@pytest.mark.parametrize("action", [None, "", "authorize", "CLOSE", 1])
def test_an_unknown_action_is_malformed(plant, admin, action):
    with nothing_written():
        assert "action" in assert_refused(authorize(admin, action), "VALIDATION_ERROR", 400)


class NotToday(DomainError):
    code, message = "NOT_TODAY", "Not today, {run}."


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Register a gate that refuses; return the runs it was asked about."""
    gates: Hook[Any] = Hook()
    gates.register(*hooks.authorization_gates)
    monkeypatch.setattr(hooks, "authorization_gates", gates)
    asked: list[str] = []

    def refuse(run: Run, by: str) -> None:
        asked.append(run.run_no)
        raise NotToday(run=run.run_no)

    gates.register(refuse)
    gates.register(refuse)
    return asked


def test_a_gate_that_refuses_keeps_the_run_in_preparation(db, admin, gate):
    make_plant(authorize=False)
    with nothing_written():
        assert_refused(authorize(admin), "NOT_TODAY")
    assert gate == ["RUN-1"]  # registered twice, asked once


def test_gates_are_asked_only_for_what_may_be_authorized(db, admin, gate):
    make_plant(authorize=False)
    Run.objects.update(status="COMPLETED")
    assert_refused(authorize(admin), "INVALID_TRANSITION")
    Run.objects.update(status="AUTHORIZED")
    assert_done(authorize(admin, "REVOKE"))
    assert gate == []


# --- closing -----------------------------------------------------------------------------------------------


def test_a_run_whose_units_are_finished_is_closed(plant, admin):
    make_through(admin, "SN-1")
    decide(admin, "scrap", sn="SN-2")
    assert assert_done(close(admin, reason="done")) == {"runNo": "RUN-1", "status": "COMPLETED", "notMade": []}
    run = Run.objects.get()
    assert (run.ended_at is not None, run.status_reason) == (True, "done")


def test_units_that_were_never_tracked_are_reported_and_removed(plant, admin):
    make_through(admin, "SN-1")
    assert assert_done(close(admin))["notMade"] == ["SN-2"]
    unit = Unit.objects.get(sn="SN-2")
    assert (unit.run, unit.status, unit.current_step_no) == (None, "QUEUED", None)
    assert assert_done(admin.get("/api/runs/RUN-1"))["unitCounts"]["QUEUED"] == 0


def test_a_held_unit_that_was_never_tracked_is_removed_too(plant, admin):
    make_through(admin, "SN-1")
    decide(admin, "hold", sn="SN-2")
    assert assert_done(close(admin))["notMade"] == ["SN-2"]


def test_a_unit_that_was_not_made_may_be_registered_in_another_run(plant, admin):
    make_through(admin, "SN-1")
    close(admin)
    run = make_run(plant, run_no="RUN-2", sns=[])
    assert_done(register(admin, "SN-2", run_no="RUN-2"), 201)
    unit = Unit.objects.get(sn="SN-2")
    assert (unit.run, unit.work_order, unit.status, unit.current_step_no) == (run, run.work_order, "QUEUED", 10)
    assert_done(track_in(admin, sn="SN-2", run_no="RUN-2"), 201)


@pytest.mark.parametrize("how", ["in a station", "between stations", "failed", "held"])
def test_a_started_unit_that_is_not_finished_keeps_the_run_open(plant, admin, how):
    track_in(admin)
    if how == "between stations":
        track_out(admin)
    elif how == "failed":
        track_out(admin, result="FAIL")
    elif how == "held":
        decide(admin, "hold")
    with nothing_written():
        details = assert_refused(close(admin), "UNITS_NOT_FINISHED")
    assert details == {"count": 1, "sns": ["SN-1"]}


def test_a_closed_run_takes_no_more_units(plant, admin):
    make_through(admin, "SN-1")
    close(admin)
    with nothing_written():
        assert_refused(track_in(admin, sn="SN-2"), "RUN_CLOSED")
        assert_refused(close(admin), "INVALID_TRANSITION")


def test_the_order_is_completed_when_its_quantity_is_made(db, admin):
    make_plant(units=2, plan_qty=2, order_qty=2)
    for sn in ("SN-1", "SN-2"):
        make_through(admin, sn)
    assert WorkOrder.objects.get().status == "IN_PROGRESS"
    close(admin)
    assert WorkOrder.objects.get().status == "COMPLETED"


def test_the_order_stays_open_while_something_is_missing(db, admin):
    make_plant(units=2, plan_qty=2, order_qty=2)
    make_through(admin, "SN-1")
    track_in(admin, sn="SN-2")
    decide(admin, "scrap", sn="SN-2")
    close(admin)
    assert WorkOrder.objects.get().status == "IN_PROGRESS"


def test_the_order_stays_open_while_another_run_is(db, admin):
    make_plant(units=1, plan_qty=1, order_qty=6)
    assert_done(create(admin, runNo="RUN-2"), 201)
    make_through(admin, "SN-1")
    WorkOrder.objects.update(planned_qty=1)
    close(admin)
    assert WorkOrder.objects.get().status == "IN_PROGRESS"


@pytest.mark.parametrize("call", [close, authorize, lambda client, run_no: register(client, "A", run_no=run_no)])
def test_an_unknown_run_is_refused(plant, admin, call):
    with nothing_written():
        assert_refused(call(admin, run_no="RUN-X"), "RUN_NOT_FOUND", 404)


# --- counts ------------------------------------------------------------------------------------------------


def test_a_run_counts_its_units_in_every_status(plant, admin):
    make_run(plant, run_no="RUN-2", sns=["OTHER"])
    track_in(admin, sn="SN-1")
    decide(admin, "scrap", sn="SN-2")
    counts = assert_done(admin.get("/api/runs/RUN-1"))["unitCounts"]
    assert counts == {**dict.fromkeys(UnitStatus.values, 0), "IN_STATION": 1, "SCRAPPED": 1}


def test_choosing_a_version_names_the_route_s_latest_ready_one(plant):
    Station.objects.update(name="renamed")  # nothing that is frozen
    assert compile_route(code="ROUTE-1") == (plant.version, False)
    assert runs.choose_version(plant.order) == RouteVersion.objects.get()
