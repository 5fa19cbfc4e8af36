"""The factories write rows themselves; they must be what the services write."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import models

from mes.platform.accounts import tokens
from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Role
from mes.production import orders, runs
from mes.production.models import Run, Unit, WorkOrder
from mes.readiness.models import ReadinessCheck
from mes.routing.compilation import compile_route, compose
from tests.factories import Plant, make_operation, make_plant, make_run, make_spec, make_token

pytestmark = pytest.mark.django_db

OF_EACH = {"id", "run_no", "wo_no", "sn", "work_order_id", "run_id"}  # what no two of them have in common
OF_EACH_TOKEN = {"id", "name", "token_hash", "prefix", "created_at"}


def make_by_services(plant: Plant, *, authorize: bool) -> None:
    """Make the run RUN-2 with two units, and RUN-3 with none, by what the pages and the interface call."""
    for run_no, sns in (("RUN-2", ["SN-3", "SN-4"]), ("RUN-3", [])):
        wo_no = f"WO-{run_no}"
        routing = {"routing_code": plant.routing.code}
        orders.receive(wo_no=wo_no, product_code="BOARD-1", planned_qty=10_000, optional=routing)
        orders.release(wo_no=wo_no, line_code=plant.line.code)
        runs.create(wo_no=wo_no, line_code=plant.line.code, plan_qty=100, run_no=run_no)
        if sns:
            runs.register_units(run_no=run_no, sns=sns)
        if authorize:
            runs.set_authorization(run_no=run_no, action="AUTHORIZE", by="test")


def rows(model: type[models.Model], **names: Any) -> list[dict[str, Any]]:
    """Return what rows hold: of times, only whether there is one."""
    return [
        {
            field: bool(value) if isinstance(model._meta.get_field(field), models.DateTimeField) else value
            for field, value in row.items()
            if field not in OF_EACH
        }
        for row in model._default_manager.filter(**names).order_by("pk").values()
    ]


@pytest.mark.parametrize("authorize", [True, False])
def test_runs_are_what_the_services_make(authorize: bool) -> None:
    plant = make_plant(authorize=authorize)
    make_run(plant.version, plant.line, run_no="RUN-4", authorize=authorize)
    make_by_services(plant, authorize=authorize)
    for own, by_services in (("RUN-1", "RUN-2"), ("RUN-4", "RUN-3")):
        assert rows(WorkOrder, runs__run_no=own) == rows(WorkOrder, runs__run_no=by_services) != []
        assert rows(Run, run_no=own) == rows(Run, run_no=by_services) != []
        assert rows(Unit, run__run_no=own) == rows(Unit, run__run_no=by_services)
        assert rows(ReadinessCheck, run__run_no=own) == rows(ReadinessCheck, run__run_no=by_services)
    assert len(rows(Unit, run__run_no="RUN-1")) == 2


@pytest.mark.parametrize("beside", [False, True])
def test_the_route_of_a_plant_is_what_compiling_it_gives(beside: bool) -> None:
    if beside:
        make_operation("ASSEMBLY")  # then it is compiled by the service
    plant = make_plant()
    assert compile_route(code=plant.routing.code) == (plant.version, False)
    plant.version.refresh_from_db()
    compiled = compose(plant.routing)
    assert plant.version.snapshot == compiled.document
    assert (plant.version.status, plant.version.errors) == (compiled.status, compiled.problems)
    assert (plant.version.version_no, plant.version.compiled_by) == (1, "")


def test_what_is_found_is_used() -> None:
    make_spec(make_operation("PRINT", name="Printing"), "Pressure")
    plant = make_plant()
    assert plant.operations["PRINT"].name == "Printing"
    assert [spec.name for spec in runs.snapshot_of(plant.run).steps[0].specs] == ["Pressure"]


def test_tokens_are_what_the_service_issues() -> None:
    texts = make_token(Role.QUALITY), tokens.issue_token(name="another", role=Role.QUALITY)[1]
    own, by_service = DeviceToken.objects.order_by("pk").values()
    assert {field for field in own if own[field] != by_service[field]} <= OF_EACH_TOKEN
    own, by_service = map(tokens.find_token, texts)
    assert replace(own, token_id=0, name="") == replace(by_service, token_id=0, name="")
