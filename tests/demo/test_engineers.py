"""What an engineer finds in a new demo: four weeks of changes, a drifted route, a newer version, one misspelt name."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

from demo import engineers, plant
from execution.models import DataValue
from integration.models import FailedMessage
from mes.management import demo_weeks
from mes.platform.accounts.models import DeviceToken
from mes.platform.accounts.roles import Role
from mes.platform.accounts.tokens import find_token
from mes.platform.audit import seals
from mes.platform.audit.models import AuditEntry, AuditSeal
from mes.platform.bulk_actions import services
from mes.routing import drift
from mes.routing.models import Routing
from tests.factories import api_client

MOST_STATEMENTS = 25  # of a list of the administration, with its filters


@pytest.fixture(scope="module")
def notes(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """What is written down of a demo that is prepared once, in a transaction around those of the tests."""
    folder = tmp_path_factory.mktemp("data")
    with django_db_blocker.unblock(), override_settings(DEMO=True, DATA_DIR=folder), transaction.atomic():
        call_command("prepare_demo")
        yield read_notes(folder)
        transaction.set_rollback(True)


def read_notes(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "demo.json").read_text())
    return found


@pytest.fixture
def person(notes: dict[str, Any], db: None) -> APIClient:
    return api_client(Role.ADMIN)


def weeks_ago(days: int) -> str:
    return (timezone.now().date() - timedelta(days=days)).isoformat()


def test_who_moved_a_limit_then_has_one_answer(person: APIClient) -> None:
    [spec] = person.get("/api/data-collection-specs?name=Peak Temperature").json()["data"]["items"]
    asked = {"entity": "data-collection-specs", "entityId": spec["id"], "action": "UPDATE"}
    period = {"from": weeks_ago(19), "to": weeks_ago(15)}
    [entry] = person.get("/api/audit", {**asked, **period}).json()["data"]["items"]
    assert entry["changes"] == {"limits.usl": {"from": 260, "to": 252}}
    assert (entry["actor"], entry["reason"]) == ("engineer", "oven 2 drifts, U7 stands 255 °C at most")
    assert len(person.get("/api/audit", asked).json()["data"]["items"]) == 3
    client = Client()
    client.force_login(User.objects.get(username="engineer"))
    page = client.get("/audit/", {"q": "Peak Temperature", "since": period["from"], "until": period["to"]})
    assert "oven 2 drifts" in page.content.decode()


def test_changes_of_several_people_lie_in_four_weeks_in_their_order(person: APIClient) -> None:
    changes = AuditEntry.objects.exclude(reason="").order_by("id")
    assert 40 <= changes.count() <= 80
    assert {"engineer", "lena", "admin"} <= set(changes.values_list("actor", flat=True))
    demos = AuditEntry.objects.exclude(actor="").order_by("id")
    assert {"quality", "token:Demo ERP", "token:Demo line"} <= set(demos.values_list("actor", flat=True))
    times = list(demos.values_list("at", flat=True))
    assert times == sorted(times)
    assert timezone.now() - demo_weeks.WEEKS <= times[0] < timezone.now() - timedelta(days=27)
    kinds = {"data-collection-specs", "route-steps", "execution-configs", "route-versions", "time-rules"}
    assert kinds | {"prep-policies", "user-roles", "tokens"} <= set(changes.values_list("entity", flat=True))
    spare = DeviceToken.objects.exclude(revoked_at=None).get()
    assert spare.name == "Demo gateway (old)"


def test_all_of_it_is_sealed_and_nothing_can_be_changed(person: APIClient) -> None:
    assert seals.verify() is None
    sealed = AuditSeal.objects.order_by("-last_id").values_list("last_id", flat=True)[0]
    assert sealed >= AuditEntry.objects.exclude(reason="").latest("id").pk
    with pytest.raises(IntegrityError, match="kept as it was written"), transaction.atomic():
        AuditEntry.objects.filter(actor="engineer").update(reason="another")


def test_a_route_differs_from_its_latest_version_and_the_line_that_runs_does_not(person: APIClient) -> None:
    for routing in Routing.objects.all():
        drift.look_at(routing.pk)
    routes = {route["code"]: route for route in person.get("/api/routes").json()["data"]["items"]}
    answers = {
        code: person.get(f"/api/routes/{code}/versions/{len(versions_of(person, code))}/diff/live").json()["data"]
        for code in routes
    }
    assert answers[plant.ROUTE]["same"] and not answers[engineers.ROUTE]["same"]
    texts = [one["text"] for one in answers[engineers.ROUTE]["differences"]]
    assert any("Solder Voids" in text and "2.5" in text for text in texts), texts


def versions_of(person: APIClient, route: str) -> list[Any]:
    found: list[Any] = person.get(f"/api/routes/{route}/versions").json()["data"]["items"]
    return found


def test_a_run_in_preparation_can_take_a_newer_version(person: APIClient) -> None:
    client = Client()
    client.force_login(User.objects.get(username="engineer"))
    board = client.get(f"/readiness/runs/{engineers.IN_PREPARATION}/").content.decode()
    assert "Version 3 is newer: 2 differences" in board
    body = {"routeVersionNo": 3, "reason": "drawing C"}
    assert person.patch(f"/api/runs/{engineers.IN_PREPARATION}", body).status_code == 200


def test_messages_of_one_misspelt_name_are_mended_at_once(person: APIClient) -> None:
    [cause] = person.get("/api/integration/messages/causes").json()["data"]["items"]
    assert (cause["code"], cause["count"]) == ("DATA_SPEC_NOT_FOUND", engineers.MESSAGES)
    up_to = person.get("/api/integration/messages/causes").json()["data"]["upTo"]
    body = {"code": cause["code"], "subject": engineers.SENT, "upTo": up_to, "reason": "the new recipe misspells it"}
    names = {"specNames": {engineers.SENT: engineers.MEANT}}
    before = DataValue.objects.count()
    assert person.post("/api/integration/messages/replay", {**body, **names}).status_code == 202
    services.work_off()
    assert not FailedMessage.objects.exists()
    assert DataValue.objects.count() == before + engineers.MESSAGES


def test_preparing_again_writes_none_of_it_again(person: APIClient, notes: dict[str, Any]) -> None:
    before = (AuditEntry.objects.count(), AuditSeal.objects.count())
    call_command("prepare_demo")
    assert (AuditEntry.objects.count(), AuditSeal.objects.count()) == before
    assert find_token(notes["token"]) is not None
    assert plant_is_whole(person)


def plant_is_whole(person: APIClient) -> bool:
    """Whether the line finds each of its specs."""
    found = {spec["name"] for spec in person.get("/api/data-collection-specs?limit=200").json()["data"]["items"]}
    return found >= {each.name for step in plant.STEPS for each in step.measurements}


def test_each_list_of_the_administration_takes_as_many_statements_for_one_row_as_for_fifty(
    person: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of one row, and of as many as there are; what few have in a demo is tested beside what it belongs to."""
    client = Client()
    client.force_login(User.objects.get(username="admin"))
    looked_at, wrong = 0, {}
    for model, model_admin in admin.site._registry.items():
        rows = model._default_manager.order_by()[:50].count()
        if rows < 2:
            continue
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        counts = []
        for size in (50, 1, 50):  # once before, so that nothing is counted that a process reads once
            monkeypatch.setattr(model_admin, "list_per_page", size)
            with CaptureQueriesContext(connection) as queries:
                assert client.get(address).status_code == 200, address
            counts.append(len(queries))
        looked_at += 1
        if counts[1] != counts[2] or counts[2] > MOST_STATEMENTS:
            wrong[model._meta.label] = counts[1:]
    assert looked_at > 20
    assert wrong == {}
