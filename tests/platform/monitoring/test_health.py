"""What supervisors and load balancers see."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import path
from django.utils import timezone

from mes.platform.monitoring import health
from mes.platform.outbox.models import MesEvent, WorkerHeartbeat

urlpatterns = [path("healthz", health.healthz), path("readyz", health.readyz)]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(autouse=True)
def migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", True)


def beat(**ago: float) -> None:
    WorkerHeartbeat.objects.create(name="worker", beat_at=timezone.now() - timedelta(**ago))


def make_event(**ago: float) -> None:
    at = timezone.now() - timedelta(**ago)
    MesEvent.objects.create(event_type="TRACK_IN", occurred_at=at, next_attempt_at=at, idempotency_key="k")


def ready(client: Client) -> tuple[int, dict[str, Any]]:
    response = client.get("/readyz")
    return response.status_code, response.json()["checks"]


def test_healthz_does_not_touch_the_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"ok": True}


@pytest.mark.django_db
def test_ready_with_a_fresh_heartbeat_and_no_backlog(client: Client) -> None:
    beat(seconds=20)
    make_event(seconds=60)
    status, checks = ready(client)
    assert status == 200
    assert all(check["ok"] for check in checks.values())
    assert checks["backlog"]["ageSeconds"] >= 60


@pytest.mark.django_db
def test_not_ready_without_a_worker(client: Client) -> None:
    assert ready(client)[1]["worker"]["ok"] is False
    beat(seconds=91)
    status, checks = ready(client)
    assert (status, checks["worker"]["ok"], checks["database"]["ok"]) == (503, False, True)


@pytest.mark.django_db
def test_not_ready_while_events_are_left_lying(client: Client) -> None:
    beat()
    make_event(minutes=6)
    status, checks = ready(client)
    assert (status, checks["backlog"]["ok"]) == (503, False)


@pytest.mark.django_db
def test_a_database_that_does_not_answer_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(health.connection, "cursor", refuse)
    status, checks = ready(client)
    assert (status, checks["database"]) == (503, {"ok": False, "error": "OperationalError"})
