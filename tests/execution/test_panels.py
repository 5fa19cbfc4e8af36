"""Panels: registered with their boards as units, reached by panel and position, parted with labels."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from execution.models import Carrier, CarrierLoad, Track
from mes.platform.accounts.roles import Role
from mes.production.identity_models import ReferenceUnit, UnitAlias
from mes.production.models import Run, Unit
from mes.routing.compilation import compile_route
from mes.routing.models import Routing
from tests.factories import api_client, make_plant
from tests.integration.helpers import nothing_changes

PANEL = {"panelNo": "P-1", "boards": [{"position": 1, "sn": "L-1"}, {"position": 2}, {"position": 3, "xOut": True}]}


@pytest.fixture
def plant(db):
    return make_plant(units=0)


@pytest.fixture
def client(plant) -> APIClient:
    return api_client()


def register(client: APIClient, *panels: dict[str, Any]) -> Any:
    return client.post("/api/runs/RUN-1/panels", {"panels": list(panels or (PANEL,))})


def depanel(client: APIClient, *boards: dict[str, Any], carrier_no: str = "P-1") -> Any:
    return client.post(f"/api/carriers/{carrier_no}/depanel", {"boards": list(boards)})


def boards_of(*sns: str | None) -> list[dict[str, Any]]:
    return [{"position": position, **({"sn": sn} if sn else {})} for position, sn in enumerate(sns, start=1)]


def carried() -> list[tuple[str, str]]:
    loads = CarrierLoad.objects.filter(unloaded_at=None).order_by("position")
    return list(loads.values_list("position", "unit__sn"))


def test_serial_numbers_are_locked_before_the_panel(client):
    register(client)
    with CaptureQueriesContext(connection) as statements:
        assert depanel(client, {"position": 2, "sn": "L-2"}).status_code == 200
    asked = [each["sql"] for each in statements.captured_queries]
    alone = next(index for index, sql in enumerate(asked) if "pg_advisory_xact_lock" in sql)
    panel = next(
        index for index, sql in enumerate(asked) if '"execution_carrier"' in sql and "FOR NO KEY UPDATE" in sql
    )
    assert alone < panel


# --- registering ----------------------------------------------------------------------------------------------


def test_boards_are_units_at_their_positions(client):
    answer = register(client)
    assert answer.status_code == 201, answer.json()
    assert answer.json()["data"] == {
        "runNo": "RUN-1",
        "panels": [{"panelNo": "P-1", "boards": [{"position": 1, "sn": "L-1"}, {"position": 2, "sn": "P-1:2"}]}],
        "registered": ["L-1", "P-1:2"],
    }
    assert carried() == [("1", "L-1"), ("2", "P-1:2")]
    assert Run.objects.get().units_registered
    assert {unit.current_step_no for unit in Unit.objects.all()} == {10}


def test_again_changes_nothing(client):
    register(client)
    before = list(CarrierLoad.objects.values())
    again = register(client)
    assert (again.status_code, again.json()["data"]["registered"]) == (200, [])
    assert list(CarrierLoad.objects.values()) == before
    depanel(client, {"position": 2, "sn": "L-2"})
    assert register(client).status_code == 200
    assert carried() == [] and Unit.objects.count() == 2


@pytest.mark.parametrize(
    ("panels", "status", "code"),
    [
        ([{"panelNo": "P", "boards": [{"position": 1}, {"position": 1}]}], 400, "VALIDATION_ERROR"),
        ([{"panelNo": "P", "boards": [{"position": 0}]}], 400, "VALIDATION_ERROR"),
        ([{"panelNo": "P", "boards": [{"position": "1"}]}], 400, "VALIDATION_ERROR"),
        ([{"panelNo": "P", "boards": []}], 400, "VALIDATION_ERROR"),
        ([{"panelNo": "P", "boards": [{"position": 1, "sn": "A", "xOut": True}]}], 400, "VALIDATION_ERROR"),
        ([{"panelNo": "P", "boards": boards_of("A", "A")}], 400, "VALIDATION_ERROR"),
        (
            [{"panelNo": "P", "boards": boards_of("A")}, {"panelNo": "P", "boards": boards_of("B")}],
            400,
            "VALIDATION_ERROR",
        ),
        ([{"panelNo": "P" * 100, "boards": boards_of(None)}], 400, "VALIDATION_ERROR"),
        ([{"panelNo": "P", "boards": boards_of("NOREAD")}], 422, "SN_UNREADABLE"),
        ([{"panelNo": "P", "boards": boards_of("GOLD")}], 409, "SN_IS_REFERENCE"),
        ([{"panelNo": "P", "boards": boards_of(*[None] * 11)}], 409, "RUN_QTY_EXCEEDED"),
        ([PANEL, {"panelNo": "P", "boards": boards_of("L-1")}], 400, "VALIDATION_ERROR"),
    ],
)
def test_what_is_refused_leaves_nothing(client, panels, status, code):
    ReferenceUnit.objects.create(sn="GOLD", kind="GOLDEN")
    Run.objects.update(plan_qty=10)
    with nothing_changes():
        answer = register(client, *panels)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.json()


def test_x_outs_use_no_plan(client):
    Run.objects.update(plan_qty=2)
    assert register(client).status_code == 201
    assert (
        register(client, {"panelNo": "P-2", "boards": [{"position": 1}]}).json()["error"]["code"] == "RUN_QTY_EXCEEDED"
    )


def test_a_panel_that_carries_others_is_refused(client):
    register(client)
    with nothing_changes():
        other = register(client, {"panelNo": "P-1", "boards": boards_of("X-1")})
        moved = register(client, {"panelNo": "P-9", "boards": boards_of("L-1")})
    assert [answer.json()["error"]["code"] for answer in (other, moved)] == ["PANEL_LOADED", "PANEL_LOADED"]


def test_boards_of_another_run_and_a_closed_one_are_refused(client):
    register(client)
    Run.objects.update(status="COMPLETED")
    assert register(client, {"panelNo": "P-2", "boards": boards_of("X")}).json()["error"]["code"] == "RUN_CLOSED"
    assert client.post("/api/runs/NONE/panels", {"panels": [PANEL]}).json()["error"]["code"] == "RUN_NOT_FOUND"


def test_masks_hold_for_labels_not_for_boards_without(plant, client):
    Routing.objects.update(sn_masks=["L-#"])
    version, _changed = compile_route(code=plant.routing.code)
    Run.objects.update(route_version=version)
    bad = register(client, {"panelNo": "P-2", "boards": boards_of("X-1")})
    assert bad.json()["error"]["code"] == "SN_MASK_MISMATCH"
    assert register(client).status_code == 201
    with nothing_changes():
        assert depanel(client, {"position": 2, "sn": "X-2"}).json()["error"]["code"] == "SN_MASK_MISMATCH"
    assert depanel(client, {"position": 2, "sn": "L-2"}).status_code == 200


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.QUALITY, Role.ENGINEER])
def test_others_than_supervisors_register_none(client, role):
    assert register(api_client(role)).status_code == 403


# --- parting them ---------------------------------------------------------------------------------------------


def test_boards_get_their_labels_and_leave(client):
    register(client)
    answer = depanel(api_client(Role.OPERATOR), {"position": 1, "sn": "L-1"}, {"position": 2, "sn": "L-2"})
    assert answer.status_code == 200, answer.json()
    assert answer.json()["data"] == {
        "carrierNo": "P-1",
        "boards": [{"position": 1, "sn": "L-1"}, {"position": 2, "sn": "L-2"}],
    }
    assert carried() == []
    assert dict(UnitAlias.objects.values_list("sn", "unit__sn")) == {"P-1:1": "L-1", "P-1:2": "L-2"}
    again = depanel(client, {"position": 2, "sn": "L-2"})
    assert (again.status_code, again.json()["data"]) == (200, answer.json()["data"])
    assert client.post("/api/stations/SMT-01/track-in", {"runNo": "RUN-1", "sn": "P-1:2"}).json()["data"]["sn"] == "L-2"
    trace = client.get("/api/trace/units/P-1:2").json()["data"]
    assert (trace["unit"]["sn"], [alias["sn"] for alias in trace["aliases"]]) == ("L-2", ["P-1:2"])
    assert [load["carrierNo"] for load in trace["carrierLoads"]] == ["P-1"]
    held = client.get("/api/trace/carriers/P-1").json()["data"]["carrierLoads"]
    assert {(load["position"], load["sn"]) for load in held} == {("1", "L-1"), ("2", "L-2")}


@pytest.mark.parametrize(
    ("boards", "code"),
    [
        ([{"position": 3, "sn": "L-3"}], "VALIDATION_ERROR"),
        ([{"position": 2, "sn": "L-2"}, {"position": 2, "sn": "L-3"}], "VALIDATION_ERROR"),
        ([{"position": 1, "sn": "L-2"}, {"position": 2, "sn": "L-2"}], "VALIDATION_ERROR"),
        ([{"position": 2, "sn": "L-2"}, {"position": 1, "sn": "OTHER"}], "BOARD_LABELLED"),
        ([{"position": 2, "sn": "L-1"}], "SN_TAKEN"),
        ([{"position": 2, "sn": "GOLD"}], "SN_TAKEN"),
        ([{"position": 2}], "VALIDATION_ERROR"),
        ([{"position": 2, "sn": "?"}], "SN_UNREADABLE"),
    ],
)
def test_labels_that_are_refused_leave_all_as_it_was(client, boards, code):
    ReferenceUnit.objects.create(sn="GOLD", kind="GOLDEN")
    register(client)
    with nothing_changes():
        assert depanel(client, *boards).json()["error"]["code"] == code


def test_every_board_is_found_by_its_place(client):
    register(client)
    resolve = "/api/stations/resolve-unit"
    found = [client.get(f"{resolve}/P-1:{position}").json()["data"]["sn"] for position in (1, 2)]
    assert found == ["L-1", "P-1:2"]
    assert client.get(f"{resolve}/P-1:3").json()["error"]["code"] == "UNIT_NOT_FOUND"
    depanel(client, {"position": 2, "sn": "L-2"})
    other = register(client, {"panelNo": "P-1", "boards": boards_of("L-9")})
    assert other.json()["error"]["code"] == "SN_TAKEN"  # the panel's places mean those boards
    assert sorted(Unit.objects.values_list("sn", flat=True)) == ["L-1", "L-2"]


def test_an_unknown_panel_and_no_boards(client):
    assert depanel(client, carrier_no="NONE").json()["error"]["code"] == "CARRIER_NOT_FOUND"
    assert not Carrier.objects.exists()
    register(client)
    assert depanel(client).status_code == 200
    assert carried() == [] and sorted(Unit.objects.values_list("sn", flat=True)) == ["L-1", "P-1:2"]
    assert not Track.objects.exists()
