"""Why something is changed, and two people who change one thing at once; over HTTP."""

import threading
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client
from rest_framework.test import APIClient

from mes.plant.models import Line
from mes.platform.accounts.roles import Role
from mes.platform.audit.models import AuditEntry
from mes.platform.http import edits
from mes.routing.models import RouteExecutionConfig
from tests.factories import api_client, make_operation, make_plant, make_user

pytestmark = pytest.mark.django_db

LINE = {"code": "L-1", "name": "First", "processType": "SMT"}


@pytest.fixture
def engineer() -> APIClient:
    return api_client(Role.ENGINEER)


def reasons(entity: str) -> list[str]:
    return list(AuditEntry.objects.filter(entity=entity).order_by("id").values_list("reason", flat=True))


def test_a_reason_is_kept_with_each_change(engineer: APIClient) -> None:
    answer = engineer.post("/api/lines", {**LINE, "changeReason": " a new line "})
    assert (answer.status_code, "changeReason" in answer.json()["data"]) == (201, False)
    assert engineer.patch("/api/lines/L-1", {"name": "Second", "changeReason": "renamed"}).status_code == 200
    assert engineer.patch("/api/lines/L-1", {"name": "Third"}).status_code == 200
    assert engineer.delete("/api/lines/L-1?changeReason=torn+down").status_code == 200
    assert reasons("lines") == ["a new line", "renamed", "", "torn down"]


def test_a_route_with_its_steps_and_its_version_have_the_reason(engineer: APIClient) -> None:
    make_operation("PRINT")
    steps = [{"stepNo": 10, "operationCode": "PRINT"}]
    body = {"code": "R-1", "name": "x", "steps": steps, "changeReason": "first try"}
    assert engineer.post("/api/routes", body).status_code == 201
    assert engineer.post("/api/routes/R-1/compile", {"changeReason": "publish"}).status_code == 200
    assert engineer.post("/api/routes/R-1/compile").status_code == 200
    config = {"scope": "ROUTE", "stationType": "MANUAL", "changeReason": "by hand"}
    assert engineer.post("/api/routes/R-1/execution-config", config).status_code == 201
    assert [reasons(entity) for entity in ("routes", "route-steps", "route-versions", "execution-configs")] == [
        ["first try"], ["first try"], ["publish"], ["by hand"],
    ]  # fmt: skip


def test_the_reason_of_an_act_counts(engineer: APIClient) -> None:
    plant = make_plant(authorize=False)
    supervisor = api_client(Role.SUPERVISOR)
    body = {"action": "AUTHORIZE", "reason": "all is ready"}
    supervisor.post(f"/api/runs/{plant.run.run_no}/authorize", body)
    assert "all is ready" in reasons("runs")


@pytest.mark.parametrize("reason", ["", "  ", "ab", "x" * 501, "a\x07bc", 5, None, ["why"]])
def test_a_reason_that_is_none_is_refused(engineer: APIClient, reason: Any) -> None:
    answer = engineer.post("/api/lines", {**LINE, "changeReason": reason})
    assert answer.status_code == 400
    assert list(answer.json()["error"]["details"]) == ["changeReason"]
    assert reasons("lines") == []


def test_a_plant_may_want_a_reason_of_all(engineer: APIClient, settings: Any) -> None:
    engineer.post("/api/lines", LINE)
    settings.MES_CHANGE_REASON = "ALWAYS"
    for refused in (
        engineer.post("/api/lines", {**LINE, "code": "L-2"}),
        engineer.patch("/api/lines/L-1", {"name": "x"}),
        engineer.delete("/api/lines/L-1"),
    ):
        assert refused.status_code == 400, refused.json()
        assert list(refused.json()["error"]["details"]) == ["changeReason"]
    assert engineer.patch("/api/lines/L-1", {"name": "x", "changeReason": "better"}).status_code == 200


def test_a_route_that_is_sent_its_own_steps_makes_no_entry(engineer: APIClient) -> None:
    for code in ("PRINT", "REFLOW"):
        make_operation(code)
    steps = [{"stepNo": 10, "operationCode": "PRINT"}, {"stepNo": 20, "operationCode": "REFLOW"}]
    engineer.post("/api/routes", {"code": "R-1", "name": "x", "steps": steps})
    before = AuditEntry.objects.count()
    assert engineer.patch("/api/routes/R-1", {"name": "x", "steps": steps}).status_code == 200
    assert AuditEntry.objects.count() == before
    more = [*steps, {"stepNo": 30, "operationCode": "PRINT"}]
    assert engineer.patch("/api/routes/R-1", {"steps": more}).json()["data"]["steps"][2]["stepNo"] == 30
    (entry,) = AuditEntry.objects.filter(id__gt=AuditEntry.objects.order_by("-id")[1:2].get().pk)
    assert (entry.entity, entry.action, entry.name) == ("route-steps", "CREATE", "30")
    other = [{**steps[0], "operationCode": "REFLOW"}, *more[1:]]
    assert engineer.patch("/api/routes/R-1", {"steps": other}).status_code == 200
    entry = AuditEntry.objects.latest("id")
    assert (entry.entity, entry.action, sorted(entry.after)) == ("route-steps", "UPDATE", ["operation_id"])


