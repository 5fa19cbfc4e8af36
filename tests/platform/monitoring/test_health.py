"""What supervisors and load balancers see."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.urls import path
from django.utils import timezone

from mes.platform.database.models import WriteProbe
from mes.platform.monitoring import disk, health
from mes.platform.outbox.models import MesEvent, TaskOutcome, WorkerHeartbeat
from mes.platform.server import backup

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


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("SET LOCAL transaction_read_only = on", "ReadOnlySqlTransaction"),
        ("SET LOCAL temp_file_limit = 0", "ConfigurationLimitExceeded"),  # stands for a disk with no room for a file
    ],
)
def test_not_ready_while_writes_fail(client: Client, setting: str, error: str) -> None:
    beat()
    assert ready(client)[0] == 200
    with connection.cursor() as cursor:
        cursor.execute(setting)
    status, checks = ready(client)
    assert (status, checks["database"]["ok"]) == (503, True)
    assert checks["writes"] == {"ok": False, "code": "DATABASE_NOT_WRITABLE", "error": error}


@pytest.mark.django_db
def test_what_is_written_is_one_row(client: Client) -> None:
    for _number in range(3):
        assert ready(client)[1]["writes"]["ok"]
    assert WriteProbe.objects.count() == 1


@pytest.mark.django_db
def test_little_room_is_a_warning(client: Client, settings: Any) -> None:
    beat()
    answer = client.get("/readyz").json()
    assert (answer["ok"], answer["warnings"]) == (True, [])
    disks = {disk["disk"]: disk["freeBytes"] for disk in answer["checks"]["space"]["disks"]}
    assert disks["data folder"] > 0
    settings.MES_DISK_WARNING = max(disks.values()) + 10**12
    answer = client.get("/readyz").json()
    assert (answer["ok"], answer["warnings"], answer["checks"]["space"]["code"]) == (True, ["space"], "DISK_SPACE_LOW")


@pytest.mark.django_db
def test_the_disk_of_a_database_on_this_machine_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [name for name, _free, _total in disk.list_disks()] == ["data folder", "database"]
    monkeypatch.setitem(connection.settings_dict, "HOST", "db.example")
    assert [name for name, _free, _total in disk.list_disks()] == ["data folder"]


def warnings(client: Client) -> list[str]:
    return client.get("/readyz").json()["warnings"]


@pytest.mark.django_db
def test_a_backup_that_is_too_old_is_a_warning_where_backups_are_scheduled(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    beat()
    assert ready(client)[1]["backup"] == {"ok": True, "scheduled": False}
    settings.MES_BACKUP_DIR = tmp_path
    assert warnings(client) == [], "the first is made at night"
    outcome = TaskOutcome.objects.filter(name="backup")
    outcome.update(created_at=timezone.now() - timedelta(hours=25))
    assert warnings(client) == []
    outcome.update(created_at=timezone.now() - timedelta(hours=27))
    assert "backup" in warnings(client)
    for hours, is_late in ((27, True), (25, False)):
        made_at = timezone.now() - timedelta(hours=hours)
        (tmp_path / backup.NAME.format(made_at)).touch()
        status, checks = ready(client)
        assert (status, checks["backup"]["ok"], "code" in checks["backup"]) == (200, not is_late, is_late)
        assert abs(checks["backup"]["ageSeconds"] - hours * 3600) < 60
