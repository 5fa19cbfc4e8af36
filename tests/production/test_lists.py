"""Lists of orders and runs: newest first, filtered, paged, in a fixed number of queries."""

from typing import Any

import pytest

from mes.production import orders, runs
from mes.production.models import Run, WorkOrder
from tests.execution.support import assert_done, assert_refused, make_run
from tests.factories import Plant, api_client, make_line, make_plant


@pytest.fixture
def admin(db: None) -> Any:
    client = api_client()
    client.get("/api/lines")  # the token is known from now on
    return client


@pytest.fixture
def plant(db: None) -> Plant:
    plant = make_plant()
    make_run(plant, run_no="RUN-2", sns=[], authorize=False)
    line = make_line("SMT-B")
    orders.receive(wo_no="OTHER", product_code="BOARD-2", planned_qty=1, optional={"routing_code": "ROUTE-1"})
    orders.release(wo_no="OTHER", line_code=line.code)
    runs.create(wo_no="OTHER", line_code="SMT-B", plan_qty=1, run_no="RUN-3")
    return plant


def listed(client: Any, path: str, key: str, **query: Any) -> list[str]:
    return [item[key] for item in assert_done(client.get(path, query))["items"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["RUN-3", "RUN-2", "RUN-1"]),
        ({"status": "AUTHORIZED"}, ["RUN-1"]),
        ({"status": "PREP"}, ["RUN-3", "RUN-2"]),
        ({"lineCode": "SMT-B"}, ["RUN-3"]),
        ({"woNo": "WO-RUN-2"}, ["RUN-2"]),
        ({"woNo": "WO-RUN-2", "status": "COMPLETED"}, []),
        ({"search": "run-2"}, ["RUN-2"]),
        ({"search": "other"}, ["RUN-3"]),
        ({"status": ""}, ["RUN-3", "RUN-2", "RUN-1"]),
    ],
)
def test_runs_are_filtered(plant, admin, query, expected):
    assert listed(admin, "/api/runs", "runNo", **query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["OTHER", "WO-RUN-2", "WO-RUN-1"]),
        ({"status": "RELEASED", "lineCode": "SMT-A"}, ["WO-RUN-2", "WO-RUN-1"]),
        ({"productCode": "BOARD-2"}, ["OTHER"]),
        ({"search": "RUN-1"}, ["WO-RUN-1"]),
    ],
)
def test_orders_are_filtered(plant, admin, query, expected):
    assert listed(admin, "/api/work-orders", "woNo", **query) == expected


@pytest.mark.parametrize("path", ["/api/runs", "/api/work-orders"])
def test_lists_are_paged(plant, admin, path):
    key = "runNo" if path == "/api/runs" else "woNo"
    first = assert_done(admin.get(path, {"pageSize": 2}))
    assert (len(first["items"]), first["previous"]) == (2, None)
    second = assert_done(admin.get(first["next"]))
    assert [item[key] for item in (*first["items"], *second["items"])] == listed(admin, path, key)
    assert second["next"] is None


@pytest.mark.parametrize("query", [{"pageSize": "0"}, {"pageSize": "x"}, {"cursor": "x"}, {"status": "DONE"}])
def test_a_page_or_a_status_that_is_none_is_refused(plant, admin, query):
    assert_refused(admin.get("/api/runs", query), "VALIDATION_ERROR", 400)


def many(plant: Plant) -> None:
    WorkOrder.objects.bulk_create(
        WorkOrder(wo_no=f"W{number}", product_code="P", planned_qty=1, routing=plant.routing, line=plant.line)
        for number in range(60)
    )
    Run.objects.bulk_create(
        Run(run_no=f"R{number}", work_order=plant.order, line=plant.line, route_version=plant.version, plan_qty=1)
        for number in range(60)
    )


@pytest.mark.parametrize(("path", "queries"), [("/api/runs", 1), ("/api/work-orders", 3)])
def test_a_list_takes_no_more_queries_whatever_its_length(plant, admin, path, queries, django_assert_max_num_queries):
    """Orders are told with their runs and what is made of them: at most one query more for each."""
    with django_assert_max_num_queries(queries):
        admin.get(path)
    many(plant)
    with django_assert_max_num_queries(queries):
        assert len(assert_done(admin.get(path))["items"]) == 50


def test_reading_a_run_takes_two_queries(plant, admin, django_assert_num_queries):
    with django_assert_num_queries(2):
        assert_done(admin.get("/api/runs/RUN-1"))


def test_reading_an_order_takes_three_queries(plant, admin, django_assert_num_queries):
    with django_assert_num_queries(3):
        assert_done(admin.get("/api/work-orders/WO-RUN-1"))


def test_the_queue_of_a_station_takes_the_same_queries_for_many_units(plant, admin, django_assert_max_num_queries):
    runs.register_units(run_no="RUN-1", sns=[f"U{number}" for number in range(90)])
    admin.get("/api/stations/SMT-01/queue")
    with django_assert_max_num_queries(4):
        data = assert_done(admin.get("/api/stations/SMT-01/queue"))
    assert len(data["waiting"]) == 92
