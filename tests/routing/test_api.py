"""Routes, execution configs and versions over HTTP."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.routing.models import RouteExecutionConfig, Routing
from tests.factories import (
    api_client,
    make_config,
    make_group,
    make_operation,
    make_plant,
    make_route,
    make_spec,
    make_station,
)

pytestmark = pytest.mark.django_db

STEPS = [
    {"stepNo": 10, "operationCode": "PRINT", "sourceStepKey": None},
    {"stepNo": 20, "operationCode": "REFLOW", "sourceStepKey": "K-20"},
]
BODY = {
    "code": "ROUTE-1",
    "name": "Board 1",
    "sourceSystem": "MES",
    "sourceKey": None,
    "productCode": "BOARD-1",
    "effectiveFrom": "2026-01-01T00:00:00Z",
    "effectiveTo": None,
    "isActive": True,
    "steps": STEPS,
}
MAPPING = {"snPath": "payload.sn", "result": {"path": "payload.r", "passValues": ["OK"], "failValues": ["NG"]}}


@pytest.fixture
def engineer() -> APIClient:
    for code in ("PRINT", "REFLOW", "TEST"):
        make_operation(code)
    return api_client(Role.ENGINEER)


@pytest.fixture
def route(engineer: APIClient) -> str:
    assert engineer.post("/api/routes", BODY).status_code == 201
    return "/api/routes/ROUTE-1"


def refusal(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def details(response: Any) -> list[str]:
    assert refusal(response) == (400, "VALIDATION_ERROR"), response.json()
    return list(response.json()["error"]["details"])


# --- routes -----------------------------------------------------------------------------------------------


def test_a_route_comes_back_as_it_was_sent(engineer: APIClient, route: str) -> None:
    data = engineer.get(route).json()["data"]
    assert data.items() >= BODY.items()
    assert engineer.patch(route, data).json()["data"].items() >= BODY.items()
    assert engineer.delete(route).status_code == 200
    assert refusal(engineer.get(route)) == (404, "ROUTE_NOT_FOUND")


def test_steps_come_in_order_and_may_be_left_out(engineer: APIClient) -> None:
    body = {"code": "R2", "name": "x", "steps": list(reversed(STEPS))}
    assert engineer.post("/api/routes", body).json()["data"]["steps"] == STEPS
    data = engineer.post("/api/routes", {"code": "R3", "name": "x"}).json()["data"]
    assert (data["steps"], data["sourceSystem"], data["isActive"]) == ([], "MES", True)


def test_a_patch_replaces_the_steps_whole_or_leaves_them(engineer: APIClient, route: str) -> None:
    assert engineer.patch(route, {"name": "New"}).json()["data"]["steps"] == STEPS
    steps = [{"stepNo": 20, "operationCode": "TEST", "sourceStepKey": None}]
    assert engineer.patch(route, {"steps": steps}).json()["data"]["steps"] == steps
    assert engineer.patch(route, {"steps": []}).json()["data"]["steps"] == []


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({"steps": [*STEPS, STEPS[0]]}, ["steps.2.stepNo"]),
        ({"steps": [{"operationCode": "PRINT"}]}, ["steps.0.stepNo"]),
        ({"steps": [{**STEPS[0], "stepNo": "10"}]}, ["steps.0.stepNo"]),
        ({"steps": [{**STEPS[0], "stepNo": -1}]}, ["steps.0.stepNo"]),
        ({"steps": [{**STEPS[0], "stepNo": 2**31}]}, ["steps.0.stepNo"]),
        ({"steps": [{**STEPS[0], "station": "X"}]}, ["steps.0.station"]),
        ({"steps": ["PRINT"]}, ["steps.0"]),
        ({"steps": {"stepNo": 10}}, ["steps"]),
        ({"steps": None}, ["steps"]),
        ({"effectiveTo": "2025-01-01T00:00:00Z"}, ["body"]),
        ({"effectiveFrom": "2026-01-01"}, ["effectiveFrom"]),
        ({"sourceSystem": "SAP"}, ["sourceSystem"]),
        ({"code": "ROUTE-2"}, ["code"]),
        ({"productCode": "a//b"}, ["productCode"]),
    ],
)
def test_what_is_wrong_is_told_at_its_place(
    engineer: APIClient, route: str, change: dict[str, Any], places: list[str]
) -> None:
    assert details(engineer.patch(route, change)) == places
    assert engineer.get(route).json()["data"].items() >= BODY.items()


def test_a_step_of_an_unknown_operation_writes_nothing(engineer: APIClient, route: str) -> None:
    steps = [*STEPS, {"stepNo": 30, "operationCode": "NOTHING"}]
    assert refusal(engineer.patch(route, {"steps": steps, "name": "New"})) == (404, "OPERATION_NOT_FOUND")
    assert engineer.get(route).json()["data"].items() >= BODY.items()
    assert refusal(engineer.post("/api/routes", {**BODY, "code": "R2", "steps": steps}))[0] == 404
    assert not Routing.objects.filter(code="R2").exists()


def test_steps_of_an_erp_route_are_read_only_once_it_exists(engineer: APIClient) -> None:
    body = {**BODY, "sourceSystem": "ERP"}
    assert engineer.post("/api/routes", body).json()["data"]["steps"] == STEPS
    address = "/api/routes/ROUTE-1"
    for change in ({"steps": STEPS[:1]}, {"steps": []}, {"sourceSystem": "MES"}, {"steps": [], "name": "New"}):
        assert refusal(engineer.patch(address, change)) == (409, "ROUTE_READ_ONLY")
    assert engineer.get(address).json()["data"].items() >= body.items()
    same = engineer.patch(address, {"steps": list(reversed(STEPS)), "name": "New", "isActive": False})
    assert same.json()["data"].items() >= {**body, "name": "New", "isActive": False}.items()


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.ENGINEER, Role.ADMIN)])
def test_only_engineers_write_routes(role: Role) -> None:
    make_plant()
    client = api_client(role)
    for address in ("/api/routes", "/api/execution-configs", "/api/routes/ROUTE-1/versions/1"):
        assert client.get(address).status_code == 200
    for address in ("", "/ROUTE-1/compile", "/ROUTE-1/execution-config"):
        assert client.post(f"/api/routes{address}", {}).status_code == 403
    assert client.post("/api/execution-configs", {}).status_code == 403


def test_routes_are_filtered(engineer: APIClient, route: str) -> None:
    make_route("OTHER", steps=[(10, "TEST"), (20, "TEST")], product_code="X", is_active=False)

    def codes(**query: str) -> list[str]:
        return [item["code"] for item in engineer.get("/api/routes", query).json()["data"]["items"]]

    assert codes(productCode="BOARD-1") == ["ROUTE-1"]
    assert codes(isActive="false") == ["OTHER"]
    assert codes(operationCode="TEST") == ["OTHER"]
    assert codes(search="board") == ["ROUTE-1"]
    assert len(engineer.get("/api/routes", {"operationCode": "TEST"}).json()["data"]["items"][0]["steps"]) == 2


# --- execution configs ------------------------------------------------------------------------------------


def configure(client: APIClient, **body: Any) -> Any:
    return client.post("/api/routes/ROUTE-1/execution-config", {"scope": "STEP", "stepNo": 10, **body})


def test_a_step_is_configured_once_and_then_changed(engineer: APIClient, route: str) -> None:
    make_group("PRINTERS")
    made = configure(engineer, stationType="MANUAL", stationGroupCode="PRINTERS", retestLimit=1)
    assert made.status_code == 201, made.json()
    data = made.json()["data"]
    assert data.items() >= {"scope": "STEP", "routeCode": "ROUTE-1", "stepNo": 10, "operationCode": None}.items()
    assert (data["requiresFAI"], data["dataSpecNames"], data["ingestMapping"]) == (None, None, None)
    again = configure(engineer, retestLimit=None, dataSpecNames=[], requiresFAI=False)
    assert again.status_code == 200
    assert (
        again.json()["data"].items()
        >= {
            "id": data["id"],
            "stationGroupCode": "PRINTERS",
            "retestLimit": None,
            "dataSpecNames": [],
            "requiresFAI": False,
        }.items()
    )
    assert RouteExecutionConfig.objects.count() == 1


def test_each_scope_has_its_place(engineer: APIClient, route: str) -> None:
    assert configure(engineer).status_code == 201
    assert configure(engineer, stepNo=None, sourceStepKey="K-20").status_code == 201
    assert configure(engineer, scope="ROUTE", stepNo=None).status_code == 201
    for _times in range(2):
        engineer.post("/api/execution-configs", {"scope": "OPERATION", "operationCode": "TEST", "retestLimit": 2})
        engineer.post("/api/execution-configs", {"scope": "GLOBAL", "requiresFAI": False})
    of_route = engineer.get("/api/routes/ROUTE-1/execution-config").json()["data"]["items"]
    assert [item["scope"] for item in of_route] == ["ROUTE", "STEP", "STEP"]
    everything = engineer.get("/api/execution-configs").json()["data"]["items"]
    assert [item["scope"] for item in everything] == ["GLOBAL", "OPERATION", "ROUTE", "STEP", "STEP"]
    found = engineer.get("/api/execution-configs", {"scope": "OPERATION", "operationCode": "TEST"}).json()["data"]
    assert [item["retestLimit"] for item in found["items"]] == [2]


def test_one_config_by_its_id(engineer: APIClient, route: str) -> None:
    data = configure(engineer, retestLimit=1).json()["data"]
    address = f"/api/execution-configs/{data['id']}"
    assert engineer.get(address).json()["data"] == data
    changed = engineer.patch(address, {"retestLimit": 3, "scope": "STEP", "stepNo": 10}).json()["data"]
    assert (changed["retestLimit"], changed["stepNo"]) == (3, 10)
    assert engineer.patch(address, changed).status_code == 200
    for change, place in (
        ({"scope": "ROUTE"}, "scope"),
        ({"stepNo": 20}, "stepNo"),
        ({"sourceStepKey": "K-20"}, "sourceStepKey"),
        ({"operationCode": "TEST"}, "operationCode"),
    ):
        assert details(engineer.patch(address, change)) == [place]
    assert engineer.delete(address).status_code == 200
    assert refusal(engineer.get(address)) == (404, "EXECUTION_CONFIG_NOT_FOUND")


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({"stepNo": None}, ["stepNo"]),
        ({"stepNo": 11}, ["stepNo"]),
        ({"stepNo": 10, "sourceStepKey": "K-20"}, ["stepNo"]),
        ({"stepNo": None, "sourceStepKey": "K-9"}, ["sourceStepKey"]),
        ({"scope": "ROUTE"}, ["stepNo"]),
        ({"scope": "GLOBAL"}, ["scope"]),
        ({"operationCode": "PRINT"}, ["operationCode"]),
        ({"stationType": "ROBOT"}, ["stationType"]),
        ({"requiresFAI": "yes"}, ["requiresFAI"]),
        ({"retestLimit": -1}, ["retestLimit"]),
        ({"retestLimit": 2**15}, ["retestLimit"]),
        ({"dataSpecNames": "Peak"}, ["dataSpecNames"]),
        ({"dataSpecNames": [1]}, ["dataSpecNames.0"]),
        ({"stationType": "AUTO", "ingestMapping": {"sn": "x"}}, ["ingestMapping"]),
        ({"stationType": "AUTO", "ingestMapping": "x"}, ["ingestMapping"]),
        ({"stationType": "MANUAL", "ingestMapping": MAPPING}, ["ingestMapping"]),
        ({"ingestMapping": {"eventType": "TEST"}}, ["ingestMapping"]),
        ({"ingestMapping": [1]}, ["ingestMapping"]),
    ],
)
def test_what_is_wrong_with_a_config(
    engineer: APIClient, route: str, change: dict[str, Any], places: list[str]
) -> None:
    assert details(configure(engineer, **change)) == places
    assert not RouteExecutionConfig.objects.exists()


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"scope": "STEP", "stepNo": 10}, "scope"),
        ({"scope": "OPERATION"}, "operationCode"),
        ({"scope": "GLOBAL", "operationCode": "TEST"}, "operationCode"),
        ({"scope": "GLOBAL", "stepNo": 10}, "stepNo"),
        ({}, "scope"),
    ],
)
def test_what_is_wrong_with_a_wide_config(engineer: APIClient, body: dict[str, Any], place: str) -> None:
    assert details(engineer.post("/api/execution-configs", body)) == [place]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"stationGroupCode": "NOTHING"}, "STATION_GROUP_NOT_FOUND"),
        ({"allowedStationCodes": ["SMT-01", "NOTHING"]}, "STATION_NOT_FOUND"),
    ],
)
def test_references_of_a_config(engineer: APIClient, route: str, change: dict[str, Any], code: str) -> None:
    make_station("SMT-01")
    assert refusal(configure(engineer, **change)) == (404, code)
    assert not RouteExecutionConfig.objects.exists()


def test_a_config_of_nothing(engineer: APIClient) -> None:
    address = "/api/routes/NOTHING/execution-config"
    assert refusal(engineer.post(address, {"scope": "ROUTE"})) == (404, "ROUTE_NOT_FOUND")
    assert refusal(engineer.get(address)) == (404, "ROUTE_NOT_FOUND")
    body = {"scope": "OPERATION", "operationCode": "NOTHING"}
    assert refusal(engineer.post("/api/execution-configs", body)) == (404, "OPERATION_NOT_FOUND")


def test_a_mapping_is_kept_as_it_was_sent(engineer: APIClient, route: str) -> None:
    data = configure(engineer, stationType="AUTO", ingestMapping=MAPPING).json()["data"]
    assert data["ingestMapping"] == MAPPING
    address = f"/api/execution-configs/{data['id']}"
    assert details(engineer.patch(address, {"stationType": "TEST"})) == ["ingestMapping"]
    assert engineer.patch(address, {"stationType": "MANUAL", "ingestMapping": None}).status_code == 200


# --- compiling and versions -------------------------------------------------------------------------------


def test_compiling_an_invalid_then_a_sound_route(engineer: APIClient, route: str) -> None:
    data = engineer.post(f"{route}/compile").json()["data"]
    assert data.items() >= {"versionNo": 1, "status": "INVALID", "changed": True}.items()
    assert [(error["stepNo"], error["code"]) for error in data["errors"]] == [
        (10, "STATIONS_MISSING"),
        (20, "STATIONS_MISSING"),
    ]
    make_group("G")
    configure(engineer, scope="ROUTE", stepNo=None, stationGroupCode="G")
    ready = {"versionNo": 2, "status": "READY", "errors": []}
    assert engineer.post(f"{route}/compile", {}).json()["data"] == {**ready, "warnings": [], "changed": True}
    assert engineer.post(f"{route}/compile").json()["data"] == {**ready, "warnings": [], "changed": False}
    assert refusal(engineer.post("/api/routes/NOTHING/compile")) == (404, "ROUTE_NOT_FOUND")


def test_versions_are_listed_newest_first_with_the_drift_of_the_latest(engineer: APIClient) -> None:
    plant = make_plant()
    address = "/api/routes/ROUTE-1/versions"

    def listed() -> list[tuple[int, bool | None]]:
        items = engineer.get(address).json()["data"]["items"]
        assert "snapshot" not in items[0]
        return [(item["versionNo"], item["drift"]) for item in items]

    assert listed() == [(1, False)]
    engineer.patch(f"/api/data-collection-specs/{plant.peak.pk}", {"limits": {"lsl": 236, "usl": 250, "unit": "°C"}})
    assert listed() == [(1, True)]
    engineer.post("/api/routes/ROUTE-1/compile")
    assert listed() == [(2, False), (1, None)]
    assert engineer.get(address).json()["data"]["items"][0]["compiledBy"] != ""


def test_a_version_shows_what_was_frozen(engineer: APIClient) -> None:
    make_plant()
    make_spec("REFLOW", "New")
    data = engineer.get("/api/routes/ROUTE-1/versions/1").json()["data"]
    assert (data["versionNo"], data["status"], data["errors"], data["drift"]) == (1, "READY", [], True)
    reflow = data["snapshot"]["steps"][1]
    assert (reflow["stepNo"], reflow["stationGroupCode"], reflow["stationType"]) == (20, "OVENS", "MANUAL")
    assert [spec["name"] for spec in reflow["dataSpecs"]] == ["Conveyor Speed", "Peak Temperature"]
    assert reflow["dataSpecs"][1]["limits"] == {"lsl": 235, "usl": 250, "target": 245, "unit": "°C"}


@pytest.mark.parametrize("number", ["2", "0", "x", "-1", "1.0", "9" * 30, "²"])
def test_a_version_that_does_not_exist(engineer: APIClient, number: str) -> None:
    make_plant()
    assert refusal(engineer.get(f"/api/routes/ROUTE-1/versions/{number}")) == (404, "ROUTE_VERSION_NOT_FOUND")


def test_a_version_list_takes_a_fixed_number_of_queries(engineer: APIClient, django_assert_num_queries: Any) -> None:
    plant = make_plant()
    for number in range(3):
        make_config(plant.routing, retest_limit=number + 1)
        engineer.post("/api/routes/ROUTE-1/compile")
    client = api_client(Role.OPERATOR)
    client.get("/api/routes")
    with django_assert_num_queries(8):  # the route with its steps, its versions, the latest, what it would be now
        client.get("/api/routes/ROUTE-1/versions")
