"""What compiling would do, and differences between versions, over HTTP."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from mes.errors import EditConflict
from mes.platform.accounts.roles import Role
from mes.production.models import Run, RunStatus
from mes.routing.compilation import compile_route
from mes.routing.models import RouteVersion
from mes.routing.preview import preview_compilation
from mes.specs.models import DataCollectionSpec
from tests.factories import Plant, api_client, make_plant, make_spec

pytestmark = pytest.mark.django_db
COMPILE = "/api/routes/ROUTE-1/compile"
VERSIONS = "/api/routes/ROUTE-1/versions"


@pytest.fixture
def plant() -> Plant:
    return make_plant()


@pytest.fixture
def engineer() -> APIClient:
    return api_client(Role.ENGINEER)


def tighten(plant: Plant, usl: float = 248) -> None:
    type(plant.peak).objects.filter(pk=plant.peak.pk).update(usl=usl)


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# --- a dry run ----------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_compiling_would_do_and_stores_nothing(plant: Plant, engineer: APIClient) -> None:
    Run.objects.update(status=RunStatus.PREP)
    tighten(plant)
    data = engineer.post(COMPILE, {"dryRun": True}).json()["data"]
    assert data.items() >= {"versionNo": 2, "status": "READY", "errors": [], "changed": True, "examples": []}.items()
    assert [each["text"] for each in data["differences"]] == ["Step 20: Peak Temperature, upper limit 250 → 248 °C"]
    assert data["runs"] == [{"runNo": "RUN-1", "versionNo": 1}]
    assert RouteVersion.objects.count() == 1
    kept = engineer.post(COMPILE, {"dryRun": False}).json()["data"]
    assert (kept["versionNo"], kept["changed"], "differences" in kept) == (2, True, False)
    again = engineer.post(COMPILE, {"dryRun": True}).json()["data"]
    assert (again["versionNo"], again["changed"], again["differences"]) == (2, False, [])
    assert again["runs"] == [{"runNo": "RUN-1", "versionNo": 1}]


def test_a_dry_run_of_what_cannot_be_used_names_the_errors(plant: Plant, engineer: APIClient) -> None:
    plant.routing.configs.update(data_spec_names=["Nothing"])
    data = engineer.post(COMPILE, {"dryRun": True}).json()["data"]
    assert (data["status"], {each["code"] for each in data["errors"]}) == ("INVALID", {"DATA_SPEC_NOT_FOUND"})
    assert any(each.get("field") == "error" for each in data["differences"])
    assert not RouteVersion.objects.exclude(version_no=1).exists()


def test_a_dry_run_of_the_first_version_tells_its_steps(plant: Plant, engineer: APIClient) -> None:
    engineer.post("/api/routes", {"code": "NEW", "name": "N", "steps": [{"stepNo": 10, "operationCode": "PRINT"}]})
    data = engineer.post("/api/routes/NEW/compile", {"dryRun": True}).json()["data"]
    assert (data["versionNo"], data["changed"]) == (1, True)
    assert data["differences"][0]["text"] == "Step 10: PRINT added"


def test_a_dry_run_needs_no_reason_and_compiling_does(plant: Plant, engineer: APIClient, settings: Any) -> None:
    settings.MES_CHANGE_REASON = "ALWAYS"
    assert engineer.post(COMPILE, {"dryRun": True}).status_code == 200
    assert engineer.post(COMPILE, {"dryRun": False}).status_code == 400
    assert engineer.post(COMPILE, {}).status_code == 400


@pytest.mark.parametrize("body", [{"dryRun": "yes"}, {"dryRun": 1}, {"dryRun": None}, {"dry_run": True}, [True]])
def test_a_dry_run_is_asked_for_plainly(plant: Plant, engineer: APIClient, body: Any) -> None:
    assert refusal(engineer.post(COMPILE, body, format="json")) == (400, "VALIDATION_ERROR")


def test_what_changed_since_the_preview_is_not_published(plant: Plant) -> None:
    seen = preview_compilation(code="ROUTE-1").compilation.digest
    tighten(plant)
    with pytest.raises(EditConflict):
        compile_route(code="ROUTE-1", expected_digest=seen)
    assert RouteVersion.objects.count() == 1
    now = preview_compilation(code="ROUTE-1").compilation.digest
    assert compile_route(code="ROUTE-1", expected_digest=now)[0].version_no == 2


# --- two versions --------------------------------------------------------------------------------------------


def test_versions_are_compared_with_each_other_and_with_what_is_live(plant: Plant, engineer: APIClient) -> None:
    tighten(plant)
    engineer.post(COMPILE)
    make_spec(plant.peak.operation, "Belt")

    def compared(first: int, second: Any) -> dict[str, Any]:
        return engineer.get(f"{VERSIONS}/{first}/diff/{second}").json()["data"]

    assert compared(1, 1) == {"same": True, "differences": []}
    there, back = compared(1, 2), compared(2, 1)
    assert [each["text"] for each in there["differences"]] == ["Step 20: Peak Temperature, upper limit 250 → 248 °C"]
    assert [(each["from"], each["to"]) for each in back["differences"]] == [(248, 250)]
    assert not there["same"]
    live = compared(2, "live")["differences"]
    assert [each["text"] for each in live] == ["Step 20: Belt is collected: no limits"]


@pytest.mark.parametrize("second", ["0", "3", "99999999999", "9" * 40, "LIVE", "Live", "-1", "1.0", "²", "x"])
def test_a_version_that_is_not_there_is_not_compared(plant: Plant, engineer: APIClient, second: str) -> None:
    assert refusal(engineer.get(f"{VERSIONS}/1/diff/{second}")) == (404, "ROUTE_VERSION_NOT_FOUND")
    assert refusal(engineer.get(f"{VERSIONS}/{second}/diff/1")) == (404, "ROUTE_VERSION_NOT_FOUND")


def test_the_first_of_two_is_a_version_and_the_route_is_there(plant: Plant, engineer: APIClient) -> None:
    assert refusal(engineer.get(f"{VERSIONS}/live/diff/1")) == (404, "ROUTE_VERSION_NOT_FOUND")
    assert refusal(engineer.get("/api/routes/NOTHING/versions/1/diff/1")) == (404, "ROUTE_NOT_FOUND")
    assert engineer.get(f"{VERSIONS}/1/diff/%00").status_code in (400, 404)


def test_numbers_that_the_database_writes_otherwise_are_no_difference(plant: Plant) -> None:
    no_alarm = {"alarm_min": None, "alarm_max": None, "alarm_action": ""}
    DataCollectionSpec.objects.filter(name="Peak Temperature").update(lsl=-0.0, usl=1e23, **no_alarm)
    compile_route(code="ROUTE-1")
    DataCollectionSpec.objects.filter(name="Peak Temperature").update(target=5)
    answer = api_client().get("/api/routes/ROUTE-1/versions/2/diff/live").json()["data"]
    assert [each["field"] for each in answer["differences"]] == ["limits.target"]
