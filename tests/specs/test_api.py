"""Data collection specs over HTTP."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.specs.models import DataCollectionSpec
from tests.factories import api_client, make_operation, make_plant, make_spec

pytestmark = pytest.mark.django_db

ADDRESS = "/api/data-collection-specs"
BODY = {
    "operationCode": "REFLOW",
    "name": "Peak Temperature",
    "itemType": "KEY",
    "dataType": "NUMBER",
    "method": "AUTO",
    "triggerType": "EACH_UNIT",
    "triggerRule": None,
    "limits": {"lsl": 235, "usl": 250, "target": 245, "unit": "°C"},
    "alarm": {"min": 230, "max": 255, "action": "HOLD"},
    "isRequired": True,
    "isActive": True,
}
NO_LIMITS = {"lsl": None, "usl": None, "target": None, "unit": None}
NO_ALARM = {"min": None, "max": None, "action": None}


@pytest.fixture
def engineer() -> APIClient:
    make_operation("REFLOW")
    return api_client(Role.ENGINEER)


def make(client: APIClient, **fields: Any) -> dict[str, Any]:
    response = client.post(ADDRESS, {**BODY, **fields})
    assert response.status_code == 201, response.json()
    return response.json()["data"]


def test_a_spec_comes_back_as_it_was_sent(engineer: APIClient) -> None:
    data = make(engineer)
    assert data == {**BODY, "id": data["id"]}
    assert engineer.get(f"{ADDRESS}/{data['id']}").json()["data"] == data
    assert engineer.patch(f"{ADDRESS}/{data['id']}", data).json()["data"] == data


def test_what_is_left_out_is_not_set(engineer: APIClient) -> None:
    body = {name: BODY[name] for name in ("operationCode", "name", "itemType", "dataType", "method")}
    data = engineer.post(ADDRESS, body).json()["data"]
    assert (data["limits"], data["alarm"]) == (NO_LIMITS, NO_ALARM)
    assert (data["triggerType"], data["isRequired"], data["isActive"]) == ("EACH_UNIT", False, True)


def test_a_patch_replaces_nested_objects_whole(engineer: APIClient) -> None:
    address = f"{ADDRESS}/{make(engineer)['id']}"
    data = engineer.patch(address, {"limits": {"usl": 251}}).json()["data"]
    assert data["limits"] == {**NO_LIMITS, "usl": 251}
    assert data["alarm"] == BODY["alarm"]
    data = engineer.patch(address, {"alarm": None, "limits": {}}).json()["data"]
    assert (data["alarm"], data["limits"]) == (NO_ALARM, NO_LIMITS)
    assert engineer.patch(address, {"isActive": False}).json()["data"]["isActive"] is False


def test_min_and_max_are_other_names_of_the_limits(engineer: APIClient) -> None:
    data = make(engineer, limits={"min": 235, "max": 250, "usl": 250})
    assert data["limits"] == {**NO_LIMITS, "lsl": 235, "usl": 250}


def test_an_alarm_without_an_action_only_alarms(engineer: APIClient) -> None:
    assert make(engineer, alarm={"max": 255})["alarm"] == {"min": None, "max": 255, "action": "ALARM_ONLY"}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"limits": {"min": 1, "lsl": 2}}, "limits.min"),
        ({"limits": {"max": 1, "usl": 2}}, "limits.max"),
        ({"limits": {"lsl": 2, "usl": 1}, "alarm": None}, "limits.usl"),
        ({"limits": {"lsl": 1, "target": 0}, "alarm": None}, "limits.target"),
        ({"alarm": {"min": 240}}, "alarm.min"),
        ({"alarm": {"max": 249}}, "alarm.max"),
        ({"alarm": {"action": "HOLD"}}, "alarm.action"),
        ({"alarm": {"min": 1, "action": "STOP"}}, "alarm.action"),
        ({"limits": {"lsl": "235"}}, "limits.lsl"),
        ({"limits": {"lsl": True}}, "limits.lsl"),
        ({"limits": {"low": 1}}, "limits.low"),
        ({"limits": [1, 2]}, "limits"),
        ({"limits": 5}, "limits"),
        ({"limits": {"unit": "x" * 21}}, "limits.unit"),
        ({"itemType": "key"}, "itemType"),
        ({"isRequired": "yes"}, "isRequired"),
        ({"name": "a//b"}, "name"),
        ({"name": ""}, "name"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(engineer: APIClient, change: dict[str, Any], place: str) -> None:
    response = engineer.post(ADDRESS, {**BODY, **change})
    assert (response.status_code, list(response.json()["error"]["details"])) == (400, [place]), response.json()
    assert not DataCollectionSpec.objects.exists()


def test_a_text_has_no_limits(engineer: APIClient) -> None:
    response = engineer.post(ADDRESS, {**BODY, "dataType": "TEXT", "alarm": None})
    assert list(response.json()["error"]["details"]) == ["limits.lsl", "limits.usl", "limits.target"]


def test_a_name_exists_once_per_operation(engineer: APIClient) -> None:
    make(engineer)
    assert engineer.post(ADDRESS, BODY).status_code == 400
    make_operation("WAVE")
    make(engineer, operationCode="WAVE")


def test_the_operation_must_exist_and_stays(engineer: APIClient) -> None:
    response = engineer.post(ADDRESS, {**BODY, "operationCode": "NOTHING"})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "OPERATION_NOT_FOUND")
    make_operation("WAVE")
    response = engineer.patch(f"{ADDRESS}/{make(engineer)['id']}", {"operationCode": "WAVE"})
    assert list(response.json()["error"]["details"]) == ["operationCode"]


def test_a_spec_that_a_version_binds_is_not_deleted_but_deactivated() -> None:
    plant = make_plant()
    engineer = api_client(Role.ENGINEER)
    response = engineer.delete(f"{ADDRESS}/{plant.peak.pk}")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "IN_USE")
    assert "deactivate" in response.json()["error"]["message"]
    unused = make_spec(plant.operations["REFLOW"], "Unused")
    assert engineer.delete(f"{ADDRESS}/{unused.pk}").status_code == 200
    assert engineer.get(f"{ADDRESS}/{unused.pk}").json()["error"]["code"] == "SPEC_NOT_FOUND"


def test_specs_are_filtered() -> None:
    make_plant()
    client = api_client(Role.OPERATOR)

    def names(**query: str) -> list[str]:
        return [item["name"] for item in client.get(ADDRESS, query).json()["data"]["items"]]

    assert names(operationCode="REFLOW") == ["Conveyor Speed", "Peak Temperature"]
    assert names(operationCode="REFLOW", itemType="KEY") == ["Peak Temperature"]
    assert names(isRequired="true", isActive="true") == ["Supply Voltage"]
    assert names(search="volt") == ["Supply Voltage"]
    assert client.get(ADDRESS, {"isActive": "yes"}).status_code == 400
