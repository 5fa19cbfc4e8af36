"""What Prometheus reads: figures without names of products, for whoever may see them; alerts and dashboard use them."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from mes.platform import metrics
from mes.platform.accounts.roles import Role
from mes.platform.http.accounting import template_of
from mes.platform.monitoring import exposition
from mes.platform.outbox import emit, processor
from mes.platform.outbox.models import EventType, MesEvent, WorkerHeartbeat
from mes.platform.server import backup, counters
from mes.platform.server.counters import FOLDER_VARIABLE, is_ours
from tests.factories import api_client, make_plant, make_user
from tests.integration.helpers import into_oven, make_event, reading

DOCS = Path(settings.BASE_DIR) / "docs" / "monitoring"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
pytestmark = pytest.mark.django_db


def scrape(client: Client | None = None, **extra: Any) -> str:
    answer = (client or Client()).get("/metrics", **extra)
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    return answer.content.decode()


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figure(name: str, **labels: str) -> float:
    return samples(scrape()).get((name, tuple(sorted(labels.items()))), 0.0)


def test_a_request_is_counted_by_its_route() -> None:
    labels = {"method": "GET", "route": "/api/trace/units/{sn}", "status": "404"}
    before = figure("linekeeper_http_requests_total", **labels)
    client = api_client()
    for number in range(3):
        assert client.get(f"/api/trace/units/SECRET-{number}").status_code == 404
    assert figure("linekeeper_http_requests_total", **labels) == before + 3
    route = {"method": "GET", "route": "/api/trace/units/{sn}"}
    assert figure("linekeeper_http_request_duration_seconds_count", **route) >= 3
    assert "SECRET" not in scrape()


@pytest.mark.parametrize(
    ("route", "template"),
    [
        ("readyz", "/readyz"),
        ("api/stations/<str:code>/queue", "/api/stations/{code}/queue"),
        ("api/^lines/(?P<code>[^/]+)$", "/api/lines/{code}"),
        ("api/^routes/(?P<code>[^/]+)/versions/(?P<no>[^/]+)\\Z", "/api/routes/{code}/versions/{no}"),
        (
            "api/^routes/(?P<code>[^/]+(?:/[^/]+)*?)/versions/(?P<no>[^/]+)\\Z",
            "/api/routes/{code}/versions/{no}",
        ),
        ("^static/(?P<path>.*)$", "/static/{path}"),
    ],
)
def test_a_route_is_written_as_documents_write_it(route: str, template: str) -> None:
    assert template_of(route) == template


def test_every_route_is_a_template() -> None:
    from drf_spectacular.generators import SchemaGenerator

    from tests.bad_input.endpoints import list_endpoints

    assert SchemaGenerator()
    client = api_client(Role.ADMIN)
    for endpoint in list_endpoints():
        if endpoint.method == "GET":
            client.get(endpoint.url)
    routes = {dict(labels)["route"] for name, labels in samples(scrape()) if name == "linekeeper_http_requests_total"}
    assert {"/api/lines", "/api/trace/units/{sn}", "/api/routes/{code}/versions/{no}"} <= routes
    assert [route for route in routes if re.search(r"[\\^$?*\[\]<>]", route)] == []


def test_what_has_no_address_is_one_route_and_one_method() -> None:
    before = figure("linekeeper_http_requests_total", method="OTHER", route="(none)", status="404")
    for number in range(3):
        Client().generic(f"MAKE-{number}", f"/nowhere/{number}")
    assert figure("linekeeper_http_requests_total", method="OTHER", route="(none)", status="404") == before + 3


def messages(outcome: str) -> float:
    """Return how many readings of any sender have come to an end."""
    named = {("channel", "device-data"), ("outcome", outcome)}
    return sum(
        value
        for (name, labels), value in samples(scrape()).items()
        if name == "linekeeper_messages_total" and named <= set(labels)
    )


def test_readings_are_counted_by_what_became_of_them() -> None:
    client = api_client(Role.ADMIN)
    make_plant()
    into_oven(client)
    outcomes = ("applied", "duplicate", "conflict", "refused", "malformed")
    before = {outcome: messages(outcome) for outcome in outcomes}
    good = make_event("evt-1")
    for event in (good, good, {**good, "data": [reading(241)]}, make_event("evt-2", runNo="RUN-9"), {}):
        client.post("/api/integration/device-data", event)
    batch = [make_event("evt-3"), make_event("evt-4"), good, None]
    client.post("/api/integration/device-data/batch", {"events": batch})
    counted = {outcome: messages(outcome) - before[outcome] for outcome in outcomes}
    assert counted == {"applied": 3, "duplicate": 2, "conflict": 1, "refused": 1, "malformed": 2}


def test_people_are_one_sender_and_products_none() -> None:
    make_plant()
    device = api_client(Role.ADMIN)
    into_oven(device)
    device.post("/api/integration/device-data", make_event("evt-1"))
    person = APIClient()
    person.force_authenticate(make_user(Role.ADMIN, username="Jane"))
    person.post("/api/integration/device-data", make_event("evt-2"))
    text = scrape()
    senders = {dict(labels).get("sender", "") for name, labels in samples(text) if name == "linekeeper_messages_total"}
    assert "people" in senders
    assert all(sender == "people" or sender.startswith("token:") for sender in senders)
    for secret in ("Jane", "SN-1", "RUN-1", "WO-RUN-1", "evt-1"):
        assert secret not in text


def test_events_are_counted_by_what_became_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(outcome: str) -> float:
        return figure("linekeeper_outbox_events_total", event_type="DATA_ALARM", outcome=outcome)

    def fail(event: MesEvent) -> None:
        if event.entity_id == "bad":
            raise ValueError

    hook = emit.handlers[EventType.DATA_ALARM]
    monkeypatch.setattr(hook, "_registered", {fail: fail})
    before = count("completed"), count("failed"), count("dead")
    for name, attempts in (("good", 10), ("bad", 10), ("last", 1)):
        MesEvent.objects.create(
            event_type="DATA_ALARM",
            idempotency_key=name,
            entity_type="Track",
            entity_id=name.replace("last", "bad"),
            occurred_at=timezone.now(),
            next_attempt_at=timezone.now() - timedelta(minutes=1),
            max_attempts=attempts,
        )
    processor.process_due()
    assert (count("completed"), count("failed"), count("dead")) == (before[0] + 1, before[1] + 1, before[2] + 1)


def test_events_that_nobody_wants_are_counted_when_they_are_committed(django_capture_on_commit_callbacks: Any) -> None:
    def count() -> float:
        return figure("linekeeper_outbox_events_total", event_type="DATA_ALARM", outcome="completed")

    def alarm(key: str) -> None:
        with transaction.atomic():
            emit.emit(emit.NewEvent(EventType.DATA_ALARM, key, "UNIT", "SN-1", timezone.now()))

    before = count()
    with django_capture_on_commit_callbacks() as callbacks:
        alarm("one")
        alarm("two")
        alarm("two")
        assert count() == before
    for callback in callbacks:
        callback()
    assert count() == before + 2
    assert set(MesEvent.objects.values_list("status", flat=True)) == {"COMPLETED"}


def test_how_the_plant_stands() -> None:
    WorkerHeartbeat.objects.create(name="worker", ticked_at=timezone.now())
    at = timezone.now() - timedelta(seconds=100)
    MesEvent.objects.create(event_type="TRACK_IN", occurred_at=at, next_attempt_at=at, idempotency_key="k")
    MesEvent.objects.create(event_type="TRACK_IN", occurred_at=at, status="DEAD", idempotency_key="d")
    assert figure("linekeeper_check_ok", check="worker") == 1
    assert figure("linekeeper_check_ok", check="backlog") == 1
    assert figure("linekeeper_workers_alive") == 1
    assert figure("linekeeper_outbox_backlog", state="due") == 1
    assert figure("linekeeper_outbox_backlog", state="dead") == 1
    assert 100 <= figure("linekeeper_outbox_oldest_due_seconds") < 200
    assert (
        0
        < figure("linekeeper_database_connections", state="used")
        < figure("linekeeper_database_connections", state="most")
    )
    assert figure("linekeeper_disk_free_bytes", disk="data folder") > 0


def test_a_database_that_is_gone_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition.SURVEY, "read", dict)
    monkeypatch.setattr(exposition.health.SURVEY, "read", dict)
    found = samples(scrape())
    assert found["linekeeper_check_ok", (("check", "database"),)] == 0
    assert not [name for name, _labels in found if name.startswith("linekeeper_outbox_backlog")]
    assert [name for name, _labels in found if name == "linekeeper_http_requests_total"]


# --- who may read it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ({}, 200),
        ({"REMOTE_ADDR": "::1"}, 200),
        ({"REMOTE_ADDR": "::ffff:127.0.0.1"}, 200),
        ({"REMOTE_ADDR": "::ffff:10.0.0.7"}, 403),
        ({"REMOTE_ADDR": "10.0.0.7"}, 403),
        ({"REMOTE_ADDR": ""}, 403),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 403),
        ({"HTTP_FORWARDED": "for=127.0.0.1"}, 403),
        ({"HTTP_AUTHORIZATION": "Bearer ", "REMOTE_ADDR": "10.0.0.7"}, 403),
    ],
)
def test_without_a_token_only_this_machine_may(extra: dict[str, Any], status: int) -> None:
    assert Client().get("/metrics", **extra).status_code == status


@pytest.mark.parametrize(
    ("sent", "status"), [("Bearer s3cret", 200), ("Bearer other", 403), ("s3cret", 403), ("Bearer é", 403), (None, 403)]
)
def test_with_a_token_whoever_sends_it_may(settings: Any, sent: str | None, status: int) -> None:
    settings.MES_METRICS_TOKEN = "s3cret"
    for address in ("127.0.0.1", "10.0.0.7"):
        extra: dict[str, Any] = {"REMOTE_ADDR": address} | ({} if sent is None else {"HTTP_AUTHORIZATION": sent})
        assert Client().get("/metrics", **extra).status_code == status


# --- several processes --------------------------------------------------------------------------------------

COUNT = """
import django; django.setup()
from mes.platform import metrics
metrics.observe("/readyz", "GET", 200, 0.01)
{more}
"""


def run(data_dir: Path, more: str = "") -> str:
    environment = {name: value for name, value in os.environ.items() if name != FOLDER_VARIABLE}
    environment |= {"MES_DATA_DIR": str(data_dir), "DJANGO_SETTINGS_MODULE": "mes.settings"}
    command = [sys.executable, "-c", COUNT.format(more=more)]
    return subprocess.run(
        command, env=environment, cwd=settings.BASE_DIR, check=True, text=True, capture_output=True
    ).stdout


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """The data folder of an installation whose figures lie in a folder of their own."""
    yield tmp_path
    folder = Path(run(tmp_path, "import os; print(os.environ['PROMETHEUS_MULTIPROC_DIR'])").strip())
    for path in (*folder.glob("*.db"), folder):
        path.unlink() if path.is_file() else path.rmdir()


TELL = "from prometheus_client import generate_latest; print(generate_latest(metrics.counted()).decode())"
MEANWHILE = """
import os, subprocess, sys
subprocess.run([sys.executable, "-c", os.environ["OTHER"]], check=True)
"""


def test_processes_are_added_up_and_a_new_start_begins_anew(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", COUNT.format(more=""))
    monkeypatch.setenv("PYTHONPATH", str(settings.BASE_DIR))
    name = ("linekeeper_http_requests_total", (("method", "GET"), ("route", "/readyz"), ("status", "200")))
    assert samples(run(data_dir, MEANWHILE + TELL))[name] == 2
    assert samples(run(data_dir, TELL))[name] == 1, "those of before are all dead"


def test_what_ended_processes_counted_is_kept_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MOST_LEFT_OVER", 2)
    dead = [subprocess.Popen(["true"]) for _number in range(3)]
    names = [f"counter_{process.pid}.db" for process in dead if process.wait() == 0]
    for at, name in enumerate([*names, f"counter_{os.getpid()}.db", "notes.txt"]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (at, at))
    counters._remove_left_over(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*names[1:], f"counter_{os.getpid()}.db", "notes.txt"}
    (tmp_path / f"counter_{os.getpid()}.db").unlink()
    counters._remove_left_over(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir(mode=0o777)
    open_folder.chmod(0o777)
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(own)
    assert [is_ours(folder) for folder in (open_folder, own, link)] == [False, True, False]


# --- alerts and dashboard -----------------------------------------------------------------------------------


def expressions() -> Iterator[str]:
    for group in yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in json.loads((DOCS / "dashboard.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_alerts_and_dashboard_name_figures_that_there_are(settings: Any, tmp_path: Path) -> None:
    settings.MES_BACKUP_DIR = tmp_path
    (tmp_path / backup.NAME.format(timezone.now())).touch()
    WorkerHeartbeat.objects.create(name="worker", ticked_at=timezone.now())
    api_client().post("/api/integration/device-data", {})
    metrics.count_event("DATA_ALARM", "completed")
    found = {name for name, _labels in samples(scrape())}
    named = {name for expression in expressions() for name in re.findall(r"linekeeper_\w+", expression)}
    assert len(named) > 12
    assert named - found == set()


def test_the_documentation_names_every_figure() -> None:
    text = (DOCS.parent / "operations.md").read_text()
    found = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name, _labels in samples(scrape())}
    assert [name for name in found if name not in text] == []


def test_alerts_and_dashboard_name_labels_that_there_are() -> None:
    """`check=~"database|writes"`: each of them is a check."""
    checks = {dict(labels).get("check") for _name, labels in samples(scrape())}
    for expression in expressions():
        for named in re.findall(r'check=~?"([a-z|]+)"', expression):
            assert set(named.split("|")) <= checks
