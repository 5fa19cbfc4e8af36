"""The plant over HTTP."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from mes.plant.models import Line, Operation, Station
from mes.platform.accounts.roles import Role
from tests.factories import api_client, make_config, make_line, make_operation, make_plant, make_station

pytestmark = pytest.mark.django_db

THINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lines": (
        {"code": "L1", "name": "Line 1", "processType": "DIP", "readinessChecks": ["ROUTE"], "shifts": []},
        {"name": "Other"},
    ),
    "station-groups": ({"code": "G1", "name": "Group 1"}, {"name": "Other"}),
    "stations": (
        {"code": "S1", "name": "Station 1", "lineCode": "SMT-A", "groupCode": None, "stationType": "AUTO"},
        {"lineCode": None, "stationType": "TEST"},
    ),
    "equipment": (
        {"code": "E 1.+:#é", "name": "Oven", "stationCode": "SMT-01", "status": "normal"},
        {"status": "maintenance"},
    ),
    "operations": (
        {"code": "WASH", "name": "Wash", "kind": "WASH", "defaultStationType": None},
        {"defaultStationType": "BATCH"},
    ),
    "materials": ({"code": "M1", "name": "Resistor", "unit": "pcs"}, {"unit": "reel"}),
}


@pytest.fixture
def engineer() -> APIClient:
    make_station("SMT-01", line=make_line())
    return api_client(Role.ENGINEER)


def details(response: Any) -> list[str]:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "VALIDATION_ERROR"), error
    return list(error["details"])


@pytest.mark.parametrize("collection", THINGS)
def test_a_thing_is_created_read_changed_and_deleted(engineer: APIClient, collection: str) -> None:
    body, change = THINGS[collection]
    made = engineer.post(f"/api/{collection}", body)
    assert made.status_code == 201, made.json()
    identity = made.json()["data"].pop("id")
    assert isinstance(identity, str)
    assert made.json()["data"].items() >= body.items()
    address = f"/api/{collection}/{body['code']}".replace(" ", "%20").replace("+", "%2B").replace("#", "%23")
    assert engineer.get(address).json()["data"]["id"] == identity
    assert engineer.patch(address, change).json()["data"].items() >= {**body, **change}.items()
    found = engineer.get(f"/api/{collection}", {"search": body["code"][:3].lower()}).json()["data"]["items"]
    assert body["code"] in [item["code"] for item in found]
    assert engineer.delete(address).status_code == 200
    assert engineer.get(address).status_code == 404


@pytest.mark.parametrize("collection", THINGS)
def test_a_code_never_changes(engineer: APIClient, collection: str) -> None:
    body, _change = THINGS[collection]
    engineer.post(f"/api/{collection}", body)
    address = f"/api/{collection}/{body['code']}".replace(" ", "%20").replace("+", "%2B").replace("#", "%23")
    assert details(engineer.patch(address, {"code": "OTHER"})) == ["code"]
    assert engineer.patch(address, {"code": body["code"]}).status_code == 200


@pytest.mark.parametrize("collection", [*THINGS, "bom-items"])
@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.ENGINEER, Role.ADMIN)])
def test_only_engineers_keep_master_data(collection: str, role: Role) -> None:
    client = api_client(role)
    assert client.get(f"/api/{collection}").status_code == 200
    assert client.post(f"/api/{collection}", {}).status_code == 403


@pytest.mark.parametrize(
    ("collection", "field", "code"),
    [
        ("stations", "lineCode", "LINE_NOT_FOUND"),
        ("stations", "groupCode", "STATION_GROUP_NOT_FOUND"),
        ("equipment", "stationCode", "STATION_NOT_FOUND"),
    ],
)
def test_a_reference_to_nothing(engineer: APIClient, collection: str, field: str, code: str) -> None:
    response = engineer.post(f"/api/{collection}", {**THINGS[collection][0], field: "NOTHING"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, code)


def test_shifts_are_checked_at_their_place(engineer: APIClient) -> None:
    shifts = [{"code": "DAY", "start": "6:00", "end": "18:00", "weekdays": [1]}]
    assert details(engineer.patch("/api/lines/SMT-A", {"shifts": shifts})) == ["shifts.0.start"]
    assert details(engineer.patch("/api/lines/SMT-A", {"shifts": "DAY"})) == ["shifts"]
    shifts[0]["start"] = "06:00"
    assert engineer.patch("/api/lines/SMT-A", {"shifts": shifts}).json()["data"]["shifts"] == shifts
    assert details(engineer.patch("/api/lines/SMT-A", {"readinessChecks": ["ROUTE", "X"]})) == ["readinessChecks.1"]


def test_kind_defaults_to_other(engineer: APIClient) -> None:
    data = engineer.post("/api/operations", {"code": "X", "name": "X"}).json()["data"]
    assert (data["kind"], data["defaultStationType"]) == ("OTHER", None)


# --- bills of material --------------------------------------------------------------------------------------


@pytest.fixture
def materials(engineer: APIClient) -> APIClient:
    for code in ("BOARD", "PART"):
        engineer.post("/api/materials", {"code": code, "name": code})
    return engineer


def test_a_bom_item_is_known_by_its_id(materials: APIClient) -> None:
    made = materials.post("/api/bom-items", {"parentCode": "BOARD", "childCode": "PART", "quantity": 2.5})
    assert made.status_code == 201, made.json()
    assert made.json()["data"]["quantity"] == 2.5
    address = f"/api/bom-items/{made.json()['data']['id']}"
    assert materials.patch(address, {"quantity": 3}).json()["data"]["quantity"] == 3
    assert materials.delete("/api/materials/PART").json()["error"]["code"] == "IN_USE"
    items = materials.get("/api/bom-items", {"parentCode": "BOARD"}).json()["data"]["items"]
    assert [item["childCode"] for item in items] == ["PART"]
    assert materials.delete(address).status_code == 200
    assert materials.get(address).json()["error"]["code"] == "BOM_ITEM_NOT_FOUND"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": "2"}, "quantity"),
        ({"quantity": 0.00001}, "quantity"),
        ({"quantity": 1e300}, "quantity"),
        ({"childCode": "BOARD"}, "body"),
    ],
)
def test_a_bom_item_must_make_sense(materials: APIClient, change: dict[str, Any], place: str) -> None:
    body = {"parentCode": "BOARD", "childCode": "PART", "quantity": 1, **change}
    assert details(materials.post("/api/bom-items", body)) == [place]


# --- in use -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["lines/SMT-A", "station-groups/PRINTERS", "operations/PRINT", "routes/ROUTE-1", "materials/M"]
)
def test_what_the_plant_uses_cannot_be_deleted(address: str) -> None:
    make_plant()
    response = api_client(Role.ENGINEER).delete(f"/api/{address}")
    expected = (404, "MATERIAL_NOT_FOUND") if address == "materials/M" else (409, "IN_USE")
    assert (response.status_code, response.json()["error"]["code"]) == expected


def test_what_only_a_compiled_route_names_cannot_be_deleted() -> None:
    plant = make_plant()
    engineer = api_client(Role.ENGINEER)
    plant.routing.configs.all().delete()
    plant.routing.steps.all().delete()
    Station.objects.update(group=None)
    plant.peak.delete(), plant.speed.delete()
    for address in ("station-groups/OVENS", "operations/REFLOW"):
        response = engineer.delete(f"/api/{address}")
        assert response.json()["error"]["code"] == "IN_USE", address
        assert "ROUTE-1 v1" in response.json()["error"]["message"]


def test_a_station_that_a_config_allows_cannot_be_deleted(engineer: APIClient) -> None:
    make_config(operation=make_operation("TEST"), allowed_station_codes=["SMT-01"])
    response = engineer.delete("/api/stations/SMT-01")
    assert response.json()["error"]["code"] == "IN_USE"
    assert "execution config" in response.json()["error"]["message"]


# --- lists ------------------------------------------------------------------------------------------------


def test_stations_are_filtered(engineer: APIClient) -> None:
    make_station("X-1", station_type="TEST")

    def codes(**query: str) -> list[str]:
        return [item["code"] for item in engineer.get("/api/stations", query).json()["data"]["items"]]

    assert codes(lineCode="SMT-A") == ["SMT-01"]
    assert codes(stationType="TEST") == ["X-1"]
    assert codes(search="x-") == ["X-1"]
    assert codes(groupCode="NOTHING") == []


@pytest.mark.parametrize("collection", [*THINGS, "bom-items", "data-collection-specs", "routes", "execution-configs"])
def test_lists_take_a_fixed_number_of_queries(
    collection: str, django_assert_max_num_queries: Any, django_assert_num_queries: Any
) -> None:
    client = api_client(Role.OPERATOR)
    make_plant()
    client.get(f"/api/{collection}")
    with django_assert_max_num_queries(3):  # routes: themselves, their steps, the operations
        client.get(f"/api/{collection}")


def test_a_refused_creation_writes_nothing(engineer: APIClient) -> None:
    assert details(engineer.post("/api/operations", {"code": "X", "name": "X", "kind": "NO"})) == ["kind"]
    assert not Operation.objects.filter(code="X").exists()
    assert details(engineer.post("/api/lines", {"code": "X", "name": "X", "processType": None})) == ["processType"]
    assert not Line.objects.filter(code="X").exists()
