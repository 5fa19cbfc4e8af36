"""What steps are worked by: said by configs, merged by scope, frozen in versions; files that they name stay."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from mes.platform.accounts.roles import Role
from mes.platform.database import retention
from mes.platform.files.models import StoredFile
from mes.routing import snapshots, work_instructions
from mes.routing.compilation import compile_route
from mes.routing.models import RouteExecutionConfig, RouteVersion, RouteVersionFile, Routing
from tests.factories import api_client, make_config, make_operation, make_route, make_station, make_user
from tests.forms import filled
from tests.platform.files.support import make_pdf, send

pytestmark = pytest.mark.django_db
LINK = {"title": "How to solder", "url": "https://wiki.example/solder"}


@pytest.fixture
def client() -> APIClient:
    return api_client(Role.ENGINEER)


@pytest.fixture
def routing() -> Routing:
    routing = make_route()
    make_station("ST-1")
    make_config(station_type="MANUAL", allowed_station_codes=["ST-1"])
    return routing


@pytest.fixture
def plan(client: APIClient) -> dict[str, str]:
    return {"title": "Plan", "fileId": send(client, make_pdf()).json()["data"]["id"]}


def set_for_step(client: APIClient, instructions: Any, step_no: int = 20) -> Any:
    body = {"scope": "STEP", "stepNo": step_no, "workInstructions": instructions}
    return client.post("/api/routes/ROUTE-1/execution-config", body)


def frozen() -> dict[int, list[tuple[str, str]]]:
    version = RouteVersion.objects.order_by("-version_no")[0]
    steps = snapshots.from_document(version.snapshot).steps
    assert snapshots.to_document(snapshots.from_document(version.snapshot)) == version.snapshot
    return {step.step_no: [(each.title, each.address) for each in step.work_instructions] for step in steps}


def test_they_are_merged_by_scope_and_frozen(client: APIClient, routing: Routing, plan: dict[str, str]) -> None:
    before, _changed = compile_route(code="ROUTE-1")
    assert "workInstructions" not in before.snapshot["steps"][0]
    assert set_for_step(client, [LINK, plan]).json()["data"]["workInstructions"] == [LINK, plan]
    make_config(operation=make_operation("PRINT"), work_instructions=[LINK])
    preview = client.post("/api/routes/ROUTE-1/compile", {"dryRun": True}).json()["data"]
    assert [each["text"] for each in preview["differences"]] == [
        "Step 10: work instructions none → How to solder (https://wiki.example/solder)",
        f"Step 20: work instructions none → How to solder (https://wiki.example/solder), Plan (#{plan['fileId']})",
    ]
    compile_route(code="ROUTE-1")
    link = ("How to solder", "https://wiki.example/solder")
    assert frozen() == {10: [link], 20: [link, ("Plan", f"/files/{plan['fileId']}/")]}
    set_for_step(client, [])
    set_for_step(client, [], step_no=10)
    version, changed = compile_route(code="ROUTE-1")
    assert changed and frozen() == {10: [], 20: []}
    assert version.digest == before.digest  # nothing said is as it was
    set_for_step(client, None)
    fields = client.get("/api/routes/ROUTE-1/effective-config").json()["data"]["steps"][1]["fields"]
    assert fields["workInstructions"] == {"value": [], "from": {"scope": "DEFAULT"}}


@pytest.mark.parametrize(
    "instruction",
    [
        {},
        {"title": "x"},
        {"title": " ", "url": "/x"},
        {"title": "x" * 201, "url": "/x"},
        {"title": "x", "url": "javascript:alert(1)"},
        {"title": "x", "url": "data:text/html,x"},
        {"title": "x", "url": "//evil.example/"},
        {"title": "x", "url": "/\\evil.example/"},
        {"title": "x", "url": "https://good.example@evil.example/"},
        {"title": "x", "url": "https://"},
        {"title": "x", "url": "https://[::1/"},
        {"title": "x", "url": "https://x.example/ y"},
        {"title": "x", "url": "\thttps://x.example/"},
        {"title": "x", "url": "x" * 2001},
        {"title": "x", "url": 7},
        {"title": "x", "fileId": 7},
        {"title": "x", "fileId": "one"},
        {"title": "x", "fileId": "1", "url": "/x"},
        {"title": "x", "url": "/x", "more": 1},
        "x",
    ],
)
def test_what_cannot_be_shown_is_refused_where_it_is_typed(
    client: APIClient, routing: Routing, instruction: Any
) -> None:
    answer = set_for_step(client, [LINK, instruction])
    told = answer.json()["error"]["details"]
    assert answer.status_code == 400 and all(place.startswith("workInstructions.1") for place in told)
    assert not RouteExecutionConfig.objects.filter(work_instructions__isnull=False).exists()


def test_a_list_is_no_longer_than_twenty_and_its_files_are_there(client: APIClient, routing: Routing) -> None:
    assert set_for_step(client, [LINK] * 21).status_code == 400
    assert set_for_step(client, [LINK] * 20).status_code == 201
    answer = set_for_step(client, [{"title": "x", "fileId": "77"}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "FILE_NOT_FOUND")
    RouteExecutionConfig.objects.filter(scope="STEP").update(work_instructions=[{"title": "x", "fileId": "77"}])
    version, _changed = compile_route(code="ROUTE-1")  # as if somebody had removed it in the database
    assert (version.status, [each["code"] for each in version.errors]) == ("INVALID", ["WORK_INSTRUCTION_NOT_FOUND"])


@pytest.mark.parametrize("address", ["/manuals/1", "/", "http://wiki/x?y=z#1", "https://[::1]:8000/"])
def test_addresses_of_the_web_and_of_this_server(address: str) -> None:
    assert work_instructions.is_address(address)


def test_a_file_in_use_stays(client: APIClient, routing: Routing, plan: dict[str, str]) -> None:
    other = {"title": "Other", "fileId": send(client, make_pdf(text="other")).json()["data"]["id"]}
    set_for_step(client, [plan, other])
    compile_route(code="ROUTE-1")
    set_for_step(client, [other])
    unused = send(client, make_pdf(text="unused")).json()["data"]["id"]
    StoredFile.objects.update(wanted_at=timezone.now() - timedelta(days=40))
    retention.run()
    left = set(StoredFile.objects.values_list("pk", flat=True))
    assert left == {int(plan["fileId"]), int(other["fileId"])} and int(unused) not in left
    RouteVersionFile.objects.filter(file=other["fileId"]).delete()  # the config names it still
    retention.run()
    assert StoredFile.objects.count() == 2


def is_kept(act: Callable[[], Any]) -> bool:
    """Whether an act notes that a file is wanted: what the retention looks at meanwhile it leaves then."""
    StoredFile.objects.update(wanted_at=timezone.now() - timedelta(days=40))
    assert act().status_code in (200, 302)
    return StoredFile.objects.filter(wanted_at__gte=timezone.now() - timedelta(days=1)).exists()


def test_pages_and_sheets_have_them(client: APIClient, routing: Routing, plan: dict[str, str]) -> None:
    set_for_step(client, [plan])
    compile_route(code="ROUTE-1")
    browser = Client()
    browser.force_login(make_user(Role.ENGINEER))
    page = browser.get(reverse("route-version", args=["ROUTE-1", "1"])).content.decode()
    assert f'href="/files/{plan["fileId"]}/"' in page
    config = RouteExecutionConfig.objects.get(scope="STEP")
    address = reverse("admin:mes_routeexecutionconfig_change", args=[config.pk])
    browser.post(address, filled(browser, address, work_instructions='[{"title": "x", "fileId": "9"}]'))
    config.refresh_from_db()
    assert config.work_instructions == [plan]
    browser.post(address, filled(browser, address, work_instructions="[]"))
    config.refresh_from_db()
    assert config.work_instructions == []
    assert is_kept(lambda: browser.post(address, filled(browser, address, work_instructions=json.dumps([plan]))))
    rows = [{"scope": "STEP", "routeCode": "ROUTE-1", "stepNo": 20, "workInstructions": each} for each in ([LINK], 5)]
    rows += [
        {"scope": "STEP", "routeCode": "ROUTE-1", "stepNo": 10, "workInstructions": [{"title": "x", "fileId": "9"}]}
    ]
    checked = client.post("/api/imports/execution-configs", {"rows": rows[1:]}).json()["data"]
    assert [(each["row"], each["field"]) for each in checked["errors"]] == [
        (1, "workInstructions"),
        (2, "workInstructions"),
    ]
    for instruction, kept in ((LINK, False), (plan, True)):
        sheet = client.post("/api/imports/execution-configs", {"rows": [rows[0] | {"workInstructions": [instruction]}]})
        apply = f"/api/imports/{sheet.json()['data']['id']}/apply"
        assert is_kept(lambda apply=apply: client.post(apply, {"changeReason": "links"})) is kept
        config.refresh_from_db()
        assert config.work_instructions == [instruction]