def test_steps_exchange_their_keys(engineer: APIClient) -> None:
    make_operation("PRINT")
    steps = [{"stepNo": n, "operationCode": "PRINT", "sourceStepKey": f"K-{n}"} for n in (10, 20)]
    engineer.post("/api/routes", {"code": "R-1", "name": "x", "steps": steps})
    turned = [{**steps[0], "sourceStepKey": "K-20"}, {**steps[1], "sourceStepKey": "K-10"}]
    assert engineer.patch("/api/routes/R-1", {"steps": turned}).json()["data"]["steps"] == turned


def test_of_two_who_read_the_same_the_second_is_told(engineer: APIClient) -> None:
    engineer.post("/api/lines", LINE)
    tag = engineer.get("/api/lines/L-1")["ETag"]
    assert tag == engineer.get("/api/lines/L-1")["ETag"]
    assert engineer.patch("/api/lines/L-1", {"name": "Mine"}, headers={"If-Match": tag}).status_code == 200
    for refused in (
        engineer.patch("/api/lines/L-1", {"name": "Yours"}, headers={"If-Match": f"W/{tag}"}),
        engineer.delete("/api/lines/L-1", headers={"If-Match": tag}),
    ):
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "EDIT_CONFLICT")
        (change,) = refused.json()["error"]["details"]["changes"]
        assert change["changes"] == {"name": {"from": "First", "to": "Mine"}}
    new = engineer.get("/api/lines/L-1")["ETag"]
    assert engineer.patch("/api/lines/L-1", {"name": "Yours"}, headers={"If-Match": new}).status_code == 200
    assert engineer.patch("/api/lines/L-1", {"name": "Any"}, headers={"If-Match": "*"}).status_code == 200


def test_the_state_is_not_newer_than_what_is_shown(engineer: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    engineer.post("/api/lines", LINE)
    tag_of = edits.tag_of

    def change_in_between(thing: Any) -> str | None:
        Line.objects.update(name="Theirs")
        return tag_of(thing)

    monkeypatch.setattr(edits, "tag_of", change_in_between)
    answer = engineer.get("/api/lines/L-1")
    assert answer.json()["data"]["name"] == "Theirs"
    refused = engineer.patch("/api/lines/L-1", {"name": "Mine"}, headers={"If-Match": answer["ETag"]})
    assert refused.status_code == 200


def test_the_reason_of_a_page_is_kept() -> None:
    plant = make_plant()
    browser = Client()
    browser.force_login(make_user(Role.SUPERVISOR, username="sue"))
    page = browser.post(f"/readiness/runs/{plant.run.run_no}/revoke/", {"reason": "paste is old"})
    assert page.status_code == 302
    entry = AuditEntry.objects.filter(entity="runs").latest("id")
    assert (entry.actor, entry.reason, entry.after["status"]) == ("sue", "paste is old", "PREP")


def test_what_is_committed_late_changes_the_state(transactional_db: None) -> None:
    plant = make_plant()
    entry = {"scope": "ROUTE", "stationType": "MANUAL"}
    client = api_client(Role.ENGINEER)
    assert client.post(f"/api/routes/{plant.routing.code}/execution-config", entry).status_code == 201
    first, second = RouteExecutionConfig.objects.filter(routing=plant.routing).order_by("id")[:2]
    written, told = threading.Event(), threading.Event()

    def change_slowly() -> None:
        try:
            with transaction.atomic():
                RouteExecutionConfig.objects.filter(pk=first.pk).update(retest_limit=3)
                written.set()
                told.wait(10)
        finally:
            connections.close_all()

    thread = threading.Thread(target=change_slowly)
    thread.start()
    assert written.wait(10)
    assert client.patch(f"/api/execution-configs/{second.pk}", {"retestLimit": 5}).status_code == 200
    tag = client.get(f"/api/execution-configs/{first.pk}")["ETag"]
    told.set()
    thread.join()
    refused = client.patch(f"/api/execution-configs/{first.pk}", {"retestLimit": 7}, headers={"If-Match": tag})
    assert refused.status_code == 409
    assert refused.json()["error"]["details"]["changes"]


def test_a_part_that_changed_changes_the_whole(engineer: APIClient) -> None:
    for code in ("PRINT", "REFLOW"):
        make_operation(code)
    steps = [{"stepNo": 10, "operationCode": "PRINT"}]
    engineer.post("/api/routes", {"code": "R-1", "name": "x", "steps": steps})
    tag = engineer.get("/api/routes/R-1")["ETag"]
    engineer.patch("/api/routes/R-1", {"steps": [*steps, {"stepNo": 20, "operationCode": "REFLOW"}]})
    refused = engineer.patch("/api/routes/R-1", {"name": "y"}, headers={"If-Match": tag})
    (change,) = refused.json()["error"]["details"]["changes"]
    assert (change["entity"], change["action"], change["changes"]["operationCode"]["to"]) == (
        "route-steps", "CREATE", "REFLOW",
    )  # fmt: skip


@pytest.mark.parametrize("tag", ["", "x", '"x"', '"1', "1", '"-1"', '"' + "9" * 40 + '"', '"1", "2"'])
def test_a_tag_that_is_none_is_refused(engineer: APIClient, tag: str) -> None:
    engineer.post("/api/lines", LINE)
    answer = engineer.patch("/api/lines/L-1", {"name": "x"}, headers={"If-Match": tag})
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["If-Match"])
